package tree

import (
	"context"

	"github.com/leat-ai/leat/base/frame"
)

// Leaves returns which leaf each row of a batch reaches in each tree: for
// every tree a slice of indices into its Leaves, one for each row.
func (e *Ensemble) Leaves(ctx context.Context, in frame.Batch) ([][]int32, error) {
	if err := e.def.Encoder.Check(in.Schema()); err != nil {
		return nil, err
	}
	rows := int(in.NumRows())
	found := make([][]int32, len(e.def.Trees))
	for t := range found {
		found[t] = make([]int32, rows)
	}
	places := e.code.leafPlaces(&e.def)
	err := e.spread(ctx, rows, func(s *scratch, from, to int) error {
		if err := e.encode(in, s, from, to); err != nil {
			return err
		}
		if s.engine.values == nil {
			s.engine.values = make([]float64, e.code.values)
		}
		for row := range to - from {
			e.code.look(s.engine.values, s.view, row)
			for i := range e.code.descents {
				d := &e.code.descents[i]
				for k, node := range e.code.walk(d, s.engine.values) {
					if k < d.count {
						found[i*lanes+k][from+row] = places[node]
					}
				}
			}
		}
		return nil
	})
	return found, err
}

// leafPlaces returns for every node that is a leaf its index among the leaves
// of its tree. It repeats the walk of layOut.
func (c *compiled) leafPlaces(d *Definition) []int32 {
	places := make([]int32, len(c.nodes))
	at := make([]int, 0)
	next := 0
	for t := range d.Trees {
		tree := &d.Trees[t]
		at = append(at[:0], make([]int, len(tree.Splits))...)
		root := next
		next++
		if len(tree.Splits) == 0 {
			places[root] = 0
			continue
		}
		at[0] = root
		for i := range tree.Splits {
			for side, child := range [2]int{tree.Splits[i].Left, tree.Splits[i].Right} {
				if child >= 0 {
					at[child] = next + side
				} else {
					places[next+side] = int32(^child)
				}
			}
			next += 2
		}
	}
	return places
}

// allLinear returns the linear models of all leaves, n of them. A leaf that is
// a plain number becomes a constant.
func (d *Definition) allLinear(n int) []Linear {
	all := make([]Linear, 0, n)
	for t := range d.Trees {
		tree := &d.Trees[t]
		if tree.Linear != nil {
			all = append(all, tree.Linear...)
			continue
		}
		for _, v := range tree.Leaves {
			all = append(all, Linear{Constant: v})
		}
	}
	return all
}

// sumLinearRow is sumRow for an ensemble with linear leaves.
func (c *compiled) sumLinearRow(values []float64, columns, sums [][]float64, row int) {
	c.look(values, columns, row)
	for k := range sums {
		sums[k][row] = c.start[k]
	}
	for i := range c.descents {
		d := &c.descents[i]
		for k, node := range c.walk(d, values) {
			if k == d.count {
				break
			}
			leaf := c.sliced[i*lanes+k].leaf + int(c.places[node])
			sum := &sums[d.outputs[k]][row]
			*sum = c.round(*sum + c.round(c.linear[leaf].at(columns, row, c.nodes[node].at)))
		}
	}
}

// at returns the value of the leaf for a row, or otherwise when it has none.
func (l *Linear) at(columns [][]float64, row int, otherwise float64) float64 {
	sum := l.Constant
	for i, column := range l.Columns {
		// The conversion keeps the compiler from fusing the two operations,
		// which would round differently from one machine to the next.
		sum += float64(l.Coefficients[i] * columns[column][row])
	}
	if !finite(sum) {
		return otherwise
	}
	return sum
}
