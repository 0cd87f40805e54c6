package compat_test

import (
	"context"
	"encoding/json"
	"math"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/compat/compattest"
	"github.com/leat-ai/leat/surface/server"
)

// TestValuesDoNotChange sets values of every sort into columns of every
// numeric type: what is taken is there exactly, and what a type has no exact
// value for is refused.
func TestValuesDoNotChange(t *testing.T) {
	layouts := map[frame.Type]*realtime.Layout{}
	for _, kind := range []frame.Type{frame.Double, frame.Int, frame.Bool, frame.String} {
		layouts[kind] = realtime.NewLayout([]model.Field{{Name: "x", Type: kind}}, nil)
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) }), rapid.SampledFrom([]float64{0, 1, -1, 1 << 53, 1<<53 + 2, math.MaxInt64})).Draw(t, "number")
		whole := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1, 1), rapid.Int64Range(1<<53-2, 1<<53+2)).Draw(t, "whole")
		natural := rapid.Uint64().Draw(t, "natural")
		for _, c := range []struct {
			v    compat.Value
			kind frame.Type
			fits bool
			want any
		}{
			{compat.Float(number), frame.Double, true, number},
			{compat.Float(number), frame.Int, number == math.Trunc(number) && math.Abs(number) <= 1<<53, int64(number)},
			{compat.Float(number), frame.Bool, number == 0 || number == 1, number == 1},
			{compat.Float(number), frame.String, false, nil},
			{compat.Int(whole), frame.Int, true, whole},
			{compat.Int(whole), frame.Double, whole >= -(1<<53) && whole <= 1<<53, float64(whole)},
			{compat.Int(whole), frame.Bool, whole == 0 || whole == 1, whole == 1},
			{compat.Uint(natural), frame.Int, natural <= math.MaxInt64, int64(natural)},
			{compat.Uint(natural), frame.Double, natural <= 1<<53, float64(natural)},
			{compat.Bool(true), frame.Int, true, int64(1)},
			{compat.Text("7"), frame.Double, false, nil},
			{compat.Text("\xff"), frame.String, false, nil},
		} {
			b := layouts[c.kind].Blank(2)
			fits := c.v.Set(b, c.kind, 0, 0, true)
			if fits != c.fits {
				t.Fatalf("%+v into %s: taken %v", c.v, c.kind, fits)
			}
			if !fits {
				continue
			}
			rows := b.Rows()
			var got any
			switch column := rows.Column(0).(type) {
			case *array.Float64:
				got = column.Value(0)
			case *array.Int64:
				got = column.Value(0)
			case *array.Boolean:
				got = column.Value(0)
			}
			if got != c.want {
				t.Fatalf("%+v into %s: %v, not %v", c.v, c.kind, got, c.want)
			}
			rows.Release()
		}
	})
}

var x = []model.Field{{Name: "x", Type: frame.Double}}

func TestStatistics(t *testing.T) {
	_, front := compattest.Serve(t, server.Config{}, compattest.Echo("one", x...))
	ask := func(rows int, fails bool) error {
		e, err := front.Open(t.Context(), compat.Call{Endpoint: "one", Principal: identity.Local()})
		if err != nil {
			return err
		}
		defer e.Close()
		return e.Score(t.Context(), func() (realtime.Rows, error) {
			if fails {
				return realtime.Rows{}, fault.New(fault.Invalid, "unreadable")
			}
			return e.Blank(rows).Rows(), nil
		}, func(*decide.Answer) error { return nil })
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, rows := range []int{1, 1, 32, 33, 64, 65, 5000} {
				if err := ask(rows, false); err != nil {
					t.Error(err)
				}
			}
			if ask(1, true) == nil {
				t.Error("what cannot be read is answered")
			}
		})
	}
	group.Wait()
	r, err := front.Release(t.Context(), identity.Local(), "one", "")
	if err != nil {
		t.Fatal(err)
	}
	c := front.Statistics().Of(r)
	if c.ExecutionCount != 28 || c.InferenceCount != 4*5196 || c.Inference.Success.Count != 28 || c.Inference.Fail.Count != 4 || c.Inference.ComputeInfer.NS == 0 || c.LastInference == 0 {
		t.Errorf("%+v", c)
	}
	sizes := map[uint64]uint64{}
	for _, b := range c.Batches {
		sizes[b.Size] = b.ComputeInfer.Count
	}
	for size, count := range map[uint64]uint64{1: 8, 32: 4, 64: 8, 128: 4, 8192: 4} {
		if sizes[size] != count || len(sizes) != 5 {
			t.Errorf("requests of %d rows: %d of %v", size, sizes[size], sizes)
		}
	}
	text, err := json.Marshal(c)
	for _, want := range []string{`"inference_stats":{"success":{"count":28,"ns":`, `"batch_stats":[{"batch_size":1,"compute_input":{"count":8`, `"cache_hit":{"count":0,"ns":0}`} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s lacks %s, %v", text, want, err)
		}
	}
}

func TestChoice(t *testing.T) {
	_, front := compattest.Serve(t, server.Config{}, compattest.Echo("one", x...), compattest.Echo("two", x...))
	for name, c := range map[string]struct {
		grants []string
		header string
		want   string
		kind   fault.Kind
	}{
		"the only one of theirs": {[]string{"score:two"}, "", "two", ""},
		"by the header":          {[]string{"score:*"}, "one", "one", ""},
		"several":                {[]string{"score:*"}, "", "", fault.NotFound},
		"none":                   {[]string{"read:*"}, "", "", fault.Forbidden},
	} {
		r := httptest.NewRequestWithContext(identity.With(context.Background(), identity.Principal{Name: "app", Grants: c.grants}), "POST", "/score", nil)
		if c.header != "" {
			r.Header.Set(compat.EndpointHeader, c.header)
		}
		if got, err := front.Choose(r); got != c.want || fault.KindOf(err) != c.kind {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestVersions(t *testing.T) {
	_, front := compattest.Serve(t, server.Config{}, compattest.Echo("an-endpoint", x...))
	for version, found := range map[string]bool{"": true, "1": true, "an-endpoint": true, "an-endpo": true, "an-endpoint@1": true,
		"an": false, "2": false, "an-endpoint@2": false, "01": false, strings.Repeat("1", 1000): false} {
		if _, err := front.Release(t.Context(), identity.Local(), "an-endpoint", version); (err == nil) != found || err != nil && !fault.Is(err, fault.NotFound) {
			t.Errorf("%.20q: %v", version, err)
		}
	}
}
