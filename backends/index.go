package backends

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
	indexpostgres "github.com/leat-ai/leat/store/index/postgres"
)

// IndexConfig says where the index of a knowledge is.
type IndexConfig struct {
	Address string // embedded, postgres://…, azure-search://…
	Secret  string // of the address; "" where there is none
	Name    string // of the index among others of the same server
	Folder  string // of the embedded one
}

// Index opens the index of a knowledge.
func Index(ctx context.Context, c IndexConfig) (index.Index, error) {
	if c.Address == "" || c.Address == "embedded" {
		return embedded.Open(ctx, embedded.Config{Path: c.Folder})
	}
	if scheme, _, _ := strings.Cut(c.Address, "://"); scheme == "postgres" || scheme == "postgresql" {
		address, err := withPassword(c.Address, c.Secret)
		if err != nil {
			return nil, err
		}
		return indexpostgres.Open(ctx, indexpostgres.Config{URL: address, Schema: "leat_index_" + c.Name})
	}
	return nil, fault.New(fault.Unsupported, "an index cannot be at %s", c.Address).Hint("use embedded or postgres://HOST/DATABASE")
}

// withPassword puts a password into an address, which may have none itself. A
// secret that is a whole address takes its place.
func withPassword(address, secret string) (string, error) {
	if strings.Contains(secret, "://") || secret == "" {
		return cmp.Or(secret, address), nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", fault.New(fault.Invalid, "the address of the index cannot be read").Hint("write postgres://user@host:5432/database")
	}
	u.User = url.UserPassword(u.User.Username(), secret)
	return u.String(), nil
}
