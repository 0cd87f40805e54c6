package feast

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/surface/compat"
)

// answer is that of /get-online-features: a result for each column, the keys
// first.
type answer struct {
	wanted         []Wanted
	found          []Found
	keys           frame.Batch
	full, versions bool
}

// append writes the answer as JSON. What all features of a view have alike,
// statuses and times, is written once and then copied.
func (a *answer) append(dst []byte) []byte {
	dst = append(dst, `{"results":[`...)
	rows := int(a.keys.NumRows())
	var tail []byte
	tail = appendTail(tail, Found{Statuses: make([]Status, rows), Times: make([]int64, rows)}, nil, true)
	for i, c := range a.keys.Columns() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendValues(dst, c, nil), tail...)
	}
	for _, f := range a.found {
		tail = appendTail(tail[:0], f, nil, false)
		for _, c := range f.Columns {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			dst = appendValues(dst, c, f.Statuses)
			if c.NullN() == 0 {
				dst = append(dst, tail...)
			} else {
				dst = appendTail(dst, f, c, false)
			}
		}
	}
	dst = append(dst, `],"metadata":{"feature_names":[`...)
	return append(a.appendNames(dst), `}}`...)
}

func (a *answer) appendNames(dst []byte) []byte {
	n := 0
	add := func(prefix, name string) {
		if n > 0 {
			dst = append(dst, ',')
		}
		n++
		if prefix != "" {
			name = prefix + "__" + name
		}
		dst = compat.AppendString(dst, name)
	}
	for _, f := range a.keys.Schema().Fields() {
		add("", f.Name)
	}
	for _, v := range a.wanted {
		prefix := ""
		if a.full {
			prefix = v.View.Name
		}
		for _, f := range v.Features {
			add(prefix, f)
		}
	}
	dst = append(dst, ']')
	if !a.versions {
		return dst
	}
	dst = append(dst, `,"feature_view_metadata":[`...)
	for i, v := range a.wanted {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(compat.AppendString(append(dst, `{"name":`...), v.View.Name), '}')
	}
	return append(dst, ']')
}

// appendValues begins a result with its values.
func appendValues(dst []byte, c arrow.Array, statuses []Status) []byte {
	dst = append(dst, `{"values":[`...)
	nulls := c.NullN() > 0
	for row := range c.Len() {
		if row > 0 {
			dst = append(dst, ',')
		}
		if nulls && c.IsNull(row) || statuses != nil && statuses[row] == NotFound {
			dst = append(dst, "null"...)
			continue
		}
		dst = appendValue(dst, c, row)
	}
	return append(dst, ']')
}

// appendValue writes a value as Feast does: numbers that JSON has no form for
// as words, times as seconds since 1970.
func appendValue(dst []byte, c arrow.Array, row int) []byte {
	switch c := c.(type) {
	case *array.Float64:
		return appendDouble(dst, c.Value(row))
	case *array.Int64:
		return strconv.AppendInt(dst, c.Value(row), 10)
	case *array.Boolean:
		return strconv.AppendBool(dst, c.Value(row))
	case *array.String:
		return compat.AppendString(dst, c.Value(row))
	case *array.Timestamp:
		return strconv.AppendInt(dst, time.UnixMicro(int64(c.Value(row))).Unix(), 10)
	case *array.Date32:
		return strconv.AppendInt(dst, int64(c.Value(row))*86400, 10)
	}
	return append(dst, "null"...)
}

func appendDouble(dst []byte, v float64) []byte {
	switch a := math.Abs(v); {
	case a <= math.MaxFloat64:
		if a != 0 && (a < 1e-6 || a >= 1e16) {
			return strconv.AppendFloat(dst, v, 'e', -1, 64)
		}
		n := len(dst)
		dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
		for _, b := range dst[n:] {
			if b == '.' {
				return dst
			}
		}
		// A client tells doubles from integers by how they are written.
		return append(dst, ".0"...)
	case v != v:
		return append(dst, `"NaN"`...)
	case v > 0:
		return append(dst, `"Infinity"`...)
	}
	return append(dst, `"-Infinity"`...)
}

// appendTail ends a result with its statuses and times; values is nil where
// none of them is NULL. Keys are always there, and of no time.
func appendTail(dst []byte, f Found, values arrow.Array, keys bool) []byte {
	dst = append(dst, `,"statuses":[`...)
	for row, s := range f.Statuses {
		if row > 0 {
			dst = append(dst, ',')
		}
		switch {
		case keys:
			dst = append(dst, `"PRESENT"`...)
		case s == NotFound:
			dst = append(dst, `"NOT_FOUND"`...)
		case s == Stale:
			dst = append(dst, `"OUTSIDE_MAX_AGE"`...)
		case values != nil && values.IsNull(row):
			dst = append(dst, `"NULL_VALUE"`...)
		default:
			dst = append(dst, `"PRESENT"`...)
		}
	}
	dst = append(dst, `],"event_timestamps":[`...)
	for row, at := range f.Times {
		if row > 0 {
			dst = append(dst, ',')
		}
		if keys || f.Statuses[row] == NotFound {
			at = 0
		}
		dst = appendTime(dst, at)
	}
	return append(dst, "]}"...)
}

// appendTime writes a time with as many digits as Protocol Buffers' JSON has:
// none, three or six behind the second.
func appendTime(dst []byte, micros int64) []byte {
	layout := `"2006-01-02T15:04:05.000000Z"`
	switch {
	case micros%1_000_000 == 0:
		layout = `"2006-01-02T15:04:05Z"`
	case micros%1000 == 0:
		layout = `"2006-01-02T15:04:05.000Z"`
	}
	return time.UnixMicro(micros).UTC().AppendFormat(dst, layout)
}
