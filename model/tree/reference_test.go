package tree

import (
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// reference sums one row as the documentation of Definition, Tree and Split
// reads, and tells the leaf of each tree.
func (d *Definition) reference(columns [][]float64, row int) (sums []float64, leaves []int32) {
	round := func(v float64) float64 {
		if d.Single {
			return float64(float32(v))
		}
		return v
	}
	sums = make([]float64, len(d.Base))
	if !d.BaseLast && d.Average == 0 {
		copy(sums, d.Base)
	}
	for i := range d.Trees {
		t := &d.Trees[i]
		at := -1
		if len(t.Splits) > 0 {
			at = 0
		}
		for at >= 0 {
			s := &t.Splits[at]
			if s.goesLeft(columns[s.Column][row]) {
				at = s.Left
			} else {
				at = s.Right
			}
		}
		leaf := t.Leaves[^at]
		if t.Linear != nil {
			leaf = round(t.Linear[^at].reference(columns, row, leaf))
		}
		sums[t.Output] = round(sums[t.Output] + leaf)
		leaves = append(leaves, int32(^at))
	}
	for k := range sums {
		if d.Average > 0 {
			sums[k] = round(sums[k] / float64(d.Average))
		}
		if d.BaseLast || d.Average > 0 {
			sums[k] = round(sums[k] + d.Base[k])
		}
	}
	return sums, leaves
}

func (l *Linear) reference(columns [][]float64, row int, otherwise float64) float64 {
	sum := l.Constant
	for i, c := range l.Columns {
		product := l.Coefficients[i] * columns[c][row]
		sum += product
	}
	if math.IsNaN(sum) || math.IsInf(sum, 0) {
		return otherwise
	}
	return sum
}

func (s *Split) goesLeft(x float64) bool {
	switch {
	case math.IsNaN(x):
		return s.MissingLeft
	case s.Set == nil:
		return x <= s.Threshold
	}
	for code := range 64 * len(s.Set) {
		if s.Set[code/64]>>(code%64)&1 == 1 && x == float64(code) {
			return true
		}
	}
	return false
}

// anyDefinition draws a sound definition with trees of many shapes.
func anyDefinition(t *rapid.T) Definition {
	enc := &encode.Encoder{}
	for i := range rapid.IntRange(1, 5).Draw(t, "columns") {
		c := encode.Column{Name: fmt.Sprintf("c%d", i), Type: frame.Double, Kind: encode.Numeric}
		if n := rapid.SampledFrom([]int{0, 0, 1, 3, 64, 65, 200}).Draw(t, "categories"); n > 0 {
			c.Kind = encode.Value
			if rapid.Bool().Draw(t, "text") {
				c.Type, c.Kind = frame.String, encode.Category
			}
			for k := range n {
				if c.Kind == encode.Value {
					c.Values = append(c.Values, float64(k)/4)
				} else {
					c.Categories = append(c.Categories, fmt.Sprintf("v%d", k))
				}
			}
		}
		enc.Columns = append(enc.Columns, c)
	}
	d := anySums(t)
	d.Encoder = enc
	linear := rapid.IntRange(0, 3).Draw(t, "linear") == 0
	for range rapid.IntRange(0, 20).Draw(t, "trees") {
		splits := rapid.SampledFrom([]int{0, 1, 2, 6, 30, 255, 256, 300}).Draw(t, "splits")
		tree := anyTree(t, enc, splits)
		tree.Output = rapid.IntRange(0, len(d.Base)-1).Draw(t, "output")
		if linear && rapid.Bool().Draw(t, "linear leaves") {
			anyLinear(enc, &tree)
		}
		d.Trees = append(d.Trees, tree)
	}
	return d
}

// anySums draws all but columns and trees.
func anySums(t *rapid.T) Definition {
	d := Definition{
		Task: model.Regression, Link: Identity, Base: []float64{0},
		Single:   rapid.Bool().Draw(t, "single"),
		BaseLast: rapid.Bool().Draw(t, "base last"),
		Average:  rapid.SampledFrom([]int{0, 0, 1, 7}).Draw(t, "average"),
		Scale:    rapid.SampledFrom([]float64{0, 1, 0.3}).Draw(t, "scale"),
	}
	switch rapid.IntRange(0, 4).Draw(t, "task") {
	case 1:
		d.Task, d.Link, d.Classes = model.Binary, Sigmoid, []string{"no", "yes"}
	case 2:
		d.Task, d.Link, d.Classes, d.Base = model.Multiclass, Softmax, []string{"a", "b", "c"}, []float64{0, 0, 0}
	case 3:
		d.Task, d.Link, d.Classes, d.Base = model.Binary, Softmax, []string{"no", "yes"}, []float64{0, 0}
	case 4:
		d.Task, d.Base, d.Names = model.Custom, []float64{0, 0}, []string{"x", "y"}
		d.Link = rapid.SampledFrom([]Link{Exp, Softplus, SignSquare, Step, Sigmoid}).Draw(t, "link")
	}
	for k := range d.Base {
		d.Base[k] = float64(float32(rapid.Float64Range(-1, 1).Draw(t, "base")))
	}
	return d
}

// anyLinear makes the leaves of a tree linear in the columns that are numbers.
func anyLinear(enc *encode.Encoder, tree *Tree) {
	var numbers []int
	for i := range enc.Columns {
		if enc.Columns[i].Kind == encode.Numeric {
			numbers = append(numbers, i)
		}
	}
	tree.Linear = make([]Linear, len(tree.Leaves))
	for i := range tree.Linear {
		tree.Linear[i].Constant = float64(i) / 3
		for _, column := range numbers[:i%(len(numbers)+1)] {
			tree.Linear[i].Columns = append(tree.Linear[i].Columns, column)
			tree.Linear[i].Coefficients = append(tree.Linear[i].Coefficients, float64(i%7)/10-0.3)
		}
	}
}

// anyTree grows a tree by splitting a random leaf at a time.
func anyTree(t *rapid.T, enc *encode.Encoder, splits int) Tree {
	tree := Tree{Leaves: []float64{0}}
	type slot struct {
		split int
		right bool
	}
	slots := []slot{{-1, false}} // where each leaf hangs
	random := rapid.Uint64().Draw(t, "seed")
	next := func(n int) int {
		random = random*6364136223846793005 + 1442695040888963407
		return int(random >> 33 % uint64(n))
	}
	for i := range splits {
		leaf := next(len(slots))
		s := Split{Column: next(len(enc.Columns)), MissingLeft: next(2) == 0, Left: ^leaf, Right: ^len(slots)}
		if codes, coded := enc.Columns[s.Column].Codes(); coded {
			s.Set = make([]uint64, next((codes+63)/64+1))
			for code := range min(codes, 64*len(s.Set)) {
				s.Set[code/64] |= uint64(next(2)) << (code % 64)
			}
		} else {
			s.Threshold = float64(next(21)-10) / 2
			if next(40) == 0 {
				s.Threshold = math.Inf(next(2)*2 - 1)
			}
		}
		if at := slots[leaf]; at.split >= 0 && at.right {
			tree.Splits[at.split].Right = i
		} else if at.split >= 0 {
			tree.Splits[at.split].Left = i
		}
		slots[leaf] = slot{i, false}
		slots = append(slots, slot{i, true})
		tree.Splits = append(tree.Splits, s)
		tree.Leaves = append(tree.Leaves, 0)
	}
	for i := range tree.Leaves {
		tree.Leaves[i] = float64(float32(next(1000)-500) / 300)
	}
	return tree
}

// anyColumns draws rows with the values that are easy to get wrong.
func anyColumns(t *rapid.T, enc *encode.Encoder, rows int) [][]float64 {
	columns := enc.Matrix(rows)
	for i := range columns {
		codes, _ := enc.Columns[i].Codes()
		n := float64(codes)
		values := []float64{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 0, 0.5, -0.5, 1, 5, -5, 1e300, -1e300}
		if n > 0 {
			values = []float64{math.NaN(), 0, 1, 2, n - 1, n, n / 2 * 1, math.Floor(n / 3)}
			values[6] = math.Floor(values[6])
		}
		for r := range columns[i] {
			columns[i][r] = rapid.SampledFrom(values).Draw(t, "x")
		}
	}
	return columns
}

// TestEnginesAgreeWithReference is the property that lets the engines be as
// clever as they like: same bits as the naive walk, for any number of rows.
func TestEnginesAgreeWithReference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDefinition(t)
		e, err := New(d)
		if err != nil {
			t.Fatalf("the definition is not sound: %v", err)
		}
		if rapid.Bool().Draw(t, "without tables") { // as those that are too large
			for i := range e.code.sets {
				e.code.sets[i].table = nil
			}
		}
		rows := rapid.SampledFrom([]int{1, 2, leastSlice - 1, leastSlice, 12, 63, 64, 65, 130}).Draw(t, "rows")
		columns := anyColumns(t, d.Encoder, rows)
		blocks := make([][]float64, len(d.Base))
		single := make([][]float64, len(d.Base))
		for k := range blocks {
			blocks[k], single[k] = make([]float64, rows), make([]float64, rows)
		}
		var m engine
		e.code.sum(&m, columns, blocks)
		values := make([]float64, e.code.values)
		places := e.code.leafPlaces(&e.def)
		for row := range rows {
			if e.code.linear == nil {
				e.code.sumRow(values, columns, single, row)
			} else {
				e.code.sumLinearRow(values, columns, single, row)
			}
		}
		e.code.finish(single)
		for row := range rows {
			sums, leaves := d.reference(columns, row)
			for k, want := range sums {
				if math.Float64bits(blocks[k][row]) != math.Float64bits(want) {
					t.Fatalf("row %d output %d of %d rows: block gives %v, reference %v", row, k, rows, blocks[k][row], want)
				}
				if math.Float64bits(single[k][row]) != math.Float64bits(want) {
					t.Fatalf("row %d output %d: descent gives %v, reference %v", row, k, single[k][row], want)
				}
			}
			e.code.look(values, columns, row)
			for tree, want := range leaves {
				if got := places[e.code.walk(&e.code.descents[tree/lanes], values)[tree%lanes]]; got != want {
					t.Fatalf("row %d of tree %d reaches leaf %d, not %d", row, tree, got, want)
				}
			}
		}
	})
}
