package gateway

import (
	"context"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// spent is what attempts without an answer took, by estimate.
type spent struct {
	usage llm.Usage
	units int
	cost  Money
}

// lose counts an attempt that gave no answer: of one whose answer would have
// come in pieces, what was asked; of one whose answer comes whole, the worst
// case, for the provider may have made any part of it. c.mu is held.
func (c *call) lose() {
	u := llm.Usage{Input: max(1, c.work.asked)}
	cost := c.price.Of(u, c.work.units)
	if c.work.whole {
		u, cost = c.work.most, c.price.worst(c.work)
	}
	c.lost.usage = c.lost.usage.Add(u)
	c.lost.units += c.work.units
	c.lost.cost = c.lost.cost.plus(cost)
	c.info.Estimated = true
}

// way watches whether an attempt's request goes out.
type way struct{ dialed, sent atomic.Bool }

// watch returns the context for the attempt.
func (w *way) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      func(string) { w.dialed.Store(true) },
		WroteHeaders: func() { w.sent.Store(true) },
	})
}

// reached tells whether a failed attempt may have been worked on. One that the
// provider refused was not, unless it took too long; nor was one for which no
// connection was to be had. A provider that is not asked over HTTP was.
func (w *way) reached(err error) bool {
	if _, refused := llm.RefusalOf(err); refused && !fault.Is(err, fault.Timeout) || fault.Is(err, fault.Unsupported) {
		return false
	}
	return w.sent.Load() || !w.dialed.Load()
}
