package knowledge

import (
	"context"
	"log/slog"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/model"
)

// Answerer is the version of how answers are made, quoted and checked. It is
// part of every release of an assistant.
const Answerer = "1"

// Retriever finds passages that the principal of the context may read, best
// first: flow/knowledge.
type Retriever interface {
	Search(ctx context.Context, q store.Search) (store.Found, error)
}

// Texts reads the stored text of a source version. A source that was
// withdrawn, or that the principal of the context may not read, is a NotFound
// or Forbidden fault: flow/knowledge.
type Texts interface {
	Text(ctx context.Context, knowledge, source, version string) (text []byte, digest string, err error)
}

// Chat asks language models by their names or addresses, for the principal of
// the context: llm/gateway.
type Chat interface {
	Chat(ctx context.Context, name string, r llm.Request) (llm.Stream, error)
}

// Deps is what Assistants is made with. Chat may be nil where no release has a
// language model; Clock and Log may be nil.
type Deps struct {
	Retriever Retriever
	Texts     Texts
	Chat      Chat
	// CacheBytes bounds the memory of answers that are kept; 0 is 64 MiB.
	CacheBytes int
	Clock      clock.Clock
	Log        *slog.Logger
}

// Assistants makes the two halves of an assistant's release, what finds
// passages and what answers from them: it is decide.Assistants. It is safe for
// many goroutines.
type Assistants struct {
	deps  Deps
	cache *cache
}

var _ decide.Assistants = (*Assistants)(nil)

// New returns the assistants' side of the decision path.
func New(deps Deps) *Assistants {
	if deps.Clock == nil {
		deps.Clock = clock.System{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.CacheBytes <= 0 {
		deps.CacheBytes = 64 << 20
	}
	return &Assistants{deps: deps, cache: newCache(deps.CacheBytes, deps.Clock)}
}

// Passages returns what finds the passages of a release's questions.
func (s *Assistants) Passages(_ context.Context, name string, a *deploy.Assistant) (decide.FeatureSet, error) {
	rewrite, err := s.rewriter(name, a)
	if err != nil {
		return nil, err
	}
	return &retrieval{deps: s.deps, assistant: a, rewrite: rewrite}, nil
}

// Answerer returns what answers a release's questions.
func (s *Assistants) Answerer(_ context.Context, name string, a *deploy.Assistant) (model.Model, func(), error) {
	quotes := &extractive{texts: s.deps.Texts, abstain: a.Abstain}
	if a.LLM == "" {
		return &answers{answerer: quotes}, func() {}, nil
	}
	if s.deps.Chat == nil {
		return nil, nil, fault.New(fault.Unsupported, "assistant %q has a language model, and nothing here asks any", name)
	}
	written, err := s.generative(name, a)
	if err != nil {
		return nil, nil, err
	}
	// From the inside out: what the model writes is kept, quotes stand in for
	// a model that does not answer, and weak evidence goes to neither.
	var first answerer = written
	if a.Cache > 0 {
		first = &cached{answerer: written, cache: s.cache, release: releaseKey(name, a), keep: a.Cache.Std()}
	}
	if a.Fallback != fallbackNone {
		first = &fallback{first: first, second: quotes, log: s.deps.Log, assistant: name}
	}
	return &answers{answerer: &evident{answerer: first, abstain: a.Abstain}}, func() {}, nil
}

// How an assistant names what it does without its language model.
const fallbackNone = "none"
