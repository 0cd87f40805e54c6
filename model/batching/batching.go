// Package batching makes one call of many: where a model's Predict of twenty
// rows costs about as much as that of one (a worker behind a pipe, another
// server, a graph), requests that arrive while it is busy wait for each other
// and go together.
//
// Nobody waits for company: a request that finds a free place goes at once, so
// an idle model answers as fast as without. Under load batches grow by
// themselves, up to the bound that the model gives. Group commit of databases
// is the same idea (Gray and Reuter, Transaction Processing, 1993).
//
// What is promised: every caller gets the answers of its own rows, in their
// order, or its own error. A call that fails for many is made again for each
// alone, so one caller's rows never take another's along. A caller whose
// context ends stops waiting; a call that nobody waits for any more ends.
package batching

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// maxWaiting bounds the callers that wait.
const maxWaiting = 4096

// Model is a model whose small calls go together. It is safe for many
// goroutines.
type Model struct {
	model model.Model
	limit model.Batching

	mu      sync.Mutex
	busy    int     // calls of the model under way
	waiting []*call // oldest first
}

var _ model.Model = (*Model)(nil)

// Wrap returns the model itself, or one whose small calls go together where
// the model says that it gains from that.
func Wrap(m model.Model) model.Model {
	b, ok := m.(model.Batcher)
	if !ok {
		return m
	}
	limit := b.Batching()
	if limit.Rows < 2 || limit.Calls < 1 {
		return m
	}
	return &Model{model: m, limit: limit}
}

// call is a Predict that waits for its answer.
type call struct {
	ctx  context.Context
	in   frame.Batch
	done chan struct{} // closed when the rest is there
	out  frame.Batch
	err  error
	gone bool // guarded by Model.mu: nobody waits any more
}

// Signature is that of the model.
func (m *Model) Signature() model.Signature { return m.model.Signature() }

// Predict is that of the model, for these rows alone.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if 2*int(in.NumRows()) > m.limit.Rows { // a batch already
		return m.model.Predict(ctx, in)
	}
	c := &call{ctx: ctx, in: in, done: make(chan struct{})}
	in.Retain() // the call may outlast its caller
	if err := m.begin(c); err != nil {
		in.Release()
		return nil, err
	}
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		m.abandon(c)
		return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the model did not answer in time")
	}
}

// begin gives a call a free place, or one in the queue.
func (m *Model) begin(c *call) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.busy < m.limit.Calls:
		m.busy++
		go m.work([]*call{c})
	case len(m.waiting) >= maxWaiting:
		return fault.New(fault.Overloaded, "the model does not keep up").Hint("%d requests wait for it", len(m.waiting))
	default:
		m.waiting = append(m.waiting, c)
	}
	return nil
}

// abandon notes that nobody waits for a call; if it is answered all the same,
// the answer is let go.
func (m *Model) abandon(c *call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c.gone = true
	select {
	case <-c.done:
		if c.out != nil {
			c.out.Release()
		}
	default:
	}
}

// work answers a group, and then those who came meanwhile, until nobody waits.
func (m *Model) work(group []*call) {
	for len(group) > 0 {
		m.answer(group)
		group = m.next()
	}
}

// next takes those who waited longest and fit into one call, or gives the
// place back.
func (m *Model) next() (group []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	rows, taken := 0, 0
	for _, c := range m.waiting {
		n := int(c.in.NumRows())
		if len(group) > 0 && (rows+n > m.limit.Rows || !c.in.Schema().Equal(group[0].in.Schema())) {
			break
		}
		if taken++; c.gone {
			c.in.Release()
			continue
		}
		group, rows = append(group, c), rows+n
	}
	m.waiting = m.waiting[taken:]
	if len(group) == 0 {
		m.waiting, m.busy = nil, m.busy-1
	}
	return group
}

// answer answers a group with one call of the model, or each alone when that
// fails.
func (m *Model) answer(group []*call) {
	if len(group) > 1 {
		if outs, errs, err := m.together(group); err == nil {
			for i, c := range group {
				m.deliver(c, outs[i], errs[i])
			}
			return
		}
	}
	for _, c := range group {
		out, err := m.predict(c.ctx, c.in)
		m.deliver(c, out, err)
	}
}

func (m *Model) deliver(c *call, out frame.Batch, err error) {
	c.in.Release()
	m.mu.Lock()
	defer m.mu.Unlock()
	if c.gone && out != nil {
		out.Release()
		out = nil
	}
	c.out, c.err = out, err
	close(c.done)
}

// together makes one call for all. The error is that of the call as a whole.
func (m *Model) together(group []*call) (outs []frame.Batch, errs []error, err error) {
	in, err := concatenate(group)
	if err != nil {
		return nil, nil, err
	}
	defer in.Release()
	ctx, stop := m.whileWanted(group)
	defer stop()
	out, err := m.predict(ctx, in)
	failed, isPartial := err.(*model.Partial) //nolint:errorlint // a wrapped one would speak of other rows
	if isPartial {
		out, err = failed.Out, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer out.Release()
	if out.NumRows() != in.NumRows() {
		return nil, nil, fault.New(fault.Internal, "the model answered %d rows with %d", in.NumRows(), out.NumRows())
	}
	outs, errs = make([]frame.Batch, len(group)), make([]error, len(group))
	from := int64(0)
	for i, c := range group {
		to := from + c.in.NumRows()
		outs[i] = out.NewSlice(from, to)
		if isPartial {
			outs[i], errs[i] = part(outs[i], failed.Errs[from:to])
		}
		from = to
	}
	return outs, errs, nil
}

// part is what a caller gets whose rows failed in part: an error that holds
// the batch.
func part(out frame.Batch, rows []error) (frame.Batch, error) {
	for _, err := range rows {
		if err != nil {
			return nil, &model.Partial{Out: out, Errs: rows}
		}
	}
	return out, nil
}

// predict is the model's Predict; a panic is an error, because nobody else's
// goroutine is under it.
func (m *Model) predict(ctx context.Context, in frame.Batch) (out frame.Batch, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fault.New(fault.Internal, "the model broke").Because(fault.New(fault.Internal, "%v\n%s", p, debug.Stack()))
		}
	}()
	return m.model.Predict(ctx, in)
}

// whileWanted is a context that ends when nobody of a group waits any more.
func (m *Model) whileWanted(group []*call) (context.Context, context.CancelFunc) {
	ctx := context.WithoutCancel(group[0].ctx)
	latest, bounded := time.Time{}, true
	for _, c := range group {
		d, ok := c.ctx.Deadline()
		bounded = bounded && ok
		if d.After(latest) {
			latest = d
		}
	}
	stop := context.CancelFunc(func() {})
	if bounded {
		ctx, stop = context.WithDeadline(ctx, latest)
	}
	ctx, cancel := context.WithCancel(ctx)
	var left sync.WaitGroup
	left.Add(len(group))
	ended := make([]func() bool, len(group))
	for i, c := range group {
		ended[i] = context.AfterFunc(c.ctx, left.Done)
	}
	done := make(chan struct{})
	go func() { left.Wait(); cancel(); close(done) }()
	return ctx, func() {
		for _, stop := range ended {
			if stop() {
				left.Done()
			}
		}
		<-done
		stop()
	}
}

// concatenate puts the rows of a group into one batch.
func concatenate(group []*call) (frame.Batch, error) {
	schema := group[0].in.Schema()
	columns := make([]arrow.Array, schema.NumFields())
	defer func() {
		for _, c := range columns {
			if c != nil {
				c.Release()
			}
		}
	}()
	parts := make([]arrow.Array, len(group))
	rows := int64(0)
	for _, c := range group {
		rows += c.in.NumRows()
	}
	for i := range columns {
		for k, c := range group {
			parts[k] = c.in.Column(i)
		}
		var err error
		if columns[i], err = array.Concatenate(parts, memory.DefaultAllocator); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "column %q of %d requests", schema.Field(i).Name, len(group))
		}
	}
	return array.NewRecordBatch(schema, columns, rows), nil
}
