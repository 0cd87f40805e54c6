package tree

// engine is the memory of both engines.
type engine struct {
	block  block
	values []float64 // by view
}

// sum computes the sums of every row: base scores plus leaves, tree by tree
// in their order, by whichever engine is faster for so many rows.
func (c *compiled) sum(m *engine, columns, sums [][]float64) {
	rows := len(sums[0])
	from := 0
	for rows-from >= sliceFrom {
		to := min(from+blockRows, rows)
		c.sumBlock(&m.block, columns, sums, from, to)
		from = to
	}
	if from < rows && m.values == nil {
		m.values = make([]float64, c.values)
	}
	for ; from < rows; from++ {
		c.sumRow(m.values, columns, sums, from)
	}
}
