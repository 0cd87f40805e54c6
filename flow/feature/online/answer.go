package online

import (
	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/frame"
)

// Status is how it stands with the values of an entity. That a value is NULL
// is told by the value.
type Status uint8

// The statuses.
const (
	NotFound Status = iota // nothing is known of the entity
	Present
	Stale // the newest event is older than the ttl of the view
)

// String is the status in words of the API.
func (s Status) String() string {
	switch s {
	case Present:
		return "present"
	case Stale:
		return "stale"
	}
	return "not_found"
}

// Ask is what is read of one view.
type Ask struct {
	View *View
	// Features are positions in View.Features, in the order of the answer; all
	// of them when nil.
	Features []int
}

// Answer is what Read found, one Part for each Ask. One that is used again
// takes no new memory.
type Answer struct {
	Rows  int
	Parts []Part
}

// Part is what Read found of one view. Values of windows over nothing are
// there for entities that are NotFound, too: a count of none is 0.
type Part struct {
	Ask
	Status []Status // by row
	// Times are those of the newest event of each entity, in microseconds since
	// 1970; 0 where NotFound.
	Times []int64
	cells []Cell // by row, then by feature
	width int
}

// Width is how many features there are.
func (p *Part) Width() int { return p.width }

// Feature is the column of the i-th feature.
func (p *Part) Feature(i int) frame.Column {
	if p.Features != nil {
		i = p.Features[i]
	}
	return p.View.features[i]
}

// Cell is the value of the i-th feature of a row.
func (p *Part) Cell(row, i int) *Cell { return &p.cells[row*p.width+i] }

// row is the values of a row.
func (p *Part) row(i int) []Cell { return p.cells[i*p.width : (i+1)*p.width] }

// Array is the values of the i-th feature. The caller releases it.
func (p *Part) Array(i int) (arrow.Array, error) {
	cells := frame.NewCells(p.Feature(i).Type, len(p.Status))
	for row := range p.Status {
		if err := p.Cell(row, i).addTo(cells); err != nil {
			return nil, err
		}
	}
	return cells.Array(), nil
}

// Arrays is the values of all features. The caller releases them.
func (p *Part) Arrays() ([]arrow.Array, error) {
	out := make([]arrow.Array, p.width)
	for i := range out {
		var err error
		if out[i], err = p.Array(i); err != nil {
			for _, a := range out[:i] {
				a.Release()
			}
			return nil, err
		}
	}
	return out, nil
}

// reset makes room for the answer to asks of so many rows.
func (a *Answer) reset(asks []Ask, rows int) {
	a.Rows = rows
	for len(a.Parts) < len(asks) {
		a.Parts = append(a.Parts, Part{})
	}
	a.Parts = a.Parts[:len(asks)]
	for i, ask := range asks {
		p := &a.Parts[i]
		p.Ask, p.width = ask, len(ask.Features)
		if ask.Features == nil {
			p.width = len(ask.View.features)
		}
		p.Status = zeroed(p.Status, rows)
		p.Times = zeroed(p.Times, rows)
		p.cells = zeroed(p.cells, rows*p.width)
	}
}

// zeroed is a slice of n zeros, in the memory of another where that is enough.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
