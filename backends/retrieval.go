package backends

import (
	"context"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/embedded"
)

// FolderIndex opens the index in a folder, for commands that need no server.
func FolderIndex(ctx context.Context, folder string) (index.Index, error) {
	return embedded.Open(ctx, embedded.Config{Path: folder})
}

// Embedder opens what makes vectors of texts, for commands that need no
// server: the folder of a sentence transformer, or the URL of a deployment,
// which may be on this machine.
func Embedder(ctx context.Context, address string) (llm.Embedder, error) {
	if !strings.Contains(address, "://") {
		return Sentence(ctx, address)
	}
	secrets := secret.NewResolver(nil)
	policy, err := egress.Parse("localhost, 127.0.0.1, ::1")
	if err != nil {
		return nil, err
	}
	p, err := LLMs{Policy: policy, Secret: func(ctx context.Context, reference string) (string, error) {
		ref, err := secret.Parse(reference)
		if err != nil {
			return "", err
		}
		value, err := secrets.Resolve(ctx, ref)
		return value.Reveal(), err
	}}.Open(ctx, gateway.Deployment{At: address})
	if err != nil {
		return nil, err
	}
	if p.Embedder == nil {
		return nil, fault.New(fault.Unsupported, "%s makes no vectors", address)
	}
	return p.Embedder, nil
}
