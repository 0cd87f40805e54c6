// Package record is the decision log: the last step of the decision path.
//
// Writer takes entries into a bounded queue and writes them, in groups, to
// segment files below a folder; Compactor moves finished segments into the
// table "decisions" of the lake; Writer.Fresh reads what is not there yet, so
// that a decision can be asked for as soon as it is answered.
package record

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Table is the name of the lake table.
const Table = "decisions"

// Columns is the schema of the lake table, and of what Fresh returns. inputs,
// features and output are JSON objects by column name; score is the output's
// number of that name, NULL when it has none.
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
	Inputs   frame.Batch // as asked
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
	Output         string
	OutputSnapshot int64
	Rows, Failed   int64
}

// Decision is one record as read back, for lookups by id. Inputs, Features
// and Output are JSON objects.
type Decision struct {
	ID        string    `json:"id"`
	At        time.Time `json:"at"`
	Pattern   string    `json:"pattern"`
	Endpoint  string    `json:"endpoint"`
	Release   string    `json:"release"`
	Variant   string    `json:"variant"`
	Model     string    `json:"model"`
	Version   int       `json:"version"`
	Caller    string    `json:"caller"`
	Key       string    `json:"key,omitempty"`
	Run       string    `json:"run,omitempty"`
	Inputs    []byte    `json:"-"`
	Features  []byte    `json:"-"`
	Output    []byte    `json:"-"`
	Score     *float64  `json:"score,omitempty"`
	Decision  string    `json:"decision,omitempty"`
	Error     string    `json:"error,omitempty"`
	LatencyUS int64     `json:"latency_us"`
	Cost      float64   `json:"cost,omitempty"`
}

// Sink is where finished segments go: the lake. Append adds the rows of one
// segment to the table; a segment whose id it knows changes nothing.
type Sink interface {
	Append(ctx context.Context, segment string, rows frame.Reader) error
}

var errBuilding = fault.New(fault.Unsupported, "the decision log is being built")

// Options bound a writer; zero values mean what their comments say.
type Options struct {
	Dir        string
	QueueBytes int           // 64 MiB
	QueueCount int           // 100,000 entries
	SegmentMax int64         // 64 MiB, then a new segment
	SegmentAge time.Duration // 1 minute, then a new segment
}

// Writer writes entries to segments.
type Writer struct{}

// Open repairs the segments of a folder and begins to write.
func Open(o Options) (*Writer, error) { return &Writer{}, nil }

// Record queues an entry. Unless it is required, a full queue drops and
// counts it.
func (w *Writer) Record(ctx context.Context, e *Entry) error { return nil }

// Run records a durable run, and returns once that is durable.
func (w *Writer) Run(ctx context.Context, r Run) error { return nil }

// Find returns a decision that is not in the lake yet, or NotFound.
func (w *Writer) Find(ctx context.Context, id string) (Decision, error) {
	return Decision{}, errBuilding
}

// Fresh reads the decisions that are not in the lake yet.
func (w *Writer) Fresh(ctx context.Context) (frame.Reader, error) { return nil, errBuilding }

// Stats counts what the writer did.
type Stats struct {
	Recorded, Dropped, Failed int64
	Segments                  int // not in the lake yet
	Queued                    int // bytes
}

// Stats returns the counts since Open.
func (w *Writer) Stats() Stats { return Stats{} }

// Compact moves finished segments into the sink, oldest first, and deletes
// them.
func (w *Writer) Compact(ctx context.Context, sink Sink) (moved int, err error) { return 0, nil }

// Reopen begins a new segment after a failure.
func (w *Writer) Reopen() error { return nil }

// Close writes what is queued and ends the writer.
func (w *Writer) Close() error { return nil }
