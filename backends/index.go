package backends

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
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
	return nil, fault.New(fault.Unsupported, "an index cannot be at %s", c.Address).Hint("use embedded")
}
