// Package record is the decision log: the last step of the decision path.
//
// Open a Writer on a folder; the path hands it an Entry for each request
// (Record), and app calls Compact now and then with the lake.
//
//	Record → queue (bounded) → one goroutine, in groups → segment files
//	Compact: finished segments → table "decisions" of the lake
//	Fresh, Find, Latest: what is in segments, readable at once
//
// What is promised:
//
//   - An entry that is Required is on disk, with a sync, before Record
//     returns nil. Entries of many callers share one sync.
//   - Any other entry costs its caller an encoding and a copy. When the queue
//     is full or the disk does not take it, it is dropped and counted.
//   - A record is either read back as it was written or not at all: each has
//     a checksum. A tail that a crash tore is cut off when the folder is
//     opened. A record damaged later is reported as Corrupt, and those around
//     it are read.
//   - A failed sync ends the writer, because nobody knows what the device
//     kept: it records nothing until Reopen or a restart. A full disk does
//     not: what did not fit is refused, and the next entry tried.
//   - Compact gives each segment to the lake under an id and deletes it only
//     afterwards, so a crash between the two repeats an append that the lake
//     knows.
//
// A batch's decisions are recorded by reference. The table that a run writes
// has the id of the decision and of the release in each row: it is the record,
// and copying a million rows of it here would say nothing new. The run as a
// whole is one record (Writer.Run), with its id, release, input and output
// snapshot and counts.
package record

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/frame"
)

// Table is the name of the lake table.
const Table = "decisions"

// Columns is the schema of the lake table, and of what Fresh returns. inputs,
// features and output are JSON objects by column name: a number that JSON
// cannot write is NULL where it is not a number and text where it is not
// finite, a time is RFC 3339 text. features is NULL where the model read the
// inputs as they came. score is the output's number of that name
// and decision its text of that name, NULL when there is none.
func Columns() []frame.Column {
	return []frame.Column{
		{Name: "id", Type: frame.String},
		{Name: "at", Type: frame.Timestamp},
		{Name: "pattern", Type: frame.String},
		{Name: "endpoint", Type: frame.String},
		{Name: "release", Type: frame.String},
		{Name: "variant", Type: frame.String},
		{Name: "model", Type: frame.String},
		{Name: "version", Type: frame.Int},
		{Name: "caller", Type: frame.String},
		{Name: "key", Type: frame.String},
		{Name: "run", Type: frame.String},
		{Name: "inputs", Type: frame.String},
		{Name: "features", Type: frame.String},
		{Name: "output", Type: frame.String},
		{Name: "score", Type: frame.Double},
		{Name: "decision", Type: frame.String},
		{Name: "error", Type: frame.String},
		{Name: "latency_us", Type: frame.Int},
		{Name: "cost", Type: frame.Double},
	}
}

// Entry is the decisions of one request: what its rows share, and the rows.
// The batches are read before Record returns and stay the caller's.
type Entry struct {
	At       time.Time
	Pattern  string
	Endpoint string
	Release  string
	Variant  string
	Model    string
	Version  int
	Caller   string
	Run      string
	Latency  time.Duration
	Cost     float64 // of each row
	Required bool    // no record, no answer: Record returns once it is durable

	IDs      []string
	Keys     []string    // nil, or one per row
	Errors   []error     // nil, or one per row
	Inputs   frame.Batch // as asked; nil for none
	Features frame.Batch // as computed; nil when there are none
	Output   frame.Batch // as answered; nil when no row was
}

// Run is the record of a durable run.
type Run struct {
	ID             string
	At             time.Time
	Endpoint       string
	Release        string
	Caller         string
	Input          string // table or files
	InputSnapshot  int64
	Output         string // table or files
	OutputSnapshot int64
	Rows, Failed   int64
}

// Decision is one record as read back. Inputs, Features and Output are JSON
// objects, nil where there is none.
type Decision struct {
	ID        string    `json:"id"`      // 26 letters and digits that sort by time
	At        time.Time `json:"at"`      // when it was asked for
	Pattern   string    `json:"pattern"` // realtime or batch
	Endpoint  string    `json:"endpoint"`
	Release   string    `json:"release"` // id of the release that decided
	Variant   string    `json:"variant"` // arm of the release
	Model     string    `json:"model"`
	Version   int       `json:"version"`
	Caller    string    `json:"caller"`             // name of the principal
	Key       string    `json:"key,omitempty"`      // idempotency key or key of the row
	Run       string    `json:"run,omitempty"`      // durable run that asked, if one did
	Inputs    []byte    `json:"-"`                  // JSON, as asked
	Features  []byte    `json:"-"`                  // JSON, as computed; nil where the model read the inputs as they came
	Output    []byte    `json:"-"`                  // JSON, as answered
	Score     *float64  `json:"score,omitempty"`    // of the positive class, or the predicted number
	Decision  string    `json:"decision,omitempty"` // the endpoint's word for what to do
	Error     string    `json:"error,omitempty"`    // why the row got no answer
	LatencyUS int64     `json:"latency_us"`         // of the whole request, in microseconds
	Cost      float64   `json:"cost,omitempty"`
}

// Sink is where finished segments go: the lake. Stage writes the rows of one
// segment where nobody sees them yet, and closes the reader. What it returns
// adds them to the table, whole or not at all; for a segment whose id the table
// knows it changes nothing.
type Sink interface {
	Stage(ctx context.Context, segment string, rows frame.Reader) (commit func(context.Context) error, err error)
}
