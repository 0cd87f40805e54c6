// Package decide is the decision path: what every pattern asks for answers.
//
//	admit → enrich → screen → route → predict → screen → record
//
// A Path is compiled once from a release (Compile) and is immutable: models
// are loaded and checked, features bound, columns mapped to positions. A
// Router holds the live path of each endpoint behind one atomic pointer: begin
// with NewRouter, call Refresh for what is live, and Decide. A pattern makes a
// Request, a batch of one row or a hundred thousand, and gets an Answer; a row
// that fails carries its own error and never takes its neighbours along. The
// same row gets the same answer, bit for bit, in a batch of any size.
//
// Who waits for an answer is bounded: rate, concurrency, rows and time, by the
// release's limits (package limit). Runs are not; they pace themselves. What
// was decided goes to the log (package record), and where an endpoint requires
// it, no record means no answer. A Ledger keeps the answers given under
// idempotency keys; who reads requests from a wire asks it first.
package decide

import (
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/guard/identity"
)

// Pattern says which driver asks.
type Pattern string

// The patterns.
const (
	Batch     Pattern = "batch"
	Realtime  Pattern = "realtime"
	Stream    Pattern = "stream"
	Knowledge Pattern = "knowledge"
)

// Request asks for decisions on rows. The deadline is that of the context. The
// rows, and arrays of them, are used again once Decide has returned: who is
// shown them on the way keeps copies.
type Request struct {
	Principal identity.Principal
	Pattern   Pattern
	Rows      frame.Batch // columns by name; those that the path does not read are ignored
	Keys      []string    // one per row, or nil: idempotency key, event id, row position
	Run       string      // of a durable run, or ""
	Received  time.Time   // when the request arrived, for the latency in the record
	// Asked is when the rows were asked, the present when zero, and what of
	// their features is known already.
	Asked feature.Asked
	// Seen, when set, is called once with what the model read and what is
	// answered, before Decide returns; its error fails the request.
	Seen func(inputs, output frame.Batch) error
}

// Answer is one decision per row, in the order of the request. Close it
// once its rows are written.
type Answer struct {
	Release string
	Variant string // of the release; Fallback where another model stood in
	// ServedBy names the models that stood in, such as "fraud-local@3"; ""
	// where those of the release answered.
	ServedBy string
	IDs      []string    // decision ids, one per row
	Rows     frame.Batch // model outputs, then "decision" where the endpoint has one; NULL where Errors is set
	Errors   []error     // nil when every row succeeded; otherwise one per row
	// Waited is how long the request stood in the endpoint's queue.
	Waited time.Duration
}
