package feature

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/leat-ai/leat/spec"
)

// Hash names a definition: the first 16 hexadecimal digits of the SHA-256 of
// all that decides the values of its features. Owner, tags and class
// do not.
func Hash(v spec.FeatureView) string {
	v.Owner, v.Tags, v.Class = "", nil, ""
	text, err := json.Marshal(v)
	if err != nil { // a view is strings and lists of them
		text = []byte(err.Error())
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}
