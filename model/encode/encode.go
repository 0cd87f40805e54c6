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
	Value    Kind = "value"    // as the index of its number in Values; NULL is NaN, any other number is len(Values)
)

// Rounding says how a number is made whole before it is looked up in Values.
type Rounding string

// The roundings. They differ below zero: -0.5 becomes -1 or 0.
const (
	Exact    Rounding = ""     // as it is
	Down     Rounding = "down" // to the whole number at or below it
	Truncate Rounding = "zero" // to the whole number towards zero
)

// Column is the recipe of one encoded column. Several may read the same raw
// column, then with the same Type.
//
// The fields behind Categories say how libraries read numbers whose models
// are imported; what Fit makes has none of them. They apply in the order in
// which they stand here.
type Column struct {
	Name       string     `json:"name"` // of the raw column
	Type       frame.Type `json:"type"`
	Kind       Kind       `json:"kind"`
	Categories []string   `json:"categories,omitempty"` // most frequent first, ties by text

	UnseenMissing bool      `json:"unseen_missing,omitempty"` // text that is no category is as good as none
	Single        bool      `json:"single,omitempty"`         // numbers are rounded to float32
	ZeroMissing   bool      `json:"zero_missing,omitempty"`   // numbers within ±ZeroThreshold are as good as none
	MissingZero   bool      `json:"missing_zero,omitempty"`   // no number is as good as 0
	Round         Rounding  `json:"round,omitempty"`          // before a number is looked up in Values
	Values        []float64 `json:"values,omitempty"`         // finite, each once
}

// ZeroThreshold is how far from 0 a number may be to count as zero: 1e-35 as
// a float32, which is what LightGBM takes.
const ZeroThreshold = float64(float32(1e-35))

// Codes returns how many codes the column has, those of unseen and missing
// values left out, and whether it has codes: false for a number.
func (c *Column) Codes() (n int, coded bool) {
	switch c.Kind {
	case Category:
		return len(c.Categories), true
	case Value:
		return len(c.Values), true
	}
	return 0, false
}

// Plain tells whether the column is one that Fit makes: a number as it is, or
// text by category.
func (c *Column) Plain() bool {
	return c.Kind != Value && !c.UnseenMissing && !c.Single && !c.ZeroMissing && !c.MissingZero
}

// Encoder is the recipe of a whole model. It is immutable once used, and safe
// for many goroutines. Use it by pointer: it remembers what it looked up.
type Encoder struct {
	Columns []Column `json:"columns"`

	once   sync.Once
	codes  []map[string]float64  // of each category column, nil for the others
	values []map[float64]float64 // of each column of values that are not 0, 1, 2, …
	bound  atomic.Pointer[binding]
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
// Invalid faults that name it. Where a double is wanted an int or a bool column
// is taken too, because the widening loses nothing that a model could tell.
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
	if err != nil || (t != c.Type && !(c.Type == frame.Double && t.Numeric())) {
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
	c := &e.Columns[i]
	if c.Kind != Category {
		if err := frame.Floats(col, dst); err != nil {
			return err
		}
		c.adapt(dst)
		if c.Kind == Value {
			e.lookUp(i, dst)
		}
		return nil
	}
	text, ok := col.(*array.String)
	if !ok {
		return fault.New(fault.Invalid, "a column of type %s has no text", col.DataType())
	}
	codes, unseen := e.lookup(i)
	if c.UnseenMissing {
		unseen = math.NaN()
	}
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

// adapt applies the rules about numbers, in place.
func (c *Column) adapt(x []float64) {
	if c.Single {
		for i, v := range x {
			x[i] = float64(float32(v))
		}
	}
	if c.ZeroMissing {
		for i, v := range x {
			if v >= -ZeroThreshold && v <= ZeroThreshold {
				x[i] = math.NaN()
			}
		}
	}
	if c.MissingZero {
		for i, v := range x {
			if v != v {
				x[i] = 0
			}
		}
	}
	switch c.Round {
	case Down:
		for i, v := range x {
			x[i] = math.Floor(v)
		}
	case Truncate:
		for i, v := range x {
			x[i] = math.Trunc(v)
		}
	}
}

// lookUp turns numbers into codes, in place.
func (e *Encoder) lookUp(i int, x []float64) {
	e.once.Do(e.index)
	unseen := float64(len(e.Columns[i].Values))
	codes := e.values[i]
	for row, v := range x {
		switch {
		case v != v:
		case codes == nil: // each value is its own code
			if !(v >= 0 && v < unseen && v == math.Trunc(v)) {
				x[row] = unseen
			}
		default:
			code, ok := codes[v]
			if !ok {
				code = unseen
			}
			x[row] = code
		}
	}
}

// lookup returns the codes of a category column's texts and the code of any
// other text.
func (e *Encoder) lookup(i int) (codes map[string]float64, unseen float64) {
	e.once.Do(e.index)
	return e.codes[i], float64(len(e.Columns[i].Categories))
}

// index fills the maps from texts and numbers to codes.
func (e *Encoder) index() {
	e.codes = make([]map[string]float64, len(e.Columns))
	e.values = make([]map[float64]float64, len(e.Columns))
	for i := range e.Columns {
		switch c := &e.Columns[i]; c.Kind {
		case Category:
			e.codes[i] = make(map[string]float64, len(c.Categories))
			for code, text := range c.Categories {
				e.codes[i][text] = float64(code)
			}
		case Value:
			e.values[i] = indexValues(c.Values)
		}
	}
}

// indexValues returns the code of each value, or nil when they are 0, 1, 2, …
func indexValues(values []float64) map[float64]float64 {
	dense := true
	for code, v := range values {
		dense = dense && v == float64(code)
	}
	if dense {
		return nil
	}
	codes := make(map[float64]float64, len(values))
	for code, v := range values {
		codes[v] = float64(code)
	}
	return codes
}

// Fields returns the inputs of the signature of a model with this recipe, each
// raw column once, in the order in which they are first read.
func (e *Encoder) Fields() []model.Field {
	fields := make([]model.Field, 0, len(e.Columns))
	at := make(map[string]int, len(e.Columns))
	for i := range e.Columns {
		c := &e.Columns[i]
		if seen, ok := at[c.Name]; ok {
			if fields[seen].Categories == nil {
				fields[seen].Categories = c.Categories
			}
			continue
		}
		at[c.Name] = len(fields)
		fields = append(fields, model.Field{Name: c.Name, Type: c.Type, Categories: c.Categories})
	}
	return fields
}
