package nats

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/leat-ai/leat/base/fault"
)

// credentials makes of a secret the way to identify oneself. Which way that is
// is seen once; the secret itself is asked for whenever a connection is made,
// so that a new one is used without a restart.
func credentials(ctx context.Context, secret func(context.Context) (string, error)) (nats.Option, error) {
	text, err := secret(ctx)
	if err != nil {
		return nil, err
	}
	now := func() string {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		text, err := secret(ctx)
		if err != nil {
			return "" // the server refuses the client, and it tries again
		}
		return strings.TrimSpace(text)
	}
	text = strings.TrimSpace(text)
	switch {
	case strings.Contains(text, "-----BEGIN NATS USER JWT-----"):
		return nats.UserJWT(
			func() (string, error) { return nkeys.ParseDecoratedJWT([]byte(now())) },
			func(nonce []byte) ([]byte, error) { return sign(now(), nonce) },
		), nil
	case strings.HasPrefix(text, "SU") && len(text) == 58:
		pair, err := nkeys.FromSeed([]byte(text))
		if err != nil {
			return nil, fault.New(fault.Invalid, "the secret of NATS looks like the seed of an nkey and is none")
		}
		defer pair.Wipe()
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fault.New(fault.Invalid, "the seed of the nkey has no public key")
		}
		return nats.Nkey(public, func(nonce []byte) ([]byte, error) { return sign(now(), nonce) }), nil
	case strings.Contains(text, ":"):
		return nats.UserInfoHandler(func() (string, string) {
			user, password, _ := strings.Cut(now(), ":")
			return user, password
		}), nil
	}
	return nats.TokenHandler(now), nil
}

// sign signs a server's nonce with the key in a seed or a credentials file.
func sign(secret string, nonce []byte) ([]byte, error) {
	pair, err := nkeys.ParseDecoratedNKey([]byte(secret))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the secret of NATS holds no key")
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}
