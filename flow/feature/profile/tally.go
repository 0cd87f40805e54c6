package profile

import (
	"math"
	"sort"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Tally counts rows in the bins of a Profile. It is for one goroutine.
type Tally struct {
	Rows    int64         `json:"rows"`
	Columns []ColumnTally `json:"columns"` // in the order of the profile's
	scratch []float64
	places  []places // where the columns were in the batches of the last Add
}

// places is where a profile's columns are in batches of certain schemas.
type places struct {
	schemas []*arrow.Schema
	at      []place // by column of the profile
}

// place is a batch, or -1, and a column of it.
type place struct{ batch, column int }

// ColumnTally counts one column: its last count is that of values in no bin
// of the profile's (for a text, a value that the profile does not name).
type ColumnTally struct {
	Missing int64   `json:"missing"`
	Counts  []int64 `json:"counts"`
	edges   []float64
	values  map[string]int
}

// NewTally returns an empty tally against p.
func NewTally(p *Profile) *Tally {
	t := &Tally{Columns: make([]ColumnTally, len(p.Columns))}
	for i := range p.Columns {
		t.Columns[i] = newColumnTally(&p.Columns[i])
	}
	return t
}

func newColumnTally(c *Column) ColumnTally {
	t := ColumnTally{edges: c.Edges}
	if c.Type == frame.String {
		t.values = make(map[string]int, len(c.Values))
		for i, v := range c.Values {
			t.values[v] = i
		}
		t.Counts = make([]int64, len(c.Values)+1)
	} else {
		t.Counts = make([]int64, len(c.Edges)+1)
	}
	return t
}

func (t *ColumnTally) addNumber(v float64) {
	t.Counts[sort.SearchFloat64s(t.edges, v)]++
}

func (t *ColumnTally) addText(v string) {
	i, known := t.values[v]
	if !known {
		i = len(t.Counts) - 1
	}
	t.Counts[i]++
}

func (t *ColumnTally) counted() (n int64) {
	for _, c := range t.Counts {
		n += c
	}
	return n
}

func (t *ColumnTally) shares() []float64 {
	n := float64(max(t.counted(), 1))
	shares := make([]float64, len(t.Counts))
	for i, c := range t.Counts {
		shares[i] = float64(c) / n
	}
	return shares
}

// Add counts the rows of batches that stand side by side: together they hold
// the profile's columns by name. A column that none of them has counts as
// missing.
func (t *Tally) Add(p *Profile, batches ...frame.Batch) error {
	if len(batches) == 0 {
		return nil
	}
	rows := batches[0].NumRows()
	for _, b := range batches {
		if b.NumRows() != rows {
			return fault.New(fault.Internal, "batches of %d and %d rows do not stand side by side", rows, b.NumRows())
		}
	}
	t.Rows += rows
	for i, at := range t.placesIn(p, batches) {
		if at.batch < 0 {
			t.Columns[i].Missing += rows
			continue
		}
		if err := t.count(&t.Columns[i], batches[at.batch], at.column); err != nil {
			return err
		}
	}
	return nil
}

// maxPlaces bounds how many shapes of batches are remembered.
const maxPlaces = 8

// placesIn finds the profile's columns in batches. In the serving path all
// batches of a release have the same schemas, and finding is remembering.
func (t *Tally) placesIn(p *Profile, batches []frame.Batch) []place {
	for _, known := range t.places {
		if known.fits(batches) {
			return known.at
		}
	}
	found := places{at: make([]place, len(p.Columns))}
	for _, b := range batches {
		found.schemas = append(found.schemas, b.Schema())
	}
	for i := range p.Columns {
		found.at[i] = place{batch: -1}
		for j, schema := range found.schemas {
			if at := frame.Index(schema, p.Columns[i].Name); at >= 0 {
				found.at[i] = place{j, at}
				break
			}
		}
	}
	if len(t.places) < maxPlaces {
		t.places = append(t.places, found)
	}
	return found.at
}

func (p places) fits(batches []frame.Batch) bool {
	if len(p.schemas) != len(batches) {
		return false
	}
	for i, b := range batches {
		if b.Schema() != p.schemas[i] {
			return false
		}
	}
	return true
}

func (t *Tally) count(c *ColumnTally, b frame.Batch, at int) error {
	col := b.Column(at)
	if text, ok := col.(*array.String); ok {
		for i := range text.Len() {
			if text.IsNull(i) {
				c.Missing++
			} else if c.values != nil {
				c.addText(text.Value(i))
			}
		}
		return nil
	}
	numbers, err := t.numbers(col)
	if err != nil {
		return err
	}
	for _, v := range numbers {
		if math.IsNaN(v) {
			c.Missing++
		} else if c.values == nil {
			c.addNumber(v)
		}
	}
	return nil
}

// numbers returns a column as numbers, NaN where it has none: those of the
// column itself where they are that already.
func (t *Tally) numbers(col arrow.Array) ([]float64, error) {
	if c, ok := col.(*array.Float64); ok && c.NullN() == 0 {
		return c.Float64Values(), nil
	}
	if cap(t.scratch) < col.Len() {
		t.scratch = make([]float64, col.Len())
	}
	numbers := t.scratch[:col.Len()]
	return numbers, frame.Floats(col, numbers)
}

// Merge adds the counts of another tally against the same profile.
func (t *Tally) Merge(o *Tally) {
	t.Rows += o.Rows
	for i := range o.Columns {
		t.Columns[i].Missing += o.Columns[i].Missing
		for j, n := range o.Columns[i].Counts {
			t.Columns[i].Counts[j] += n
		}
	}
}

// PSI is the population stability index of column i against the profile:
// Σ (a-e)·ln(a/e) over bins, a the tally's share and e the profile's, missing
// counted as a bin of its own. Noise is the value to expect from chance
// alone, (bins-1)·(1/n + 1/m) for samples of n and m rows (Yurdakul and
// Naranjo, Statistical properties of the population stability index, 2020).
func (t *Tally) PSI(p *Profile, i int) (psi, noise float64) {
	c, counts := &p.Columns[i], &t.Columns[i]
	if t.Rows == 0 || c.Counted == 0 {
		return 0, 0
	}
	present := 1 - float64(counts.Missing)/float64(t.Rows)
	actual := counts.shares()
	psi = term(1-present, c.Missing, t.Rows, p.Rows)
	bins := 0
	for j, share := range actual {
		expected := c.Shares[j] * (1 - c.Missing)
		psi += term(share*present, expected, t.Rows, c.Counted)
		if expected > 0 {
			bins++
		}
	}
	return psi, float64(max(bins-1, 0)) * (1/float64(t.Rows) + 1/float64(c.Counted))
}

// term is one bin's part of the index; an empty side counts as half a row.
func term(actual, expected float64, n, m int64) float64 {
	if actual <= 0 && expected <= 0 {
		return 0
	}
	a := math.Max(actual, 0.5/float64(n))
	e := math.Max(expected, 0.5/float64(max(m, 1)))
	return (a - e) * math.Log(a/e)
}

// Missing is the share of rows that lack column i.
func (t *Tally) Missing(i int) float64 {
	if t.Rows == 0 {
		return 0
	}
	return float64(t.Columns[i].Missing) / float64(t.Rows)
}

// New is the share of rows whose text in column i the profile has never seen.
// It is 0 for numbers, and for a column with more values than a profile keeps.
func (t *Tally) New(p *Profile, i int) float64 {
	c := &p.Columns[i]
	if t.Rows == 0 || c.Type != frame.String || c.Shares[len(c.Shares)-1] > 0 {
		return 0
	}
	counts := t.Columns[i].Counts
	return float64(counts[len(counts)-1]) / float64(t.Rows)
}
