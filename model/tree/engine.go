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
	for c.linear == nil && rows-from >= c.sliceFrom {
		to := min(from+blockRows, rows)
		c.sumBlock(&m.block, columns, sums, from, to)
		from = to
	}
	if from < rows && m.values == nil {
		m.values = make([]float64, c.values)
	}
	for ; from < rows; from++ {
		if c.linear == nil {
			c.sumRow(m.values, columns, sums, from)
		} else {
			c.sumLinearRow(m.values, columns, sums, from)
		}
	}
	c.finish(sums)
}

// finish does what is to be done to sums behind the trees.
func (c *compiled) finish(sums [][]float64) {
	if c.divide > 0 {
		for _, s := range sums {
			for i, v := range s {
				s[i] = c.round(v / c.divide)
			}
		}
	}
	for k, base := range c.behind {
		for i, v := range sums[k] {
			sums[k][i] = c.round(v + base)
		}
	}
}

// round rounds a sum as the ensemble keeps them. That of two float32 numbers,
// and their quotient, comes out as if it had never been a double.
func (c *compiled) round(v float64) float64 {
	if c.single {
		return float64(float32(v))
	}
	return v
}
