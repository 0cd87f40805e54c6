package stream

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/store/bus"
)

// What is published beside the columns of the row and of the answer.
const (
	DecisionIDColumn = "decision_id"
	ReleaseColumn    = "release"
	// HeaderDecision is the header of what is published that has the decision's
	// id.
	HeaderDecision = "leat-decision"
)

// decide asks for decisions on rows and puts what they came to into the lane.
// Rows that fail by themselves are asked again as often as the stream says;
// what fails because somebody is away is asked until they are back.
func (s *session) decide(ctx context.Context, b *lane, r rows, found map[string][]arrow.Array) error {
	if s.keepTarget >= 0 {
		if err := s.kept(ctx, b, r); err != nil {
			return err
		}
	}
	if s.spec.Score == "" {
		b.counts.Decided += int64(len(r.entries))
		return s.route(ctx, b, r, nil)
	}
	todo := make([]int, len(r.entries))
	for i := range todo {
		todo[i] = i
	}
	for attempt, waits := 1, 1; ; waits++ {
		a, down := s.ask(ctx, r, todo, found) // down says nothing about any one event
		if down == nil {
			again, away, err := s.settle(ctx, b, r, todo, a, attempt)
			a.Close()
			if err != nil || len(again) == 0 {
				return err
			}
			if todo, down = again, away; away == nil {
				attempt++
			}
		}
		if err := s.wait(ctx, waits, "decide", down); err != nil {
			return err
		}
	}
}

// ask asks for decisions on some of the rows.
func (s *session) ask(ctx context.Context, r rows, todo []int, found map[string][]arrow.Array) (*decide.Answer, error) {
	q := decide.Request{
		Principal: s.principal, Pattern: decide.Stream, Rows: r.batch, Run: s.run, Received: s.deps.Clock.Now(),
		Asked: feature.Asked{Found: found},
	}
	if len(todo) < len(r.entries) {
		keep := only(todo, len(r.entries))
		part, err := filter(r.batch, keep)
		if err != nil {
			return nil, err
		}
		defer part.Release()
		q.Rows = part
		if q.Asked.Found, err = filterFound(found, keep); err != nil {
			return nil, err
		}
		defer releaseFound(q.Asked.Found)
	}
	for _, i := range todo {
		q.Keys = append(q.Keys, r.entries[i].name)
	}
	q.Asked.At = q.Received
	return s.deps.Decider.Decide(ctx, s.spec.Score, q)
}

// settle sends what was decided on its way, and what failed for good to the
// dead letters. again are the rows to ask for once more, and down why all of
// them failed, where that is because somebody is away.
func (s *session) settle(ctx context.Context, b *lane, r rows, todo []int, a *decide.Answer, attempt int) (again []int, down error, err error) {
	if down = allAway(a.Errors); down != nil {
		return todo, down, nil
	}
	good := make([]bool, len(todo))
	left := 0
	for k, i := range todo {
		var failed error
		if a.Errors != nil {
			failed = a.Errors[k]
		}
		switch {
		case failed == nil:
			good[k] = true
			left++
		case passing(failed) && attempt < s.spec.Attempts:
			again = append(again, i)
		default:
			b.fail(r.entries[i], "decide", attempt, failed)
		}
	}
	if left == 0 {
		return again, nil, nil
	}
	b.counts.Decided += int64(left)
	part, err := pick(r, todo, good)
	if err != nil {
		return nil, nil, err
	}
	defer part.batch.Release()
	answer, err := answerOf(a, good)
	if err != nil {
		return nil, nil, err
	}
	defer answer.rows.Release()
	return again, nil, s.route(ctx, b, part, answer)
}

// allAway returns why every row failed, where nothing is wrong with the rows.
func allAway(errs []error) (down error) {
	for _, err := range errs {
		if err == nil || !fault.KindOf(err).Retryable() {
			return nil
		}
		down = err
	}
	return down
}

// passing tells whether the same row may fare better another time: a model
// that broke on it, or took too long.
func passing(err error) bool {
	kind := fault.KindOf(err)
	return kind == fault.Internal || kind == fault.Timeout || kind.Retryable()
}

// answer is what was decided about rows.
type answer struct {
	rows    frame.Batch
	ids     []string
	release string
}

// answerOf leaves out of an answer what failed.
func answerOf(a *decide.Answer, good []bool) (*answer, error) {
	out := &answer{release: a.Release}
	for i, yes := range good {
		if yes {
			out.ids = append(out.ids, a.IDs[i])
		}
	}
	var err error
	out.rows, err = filter(a.Rows, good)
	return out, err
}

// route sends rows, with what was decided about them, to the targets.
func (s *session) route(ctx context.Context, b *lane, r rows, a *answer) error {
	if len(s.routes) == 0 && s.to < 0 {
		return nil
	}
	whole := s.joined(r, a)
	defer whole.Release()
	took := make([]int, len(r.entries))
	for i := range took {
		took[i] = s.to
	}
	programs, err := s.routing(whole.Schema())
	if err != nil {
		return err
	}
	for k := len(programs) - 1; k >= 0; k-- { // the first that holds is the last to say
		holds, err := truths(programs[k], whole)
		if err != nil {
			return err
		}
		for i, yes := range holds {
			if yes {
				took[i] = s.routes[k].target
			}
		}
	}
	for target := range s.targets {
		keep, n := make([]bool, len(took)), 0
		for i, t := range took {
			if keep[i] = t == target; keep[i] {
				n++
			}
		}
		if n == 0 {
			continue
		}
		if err := s.send(ctx, b, target, r, whole, a, keep); err != nil {
			return err
		}
	}
	return nil
}

// send makes the events for one target of the rows that it takes.
func (s *session) send(ctx context.Context, b *lane, target int, r rows, whole frame.Batch, a *answer, keep []bool) error {
	part, err := filter(whole, keep)
	if err != nil {
		return err
	}
	defer part.Release()
	bodies, err := s.json.Encode(ctx, part)
	if err != nil {
		return err
	}
	out := outgoing{target: target}
	out.Events = make([]bus.Event, 0, len(bodies))
	for i, e := range r.entries {
		if !keep[i] {
			continue
		}
		event := bus.Event{ID: s.published(e.name), Key: s.keyOf(r, i), Time: micros(e.at), Body: bodies[len(out.Events)]}
		if a != nil {
			event.Headers = []bus.Header{{Name: "content-type", Value: "application/json"}, {Name: HeaderDecision, Value: a.ids[i]}}
		} else {
			event.Headers = []bus.Header{{Name: "content-type", Value: "application/json"}}
		}
		out.Events, out.of = append(out.Events, event), append(out.of, e.event)
	}
	if s.targets[target].rows {
		part.Retain()
		out.Rows = part
	}
	b.out = append(b.out, out)
	return nil
}

// kept sends the rows as they are to the table that keeps them.
func (s *session) kept(ctx context.Context, b *lane, r rows) error {
	all := make([]bool, len(r.entries))
	for i := range all {
		all[i] = true
	}
	return s.send(ctx, b, s.keepTarget, r, r.batch, nil, all)
}

// keyOf is the key that what is published of a row has.
func (s *session) keyOf(r rows, row int) []byte {
	if s.keyColumn < 0 {
		return r.entries[row].event.Key
	}
	if c := r.batch.Column(s.keyColumn); c.IsValid(row) {
		return []byte(c.ValueStr(row))
	}
	return nil
}

// joined puts the columns of rows and of their answer side by side; a column of
// the answer takes the place of one of the row with its name.
func (s *session) joined(r rows, a *answer) frame.Batch {
	if a == nil {
		r.batch.Retain()
		return r.batch
	}
	var fields []arrow.Field
	var columns []arrow.Array
	put := func(f arrow.Field, c arrow.Array) {
		for i := range fields {
			if fields[i].Name == f.Name {
				fields[i], columns[i] = f, c
				return
			}
		}
		fields, columns = append(fields, f), append(columns, c)
	}
	for i, f := range r.batch.Schema().Fields() {
		put(f, r.batch.Column(i))
	}
	for i, f := range a.rows.Schema().Fields() {
		put(f, a.rows.Column(i))
	}
	ids, releases := texts(a.ids), repeated(a.release, len(a.ids))
	defer ids.Release()
	defer releases.Release()
	put(arrow.Field{Name: DecisionIDColumn, Type: arrow.BinaryTypes.String, Nullable: true}, ids)
	put(arrow.Field{Name: ReleaseColumn, Type: arrow.BinaryTypes.String, Nullable: true}, releases)
	return array.NewRecordBatch(s.schemaOf(fields), columns, r.batch.NumRows())
}

// schemaOf returns the same schema for the same fields, so that what is bound
// to it stays bound.
func (s *session) schemaOf(fields []arrow.Field) *arrow.Schema {
	next := arrow.NewSchema(fields, nil)
	if s.joinedSchema == nil || !s.joinedSchema.Equal(next) {
		s.joinedSchema = next
	}
	return s.joinedSchema
}

// routing binds the conditions of the routes to the columns that there are.
func (s *session) routing(schema *arrow.Schema) ([]*expr.Program, error) {
	if s.boundTo == schema || len(s.routes) == 0 {
		return s.bound, nil
	}
	columns, err := frame.ColumnsOf(schema)
	if err != nil {
		return nil, err
	}
	s.bound = make([]*expr.Program, len(s.routes))
	for i, r := range s.routes {
		if s.bound[i], err = r.when.Bind(columns); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "the condition of route %d of stream %q", i+1, s.spec.Name)
		}
	}
	s.boundTo = schema
	return s.bound, nil
}

func texts(values []string) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.AppendValues(values, nil)
	return b.NewArray()
}

func repeated(value string, n int) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Reserve(n)
	b.ReserveData(n * len(value))
	for range n {
		b.Append(value)
	}
	return b.NewArray()
}
