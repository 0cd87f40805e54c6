package tree

type engineScratch struct{}

// sum computes the sums of every row: base scores plus leaves, in the order
// of the trees.
func (e *Ensemble) sum(s *engineScratch, columns, sums [][]float64) {
	for k := range sums {
		for i := range sums[k] {
			sums[k][i] = e.def.Base[k]
		}
	}
	for i := range sums[0] {
		for t := range e.def.Trees {
			tree := &e.def.Trees[t]
			sums[tree.Output][i] += tree.reference(columns, i)
		}
	}
}

// reference descends a tree as its documentation reads.
func (t *Tree) reference(columns [][]float64, row int) float64 {
	at := -1
	if len(t.Splits) > 0 {
		at = 0
	}
	for at >= 0 {
		s := &t.Splits[at]
		at = s.Right
		if s.left(columns[s.Column][row]) {
			at = s.Left
		}
	}
	return t.Leaves[^at]
}

func (s *Split) left(x float64) bool {
	switch {
	case x != x:
		return s.MissingLeft
	case s.Set == nil:
		return x <= s.Threshold
	}
	word := int(x) / 64
	return x >= 0 && word < len(s.Set) && s.Set[word]>>(uint(x)%64)&1 == 1
}
