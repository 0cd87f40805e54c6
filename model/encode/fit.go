package encode

import (
	"cmp"
	"context"
	"slices"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Options say how Fit chooses. The zero value is the usual choice.
type Options struct {
	Exclude       []string // columns that are no inputs: the label, weights, keys
	MaxCategories int      // of one column, most frequent kept; 255 when 0
}

// Skipped is a column that Fit left out, and why.
type Skipped struct {
	Name string
	Why  string
}

// maxDistinct bounds the texts that are counted for one column. A column with
// more is treated as an identifier.
const maxDistinct = 1 << 20

// Fit makes a recipe from training rows: text columns become categories, all
// others numbers. It leaves out columns that cannot help: those without a
// value or with only one, and texts that are different in most rows, which
// name the row instead of describing it. The result depends on the rows only,
// not on how they are cut into batches.
func Fit(ctx context.Context, schema *arrow.Schema, batches []frame.Batch, o Options) (*Encoder, []Skipped, error) {
	columns, err := frame.ColumnsOf(schema)
	if err != nil {
		return nil, nil, err
	}
	if o.MaxCategories <= 0 {
		o.MaxCategories = 255
	}
	var (
		e       = &Encoder{}
		skipped []Skipped
	)
	for i, c := range columns {
		if slices.Contains(o.Exclude, c.Name) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		recipe, why := fitColumn(c, i, batches, o.MaxCategories)
		if why != "" {
			skipped = append(skipped, Skipped{Name: c.Name, Why: why})
			continue
		}
		e.Columns = append(e.Columns, recipe)
	}
	if len(e.Columns) == 0 {
		return nil, skipped, fault.New(fault.Invalid, "no column is left to learn from").
			Hint("give at least one column besides the label that has more than one value")
	}
	return e, skipped, e.Validate()
}

func fitColumn(c frame.Column, at int, batches []frame.Batch, maxCategories int) (Column, string) {
	if c.Type != frame.String {
		return Column{Name: c.Name, Type: c.Type, Kind: Numeric}, whyNoNumber(at, batches)
	}
	counts, rows := countTexts(at, batches)
	switch {
	case rows == 0:
		return Column{}, "it has no value"
	case len(counts) == 1:
		return Column{}, "it has only one value"
	case len(counts) > maxDistinct, len(counts) > maxCategories && 2*len(counts) > rows:
		return Column{}, "its text is different in most rows, as that of an identifier"
	}
	return Column{Name: c.Name, Type: c.Type, Kind: Category, Categories: mostFrequent(counts, maxCategories)}, ""
}

// whyNoNumber says why a number column is of no use, or "".
func whyNoNumber(at int, batches []frame.Batch) string {
	var (
		first  float64
		found  bool
		nulls  bool
		values []float64
	)
	for _, b := range batches {
		col := b.Column(at)
		nulls = nulls || col.NullN() > 0
		values = slices.Grow(values[:0], col.Len())[:col.Len()]
		if err := frame.Floats(col, values); err != nil {
			return "it has no numbers"
		}
		for _, v := range values {
			switch {
			case v != v:
				nulls = true
			case !found:
				first, found = v, true
			case v != first:
				return ""
			}
		}
	}
	if !found {
		return "it has no value"
	}
	if nulls { // whether it is there may say something
		return ""
	}
	return "it has only one value"
}

func countTexts(at int, batches []frame.Batch) (counts map[string]int, rows int) {
	counts = map[string]int{}
	for _, b := range batches {
		text, ok := b.Column(at).(*array.String)
		if !ok {
			continue
		}
		for i := range text.Len() {
			if text.IsNull(i) {
				continue
			}
			rows++
			v := text.Value(i)
			if n, ok := counts[v]; ok {
				counts[v] = n + 1
			} else if len(counts) <= maxDistinct {
				counts[string([]byte(v))] = 1 // the batch may be released before the recipe
			}
		}
	}
	return counts, rows
}

// mostFrequent returns at most n texts, most frequent first, ties by text.
// Text that is not UTF-8 would not survive JSON: it stays with the unseen.
func mostFrequent(counts map[string]int, n int) []string {
	texts := make([]string, 0, len(counts))
	for text := range counts {
		if utf8.ValidString(text) {
			texts = append(texts, text)
		}
	}
	slices.SortFunc(texts, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return texts[:min(n, len(texts))]
}
