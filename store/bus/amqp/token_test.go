package amqp

import (
	"testing"
	"time"
)

func TestToken(t *testing.T) {
	k, ok := parseKey("Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a+b/c=;EntityPath=q")
	if !ok || k.name != "send" || k.key != "a+b/c=" {
		t.Fatalf("%+v %v", k, ok)
	}
	if _, ok := parseKey("user:password"); ok {
		t.Error("a password is no connection string")
	}
	// The signature was made with openssl: printf 'amqp%3A%2F%2Fx%2Fq\n1774749599' | openssl dgst -sha256 -hmac 'a+b/c=' -binary | base64
	want := "SharedAccessSignature sr=amqp%3A%2F%2Fx%2Fq&sig=miRtDuGVWa0e95KnGicViYUG5zwXCfwu8ZaTIKLUDmU%3D&se=1774749599&skn=send"
	if got := k.token("AMQP://x/q", time.Unix(1774749599, 0)); got != want {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}
