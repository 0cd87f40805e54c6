package gateway

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Embed makes vectors of texts by an LLM: the name of a resource, or where the
// context is one of Via an address or a folder. Where the LLM has a cache,
// texts that were embedded before are not sent again.
func (g *Gateway) Embed(ctx context.Context, name string, r llm.EmbedRequest) (llm.Embeddings, Call, error) {
	c, err := g.begin(ctx, name, OpEmbed)
	if err != nil {
		return llm.Embeddings{}, Call{}, err
	}
	r.Model = ""
	c.question = func() string { return textsOf(r.Inputs) }
	known := g.recall(c, &r)
	if known.missing == 0 && len(r.Inputs) > 0 {
		c.info.Cached, c.info.Model = true, known.model
		err := c.finish(nil)
		return llm.Embeddings{Vectors: known.vectors, Model: known.model}, c.known(), err
	}
	asked := known.request(r)
	c.work = embedWork(&asked)
	e, err := attempts(c, func(ctx context.Context, p Provider, m *model, d *deployment) (llm.Embeddings, error) {
		if p.Embedder == nil {
			d.leave()
			return llm.Embeddings{}, fault.New(fault.Unsupported, "%s does not embed texts", d.At)
		}
		return timed(ctx, c, m, d, func(ctx context.Context) (llm.Embeddings, error) { return p.Embedder.Embed(ctx, asked) })
	})
	want := len(asked.Inputs) + len(asked.Tokens)
	if err == nil && len(e.Vectors) != want {
		err = fault.New(fault.Unavailable, "LLM %q answered %d vectors for %d texts", name, len(e.Vectors), want)
	}
	if err != nil {
		return llm.Embeddings{}, c.known(), c.finish(err)
	}
	c.info.Model = e.Model
	if e.Usage.Input > 0 {
		c.used(e.Usage, 0)
	}
	c.pieces = 1
	if err := c.finish(nil); err != nil {
		return llm.Embeddings{}, c.known(), err
	}
	e.Vectors = known.merge(g, e)
	return e, c.known(), nil
}

// recalled is what the cache has of some texts.
type recalled struct {
	keys    []string // nil: nothing is kept
	vectors [][]float32
	missing int
	model   string
	ttl     time.Duration
}

// recall looks the texts of a request up.
func (g *Gateway) recall(c *call, r *llm.EmbedRequest) recalled {
	k := recalled{missing: len(r.Inputs), ttl: c.named.spec.Cache.Std()}
	if k.ttl == 0 || len(r.Tokens) > 0 {
		return k
	}
	k.keys, k.vectors = make([]string, len(r.Inputs)), make([][]float32, len(r.Inputs))
	for i, text := range r.Inputs {
		k.keys[i] = vectorKey(c.named.form, r, text)
		if found := g.answers.get(k.keys[i]); found != nil {
			k.vectors[i], k.model = found.vector, found.model
			k.missing--
		}
	}
	return k
}

// request is what is left to be asked for.
func (k recalled) request(r llm.EmbedRequest) llm.EmbedRequest {
	if k.keys == nil || k.missing == len(r.Inputs) {
		return r
	}
	rest := make([]string, 0, k.missing)
	for i, text := range r.Inputs {
		if k.vectors[i] == nil {
			rest = append(rest, text)
		}
	}
	r.Inputs = rest
	return r
}

// merge puts new vectors among those that were known, and keeps them.
func (k recalled) merge(g *Gateway, e llm.Embeddings) [][]float32 {
	if k.keys == nil {
		return e.Vectors
	}
	next := 0
	for i := range k.vectors {
		if k.vectors[i] != nil {
			continue
		}
		v := e.Vectors[next]
		next++
		k.vectors[i] = v
		g.answers.put(&remembered{key: k.keys[i], vector: v, model: e.Model, bytes: 4 * len(v)}, k.ttl)
	}
	return k.vectors
}

// Rerank orders documents for a query by an LLM that is a reranker.
func (g *Gateway) Rerank(ctx context.Context, name string, r llm.RerankRequest) (llm.Ranking, Call, error) {
	c, err := g.begin(ctx, name, OpRerank)
	if err != nil {
		return llm.Ranking{}, Call{}, err
	}
	r.Model = ""
	c.work = rerankWork(&r)
	c.question = func() string { return textsOf(append([]string{r.Query}, r.Documents...)) }
	ranking, err := attempts(c, func(ctx context.Context, p Provider, m *model, d *deployment) (llm.Ranking, error) {
		if p.Reranker == nil {
			d.leave()
			return llm.Ranking{}, fault.New(fault.Unsupported, "%s does not order documents", d.At)
		}
		return timed(ctx, c, m, d, func(ctx context.Context) (llm.Ranking, error) { return p.Reranker.Rerank(ctx, r) })
	})
	if err != nil {
		return llm.Ranking{}, c.known(), c.finish(err)
	}
	c.info.Model, c.pieces = ranking.Model, 1
	if ranking.Usage.Input > 0 || ranking.Units > 0 {
		c.used(ranking.Usage, ranking.Units)
	}
	err = c.finish(nil)
	if err != nil {
		ranking = llm.Ranking{}
	}
	return ranking, c.known(), err
}

// timed makes a call that answers at once, and notes how the deployment did.
func timed[T any](ctx context.Context, c *call, m *model, d *deployment, ask func(context.Context) (T, error)) (T, error) {
	defer d.leave()
	begun := time.Now()
	limit := m.spec.Timeouts.First.Std()
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	result, err := ask(bounded)
	switch {
	case err == nil:
		d.worked(time.Since(begun))
		c.mu.Lock()
		c.info.First = c.g.deps.Clock.Now().Sub(c.info.At)
		c.mu.Unlock()
	case bounded.Err() != nil && ctx.Err() == nil:
		err = fault.New(fault.Timeout, "%s gave no answer within %s", d.At, limit)
	}
	return result, err
}
