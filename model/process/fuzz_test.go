package process

import (
	"bytes"
	"io"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// FuzzMessages reads whatever a worker might write: frames until the first
// that is none. What is read, written again, is what was read.
func FuzzMessages(f *testing.F) {
	hello := []byte(`{"leat": "worker", "protocol": 1, "encoding": "json"}`)
	f.Add(append(appendHeader(nil, kindHello, 0, len(hello)), hello...))
	f.Add([]byte("Traceback (most recent call last):\n"))
	f.Add([]byte{255, 255, 255, 255, 3, 0, 0, 0, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 16
		r := bytes.NewReader(data)
		var again []byte
		for {
			m, err := readMessage(r, limit)
			if err != nil {
				if err == io.EOF && !bytes.Equal(again, data) {
					t.Fatalf("%x was read as %x", data, again)
				}
				return
			}
			if len(m.payload) > limit {
				t.Fatalf("a payload of %d bytes", len(m.payload))
			}
			again = append(appendHeader(again, m.kind, m.call, len(m.payload)), m.payload...)
			_, _ = parseHello(m.payload)
			_ = parseError(m.payload)
		}
	})
}

// FuzzRows reads a worker's rows: it is an error, or as many rows as were
// asked, of the declared columns.
func FuzzRows(f *testing.F) {
	fields := []model.Field{{Name: "score", Type: frame.Double}, {Name: "label", Type: frame.String}, {Name: "at", Type: frame.Timestamp}}
	f.Add([]byte(`{"rows": 2, "columns": {"score": [1, "NaN"], "label": ["a", null], "at": [5, "2026-01-02T03:04:05Z"]}}`), false)
	h := hello{Encoding: encodingArrow}
	rows, err := hello{Encoding: encodingJSON}.readRows([]byte(`{"columns": {"score": [1, 2], "label": ["a", null], "at": [5, 6]}}`), fields, 2)
	if err != nil {
		f.Fatal(err)
	}
	stream, err := h.appendRows(nil, rows, 0)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(stream[4:], true)
	f.Fuzz(func(t *testing.T, payload []byte, arrow bool) {
		h := hello{Encoding: encodingJSON}
		if arrow {
			h.Encoding = encodingArrow
		}
		out, err := h.readRows(payload, fields, 2)
		if err != nil {
			return
		}
		defer out.Release()
		if out.NumRows() != 2 || out.NumCols() != 3 {
			t.Fatalf("%d rows of %d columns", out.NumRows(), out.NumCols())
		}
		for i := range 3 {
			for row := range 2 {
				_ = out.Column(i).ValueStr(row)
			}
		}
	})
}
