// Package signature signs what is posted to receivers of webhooks, so that
// they know who sent it and that nobody changed it.
//
// The form is that of the Standard Webhooks specification, which MLflow uses
// too: HMAC-SHA256 over an id, a time and the content.
package signature

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Sign returns "v1," and the base64 of the HMAC-SHA256 of
// "<id>.<timestamp>.<payload>" under a key. The timestamp is in seconds since
// 1970.
func Sign(key []byte, id, timestamp string, payload []byte) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, id+"."+timestamp+".") // a hash takes everything
	_, _ = mac.Write(payload)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// keyPrefix begins the secrets of Standard Webhooks; base64 follows.
const keyPrefix = "whsec_"

// Key returns the key that a secret means: what stands in base64 behind
// "whsec_", or the text itself.
func Key(secret string) ([]byte, error) {
	coded, ok := strings.CutPrefix(secret, keyPrefix)
	if !ok {
		return []byte(secret), nil
	}
	key, err := base64.StdEncoding.DecodeString(coded)
	if err != nil || len(key) == 0 {
		return nil, fault.New(fault.Invalid, "the secret of a webhook begins with %s, and no base64 follows", keyPrefix)
	}
	return key, nil
}
