package graph_test

import (
	"math/rand/v2"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// definition is an ensemble of Leat's own, with every kind of column.
func definition() tree.Definition {
	r := rand.New(rand.NewPCG(5, 6))
	d := tree.Definition{
		Task: model.Binary, Classes: []string{"no", "yes"}, Link: tree.Sigmoid, Base: []float64{0.1},
		Encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "amount", Type: frame.Double, Kind: encode.Numeric},
			{Name: "count", Type: frame.Int, Kind: encode.Numeric},
			{Name: "country", Type: frame.String, Kind: encode.Category, Categories: []string{"de", "fr", "it", "es", "pl"}},
			{Name: "known", Type: frame.Bool, Kind: encode.Numeric},
		}},
	}
	for range 20 {
		t := tree.Tree{}
		for i := range 3 { // a tree of three questions and four leaves
			s := tree.Split{Column: r.IntN(4), MissingLeft: r.IntN(2) == 0, Threshold: r.NormFloat64() * 10}
			if s.Column == 2 {
				s.Threshold, s.Set = 0, []uint64{uint64(1 + r.IntN(30))}
			}
			s.Left, s.Right = ^(2*i - 2), ^(2*i - 1)
			if i == 0 {
				s.Left, s.Right = 1, 2
			}
			t.Splits = append(t.Splits, s)
		}
		for range 4 {
			t.Leaves = append(t.Leaves, r.NormFloat64()/4)
		}
		d.Trees = append(d.Trees, t)
	}
	return d
}
