package api

import (
	"context"
	"net/http"
	"time"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
)

// CreatedKey is a new key with its token, which is shown this once.
type CreatedKey struct {
	identity.Key
	Token string `json:"token"`
}

func (a *API) keys() {
	s := a.services
	type noInput struct{}
	type create struct {
		Body struct {
			Name    string   `json:"name" minLength:"1" maxLength:"100"`
			Groups  []string `json:"groups,omitempty"`
			Grants  []string `json:"grants" minItems:"1" doc:"verb:name, such as score:fraud or read:*"`
			Expires string   `json:"expires,omitempty" doc:"how long it is in force, such as 30d or 12h; until revoked when absent"`
		}
	}
	type id struct {
		ID string `path:"id"`
	}
	register(a, route{http.MethodGet, "/v1/keys", "list-keys", "List API keys, without their secrets", "keys", verbAdmin}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]identity.Key, error) {
			return s.Keys.List(ctx)
		})
	register(a, route{http.MethodPost, "/v1/keys", "create-key", "Create an API key; its token is shown this once", "keys", verbAdmin}, anything,
		func(ctx context.Context, p identity.Principal, in *create) (CreatedKey, error) {
			key := identity.NewKey{Name: in.Body.Name, Groups: in.Body.Groups, Grants: in.Body.Grants, By: p.Name}
			if in.Body.Expires != "" {
				var d spec.Duration
				if err := d.UnmarshalText([]byte(in.Body.Expires)); err != nil {
					return CreatedKey{}, err
				}
				key.ExpiresAt = time.Now().Add(d.Std())
			}
			token, made, err := s.Keys.Create(ctx, key)
			return CreatedKey{Key: made, Token: token}, err
		})
	register(a, route{http.MethodDelete, "/v1/keys/{id}", "revoke-key", "Revoke an API key", "keys", verbAdmin}, anything,
		func(ctx context.Context, p identity.Principal, in *id) (Started, error) {
			return Started{}, s.Keys.Revoke(ctx, in.ID, p.Name)
		})
}
