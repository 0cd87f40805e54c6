package knowledge

import (
	"context"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
)

// Paths is what the pattern needs of the decision path's router.
type Paths interface {
	Decide(ctx context.Context, endpoint string, q decide.Request) (*decide.Answer, error)
	Release(endpoint string) (deploy.Release, error)
}

// Driver asks assistants questions. It is safe for many goroutines.
type Driver struct {
	paths Paths
}

// NewDriver returns a driver of the live paths.
func NewDriver(paths Paths) *Driver { return &Driver{paths: paths} }

// MaxQuestion bounds a question with its conversation in bytes, whatever a
// release allows.
const MaxQuestion = 1 << 20

// Ask answers a question for the principal of the context. Faults say why
// there is no answer; that the sources have none is an answer, Abstained.
func (d *Driver) Ask(ctx context.Context, q Question) (Answer, error) {
	who, ok := identity.From(ctx)
	if !ok {
		return Answer{}, fault.New(fault.Unauthenticated, "nobody is asking")
	}
	if size := q.size(); size > MaxQuestion {
		return Answer{}, tooLong(size, MaxQuestion)
	}
	rows := q.row()
	defer rows.Release()
	request := decide.Request{Principal: who, Pattern: decide.Knowledge, Rows: rows, Received: q.Received}
	if request.Received.IsZero() {
		request.Received = time.Now()
	}
	if q.Key != "" {
		request.Keys = []string{q.Key}
	}
	var found seen
	request.Seen = found.look
	emit, release := d.emitter(q)
	decided, err := d.paths.Decide(withEmitter(ctx, emit), q.Assistant, request)
	if err != nil {
		return Answer{}, err
	}
	defer decided.Close()
	if decided.Errors != nil && decided.Errors[0] != nil {
		return Answer{}, decided.Errors[0]
	}
	a := Answer{ID: decided.IDs[0], Release: decided.Release, Variant: decided.Variant, ServedBy: decided.ServedBy, Query: found.query}
	if a.Passages, err = read[[]Passage](found.passages, "passages"); err != nil {
		return Answer{}, err
	}
	if err := a.read(decided.Rows); err != nil {
		return Answer{}, err
	}
	return a, release()
}

// emitter is who gets the parts of an answer. Where there is no answer without
// a record, they are held until release.
func (d *Driver) emitter(q Question) (emit func(Part) error, release func() error) {
	live, err := d.paths.Release(q.Assistant)
	if q.Emit == nil || err != nil || live.Content.Record != decide.RecordRequired {
		return q.Emit, func() error { return nil }
	}
	var held []Part
	hold := func(p Part) error {
		held = append(held, p)
		return nil
	}
	return hold, func() error {
		for _, p := range held {
			if err := q.Emit(p); err != nil {
				return err
			}
		}
		return nil
	}
}

func tooLong(size, most int) error {
	return fault.New(fault.TooLarge, "the question has %d bytes with its conversation; %d are taken", size, most).
		Hint("ask a shorter question, or begin a new conversation")
}

func (q *Question) size() int {
	n := len(q.Text) + len(q.Filter)
	for _, t := range q.Conversation {
		n += len(t.Text)
	}
	return n
}

// row is the question as a row of the path.
func (q *Question) row() frame.Batch {
	columns := newColumns([]frame.Column{
		{Name: columnQuestion, Type: frame.String}, {Name: columnConversation, Type: frame.String}, {Name: columnFilter, Type: frame.String},
	})
	columns[0].text(q.Text)
	if len(q.Conversation) > 0 {
		columns[1].text(written(q.Conversation))
	} else {
		columns[1].null()
	}
	if len(q.Filter) > 0 {
		columns[2].text(string(q.Filter))
	} else {
		columns[2].null()
	}
	return batch(columns, 1)
}

// seen keeps what the answerer read.
type seen struct{ query, passages string }

func (s *seen) look(in, _ frame.Batch) error {
	if in != nil && in.NumRows() == 1 {
		s.query, s.passages = texts(in, columnQuery)[0], texts(in, columnPassages)[0]
	}
	return nil
}

// read takes the answer from a decided row.
func (a *Answer) read(rows frame.Batch) (err error) {
	a.Text = texts(rows, columnAnswer)[0]
	a.Model = texts(rows, columnModel)[0]
	a.Finish = finished(llm.Finish(texts(rows, columnFinish)[0]))
	if a.Citations, err = read[[]Citation](texts(rows, columnCitations)[0], "citations"); err != nil {
		return err
	}
	if a.Sentences, err = read[[]Sentence](texts(rows, columnSentences)[0], "sentences"); err != nil {
		return err
	}
	for i, f := range rows.Schema().Fields() {
		switch c := rows.Column(i).(type) {
		case *array.Boolean:
			if f.Name == columnAbstained {
				a.Abstained = c.Value(0)
			}
		case *array.Int64:
			switch f.Name {
			case columnInput:
				a.Input = int(c.Value(0))
			case columnOutput:
				a.Output = int(c.Value(0))
			}
		case *array.Float64:
			if f.Name == columnCost {
				a.Cost = c.Value(0)
			}
		}
	}
	return nil
}

type emitterKey struct{}

// withEmitter lets the answerer at the end of the path send parts of its
// answer.
func withEmitter(ctx context.Context, emit func(Part) error) context.Context {
	if emit == nil {
		return ctx
	}
	return context.WithValue(ctx, emitterKey{}, emit)
}

// emitterOf is who gets the parts, never nil.
func emitterOf(ctx context.Context) func(Part) error {
	if emit, ok := ctx.Value(emitterKey{}).(func(Part) error); ok {
		return emit
	}
	return func(Part) error { return nil }
}
