package oip

import (
	"fmt"
	"math"
	"testing"

	"github.com/leat-ai/leat/surface/compat"
)

// said is what a request came to, to compare two readings of one body.
func said(q *request) (text string) {
	text = fmt.Sprintf("%q %v %v %v", q.id, q.outputs, q.binary, q.timeout)
	for i := range q.inputs {
		t := &q.inputs[i]
		text += fmt.Sprintf("; %q %s %v:", t.name, t.datatype, t.shape)
		n := 1
		for _, d := range t.shape {
			n *= int(max(0, min(d, 100)))
		}
		if err := t.content.holds(n); err != nil {
			return text + err.Error()
		}
		err := t.content.each(n, func(_ int, v compat.Value) error { text += fmt.Sprintf(" %v", v); return nil })
		text += fmt.Sprint(err)
	}
	return text
}

// FuzzPlainIsWhatAnyIs: what the fast reader takes, the other one takes too,
// and reads the same.
func FuzzPlainIsWhatAnyIs(f *testing.F) {
	for _, body := range []string{
		`{"id":"a","inputs":[{"name":"x","shape":[1,3],"datatype":"FP64","data":[1,-2.5,3e2]}]}`,
		`{"inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[1,2]},{"name":"y","shape":[2],"datatype":"INT64","data":[3,4]}]}`,
		` { "inputs" : [ { "name" : "ä" , "shape" : [ 1 ] , "datatype" : "FP64" , "data" : [ 1e400 ] } ] } `,
		`{"inputs":[{"name":"x","name":"y","shape":[1],"datatype":"FP64","data":[1]}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"FP64","data":[[1]]}]}`,
		`{"inputs":[{"name":"x","shape":[01],"datatype":"FP64","data":[1]}],"outputs":[]}`,
		`{"inputs":[{"name":"x","shape":[-1],"datatype":"BOOL","data":[true]}]}`,
		`{"inputs":[{"name":"x","shape":[1.0],"datatype":"FP64","data":[1]}]}`,
		`{"inputs":[],"id":1}`, `{}`, ``,
		`{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[1],"datatype":"FP64","parameters":{"binary_data_size":8}}]}`,
		`{"outputs":[{"name":"a","parameters":{"binary_data":false}},{"name":"b"}],"inputs":[{"name":"x","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":8}}],"parameters":{"binary_data_output":true}}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BOOL","data":[1],"parameters":{"binary_data_size":8}}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":8,"binary_data_size":0}}]}`,
		`{"inputs":[{"name":"x","shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":-1}}]}`,
	} {
		f.Add([]byte(body), []byte{})
		f.Add([]byte(body), []byte{4, 0, 0, 0, 'l', 'e', 'a', 't'})
	}
	f.Fuzz(func(t *testing.T, body, blob []byte) {
		fast, ok := parsePlain(body, blob)
		if !ok {
			return
		}
		whole, err := parseAny(body, blob)
		if err != nil {
			t.Fatalf("%q is taken, and by the other reader refused: %v", body, err)
		}
		whole.inputs = whole.inputs[:len(whole.inputs):len(whole.inputs)]
		for i := range fast.inputs { // lengths are told apart earlier here
			if c, ok := fast.inputs[i].content.(plainContent); ok && len(c.values) != shaped(fast.inputs[i].shape) {
				return
			}
		}
		if got, want := said(fast), said(whole); got != want {
			t.Errorf("%q reads as\n%s, to the other reader as\n%s", body, got, want)
		}
	})
}

func shaped(shape []int64) int {
	n := 1.0
	for _, d := range shape {
		n *= float64(d)
	}
	if n < 0 || n > math.MaxInt32 {
		return -1
	}
	return int(n)
}

func TestUsualRequestsArePlain(t *testing.T) {
	q, ok := parsePlain([]byte(`{"inputs":[{"name":"rows","shape":[1,2],"datatype":"FP64","data":[0.5,-1]}]}`), nil)
	if !ok || len(q.inputs) != 1 || q.inputs[0].content.doubles()(1) != -1 {
		t.Errorf("%+v, %t", q, ok)
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(`{"inputs":[{"name":"inputs","shape":[1,30],"datatype":"FP64","data":[0`)
	for i := range 29 {
		body = fmt.Appendf(body, ",%v", math.Sqrt(float64(i+2)))
	}
	body = append(body, "]}]}"...)
	for name, read := range map[string]func() error{
		"plain": func() error { _, err := parse(body, ""); return err },
		"any":   func() error { _, err := parseAny(body, nil); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := read(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
