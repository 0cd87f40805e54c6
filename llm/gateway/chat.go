package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Gateway makes calls of language models. It is safe for many goroutines.
type Gateway struct {
	deps    Deps
	tell    tell
	budgets *budgets
	books   *books
	answers *cache

	mu     sync.RWMutex
	models map[string]*model
	direct map[string]*model       // by address
	saved  map[levelKey]savedLevel // buckets of LLMs that are not in force yet

	levelsAt time.Time // guarded by books.writing
}

// New makes a gateway without any LLM. Close ends it.
func New(ctx context.Context, d Deps) (*Gateway, error) {
	g := &Gateway{deps: d, tell: newTell(d.Telemetry), answers: newCache(cacheMost, d.Clock.Now), models: map[string]*model{}, direct: map[string]*model{}}
	g.budgets = newBudgets(d, newID(d.Clock.Now()))
	if err := g.loadLevels(ctx); err != nil {
		return nil, err
	}
	g.books = openBooks(g)
	return g, nil
}

// Close writes what is left of the ledger, gives budgets back and closes the
// deployments.
func (g *Gateway) Close(ctx context.Context) error {
	err := g.books.close(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, all := range []map[string]*model{g.models, g.direct} {
		for _, m := range all {
			for _, d := range m.deployments {
				d.retire()
			}
		}
	}
	g.models, g.direct = map[string]*model{}, map[string]*model{}
	return err
}

// Chat asks for an answer of an LLM: the name of a resource, or where the
// context is one of Via an address. It returns when the first piece of the
// answer is there, so an error is one of the whole call. The model of the
// request is that of the deployment, whatever it says.
func (g *Gateway) Chat(ctx context.Context, name string, r llm.Request) (llm.Stream, error) {
	c, err := g.begin(ctx, name, OpChat)
	if err != nil {
		return nil, err
	}
	key, again := g.cached(c, &r)
	if again != nil {
		return again, nil
	}
	most, tell := c.named.output(r.MaxTokens)
	if tell {
		r.MaxTokens = most
	}
	r.Model = ""
	c.work = chatWork(&r, most)
	c.work.whole = !r.Stream
	c.question = func() string { return questionOf(&r) }
	s, err := attempts(c, func(ctx context.Context, p Provider, m *model, d *deployment) (*stream, error) {
		return c.open(ctx, p, m, d, r)
	})
	if err != nil {
		return nil, c.finish(err)
	}
	if key != "" {
		s.keep = &remembered{key: key}
	}
	return s, nil
}

// open asks one deployment, and waits for the first piece of its answer.
func (c *call) open(ctx context.Context, p Provider, m *model, d *deployment, r llm.Request) (*stream, error) {
	if p.Chat == nil {
		d.leave()
		return nil, fault.New(fault.Unsupported, "%s does not answer conversations", d.At)
	}
	begun := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	s := &stream{call: c, deployment: d, cancel: cancel}
	limit := m.spec.Timeouts.First.Std()
	if !r.Stream {
		limit = m.spec.Timeouts.Total.Std() // the first piece is the whole answer
	}
	late := fault.New(fault.Timeout, "%s gave no answer within %s", d.At, limit)
	timer := time.AfterFunc(limit, func() { cancel(late) })
	err := s.begin(ctx, p, r)
	if !timer.Stop() && context.Cause(ctx) == error(late) { //nolint:errorlint // it is that very value
		err = late
	}
	if err != nil {
		s.drop()
		return nil, err
	}
	first := time.Since(begun)
	d.worked(first)
	c.mu.Lock()
	c.info.First = c.g.deps.Clock.Now().Sub(c.info.At)
	c.mu.Unlock()
	return s, nil
}
