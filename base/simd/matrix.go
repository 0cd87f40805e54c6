package simd

// The product is made in tiles of so many rows and columns.
const (
	tileRows    = 6
	wideRows    = 12 // with instructions of 512 bits
	tileColumns = 16
)

// Matrix is the right side of a product: inner × columns numbers, laid out in
// panels of 16 columns as the product reads them. It is immutable once packed
// and safe for many goroutines.
type Matrix struct {
	inner, columns int
	panels         []float32 // for each panel inner × 16, zeros behind the last column
}

// PackTransposed lays out the transpose of rows × inner numbers, of which each
// row begins stride after the one before: the weights of a linear layer, or
// the keys of an attention. It uses the memory of m again.
func (m *Matrix) PackTransposed(from []float32, rows, inner, stride int) {
	m.room(inner, rows)
	for r := range rows {
		panel := m.panels[r/tileColumns*tileColumns*inner+r%tileColumns:]
		for k, v := range from[r*stride:][:inner] {
			panel[k*tileColumns] = v
		}
	}
}

// Pack lays out inner × columns numbers, of which each row begins stride after
// the one before. It uses the memory of m again.
func (m *Matrix) Pack(from []float32, inner, columns, stride int) {
	m.room(inner, columns)
	for k := range inner {
		row := from[k*stride:][:columns]
		for at := 0; at < columns; at += tileColumns {
			copy(m.panels[at*inner+k*tileColumns:][:tileColumns], row[at:min(at+tileColumns, columns)])
		}
	}
}

func (m *Matrix) room(inner, columns int) {
	m.inner, m.columns = inner, columns
	size := (columns + tileColumns - 1) / tileColumns * tileColumns * inner
	if cap(m.panels) < size {
		m.panels = make([]float32, size)
		return
	}
	m.panels = m.panels[:size]
	if columns%tileColumns != 0 {
		clear(m.panels)
	}
}

// Inner is how many numbers a row of the left side has.
func (m *Matrix) Inner() int { return m.inner }

// Columns is how many columns a product has.
func (m *Matrix) Columns() int { return m.columns }

// Times writes a × m + bias to out. a has rows rows of Inner numbers, each
// stride after the one before, out rows of Columns numbers, outStride apart;
// bias is nil or has Columns numbers. It panics where a slice is too short.
func (m *Matrix) Times(out []float32, outStride int, a []float32, rows, stride int, bias []float32) {
	if rows == 0 || m.columns == 0 || m.inner == 0 {
		return
	}
	_, _ = a[(rows-1)*stride+m.inner-1], out[(rows-1)*outStride+m.columns-1] // the last bounds that are checked
	n := tile(rows)
	var first, edge [tileColumns * wideRows]float32
	for at := 0; at < m.columns; at += tileColumns {
		panel := m.panels[at*m.inner:][:m.inner*tileColumns]
		width := min(tileColumns, m.columns-at)
		clear(first[:])
		if bias != nil {
			copy(first[:], bias[at:at+width])
		}
		for r := 0; r < rows; r += n {
			r = min(r, rows-n) // the last tile may make rows again, to the same numbers
			to, step := out[r*outStride+at:], outStride
			if width < tileColumns {
				to, step = edge[:], tileColumns
			}
			multiply(to, step, a[r*stride:], stride, n, panel, first[:tileColumns])
			if width < tileColumns {
				for i := range n {
					copy(out[(r+i)*outStride+at:][:width], edge[i*tileColumns:])
				}
			}
		}
	}
}

// tile is how many rows the tiles of a product have.
func tile(rows int) int {
	switch {
	case wide && rows >= wideRows:
		return wideRows
	case rows >= tileRows:
		return tileRows
	}
	return 1
}

// multiply makes one tile of n rows: 1, 6 or 12.
func multiply(out []float32, outStride int, a []float32, stride, n int, panel, bias []float32) {
	inner := len(panel) / tileColumns
	if fast {
		switch n {
		case wideRows:
			multiply12(&out[0], &a[0], &panel[0], &bias[0], outStride, stride, inner)
		case tileRows:
			multiply6(&out[0], &a[0], &panel[0], &bias[0], outStride, stride, inner)
		default:
			multiply1(&out[0], &a[0], &panel[0], &bias[0], inner)
		}
		return
	}
	for i := range n {
		multiplyRow(out[i*outStride:][:tileColumns], a[i*stride:][:inner], panel, bias)
	}
}

// multiplyRow makes a row of a tile, four columns at a time so that the sums
// stay in registers.
func multiplyRow(out, a, panel, bias []float32) {
	for c := 0; c < tileColumns; c += 4 {
		s0, s1, s2, s3 := bias[c], bias[c+1], bias[c+2], bias[c+3]
		for k, x := range a {
			p := panel[k*tileColumns+c:][:4]
			s0 += x * p[0]
			s1 += x * p[1]
			s2 += x * p[2]
			s3 += x * p[3]
		}
		out[c], out[c+1], out[c+2], out[c+3] = s0, s1, s2, s3
	}
}
