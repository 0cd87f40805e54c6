// Package codec turns the bodies of events into record batches, and batches
// into bodies: the step "decode" of a stream, and what stands before
// "publish".
//
// New makes a Codec of a Config: a format (JSON, Avro, Protobuf, CloudEvents,
// CSV lines, text), the columns that are wanted with their types and, where a
// value is nested, its path. Decode reads many events at once into columns of
// the six types of package frame, one row an event; what an event lacks is
// NULL, and an event that is not what the format or the columns say gets a
// fault of its own that names the column and the place, and never touches its
// neighbours. Encode writes the rows of any batch.
//
// # What values become
//
// The rules are those by which ingest reads JSON lines, so that a backfill
// from files and the stream agree: a string column takes anything, in its own
// text where it is no string; an int takes whole numbers (3.0 too); numbers,
// bools and times are also read from text. Times are RFC 3339 or the other
// forms of package expr; a time that is a bare number needs Config.Times, which
// says what it counts.
//
// # Hostile input
//
// Bodies come from anybody. Their size is bounded by MaxEvent and MaxBatch,
// their depth by MaxDepth, and memory by a small multiple of the body: no
// count in a message is believed before the bytes are there.
package codec

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/store/bus"
)

// The bounds of what is decoded.
const (
	MaxEvent = 16 << 20 // bytes of one body
	MaxBatch = 1 << 30  // bytes of all bodies of one Decode
	MaxDepth = plain.MaxDepth
	// MaxColumns bounds the columns of a codec, and MaxPath the parts of a path.
	MaxColumns = 4096
	MaxPath    = 32
)

// Codec reads and writes the bodies of events. It is safe for many
// goroutines.
type Codec interface {
	// Schema has the columns that Decode fills, in their order.
	Schema() *arrow.Schema
	// Decode reads events into a batch with one row each, in their order,
	// which the caller releases. faults is nil when all are good; otherwise it
	// has one entry an event, nil for the good ones, and the row of a faulty
	// event is all NULL. A fault whose kind is Retryable (a registry that does
	// not answer) says nothing against the event: decode it again later.
	Decode(ctx context.Context, events []bus.Event) (batch frame.Batch, faults []error)
	// Encode writes each row of a batch, whose columns need not be those of
	// Schema. The bodies share memory.
	Encode(ctx context.Context, batch frame.Batch) ([][]byte, error)
	// ContentType is the media type of what Encode writes.
	ContentType() string
}

// Column is one column to read.
type Column struct {
	frame.Column
	// Path says where the value stands in the body when that is not the field
	// of the column's name at the top: names joined by dots (user.id), places
	// in lists counted from 0 (items.0.price), and in double quotes names that
	// have a dot themselves (labels."app.kubernetes.io/name").
	Path string
}

// Columns makes the columns of a schema; paths may have a path for some.
func Columns(schema []frame.Column, paths map[string]string) []Column {
	columns := make([]Column, len(schema))
	for i, c := range schema {
		columns[i] = Column{c, paths[c.Name]}
	}
	return columns
}

// Formats lists what Config.Format may say.
func Formats() []string {
	return []string{"json", "avro", "protobuf", "cloudevents", "csv", "text"}
}

// Config says how bodies are written.
type Config struct {
	// Format is one of Formats; json when absent.
	Format string
	// Columns to read.
	Columns []Column
	// Times says what a time that is a bare number counts since 1970: s, ms,
	// us or ns. When absent, such a time is a fault (Avro's and Protobuf's own
	// types of time say it themselves).
	Times string
	// Data is the format of what a CloudEvent carries; json when absent.
	Data string
	// Descriptor is the schema that goes with the project: of Avro its JSON
	// (.avsc), of Protobuf a .proto file or a compiled descriptor set.
	Descriptor []byte
	// Message is the full name of the Protobuf message; with one message in
	// the file it may be absent.
	Message string
	// Registry finds schemas by the ids that messages carry, and registers
	// what is encoded; nil without one.
	Registry Registry
	// Subject is the registry's name for what is encoded: TOPIC-value mostly.
	Subject string
	// Source and Type are the attributes of CloudEvents that are encoded
	// without columns ce_source and ce_type.
	Source, Type string
}

// Registry is what a codec needs of a schema registry. Package registry has
// the client.
type Registry interface {
	// Schema returns the schema with an id, and the schemas that it refers to
	// by the names it calls them.
	Schema(ctx context.Context, id int) (RegisteredSchema, error)
	// Latest returns the newest schema of a subject with its id.
	Latest(ctx context.Context, subject string) (RegisteredSchema, error)
	// Register makes a schema the newest of a subject, unless it is one
	// already, and returns its id.
	Register(ctx context.Context, subject string, s RegisteredSchema) (id int, err error)
}

// RegisteredSchema is a schema as a registry has it.
type RegisteredSchema struct {
	ID   int
	Type string // AVRO, PROTOBUF or JSON
	Text string
	// References are the schemas that Text imports, by the names it calls
	// them, those that they import included.
	References map[string]string
}

// Set sets what a stream's codec says by name: message, subject, times, data,
// source, type, and path.COLUMN for the path of a column, which must be
// declared before. What names something to open (registry, descriptor) is the
// caller's.
func (c *Config) Set(name, value string) error {
	if column, ok := strings.CutPrefix(name, "path."); ok {
		for i := range c.Columns {
			if c.Columns[i].Name == column {
				c.Columns[i].Path = value
				return nil
			}
		}
		return fault.New(fault.Invalid, "%q is the path of no column", name)
	}
	known := map[string]*string{"message": &c.Message, "subject": &c.Subject, "times": &c.Times, "data": &c.Data, "source": &c.Source, "type": &c.Type}
	field, ok := known[name]
	if !ok {
		return fault.New(fault.Invalid, "the codec has no setting %q", name).
			Hint("there are registry, descriptor, path.COLUMN, %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	*field = value
	return nil
}

// New makes a codec. A Config that makes no sense is an Invalid fault.
func New(c Config) (Codec, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	switch c.Format {
	case "", "json":
		return newJSON(c)
	case "avro":
		return newAvro(c)
	case "protobuf":
		return newProto(c)
	case "cloudevents":
		return newCloud(c)
	case "csv":
		return newCSV(c)
	case "text":
		return newText(c)
	}
	return nil, fault.New(fault.Unsupported, "the format %q", c.Format).Hint("formats are %q", Formats())
}

func (c *Config) check() error {
	if len(c.Columns) > MaxColumns {
		return fault.New(fault.TooLarge, "%d columns, more than %d", len(c.Columns), MaxColumns)
	}
	if !slices.Contains([]string{"", "s", "ms", "us", "ns"}, c.Times) {
		return fault.New(fault.Invalid, "times are counted in s, ms, us or ns, not %q", c.Times)
	}
	seen := map[string]bool{}
	for _, col := range c.Columns {
		if col.Type.Arrow() == nil {
			return fault.New(fault.Invalid, "column %q has no type %q", col.Name, col.Type)
		}
		if seen[col.Name] {
			return fault.New(fault.Invalid, "column %q stands twice", col.Name)
		}
		seen[col.Name] = true
	}
	return nil
}

// columns returns the columns without their paths.
func (c *Config) columns() []frame.Column {
	out := make([]frame.Column, len(c.Columns))
	for i, col := range c.Columns {
		out[i] = col.Column
	}
	return out
}
