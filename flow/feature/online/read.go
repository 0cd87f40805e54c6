package online

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/online"
)

// Reader reads the same views again and again: it keeps what they need. It is
// safe for many goroutines.
type Reader struct {
	features *Features
	asks     []Ask
	tables   []string
	scratch  sync.Pool // of *reading
}

// reading is the memory of one read.
type reading struct {
	keys  []online.Key
	found []online.Found
	bytes []byte // of the keys
	place []int  // of each key, its row
}

// Reader returns a reader of views.
func (f *Features) Reader(asks []Ask) *Reader {
	r := &Reader{features: f, asks: asks}
	for _, a := range asks {
		r.tables = append(r.tables, f.table(a.View))
	}
	r.scratch.New = func() any { return new(reading) }
	return r
}

// Read gives the features of the entities of a batch, which has the columns of
// the Keys of all views, as of a time for each row: at has one for all, or one
// for each. All views are read in one round trip. A row that lacks a part of
// its key is NotFound, and so is one of feature.NoTime
// where the answer depends on the time.
//
// Rows and SQL have one value, the newest, whatever the time; a row from after
// the time is there as well. Windows as of a time before what their state
// still has are those of the events that are left.
func (r *Reader) Read(ctx context.Context, entities frame.Batch, at []int64, into *Answer) error {
	rows := int(entities.NumRows())
	if len(at) != 1 && len(at) != rows {
		return fault.New(fault.Internal, "%d times for %d entities", len(at), rows)
	}
	into.reset(r.asks, rows)
	s := r.scratch.Get().(*reading)
	defer r.scratch.Put(s)
	if err := r.locate(s, entities, at); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.features.config.Timeout)
	defer cancel()
	var err error
	if s.found, err = r.features.config.Store.Get(ctx, s.keys, s.found[:0]); err != nil {
		return unanswered(err, r.features.config.Timeout)
	}
	places, found := s.place, s.found
	for i := range into.Parts {
		n := slices.Index(places, endOfView)
		if err := r.fill(&into.Parts[i], places[:n], found[:n], at); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature view %q", into.Parts[i].View.Name())
		}
		places, found = places[n+1:], found[n:]
	}
	clear(s.found) // let the values go
	return nil
}

// Read reads once; see Reader.Read. A time for all rows is enough here.
func (f *Features) Read(ctx context.Context, asks []Ask, entities frame.Batch, at time.Time, into *Answer) error {
	return f.Reader(asks).Read(ctx, entities, []int64{at.UnixMicro()}, into)
}

// unanswered is a store that took longer than a Read waits, which is not its
// caller's deadline.
func unanswered(err error, timeout time.Duration) error {
	if fault.Is(err, fault.Timeout) {
		return fault.New(fault.Unavailable, "the online store did not answer within %s", timeout).Because(err).
			Hint("look whether it runs, and how busy it is")
	}
	return err
}

// locate makes the keys of all views, view by view.
func (r *Reader) locate(s *reading, entities frame.Batch, at []int64) error {
	s.keys, s.place, s.bytes = s.keys[:0], s.place[:0], s.bytes[:0]
	for i, a := range r.asks {
		columns, err := pick(entities, a.View.keys)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature view %q", a.View.Name())
		}
		for row := range int(entities.NumRows()) {
			if a.View.dated() && timeOf(at, row) == noTime {
				continue
			}
			from := len(s.bytes)
			var ok bool
			if s.bytes, ok = frame.AppendKey(s.bytes, columns, row); !ok {
				s.bytes = s.bytes[:from]
				continue
			}
			key := s.bytes[from:len(s.bytes):len(s.bytes)] // stays where it is when bytes grow
			s.keys = append(s.keys, online.Key{Table: r.tables[i], Key: key})
			s.place = append(s.place, row)
		}
		s.place = append(s.place, endOfView)
	}
	return nil
}

// endOfView stands in places behind those of a view.
const endOfView = -1

// fill puts what was found of one view into its part, at the rows of places.
func (r *Reader) fill(p *Part, places []int, found []online.Found, at []int64) error {
	missing, stale := len(p.Status), 0
	ttl := p.View.spec.TTL.Std().Microseconds()
	for i, row := range places {
		f := &found[i]
		if !f.OK {
			continue
		}
		missing--
		p.Times[row], p.Status[row] = f.At, Present
		if ttl > 0 && p.View.when >= 0 && timeOf(at, row)-f.At > ttl {
			p.Status[row] = Stale
			stale++
		}
	}
	r.features.metrics.read(p.View.Name(), len(p.Status), missing, stale)
	if p.View.plan != nil {
		return p.windows(places, found, at)
	}
	for i, row := range places {
		if !found[i].OK {
			continue
		}
		if err := p.View.layout.cells(found[i].Value, p.Features, p.row(row)); err != nil {
			return err
		}
	}
	return nil
}

// timeOf is the time of a row, of which there is one for each or one for all.
func timeOf(at []int64, row int) int64 {
	if len(at) == 1 {
		return at[0]
	}
	return at[row]
}

// windows reads the values of windows from the states of entities.
func (p *Part) windows(places []int, found []online.Found, at []int64) error {
	rows := p.View.plan.NewRows(len(places))
	for i, row := range places {
		state := found[i].Value
		if len(state) == 0 { // nobody, or nothing is known any more
			state = nil
		}
		if _, err := p.View.plan.ReadInto(rows, state, timeOf(at, row)); err != nil {
			return err
		}
	}
	values, err := rows.Take()
	if err != nil {
		return err
	}
	for k := range p.width {
		a := values[k]
		if p.Features != nil {
			a = values[p.Features[k]]
		}
		for i, row := range places {
			*p.Cell(row, k) = cellOf(a, i)
		}
	}
	for _, a := range values {
		a.Release()
	}
	return nil
}
