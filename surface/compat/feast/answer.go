package feast

import (
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/surface/compat"
)

// append writes the answer of /get-online-features as JSON: a result for each
// column, the keys first. What all features of a view have alike, statuses and
// times, is written once and then copied.
func (p *plan) append(dst []byte, keys frame.Batch, found []Found, versions bool) []byte {
	dst = append(dst, `{"results":[`...)
	for i, c := range keys.Columns() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendKeys(dst, c)
	}
	var tail []byte
	for i := range found {
		f := &found[i]
		tail = f.appendTail(tail[:0], -1)
		for k, t := range p.types[i] {
			if dst[len(dst)-1] != '[' {
				dst = append(dst, ',')
			}
			var nulls bool
			if dst, nulls = f.appendValues(dst, k, t); nulls {
				dst = f.appendTail(dst, k)
			} else {
				dst = append(dst, tail...)
			}
		}
	}
	dst = append(append(append(dst, `],"metadata":{"feature_names":[`...), p.names...), ']')
	if versions {
		dst = p.appendViews(dst)
	}
	return append(dst, "}}"...)
}

func (p *plan) appendViews(dst []byte) []byte {
	dst = append(dst, `,"feature_view_metadata":[`...)
	for i, v := range p.wanted {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(compat.AppendString(append(dst, `{"name":`...), v.View.Name), '}')
	}
	return append(dst, ']')
}

// appendKeys writes a column of keys, which are always there, and of no time.
func appendKeys(dst []byte, c arrow.Array) []byte {
	dst = append(dst, `{"values":[`...)
	for row := range c.Len() {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = appendKey(dst, c, row)
	}
	dst = append(dst, `],"statuses":[`...)
	dst = repeat(dst, `"PRESENT"`, c.Len())
	dst = append(dst, `],"event_timestamps":[`...)
	return append(repeat(dst, `"1970-01-01T00:00:00Z"`, c.Len()), "]}"...)
}

func repeat(dst []byte, text string, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, text...)
	}
	return dst
}

func appendKey(dst []byte, c arrow.Array, row int) []byte {
	if c.IsNull(row) {
		return append(dst, "null"...)
	}
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

// appendValues begins the result of a feature with its values, and tells
// whether one of them is NULL though its row is there.
func (f *Found) appendValues(dst []byte, feature int, t frame.Type) (_ []byte, nulls bool) {
	dst = append(dst, `{"values":[`...)
	for row, s := range f.Statuses {
		if row > 0 {
			dst = append(dst, ',')
		}
		c := f.Cells.Cell(row, feature)
		if s == online.NotFound || !c.OK {
			dst, nulls = append(dst, "null"...), nulls || s != online.NotFound
			continue
		}
		dst = appendCell(dst, c, t)
	}
	return append(dst, ']'), nulls
}

// appendCell writes a value as Feast does: numbers that JSON has no form for
// as words, times as seconds since 1970.
func appendCell(dst []byte, c *online.Cell, t frame.Type) []byte {
	switch t {
	case frame.Double:
		return appendDouble(dst, c.Double())
	case frame.Int:
		return strconv.AppendInt(dst, c.Int(), 10)
	case frame.Bool:
		return strconv.AppendBool(dst, c.Bool())
	case frame.String:
		return appendText(dst, c.Text)
	case frame.Timestamp:
		return strconv.AppendInt(dst, time.UnixMicro(c.Int()).Unix(), 10)
	case frame.Date:
		return strconv.AppendInt(dst, c.Int()*86400, 10)
	}
	return append(dst, "null"...)
}

// appendText writes a text that needs no escapes as it is.
func appendText(dst, text []byte) []byte {
	for _, b := range text {
		if b < ' ' || b == '"' || b == '\\' || b >= utf8.RuneSelf {
			return compat.AppendString(dst, string(text))
		}
	}
	return append(append(append(dst, '"'), text...), '"')
}

// appendDouble writes a double so that it cannot be taken for an integer:
// clients tell types by that.
func appendDouble(dst []byte, v float64) []byte {
	switch a := math.Abs(v); {
	case v != v:
		return append(dst, `"NaN"`...)
	case v > math.MaxFloat64:
		return append(dst, `"Infinity"`...)
	case v < -math.MaxFloat64:
		return append(dst, `"-Infinity"`...)
	case a != 0 && (a < 1e-6 || a >= 1e16):
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	case v == math.Trunc(v):
		return append(strconv.AppendFloat(dst, v, 'f', -1, 64), ".0"...)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendTail ends a result with the statuses and times of its rows; feature
// is -1 where no value is NULL.
func (f *Found) appendTail(dst []byte, feature int) []byte {
	dst = append(dst, `,"statuses":[`...)
	for row, s := range f.Statuses {
		if row > 0 {
			dst = append(dst, ',')
		}
		switch {
		case s == online.NotFound:
			dst = append(dst, `"NOT_FOUND"`...)
		case s == online.Stale:
			dst = append(dst, `"OUTSIDE_MAX_AGE"`...)
		case feature >= 0 && !f.Cells.Cell(row, feature).OK:
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
		if f.Statuses[row] == online.NotFound {
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
