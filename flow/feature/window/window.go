// Package window is the one engine of features over windows of events: counts,
// sums, means, extremes, quantiles over rolling, sliding, tumbling and session
// windows (spec.Aggregate), as of any time.
//
// It stands below flow/feature. Compile makes a Plan of a view; the plan is
// run in three ways, and the values are the same in all of them, bit for bit:
//
//   - a State holds the events of many entities while they arrive: the event
//     stream (pattern/stream) adds batches to it and reads values in between;
//   - Plan.Read takes the values from the bytes that a State made of one
//     entity, which is what an online store keeps by key;
//   - a Sweep goes over the events and the questions of one entity after the
//     other in the order of time, which is what the point-in-time join for
//     training and batch does.
//
// # As of a time
//
// A window as of t covers the events whose time is before t and not before
// t minus its length: an event never sees itself, nor what happened in the
// same microsecond. Windows that slide begin at a multiple of the slide, the
// last that is not after t minus the length. Tumbling windows begin at the
// last multiple of their length that is not after t; multiples count from
// 1970 in UTC. A session is the latest event before t with all those before it
// that follow each other in less than the gap, if t itself does so too. An
// aggregate without a window covers all that is before t, as far back as the
// ttl of the view.
//
// # Promises
//
// Values depend on the set of events only, never on the order in which they
// came or on how they were batched. Sums are exact and rounded once; events
// of the same time are ordered by their values, so that first and last are
// the same everywhere. NULL and NaN are no values, a negative zero is zero,
// a sum or mean of no values is NULL and a count of none is 0. An event whose
// id is there already is left out. What is kept is bounded by Bounds; State
// and Sweep are for one goroutine each, a Plan is immutable and for many.
package window

// Bounds limit what a State or a Sweep holds. A zero field is that of
// DefaultBounds.
type Bounds struct {
	Keys   int   // entities
	Events int   // single events of one entity
	Bytes  int64 // of everything, about
}

// DefaultBounds are those of one partition on a small server.
var DefaultBounds = Bounds{Keys: 5_000_000, Events: 1_000_000, Bytes: 2 << 30}

func (b Bounds) filled() Bounds {
	if b.Keys == 0 {
		b.Keys = DefaultBounds.Keys
	}
	if b.Events == 0 {
		b.Events = DefaultBounds.Events
	}
	if b.Bytes == 0 {
		b.Bytes = DefaultBounds.Bytes
	}
	return b
}

// Added tells what became of the events of a batch.
type Added struct {
	Events     int   // that are new
	Duplicates int   // whose id was there already
	Nobody     int   // without a key or a time
	Late       []int // rows that came after the watermark less the lateness
}

// KeyState is what is known of one entity, as bytes that any State, Sweep or
// Plan of the same view reads.
type KeyState struct {
	Key   []byte // as frame.AppendKey writes it
	State []byte // nil: nothing is known any more
	At    int64  // time of the newest event, in microseconds since 1970
}

// Size is what a State holds.
type Size struct {
	Keys   int
	Events int   // single events
	Bytes  int64 // about
}
