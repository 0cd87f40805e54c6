package mlflow

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/leat-ai/leat/flow/track"
)

// A page of runs is appended to a buffer by hand: through encoding/json it
// costs three times what finding the runs does. A test holds both equal.

// flushAt is how many bytes of a page are written at a time, so that a client
// reads while the rest is made.
const flushAt = 64 << 10

// writeRuns writes the answer of a search. A client that is gone has nobody to
// tell.
func writeRuns(w io.Writer, runs []*track.Run, next string) {
	b := make([]byte, 0, flushAt+8<<10)
	b = append(b, `{"runs":[`...)
	for i, r := range runs {
		if i > 0 {
			b = append(b, ',')
		}
		if b = appendRun(b, r); len(b) >= flushAt {
			_, _ = w.Write(b)
			b = b[:0]
		}
	}
	b = append(b, ']')
	if next != "" {
		b = appendField(b, "next_page_token", next)
	}
	_, _ = w.Write(append(b, '}'))
}

func appendRun(b []byte, r *track.Run) []byte {
	b = appendInfo(append(b, `{"info":`...), r)
	b = append(b, `,"data":{"metrics":[`...)
	for i, m := range r.Metrics {
		if i > 0 {
			b = append(b, ',')
		}
		m.Run = "" // it is the run's own
		b = appendMetric(b, m)
	}
	b = appendPairs(append(b, `],"params":`...), r.Params)
	b = appendPairs(append(b, `,"tags":`...), r.Tags)
	b = append(b, `},"inputs":`...)
	b = appendRare(b, inputsOf(r), len(r.Datasets)+len(r.ModelsIn))
	b = append(b, `,"outputs":`...)
	b = appendRare(b, outputsOf(r), len(r.ModelsOut))
	return append(b, '}')
}

// appendRare appends what few runs have.
func appendRare(b []byte, message any, n int) []byte {
	if n == 0 {
		return append(b, '{', '}')
	}
	text, _ := json.Marshal(message) // texts and numbers alone
	return append(b, text...)
}

func appendInfo(b []byte, r *track.Run) []byte {
	b = appendText(append(b, `{"run_id":`...), r.ID)
	b = appendField(b, "run_uuid", r.ID)
	b = appendField(b, "run_name", r.Name)
	b = append(b, `,"experiment_id":"`...)
	b = append(strconv.AppendInt(b, r.Experiment, 10), '"')
	b = appendField(b, "user_id", r.User)
	b = appendField(b, "status", string(r.Status))
	b = strconv.AppendInt(append(b, `,"start_time":`...), r.Start, 10)
	if r.End != 0 {
		b = strconv.AppendInt(append(b, `,"end_time":`...), r.End, 10)
	}
	b = appendField(b, "artifact_uri", r.Artifacts)
	b = appendField(b, "lifecycle_stage", stage(r.Deleted))
	return append(b, '}')
}

func appendMetric(b []byte, m track.Metric) []byte {
	b = appendText(append(b, `{"key":`...), m.Key)
	b = append(b, `,"value":`...)
	switch {
	case math.IsNaN(m.Value), math.IsInf(m.Value, 0):
		text, _ := number(m.Value).MarshalJSON()
		b = append(b, text...)
	default:
		b = strconv.AppendFloat(b, m.Value, 'g', -1, 64)
	}
	b = strconv.AppendInt(append(b, `,"timestamp":`...), m.At, 10)
	b = strconv.AppendInt(append(b, `,"step":`...), m.Step, 10)
	for _, f := range [...]struct{ name, value string }{
		{"dataset_name", m.DatasetName}, {"dataset_digest", m.DatasetDigest}, {"model_id", m.Model}, {"run_id", m.Run},
	} {
		if f.value != "" {
			b = appendField(b, f.name, f.value)
		}
	}
	return append(b, '}')
}

func appendPairs(b []byte, pairs []track.Pair) []byte {
	b = append(b, '[')
	for i, p := range pairs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(append(b, `{"key":`...), p.Key)
		b = append(appendField(b, "value", p.Value), '}')
	}
	return append(b, ']')
}

// appendField appends a field that is not the first of its object.
func appendField(b []byte, name, value string) []byte {
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendText(b, value)
}

// appendText appends a JSON string.
func appendText(b []byte, s string) []byte {
	if !plain(s) {
		text, _ := json.Marshal(s) // it escapes
		return append(b, text...)
	}
	return append(append(append(b, '"'), s...), '"')
}

// plain tells whether a text stands in JSON as it is. It looks at eight bytes
// at a time: most of a page is text.
func plain(s string) bool {
	ascii, at := true, 0
	for ; at+8 <= len(s); at += 8 {
		word := uint64(s[at]) | uint64(s[at+1])<<8 | uint64(s[at+2])<<16 | uint64(s[at+3])<<24 |
			uint64(s[at+4])<<32 | uint64(s[at+5])<<40 | uint64(s[at+6])<<48 | uint64(s[at+7])<<56
		if escapes(word) {
			return false
		}
		ascii = ascii && word&highs == 0
	}
	for ; at < len(s); at++ {
		switch c := s[at]; {
		case c < ' ', c == '"', c == '\\':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return ascii || utf8.ValidString(s)
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// escapes tells whether one of eight bytes may not stand in a JSON string: a
// control character, a quote or a backslash. A byte is below n when taking n
// away borrows into its high bit.
func escapes(word uint64) bool {
	quote, slash := word^ones*'"', word^ones*'\\'
	return ((word-ones*' ')&^word|(quote-ones)&^quote|(slash-ones)&^slash)&highs != 0
}
