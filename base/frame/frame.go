// Package frame is what Leat knows about Arrow record batches: its six column
// types, readers of batches, and the few conversions that every stage needs.
//
// Arrow record batches are the currency between stages, patterns and models
// (docs/architecture.md); this package keeps the conventions about them in
// one place: which Arrow type stands for which Leat type, that a NULL number
// is NaN once it is a float64, and that whoever returns a batch gives its
// caller the reference to release.
package frame

import (
	"context"
	"io"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
)

// Batch is a record batch: columns of equal length with a schema.
type Batch = arrow.RecordBatch

// Type is the type of a column, by the name that resource files use.
type Type string

// The column types. Every table in the lake, every input and every output has
// only these.
const (
	String    Type = "string"    // UTF-8
	Int       Type = "int"       // 64-bit signed
	Double    Type = "double"    // IEEE 754 binary64
	Bool      Type = "bool"      //
	Timestamp Type = "timestamp" // microseconds since 1970, UTC
	Date      Type = "date"      // days since 1970
)

// Types lists the column types in the order that documentation shows them.
func Types() []Type { return []Type{String, Int, Double, Bool, Timestamp, Date} }

// TimestampType is the Arrow type of Timestamp columns.
var TimestampType = &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}

// Arrow returns the Arrow type that stands for t, or nil for an unknown t.
func (t Type) Arrow() arrow.DataType {
	switch t {
	case String:
		return arrow.BinaryTypes.String
	case Int:
		return arrow.PrimitiveTypes.Int64
	case Double:
		return arrow.PrimitiveTypes.Float64
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Timestamp:
		return TimestampType
	case Date:
		return arrow.FixedWidthTypes.Date32
	}
	return nil
}

// Numeric tells whether values of t are numbers without further reading.
func (t Type) Numeric() bool { return t == Int || t == Double || t == Bool }

// TypeOf returns the Leat type that an Arrow type stands for. It knows only
// the six exact types; ingest converts everything else on the way in.
func TypeOf(dt arrow.DataType) (Type, error) {
	switch dt.ID() {
	case arrow.STRING:
		return String, nil
	case arrow.INT64:
		return Int, nil
	case arrow.FLOAT64:
		return Double, nil
	case arrow.BOOL:
		return Bool, nil
	case arrow.DATE32:
		return Date, nil
	case arrow.TIMESTAMP:
		if ts := dt.(*arrow.TimestampType); ts.Unit == arrow.Microsecond {
			return Timestamp, nil
		}
	}
	return "", fault.New(fault.Unsupported, "column type %s", dt)
}

// Column is the name and type of a column.
type Column struct {
	Name string `json:"name" yaml:"name"`
	Type Type   `json:"type" yaml:"type"`
}

// SchemaOf builds the Arrow schema of columns, all of them nullable.
func SchemaOf(columns []Column) *arrow.Schema {
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type.Arrow(), Nullable: true}
	}
	return arrow.NewSchema(fields, nil)
}

// ColumnsOf names the columns of an Arrow schema.
func ColumnsOf(schema *arrow.Schema) ([]Column, error) {
	columns := make([]Column, schema.NumFields())
	for i, f := range schema.Fields() {
		t, err := TypeOf(f.Type)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unsupported, "column %q", f.Name)
		}
		columns[i] = Column{Name: f.Name, Type: t}
	}
	return columns, nil
}

// Reader yields record batches of one schema, in order. Next returns io.EOF
// after the last batch; the caller releases each batch that it got. A Reader
// is for one goroutine. Close may be called at any time, also twice.
type Reader interface {
	Schema() *arrow.Schema
	Next(ctx context.Context) (Batch, error)
	Close() error
}

// Each calls f with every batch of r, releases the batch after f returns, and
// closes r at the end. It stops at the first error.
func Each(ctx context.Context, r Reader, f func(Batch) error) (err error) {
	defer func() {
		if cerr := r.Close(); err == nil {
			err = cerr
		}
	}()
	for {
		b, err := r.Next(ctx)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		err = f(b)
		b.Release()
		if err != nil {
			return err
		}
	}
}

// FromBatches returns a Reader over batches that it retains until Close.
func FromBatches(schema *arrow.Schema, batches ...Batch) Reader {
	for _, b := range batches {
		b.Retain()
	}
	return &sliceReader{schema: schema, batches: batches}
}

type sliceReader struct {
	schema  *arrow.Schema
	batches []Batch
}

func (r *sliceReader) Schema() *arrow.Schema { return r.schema }

func (r *sliceReader) Next(ctx context.Context) (Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(r.batches) == 0 {
		return nil, io.EOF
	}
	b := r.batches[0]
	r.batches = r.batches[1:]
	return b, nil
}

func (r *sliceReader) Close() error {
	for _, b := range r.batches {
		b.Release()
	}
	r.batches = nil
	return nil
}
