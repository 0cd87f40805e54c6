package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// A decoder that has read other payloads reads the next one as a new decoder
// would, and features that are the inputs are not written out again.
func TestDecodersDoNotDependOnWhatCameBefore(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d decoder
		var c encoder
		for range rapid.IntRange(1, 12).Draw(t, "payloads") {
			e := entry(false, "a", "b")
			e.Inputs = numbers(rapid.IntRange(1, 4).Draw(t, "inputs"), 2)
			e.Features = nil
			switch rapid.IntRange(0, 2).Draw(t, "features") {
			case 1:
				e.Features = e.Inputs
			case 2:
				e.Features = numbers(rapid.IntRange(1, 4).Draw(t, "wide"), 2)
			}
			want := read(t, new(decoder), written(t, &c, e))
			if got := read(t, &d, written(t, &c, e)); !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v, want %+v", got, want)
			}
			if same := e.Features == nil || e.Features == e.Inputs; same != (want[0].Features == nil) {
				t.Fatalf("features read as %s, inputs as %s", want[0].Features, want[0].Inputs)
			}
		}
	})
}

func written(t *rapid.T, c *encoder, e *Entry) []byte {
	data, err := c.append(nil, e)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func read(t *rapid.T, d *decoder, data []byte) (all []Decision) {
	p, err := d.decode(data)
	if err != nil {
		t.Fatal(err)
	}
	for row := range p.ids {
		all = append(all, p.decision(row))
	}
	return all
}

// BenchmarkRead is what a decision costs on its way into the lake, but for
// the lake: thirty inputs, which are the features too.
func BenchmarkRead(b *testing.B) {
	var c encoder
	var payloads [][]byte
	for i := range 1000 {
		e := entry(false, fmt.Sprint(i))
		e.Inputs = numbers(30, 1)
		e.Features = e.Inputs
		data, err := c.append(nil, e)
		if err != nil {
			b.Fatal(err)
		}
		payloads = append(payloads, data)
	}
	b.ReportAllocs()
	for b.Loop() {
		r := newRowReader(payloads)
		for {
			batch, err := r.Next(context.Background())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			batch.Release()
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/decision")
}
