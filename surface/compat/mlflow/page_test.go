package mlflow

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/flow/track"
)

// A page that is written by hand is the one that encoding/json writes.
func TestPageByHand(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "plain", "é👋", "a\"b\\c\n\x00", "\xff", "\u2028"}))
	pairs := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) track.Pair { return track.Pair{Key: text.Draw(t, "key"), Value: text.Draw(t, "value")} }), 0, 3)
	metric := rapid.Custom(func(t *rapid.T) track.Metric {
		return track.Metric{Key: text.Draw(t, "metric"), At: rapid.Int64().Draw(t, "at"), Step: rapid.Int64().Draw(t, "step"), Run: text.Draw(t, "of run"),
			Value: rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e21, 1e-7, 5e-324, math.MaxFloat64})).Draw(t, "v"),
			Model: text.Draw(t, "model"), DatasetName: text.Draw(t, "data set"), DatasetDigest: text.Draw(t, "digest")}
	})
	run := rapid.Custom(func(t *rapid.T) *track.Run {
		r := &track.Run{ID: text.Draw(t, "id"), Experiment: rapid.Int64().Draw(t, "experiment"), Name: text.Draw(t, "name"), User: text.Draw(t, "user"),
			Status: track.Finished, Start: rapid.Int64().Draw(t, "start"), End: rapid.SampledFrom([]int64{0, 5}).Draw(t, "end"), Artifacts: text.Draw(t, "uri"),
			Deleted: rapid.Bool().Draw(t, "deleted"), Params: pairs.Draw(t, "params"), Tags: pairs.Draw(t, "tags"), Metrics: rapid.SliceOfN(metric, 0, 3).Draw(t, "metrics")}
		if rapid.Bool().Draw(t, "more") {
			r.ModelsIn, r.ModelsOut = []string{"m-1"}, []track.Output{{Model: "m-2", Step: 3}}
			r.Datasets = []track.Dataset{{Name: text.Draw(t, "d"), Tags: pairs.Draw(t, "d tags")}}
		}
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		runs, next := rapid.SliceOfN(run, 0, 3).Draw(t, "runs"), text.Draw(t, "next")
		var hand bytes.Buffer
		writeRuns(&hand, runs, next)
		type page struct {
			Runs []runMessage `json:"runs"`
			Next string       `json:"next_page_token,omitempty"`
		}
		want := page{Runs: []runMessage{}, Next: next}
		for _, r := range runs {
			want.Runs = append(want.Runs, messageOfRun(r))
		}
		library, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var a, b page
		if err := json.Unmarshal(hand.Bytes(), &a); err != nil {
			t.Fatalf("%v: %s", err, hand.Bytes())
		}
		if err := json.Unmarshal(library, &b); err != nil {
			t.Fatal(err)
		}
		if x, y := canonical(a), canonical(b); !reflect.DeepEqual(x, y) {
			t.Fatalf("by hand\n%s\nby the library\n%s", x, y)
		}
	})
}

// canonical is JSON in which NaN equals itself, and what is empty is absent.
func canonical(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// A text that is taken as it is reads as itself, and only what has to be
// escaped is not.
func TestPlainTextReadsAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOfN(rapid.OneOf(rapid.ByteRange('a', 'z'), rapid.Byte(), rapid.SampledFrom([]byte("\"\\\x1f \x7f\x80\xc3\xa9"))), 0, 30).Draw(t, "s"))
		odd := strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '"' || r == '\\' })
		if got := plain(s); got != (!odd && utf8.ValidString(s)) {
			t.Fatalf("%q: %v", s, got)
		}
		var back string
		if plain(s) && (json.Unmarshal([]byte(`"`+s+`"`), &back) != nil || back != s) {
			t.Fatalf("%q reads as %q", s, back)
		}
	})
}
