package window

import (
	"math"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Read answers the values of one entity as of a time from its bytes, as
// KeyState has them: one array of one row for each output, which the caller
// releases. nil bytes are those of an entity without events.
func (p *Plan) Read(state []byte, at int64) ([]arrow.Array, error) {
	rows := p.NewRows(1)
	if _, err := p.ReadInto(rows, state, at); err != nil {
		return nil, err
	}
	return rows.Take()
}

// ReadInto is Read that appends a row to others. It also answers the time of
// the newest event, which is math.MinInt64 where there is none. A time that is
// before what was kept is an Invalid fault, broken bytes are Corrupt.
func (p *Plan) ReadInto(rows *Rows, state []byte, at int64) (newest int64, err error) {
	if state == nil {
		rows.None()
		return never, nil
	}
	r := p.reader()
	defer p.readers.Put(r)
	if err := r.engine.decode(state, r.key); err != nil {
		return 0, err
	}
	if at < r.key.least {
		return 0, tooEarly(p, at, r.key.least)
	}
	r.engine.read(r.key, at, rows)
	return r.key.newest, nil
}

func tooEarly(p *Plan, at, least int64) error {
	return fault.New(fault.Invalid, "the values of feature view %q as of %d are asked for, and what only those before %d need is forgotten", p.view.Name, at, least).
		Hint("times are microseconds since 1970; a longer lateness keeps events for longer")
}

// reader is the memory of a Read.
type reader struct {
	engine *engine
	key    *key
}

func (p *Plan) reader() *reader {
	r, ok := p.readers.Get().(*reader)
	if !ok {
		r = &reader{engine: newEngine(p, DefaultBounds.Events)}
		r.engine.dict.once = true
		r.key = r.engine.newKey()
		return r
	}
	r.engine.dict.reset()
	r.key.clear(p)
	return r
}

// readers is the pool of a plan.
type readers = sync.Pool

// Sweep goes over the events of one entity after the other and answers
// questions in between, in the order of time. It holds the events of one
// entity at a time, as long as they matter. It is for one goroutine.
//
// Load takes a batch of events; for each entity, Next begins it, Event adds
// one of its events, and Ask answers as of a time. What is asked for is not
// earlier than what was asked for before. Events may come in any order, and
// are seen by the questions after them: those that became known later than
// they happened are added when they were known. Where the view does not say
// when events were known, an event must not be older than a question before
// it.
type Sweep struct {
	plan   *Plan
	bounds Bounds
	engine *engine
	key    *key
	feed   feed
	rows   *Rows
	asked  int64
	full   int // events at which those that do not matter any more are looked for
}

// NewSweep makes a Sweep. Of the bounds, Events counts.
func NewSweep(p *Plan, b Bounds) *Sweep {
	b = b.filled()
	s := &Sweep{plan: p, bounds: b, engine: newEngine(p, b.Events), rows: p.NewRows(0)}
	s.key = s.engine.newKey()
	s.Next()
	return s
}

// Load takes the next batch of events, which has the columns of Reads; Event
// names its rows. The batch must stay until the next one.
func (s *Sweep) Load(batch frame.Batch) error { return s.feed.read(s.plan, batch) }

// Next begins an entity.
func (s *Sweep) Next() {
	s.key.clear(s.plan)
	s.asked, s.full = never, leastSweep
	if len(s.engine.dict.texts) > mostTexts {
		s.engine.dict.reset()
	}
}

const (
	leastSweep = 256     // events of an entity before any are given up
	mostTexts  = 1 << 16 // strings that are kept over to the next entity
)

// Event adds a row of the batch. One without a time is left out.
func (s *Sweep) Event(row int) error {
	if s.feed.none[row] {
		return nil
	}
	if s.folds() && s.feed.times[row] < s.asked {
		return fault.New(fault.Internal, "an event is older than a question that was answered before it")
	}
	if s.key.ring.n >= s.bounds.Events {
		return fault.New(fault.TooLarge, "one entity of feature view %q has more than %d events that matter at a time", s.plan.view.Name, s.bounds.Events).
			Hint("shorten its longest window, or leave out the column of when rows became known")
	}
	s.engine.add(s.key, s.feed.event(s.engine, row, 0))
	return nil
}

// folds tells whether events may be summed up once they are old: not where
// older ones may still become known.
func (s *Sweep) folds() bool { return s.plan.view.Known == "" }

// Ask answers the values as of a time, as one more row.
func (s *Sweep) Ask(at int64) error {
	if at < s.asked {
		return fault.New(fault.Internal, "a question is earlier than the one before it")
	}
	s.asked = at
	s.engine.read(s.key, at, s.rows)
	if s.key.ring.n >= s.full {
		s.tidy()
		s.full = max(leastSweep, 2*s.key.ring.n)
	}
	return nil
}

// Null answers a question without values, as one more row.
func (s *Sweep) Null() { s.rows.Null() }

// tidy gives up the events that do not matter to later questions.
func (s *Sweep) tidy() {
	if s.folds() {
		s.engine.settle(s.key, s.asked)
		return
	}
	if s.plan.horizon == forever {
		return
	}
	if n := s.key.ring.before(less(s.asked, s.plan.horizon), s.plan.stride); n > 0 {
		s.engine.shift(s.key, n)
	}
}

// Answers is how many rows there are.
func (s *Sweep) Answers() int { return s.rows.Len() }

// Take gives the answers since it was last called: one array for each output,
// a row for each question. The caller releases them.
func (s *Sweep) Take() ([]arrow.Array, error) { return s.rows.Take() }

// Newest is the time of the newest event of the entity so far; false where
// there is none.
func (s *Sweep) Newest() (int64, bool) { return s.key.newest, s.key.newest != math.MinInt64 }
