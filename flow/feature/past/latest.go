package past

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Newest says how the newest row of an entity is found.
type Newest struct {
	Name    string
	Keys    []frame.Column // of the entity
	Columns []frame.Column // of the row that are found
	Time    string         // the column with the time of a row; a timestamp
	Known   string         // the column with when it became known, or ""
	TTL     time.Duration  // older rows are NULL; 0: never
	Events  Events
}

// Latest makes the view of the newest row before a time: of several of one
// time the one that feature.SQL orders first, whose columns are the least,
// NULLs last.
func Latest(n Newest) (View, error) {
	if n.Time == "" {
		return View{}, fault.New(fault.Invalid, "feature view %q has no timestamp, and rows are joined with it as of their time", n.Name).
			Hint("add timestamp: and the column that says when a row came to be true; a table that never changes is looked up as it is now")
	}
	v := View{Name: n.Name, Keys: n.Keys, Columns: n.Columns, Events: n.Events, time: n.Time, known: n.Known, payload: n.Columns}
	v.engine = func() (engine, error) {
		return &latest{columns: n.Columns, ttl: n.TTL.Microseconds(), out: newRowReader(n.Columns)}, nil
	}
	return v, v.check()
}

// latest keeps the newest row of the present entity.
type latest struct {
	columns []frame.Column
	ttl     int64
	out     *rowReader

	has  bool
	time int64
	row  []byte
}

func (l *latest) begin([]byte) error { l.has = false; return nil }

func (l *latest) add(time int64, row []byte) error {
	if l.has {
		if time < l.time {
			return nil // it became known late, and a newer one is there
		}
		if time == l.time {
			before, err := precedes(l.columns, row, l.row)
			if err != nil || !before {
				return err
			}
		}
	}
	l.has, l.time, l.row = true, time, append(l.row[:0], row...)
	return nil
}

func (l *latest) value(at int64) error {
	if !l.has || l.ttl > 0 && l.time < at-l.ttl {
		return l.out.add(nil)
	}
	return l.out.add(l.row)
}

func (l *latest) take() ([]frame.Batch, error) {
	b, err := l.out.take()
	return []frame.Batch{b}, err
}

// precedes tells whether a row comes before another of the same time: by the
// first column in which they differ, NULLs last. It is the order of SQL.
func precedes(columns []frame.Column, a, b []byte) (bool, error) {
	if bytes.Equal(a, b) {
		return false, nil
	}
	bits := (len(columns) + 7) / 8
	if len(a) < bits || len(b) < bits {
		return false, errTorn
	}
	heads := [2][]byte{a[:bits], b[:bits]}
	rest := [2][]byte{a[bits:], b[bits:]}
	for i, c := range columns {
		var values [2]cell
		for side := range values {
			if heads[side][i/8]&(1<<(i%8)) == 0 {
				continue
			}
			var ok bool
			if values[side], rest[side], ok = cellOf(c.Type, rest[side]); !ok {
				return false, errTorn
			}
		}
		if order := values[0].compare(values[1]); order != 0 {
			return order < 0, nil
		}
	}
	return bytes.Compare(a, b) < 0, nil // alike for SQL, such as the two zeros
}

// cell is a value as SQL orders it: numbers by size with NaN last, texts by
// their bytes.
type cell struct {
	has    bool
	number int64
	float  float64
	text   string
}

func cellOf(t frame.Type, row []byte) (cell, []byte, bool) {
	switch t {
	case frame.String:
		n, used := binary.Uvarint(row)
		if used <= 0 || n > uint64(len(row)-used) {
			return cell{}, nil, false
		}
		end := used + int(n)
		return cell{has: true, text: string(row[used:end])}, row[end:], true
	case frame.Bool:
		if len(row) == 0 {
			return cell{}, nil, false
		}
		return cell{has: true, number: int64(row[0])}, row[1:], true
	case frame.Date:
		if len(row) < 4 {
			return cell{}, nil, false
		}
		return cell{has: true, number: int64(int32(binary.LittleEndian.Uint32(row)))}, row[4:], true
	}
	if len(row) < 8 {
		return cell{}, nil, false
	}
	word := binary.LittleEndian.Uint64(row)
	if t == frame.Double {
		return cell{has: true, float: math.Float64frombits(word)}, row[8:], true
	}
	return cell{has: true, number: int64(word)}, row[8:], true
}

func (c cell) compare(d cell) int {
	switch {
	case c.has != d.has:
		if c.has {
			return -1
		}
		return 1
	case math.IsNaN(c.float) != math.IsNaN(d.float):
		if math.IsNaN(d.float) {
			return -1
		}
		return 1
	}
	return cmp.Or(cmp.Compare(c.number, d.number), cmp.Compare(c.float, d.float), strings.Compare(c.text, d.text))
}
