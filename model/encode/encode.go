// Package encode turns raw columns (numbers, text, times) into the columns of
// float64 that trees and linear models compute with.
//
// The recipe is fixed when a model is trained, travels inside its artifact as
// JSON, and is applied in the same way in training, batch and real time: that
// is why it stands beside the model runtimes and not in the trainer.
//
// Fit makes a recipe from training rows. Encode applies it to a batch of any
// size. A recipe that was read from a file is checked with Validate before it
// is used.
package encode

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// Kind says how a raw column is read.
type Kind string

// The kinds of column.
const (
	Numeric  Kind = "numeric"  // as a number; NULL is NaN
	Category Kind = "category" // as the index of its text in Categories; NULL is NaN, unseen is len(Categories)
)

// Column is the recipe of one encoded column.
type Column struct {
	Name       string     `json:"name"` // of the raw column
	Type       frame.Type `json:"type"`
	Kind       Kind       `json:"kind"`
	Categories []string   `json:"categories,omitempty"` // most frequent first, ties by text
}

// Encoder is the recipe of a whole model. It is immutable once used, and safe
// for many goroutines. Use it by pointer: it remembers what it looked up.
type Encoder struct {
	Columns []Column `json:"columns"`

	once  sync.Once
	codes []map[string]float64 // of each category column, nil for the others
	bound atomic.Pointer[binding]
}

// binding is where the recipe's columns stand in batches of one schema. The
// last one is kept, because a server scores batches of the same schema over
// and over, and looking up thirty names costs more than one row's arithmetic.
type binding struct {
	schema *arrow.Schema
	at     []int
}

// Matrix returns zeroed columns for rows rows, ready for Encode.
func (e *Encoder) Matrix(rows int) [][]float64 {
	flat := make([]float64, len(e.Columns)*rows)
	columns := make([][]float64, len(e.Columns))
	for i := range columns {
		columns[i] = flat[i*rows : (i+1)*rows : (i+1)*rows]
	}
	return columns
}

// Encode writes the encoded columns of a batch into dst: one slice for each
// of e.Columns, each as long as the batch has rows. Columns are looked up by
// name, in any order and among others.
//
// A missing column, one that stands there twice, and one of another type are
// Invalid faults that name it. Where a double is wanted an int column is
// taken too, because the widening loses nothing that a model could tell.
func (e *Encoder) Encode(batch frame.Batch, dst [][]float64) error {
	if len(dst) != len(e.Columns) {
		return fault.New(fault.Internal, "%d columns to encode into, not %d", len(dst), len(e.Columns))
	}
	at, err := e.bind(batch.Schema())
	if err != nil {
		return err
	}
	rows := int(batch.NumRows())
	for i := range e.Columns {
		if len(dst[i]) != rows {
			return fault.New(fault.Internal, "column %d to encode into has %d rows, not %d", i, len(dst[i]), rows)
		}
		if err := e.encodeColumn(i, batch.Column(at[i]), dst[i]); err != nil {
			return fault.Wrap(err, fault.Invalid, "column %q", e.Columns[i].Name)
		}
	}
	return nil
}

// Check tells whether batches of a schema can be encoded: nil, or the Invalid
// fault that Encode would return, with every mistake at once.
func (e *Encoder) Check(schema *arrow.Schema) error {
	_, err := e.bind(schema)
	return err
}

func (e *Encoder) bind(schema *arrow.Schema) ([]int, error) {
	if b := e.bound.Load(); b != nil && b.schema == schema {
		return b.at, nil
	}
	var mistakes fault.List
	at := make([]int, len(e.Columns))
	for i, c := range e.Columns {
		var err error
		at[i], err = c.find(schema)
		mistakes.Add(err)
	}
	if err := mistakes.Err(); err != nil {
		return nil, invalid(err)
	}
	e.bound.Store(&binding{schema: schema, at: at})
	return at, nil
}

// invalid keeps the kind of several mistakes: a *fault.Many has none.
func invalid(err error) error {
	if fault.Is(err, fault.Invalid) {
		return err
	}
	return fault.Wrap(err, fault.Invalid, "the rows do not fit the model")
}

func (c Column) find(schema *arrow.Schema) (int, error) {
	found := schema.FieldIndices(c.Name)
	switch {
	case len(found) == 0:
		return 0, fault.New(fault.Invalid, "column %q is missing", c.Name).
			Hint("the model needs it as %s", c.Type)
	case len(found) > 1:
		return 0, fault.New(fault.Invalid, "column %q stands there %d times", c.Name, len(found))
	}
	got := schema.Field(found[0]).Type
	t, err := frame.TypeOf(got)
	if err != nil || (t != c.Type && !(c.Type == frame.Double && t == frame.Int)) {
		return 0, fault.New(fault.Invalid, "column %q is %s, not %s", c.Name, typeName(t, got), c.Type)
	}
	return found[0], nil
}

func typeName(t frame.Type, dt arrow.DataType) string {
	if t == "" {
		return dt.String()
	}
	return string(t)
}

func (e *Encoder) encodeColumn(i int, col arrow.Array, dst []float64) error {
	if e.Columns[i].Kind == Numeric {
		return frame.Floats(col, dst)
	}
	text, ok := col.(*array.String)
	if !ok {
		return fault.New(fault.Invalid, "a column of type %s has no text", col.DataType())
	}
	codes, unseen := e.lookup(i)
	for row := range dst {
		if text.IsNull(row) {
			dst[row] = math.NaN()
			continue
		}
		code, ok := codes[text.Value(row)]
		if !ok {
			code = unseen
		}
		dst[row] = code
	}
	return nil
}

// lookup returns the codes of a category column's texts and the code of any
// other text.
func (e *Encoder) lookup(i int) (codes map[string]float64, unseen float64) {
	e.once.Do(func() {
		e.codes = make([]map[string]float64, len(e.Columns))
		for i, c := range e.Columns {
			if c.Kind != Category {
				continue
			}
			e.codes[i] = make(map[string]float64, len(c.Categories))
			for code, text := range c.Categories {
				e.codes[i][text] = float64(code)
			}
		}
	})
	return e.codes[i], float64(len(e.Columns[i].Categories))
}

// Fields returns the inputs of the signature of a model with this recipe.
func (e *Encoder) Fields() []model.Field {
	fields := make([]model.Field, len(e.Columns))
	for i, c := range e.Columns {
		fields[i] = model.Field{Name: c.Name, Type: c.Type, Categories: c.Categories}
	}
	return fields
}
