package realtime

import (
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
)

// AppendAnswer appends the JSON of an answer, in the form that Score
// documents, to dst.
func AppendAnswer(dst []byte, endpoint string, a *decide.Answer) ([]byte, error) {
	dst = append(dst, `{"endpoint":`...)
	dst = appendString(dst, endpoint)
	dst = append(dst, `,"release":`...)
	dst = appendString(dst, a.Release)
	dst = append(dst, `,"variant":`...)
	dst = appendString(dst, a.Variant)
	if a.ServedBy != "" {
		dst = append(dst, `,"served_by":`...)
		dst = appendString(dst, a.ServedBy)
	}
	dst = append(dst, `,"decisions":[`...)
	for row, id := range a.IDs {
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"id":`...)
		dst = appendString(dst, id)
		if a.Errors != nil && a.Errors[row] != nil {
			dst = appendFault(dst, a.Errors[row])
		} else {
			dst = appendRow(dst, a.Rows, row)
		}
		dst = append(dst, '}')
	}
	return append(dst, "]}\n"...), nil
}

func appendFault(dst []byte, err error) []byte {
	dst = append(dst, `,"error":{"kind":`...)
	dst = appendString(dst, string(fault.KindOf(err)))
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, err.Error())
	if hint := fault.HintOf(err); hint != "" {
		dst = append(dst, `,"hint":`...)
		dst = appendString(dst, hint)
	}
	return append(dst, '}')
}

func appendRow(dst []byte, rows arrow.RecordBatch, row int) []byte {
	for i, f := range rows.Schema().Fields() {
		dst = append(dst, ',')
		dst = appendString(dst, f.Name)
		dst = append(dst, ':')
		dst = AppendValue(dst, rows.Column(i), row)
	}
	return dst
}

// AppendValue appends one value of a column as JSON: NULL and numbers that
// JSON has no form for as null, times as RFC 3339 text.
func AppendValue(dst []byte, col arrow.Array, row int) []byte {
	if col.IsNull(row) {
		return append(dst, "null"...)
	}
	switch c := col.(type) {
	case *array.Float64:
		return appendFloat(dst, c.Value(row))
	case *array.Int64:
		return strconv.AppendInt(dst, c.Value(row), 10)
	case *array.Boolean:
		return strconv.AppendBool(dst, c.Value(row))
	case *array.String:
		return appendString(dst, c.Value(row))
	case *array.Timestamp:
		at := time.UnixMicro(int64(c.Value(row))).UTC()
		return append(at.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case *array.Date32:
		return append(c.Value(row).ToTime().AppendFormat(append(dst, '"'), time.DateOnly), '"')
	}
	return append(dst, "null"...)
}

// AppendDouble appends a number as AppendValue does.
func AppendDouble(dst []byte, v float64) []byte { return appendFloat(dst, v) }

// AppendText appends a string as AppendValue does.
func AppendText[S string | []byte](dst []byte, s S) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		quoted, _ = jsontext.AppendQuote(dst, string([]rune(string(s))))
	}
	return quoted
}

func appendFloat(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	return strconv.AppendFloat(dst, v, 'f', -1, 64)
}

// appendString appends s as a JSON string; what is not UTF-8 in it becomes
// U+FFFD.
func appendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil {
		quoted, _ = jsontext.AppendQuote(dst, string([]rune(s)))
	}
	return quoted
}
