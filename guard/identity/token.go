package identity

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"regexp"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// A token is "leat_", the id of the key, "_" and the secret. Only the hash of
// the secret is stored; with 256 random bits a plain SHA-256 is enough, and
// a slow hash would only give attackers a way to keep the server busy.
const (
	prefix        = "leat_"
	idBytes       = 10
	secretBytes   = 32
	idLetters     = 16 // of idBytes, five bits to a letter
	secretLetters = 52 // of secretBytes
)

func newToken() (id, secret string, err error) {
	var random [idBytes + secretBytes]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", "", fault.Wrap(err, fault.Unavailable, "the machine gives no random bytes")
	}
	letters := base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)
	return letters.EncodeToString(random[:idBytes]), letters.EncodeToString(random[idBytes:]), nil
}

// splitToken takes a token apart; ok is false for what cannot be one, so that
// nothing of any other length reaches the catalog.
func splitToken(token string) (id, secret string, ok bool) {
	rest, ok := strings.CutPrefix(token, prefix)
	if !ok {
		return "", "", false
	}
	id, secret, ok = strings.Cut(rest, "_")
	ok = ok && len(id) == idLetters && len(secret) == secretLetters
	return id, secret, ok
}

// IsToken tells whether a text is meant as a token of an API key of ours,
// valid or not.
func IsToken(text string) bool { return strings.HasPrefix(text, prefix) }

type digest [sha256.Size]byte

func hash(secret string) digest { return sha256.Sum256([]byte(secret)) }

func (d digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(text string) (d digest, err error) {
	if len(text) != 2*len(d) {
		return d, fault.New(fault.Corrupt, "a hash of %d letters", len(text))
	}
	_, err = hex.Decode(d[:], []byte(text))
	return d, err
}

var (
	namePattern  = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	groupPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@/-]{0,127}$`) // no colon: see RunGroup
	grantPattern = regexp.MustCompile(`^(\*|[a-z]+):(\*|[A-Za-z0-9][A-Za-z0-9._-]*)$`)
)

// check reports every mistake of a new key at once.
func (n NewKey) check(now time.Time) error {
	var l fault.List
	if !namePattern.MatchString(n.Name) {
		l.Add(fault.New(fault.Invalid, "%q cannot be the name of a key", n.Name).
			Hint("use small letters, digits, dot, dash and underscore, at most 64, such as \"checkout-app\""))
	}
	if len(n.Grants) == 0 {
		l.Add(fault.New(fault.Invalid, "a key without grants may do nothing").
			Hint("give it at least one, such as \"score:*\""))
	}
	for _, g := range n.Grants {
		if !grantPattern.MatchString(g) {
			l.Add(fault.New(fault.Invalid, "%q is not a grant", g).Hint("write \"verb:name\", such as \"score:fraud\" or \"score:*\""))
		}
	}
	for _, g := range n.Groups {
		if !groupPattern.MatchString(g) {
			l.Add(fault.New(fault.Invalid, "%q cannot be a group", g))
		}
	}
	if !n.ExpiresAt.IsZero() && !n.ExpiresAt.After(now) {
		l.Add(fault.New(fault.Invalid, "the key would have expired at %s already", n.ExpiresAt.Format(time.RFC3339)))
	}
	return l.Err()
}
