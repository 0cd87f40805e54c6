package backends

import (
	"context"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/spec"
)

// KnowledgeSources opens where documents of a Knowledge come from.
type KnowledgeSources struct {
	// Policy says whom sources may ask.
	Policy egress.Policy
	// Secret resolves a reference to a secret.
	Secret func(ctx context.Context, reference string) (string, error)
	// Root is the project's folder, beneath which files are.
	Root string
}

// Source opens one.
func (k KnowledgeSources) Source(ctx context.Context, s spec.KnowledgeSource) (source.Source, error) {
	names := source.Names{Include: s.Include, Exclude: s.Exclude}
	scheme := spec.Scheme(s.From)
	switch {
	case scheme == "":
		return source.OpenFolder(k.Root, s.From, names)
	case strings.HasPrefix(scheme, "git+"):
	}
	return nil, fault.New(fault.Unsupported, "documents are not read from %s://", scheme)
}
