package gateway

import (
	"context"

	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// Gateway makes calls of language models. It is safe for many goroutines.
type Gateway struct{ deps Deps }

// New makes a gateway without any LLM. Close ends it.
func New(d Deps) *Gateway { return &Gateway{deps: d} }

// Close writes what is left of the ledger and gives budgets back.
func (g *Gateway) Close(context.Context) error { return nil }

// Converge puts LLM resources in force, in place of those before.
func (g *Gateway) Converge([]*spec.LLM) {}

// Models lists the LLMs that the caller may use.
func (g *Gateway) Models(context.Context) []Model { return nil }

// Chat asks for an answer of an LLM: the name of a resource, or where the
// context is one of Via an address. It returns when the first piece of the
// answer is there, so an error is one of the whole call.
func (g *Gateway) Chat(ctx context.Context, name string, r llm.Request) (llm.Stream, error) {
	p, err := g.deps.Open(ctx, Deployment{At: name})
	if err != nil {
		return nil, err
	}
	return p.Chat.Chat(ctx, r)
}

// Embed makes vectors of texts.
func (g *Gateway) Embed(ctx context.Context, name string, r llm.EmbedRequest) (llm.Embeddings, Call, error) {
	p, err := g.deps.Open(ctx, Deployment{At: name})
	if err != nil {
		return llm.Embeddings{}, Call{}, err
	}
	e, err := p.Embedder.Embed(ctx, r)
	return e, Call{}, err
}

// Rerank orders documents for a query.
func (g *Gateway) Rerank(ctx context.Context, name string, r llm.RerankRequest) (llm.Ranking, Call, error) {
	p, err := g.deps.Open(ctx, Deployment{At: name})
	if err != nil {
		return llm.Ranking{}, Call{}, err
	}
	e, err := p.Reranker.Rerank(ctx, r)
	return e, Call{}, err
}
