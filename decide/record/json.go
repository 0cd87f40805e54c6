package record

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

const decisionColumn = "decision" // as the path names it

// json appends a row of a section as a JSON object.
func (s *section) json(dst []byte, row int) []byte {
	dst = append(dst, '{')
	for i := range s.columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		c := &s.columns[i]
		dst = c.append(append(dst, c.key...), row)
	}
	return append(dst, '}')
}

// object is json for a section that may be none: nil.
func (s *section) object(row int) []byte {
	if s == nil {
		return nil
	}
	return s.json(make([]byte, 0, 24*len(s.columns)), row)
}

func (c *column) append(dst []byte, row int) []byte {
	if c.null(row) {
		return append(dst, "null"...)
	}
	switch c.kind {
	case frame.String:
		return appendString(dst, c.texts[row])
	case frame.Bool:
		return strconv.AppendBool(dst, c.fixed[row] == 1)
	case frame.Int:
		return strconv.AppendInt(dst, c.int(row), 10)
	case frame.Double:
		return appendFloat(dst, c.double(row))
	case frame.Timestamp:
		return append(time.UnixMicro(c.int(row)).UTC().AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
	case frame.Date:
		days := int32(binary.LittleEndian.Uint32(c.fixed[row*4:]))
		at := time.Unix(int64(days)*24*60*60, 0).UTC()
		return append(at.AppendFormat(append(dst, '"'), time.DateOnly), '"')
	}
	return append(dst, "null"...)
}

func (c *column) int(row int) int64      { return int64(binary.LittleEndian.Uint64(c.fixed[row*8:])) }
func (c *column) double(row int) float64 { return math.Float64frombits(uint64(c.int(row))) }

// appendFloat writes the shortest text that reads back to the same number.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v):
		return append(dst, "null"...)
	case math.IsInf(v, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(dst, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(dst, v, format, -1, 64)
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string; what is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		if b >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		}
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
		default:
			dst = append(dst, b)
		}
		i++
	}
	return append(dst, '"')
}

// answer is what came of a row: its error, or an output with what the columns
// score and decision show of it.
type answer struct {
	err      string
	output   *section
	score    float64
	scored   bool
	decision string
}

func (p *payload) answer(row int) (a answer) {
	if p.errors != nil {
		a.err = p.errors[row]
	}
	if a.err != "" || p.output == nil {
		return a
	}
	a.output = p.output
	for i := range p.output.columns {
		c := &p.output.columns[i]
		switch {
		case c.null(row):
		case c.name == model.ScoreColumn && c.kind == frame.Double:
			a.score, a.scored = c.double(row), true
		case c.name == decisionColumn && c.kind == frame.String:
			a.decision = c.texts[row]
		}
	}
	return a
}

func (p *payload) key(row int) string {
	if p.keys == nil {
		return ""
	}
	return p.keys[row]
}

// decision returns a row of a payload.
func (p *payload) decision(row int) Decision {
	a := p.answer(row)
	d := Decision{
		ID: p.ids[row], At: p.at, Pattern: p.pattern, Endpoint: p.endpoint, Release: p.release,
		Variant: p.variant, Model: p.model, Version: int(p.version), Caller: p.call, Run: p.run, Key: p.key(row),
		LatencyUS: p.latency, Cost: p.cost,
		Inputs: p.inputs.object(row), Features: p.features.object(row), Output: a.output.object(row),
		Decision: a.decision, Error: a.err,
	}
	if a.scored {
		d.Score = &a.score
	}
	return d
}
