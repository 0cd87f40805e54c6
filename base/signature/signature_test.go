package signature_test

import (
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/signature"
)

// TestSign compares with the example of the Standard Webhooks specification.
func TestSign(t *testing.T) {
	key, err := signature.Key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	got := signature.Sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`))
	if got != "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(got)
	}
	if key, err := signature.Key("plain"); string(key) != "plain" || err != nil {
		t.Error(key, err)
	}
	for _, bad := range []string{"whsec_", "whsec_??"} {
		if _, err := signature.Key(bad); !fault.Is(err, fault.Invalid) {
			t.Error(bad, err)
		}
	}
}
