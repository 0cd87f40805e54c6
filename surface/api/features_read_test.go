package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/guard/identity"
)

// TestFeatureRequest: requests that are plain are scanned, and mean what they
// say.
func TestFeatureRequest(t *testing.T) {
	at := time.Date(2024, 5, 1, 12, 30, 0, 250_000_000, time.UTC)
	for _, c := range []struct {
		body     string
		features []string
		entities map[string]string
		at       time.Time
	}{
		{`{"features":["v0:x"],"entities":{"driver":["d1"]}}`,
			[]string{"v0:x"}, map[string]string{"driver": `["d1"]`}, time.Time{}},
		{`{"at":"2024-05-01T12:30:00.25Z","features":["v0:x","v0:y","v1"],"entities":{"driver":["d1","d2"],"card":[1,null]}}`,
			[]string{"v0:x", "v0:y", "v1"}, map[string]string{"driver": `["d1","d2"]`, "card": `[1,null]`}, at},
		{" {\n \"entities\" : { \"x\\\"y\" : 1 } }", nil, map[string]string{`x"y`: "1"}, time.Time{}}, // an escape: parsed
		{` { "entities" : { "driver" : [ "d1" , "\u00e4" ] } , "features" : [ "é:ü" ] , "at" : "2024-05-01T14:30:00.25+02:00" } `,
			[]string{"é:ü"}, map[string]string{"driver": `[ "d1" , "\u00e4" ]`}, at},
	} {
		var q featureRequest
		if scanned := q.scan([]byte(c.body)); scanned == strings.Contains(c.body, `\"`) {
			t.Errorf("%s: scanned is %v", c.body, scanned)
		}
		if err := q.read([]byte(c.body)); err != nil {
			t.Errorf("%s: %v", c.body, err)
			continue
		}
		if !slices.Equal(q.features, c.features) || !q.at.Equal(c.at) || len(q.entities) != len(c.entities) {
			t.Errorf("%s asks for %q of %d columns at %v", c.body, q.features, len(q.entities), q.at)
		}
		for _, e := range q.entities {
			if c.entities[e.name] != string(e.values) {
				t.Errorf("%s has %q: %s", c.body, e.name, e.values)
			}
		}
	}
}

// TestFeatureRequestRefused: what is no request is none by either way.
func TestFeatureRequestRefused(t *testing.T) {
	for _, body := range []string{
		``, `{`, `[]`, `{"features":["a"]} x`, `{"features":["a"]}{}`, `{"features":"a"}`, `{"features":[1]}`, `{"features":["a",]}`,
		`{"entities":["a"]}`, `{"at":""}`, `{"at":"x"}`, `{"at":"2024-05-01"}`, `{"at":2024}`,
		`{"feature":["a"]}`, `{"features":["a"],}`, `{"features":["a"]`, `{"at":"`, `{"features":["`,
	} {
		var q featureRequest
		if err := q.read([]byte(body)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, and %q at %v", body, err, q.features, q.at)
		}
	}
}

// TestFeatureNames: names come to the store as they were written, and no
// others.
func TestFeatureNames(t *testing.T) {
	for body, want := range map[string]string{
		`{"features":["v0:x","v1"],"entities":{"driver":["d1"]}}`:                             "v0:x v1",
		`{"features":["v0:x"],"entities":{"driver":["d1","d2"]},"at":"2024-05-01T12:30:00Z"}`: "v0:x",
		`{"features":["v0:\u0078"],"entities":{"driver":["d1"]}}`:                             "v0:x",
		`{"features":["v0:x\u0000v1:y"],"entities":{"driver":["d1"]}}`:                        "",
		`{"features":[],"entities":{"driver":["d1"]}}`:                                        "",
		`{"features":["v0:x"` + strings.Repeat(`,"v0:x"`, maxReadNames) + `]}`:                "",
	} {
		named := &namedFeatures{}
		a := &API{services: Services{Features: named}}
		r := httptest.NewRequest(http.MethodPost, "/v1/features/read", strings.NewReader(body))
		r = r.WithContext(identity.With(r.Context(), identity.Local()))
		err := a.readFeatures(httptest.NewRecorder(), r, new(featureScratch))
		if got := strings.Join(named.features, " "); got != want || err == nil || fault.Is(err, fault.NotFound) != (want != "") {
			t.Errorf("%.200s: %q was looked up: %v", body, got, err)
		}
	}
}

// namedFeatures keeps what was asked for, and has none of it.
type namedFeatures struct {
	Features
	features []string
}

func (f *namedFeatures) Select(_ context.Context, features []string) (*online.Selection, error) {
	f.features = features
	return nil, fault.New(fault.NotFound, "nothing is here")
}

// TestScannedAsParsed: of any request, with space anywhere, the fast way and
// the whole parser read the same, and a plain one goes the fast way.
func TestScannedAsParsed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-zé_]{0,8}(:[a-z0-9ü]{1,5})?`)
		value := rapid.OneOf(
			rapid.Map(rapid.String(), func(s string) any { return s }),
			rapid.Map(rapid.Float64Range(-1e300, 1e300), func(x float64) any { return x }),
			rapid.Map(rapid.Int64(), func(x int64) any { return x }),
			rapid.SampledFrom([]any{nil, true, false, map[string]any{"a": []any{1, "]"}}}),
		)
		whole := map[string]any{}
		if rapid.Bool().Draw(t, "features") {
			whole["features"] = rapid.SliceOfN(name, 1, 20).Draw(t, "names")
		}
		if rapid.Bool().Draw(t, "entities") {
			whole["entities"] = rapid.MapOfN(name, rapid.SliceOfN(value, 0, 6), 1, 3).Draw(t, "columns")
		}
		if rapid.Bool().Draw(t, "at") {
			seconds := rapid.Int64Range(-1e9, 4e9).Draw(t, "seconds")
			zone := time.FixedZone("", 60*rapid.IntRange(-720, 720).Draw(t, "zone"))
			whole["at"] = time.Unix(seconds, rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).In(zone)
		}
		body, err := json.Marshal(whole)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "space") {
			var out bytes.Buffer
			_ = json.Indent(&out, body, " ", "\t") // of JSON
			body = out.Bytes()
		}
		if !sameRequest(t, body) && len(whole) > 0 {
			t.Fatalf("%s is not scanned", body)
		}
	})
}

// sameRequest compares what is scanned with what is parsed, and tells whether
// it was scanned.
func sameRequest(t interface{ Fatalf(string, ...any) }, body []byte) bool {
	var fast, whole featureRequest
	if !fast.scan(body) {
		return false
	}
	if err := whole.parse(body); err != nil {
		t.Fatalf("%q is scanned, and parsed it is %v", body, err)
	}
	byName := func(a, b entityColumn) int { return strings.Compare(a.name, b.name) }
	slices.SortFunc(fast.entities, byName)
	slices.SortFunc(whole.entities, byName)
	if !slices.Equal(fast.features, whole.features) || !fast.at.Equal(whole.at) ||
		!slices.EqualFunc(fast.entities, whole.entities, func(a, b entityColumn) bool { return a.name == b.name && bytes.Equal(a.values, b.values) }) {
		t.Fatalf("%q is %+v, and parsed it is %+v", body, fast, whole)
	}
	return true
}

// FuzzFeatureRequest: no body does harm, what is scanned is what is parsed,
// and columns that are read are those of encoding/json.
func FuzzFeatureRequest(f *testing.F) {
	for _, body := range []string{
		`{"features":["v0:x"],"entities":{"driver":["d1",null,"\u00e4\n"]},"at":"2024-05-01T12:30:00Z"}`,
		`{"entities":{"a":[1,-0.5e3,null],"b":[true,false],"c":["2024-05-01","2024-05-01T00:00:00Z"]},"features":["v"]}`,
		`{"at":""}`, `{"at":"x","at":null}`, `{"features":[""],"features":["a"]}`, `{"entities":{"a":"","a":[]}} x`, `{"features":["\ud800"]}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		sameRequest(t, body)
		var q featureRequest
		if err := q.read(body); err != nil {
			return
		}
		for _, c := range q.entities {
			for _, typ := range []frame.Type{frame.String, frame.Double, frame.Int, frame.Bool, frame.Timestamp, frame.Date} {
				cells := frame.NewCells(typ, 8)
				err := readColumn(c.values, cells)
				column := cells.Array()
				if err == nil {
					sameColumn(t, c.values, column)
				}
				column.Release()
			}
		}
	})
}

// sameColumn compares a column with what encoding/json makes of its text.
func sameColumn(t *testing.T, text []byte, column interface {
	Len() int
	IsNull(int) bool
}) {
	var err error
	same := true
	switch a := column.(type) {
	case *array.String:
		same, err = sameValues(text, a, a.Value)
	case *array.Float64:
		same, err = sameValues(text, a, a.Value)
	case *array.Int64:
		same, err = sameValues(text, a, a.Value)
	case *array.Boolean:
		same, err = sameValues(text, a, a.Value)
	}
	if err != nil || !same {
		t.Fatalf("%q is %v, which it is not: %v", text, column, err)
	}
}

func sameValues[T comparable](text []byte, column interface {
	Len() int
	IsNull(int) bool
}, value func(int) T) (bool, error) {
	var want []*T
	err := json.Unmarshal(text, &want)
	if err != nil || len(want) != column.Len() {
		return false, err
	}
	for i, w := range want {
		if column.IsNull(i) != (w == nil) || w != nil && *w != value(i) {
			return false, nil
		}
	}
	return true, nil
}
