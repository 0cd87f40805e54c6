// Package past gives rows the features that they had at their time: the
// point-in-time join of a training, of a batch and of whoever asks for the
// values of some day.
//
// It stands below flow/feature: Window and Latest make a View of a definition
// and of where its events are, Join looks the views up for rows that have
// entities and times, and Joined gives what was found in the order of the
// rows.
//
// # What a row may know
//
// A row at time t sees the events of its entity whose time is before t, never
// one of the same microsecond, and of a view with a column of when a row became
// known only those that were known by t. An event without a time, or whose
// becoming known is missing, is seen by nobody; a row without an
// entity finds what an entity without events has, one without a time NULLs. Values whose event is older than the view's ttl
// are NULL. A view without a timestamp is refused: nobody knows when its rows
// were true.
//
// # How
//
// Events, and rows reduced to entity, time and position, are sorted by entity
// and time: in memory as long as they fit, in runs of a file and merged
// otherwise. Both orders are then gone through side by side, one entity after
// the other, and what is found goes to the part of the rows that its position
// belongs to, so that putting rows back in their order takes no second sort.
// An event stands in its order where it becomes visible, the later of its time
// and of when it became known, so a late event comes in when it was known and
// counts from then on with the time that it has.
//
// Memory is bounded by Options.Memory, whatever the rows, entities and their
// skew; the disk by Options.Disk. Files have no name while they are in use, so
// a killed process leaves none. The result depends on the events and rows
// only, not on the order of the events, the memory or the number of workers.
package past

import (
	"context"
	"errors"
	"runtime"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Events opens the events of a view: a reader with at least these columns, in
// any order of rows.
type Events func(ctx context.Context, columns []string) (frame.Reader, error)

// View is a view as rows are joined with it. Window and Latest make it.
type View struct {
	Name    string
	Keys    []frame.Column // of the entity, in rows as in events
	Columns []frame.Column // what is found
	Events  Events

	time, known string
	payload     []frame.Column // what is kept of an event
	engine      func() (engine, error)
}

// Reads lists the columns of events that are read.
func (v *View) Reads() []string {
	names := []string{v.time}
	if v.known != "" {
		names = append(names, v.known)
	}
	for _, c := range slices.Concat(v.Keys, v.payload) {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// engine computes the values of one entity at a time. Its methods are called
// in the order begin, then add and value with times that do not go back.
type engine interface {
	// begin forgets the entity before; key is as a keyer writes it.
	begin(key []byte) error
	// add takes an event that is visible from now on: its time, and its
	// payload, which is valid until the next call.
	add(time int64, payload []byte) error
	// value appends the values as of a time to what take returns, or puts off
	// doing so until then.
	value(at int64) error
	// take hands over the values since the last take, one row for each value,
	// in the order of View.Columns. The caller releases them, also those that
	// come with an error.
	take() ([]frame.Batch, error)
}

// Options bound a join. The zero Options are sensible.
type Options struct {
	// Scratch is the folder for what does not fit in memory; that of the
	// system when empty.
	Scratch string
	// Memory is about how many bytes are taken, of which half are what Go's
	// collector needs; 256 MiB when 0. What the engine of windows keeps of the
	// present entity comes on top, and so does what the readers hold.
	Memory int64
	// Disk is how many bytes may be written; 0 is no bound but the disk's.
	Disk int64
	// Workers is how many views are computed at a time; at most GOMAXPROCS
	// when 0.
	Workers int
	// At is the time of rows that have none; NoTime leaves them without.
	At int64
	// Progress, when set, is told how many rows and events have been read,
	// and then how many rows have been joined, by all views together. Several
	// goroutines may call it, one at a time.
	Progress func(doing string, done int64)
}

// NoTime is the time of a row that has none.
const NoTime int64 = -1 << 63

const (
	defaultMemory = 256 << 20
	leastMemory   = 4 << 10
)

func (o Options) filled() Options {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	o.Memory = max(o.Memory, leastMemory)
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	return o
}

// Stats tell what a join did.
type Stats struct {
	Rows    int64 // that were asked for
	Events  int64 // that were read, of all views
	Spilled int64 // bytes that were written to files
}

// Join reads all the rows, of which it needs the columns of every view's Keys
// and the column time, closes them, and finds the values of the views.
// time is "" for rows without a column of their time, which are all as of
// Options.At.
func Join(ctx context.Context, rows frame.Reader, time string, views []View, o Options) (*Joined, error) {
	o = o.filled()
	for _, v := range views {
		if err := v.check(); err != nil {
			return nil, errors.Join(fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name), rows.Close())
		}
	}
	disk, err := newDisk(o)
	if err != nil {
		return nil, errors.Join(err, rows.Close())
	}
	j := &joiner{options: o, views: views, disk: disk, progress: newProgress(o.Progress)}
	joined, err := j.run(ctx, rows, time)
	if err != nil {
		disk.close()
		return nil, err
	}
	return joined, nil
}

func (v *View) check() error {
	switch {
	case v.engine == nil || v.Events == nil:
		return fault.New(fault.Internal, "it was not made by Window or Latest, or has no events")
	case len(v.Keys) == 0:
		return fault.New(fault.Invalid, "it has no entity to look it up by").Hint("add a field like entity: customer_id")
	}
	return nil
}
