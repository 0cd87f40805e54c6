// Package profile remembers what a set of rows looked like, in few numbers:
// how each column was distributed, how often it was missing, which values it
// had.
//
// Training keeps the Profile of its rows with the version; a Tally counts
// later rows into the same bins, cheaply enough for the serving path, and is
// compared with it by PSI, Missing and New. Tallies add up: those of the parts
// of a batch merge into that of the whole, in any order.
package profile

import (
	"math"
	"slices"
	"sort"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Bounds of a profile: bins of a number, values of a text column that are
// told apart, and rows that are looked at for the bins' edges.
const (
	Bins      = 10
	MaxValues = 64
	sampled   = 50_000
)

// Profile is the distribution of a set of rows, column by column.
type Profile struct {
	Rows    int64    `json:"rows"`
	Columns []Column `json:"columns"`
}

// Column is the distribution of one column. A number is counted in bins:
// Shares[i] is the share of values in (Edges[i-1], Edges[i]], the last bin is
// open. A text is counted by value: Shares[i] is that of Values[i], and one
// more share stands for all other values. Shares sum to 1 over the values
// that were not missing.
type Column struct {
	Name    string     `json:"name"`
	Type    frame.Type `json:"type"`
	Missing float64    `json:"missing"` // share of rows
	Edges   []float64  `json:"edges,omitempty"`
	Values  []string   `json:"values,omitempty"`
	Shares  []float64  `json:"shares"`
	Counted int64      `json:"counted"` // values that the shares were counted from
}

// Column returns the named column, or nil.
func (p *Profile) Column(name string) *Column {
	for i := range p.Columns {
		if p.Columns[i].Name == name {
			return &p.Columns[i]
		}
	}
	return nil
}

// Builder collects the rows of a profile in bounded memory. Make one with
// NewBuilder; it is for one goroutine.
type Builder struct {
	rows    int64
	columns []*collector
}

// collector keeps every stride-th value of a column, doubling the stride when
// its room is used up: a systematic sample, the same for the same rows.
type collector struct {
	column  frame.Column
	stride  int64
	missing int64
	seen    int64
	numbers []float64
	texts   []string
}

// NewBuilder starts a profile of the named columns.
func NewBuilder(columns []frame.Column) *Builder {
	b := &Builder{}
	for _, c := range columns {
		b.columns = append(b.columns, &collector{column: c, stride: 1})
	}
	return b
}

// Add looks at the rows of a batch. A column that it lacks is an Invalid
// fault.
func (b *Builder) Add(batch frame.Batch) error {
	for _, c := range b.columns {
		at := frame.Index(batch.Schema(), c.column.Name)
		if at < 0 {
			return fault.New(fault.Invalid, "no column %q to profile", c.column.Name)
		}
		if err := c.add(batch, at); err != nil {
			return err
		}
	}
	b.rows += batch.NumRows()
	return nil
}

func (c *collector) add(batch frame.Batch, at int) error {
	col := batch.Column(at)
	text, isText := col.(*array.String)
	var numbers []float64
	if !isText {
		numbers = make([]float64, col.Len())
		if err := frame.Floats(col, numbers); err != nil {
			return err
		}
	}
	for i := range col.Len() {
		missing := col.IsNull(i) || (!isText && math.IsNaN(numbers[i]))
		if missing {
			c.missing++
			continue
		}
		if c.seen++; (c.seen-1)%c.stride != 0 {
			continue
		}
		if isText {
			c.texts = append(c.texts, text.Value(i))
		} else {
			c.numbers = append(c.numbers, numbers[i])
		}
		c.thin()
	}
	return nil
}

func (c *collector) thin() {
	if len(c.numbers) < 2*sampled && len(c.texts) < 2*sampled {
		return
	}
	c.stride *= 2
	c.numbers, c.texts = everySecond(c.numbers), everySecond(c.texts)
}

func everySecond[T any](v []T) []T {
	kept := v[:0]
	for i := 0; i < len(v); i += 2 {
		kept = append(kept, v[i])
	}
	return kept
}

// Profile returns the distribution of the rows so far.
func (b *Builder) Profile() *Profile {
	p := &Profile{Rows: b.rows}
	for _, c := range b.columns {
		p.Columns = append(p.Columns, c.profile(b.rows))
	}
	return p
}

func (c *collector) profile(rows int64) Column {
	out := Column{Name: c.column.Name, Type: c.column.Type}
	if rows > 0 {
		out.Missing = float64(c.missing) / float64(rows)
	}
	if c.column.Type == frame.String {
		out.Values = mostFrequent(c.texts, MaxValues)
	} else {
		out.Edges = quantiles(c.numbers, Bins)
	}
	t := newColumnTally(&out)
	for _, v := range c.numbers {
		t.addNumber(v)
	}
	for _, v := range c.texts {
		t.addText(v)
	}
	out.Shares, out.Counted = t.shares(), t.counted()
	return out
}

// quantiles returns the distinct inner edges that cut sorted values into n
// parts as equal as ties allow.
func quantiles(values []float64, n int) []float64 {
	sorted := slices.Clone(values)
	sort.Float64s(sorted)
	var edges []float64
	for i := 1; i < n && len(sorted) > 0; i++ {
		e := sorted[(len(sorted)-1)*i/n]
		if len(edges) == 0 || e > edges[len(edges)-1] {
			edges = append(edges, e)
		}
	}
	return edges
}

func mostFrequent(texts []string, limit int) []string {
	counts := map[string]int{}
	for _, s := range texts {
		counts[s]++
	}
	values := make([]string, 0, len(counts))
	for s := range counts {
		values = append(values, s)
	}
	sort.Slice(values, func(i, j int) bool {
		a, b := values[i], values[j]
		return counts[a] > counts[b] || counts[a] == counts[b] && a < b
	})
	return values[:min(limit, len(values))]
}
