package index

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

func TestFiltersAreReadStrictly(t *testing.T) {
	for _, text := range []string{
		``, `{}`, `[]`, `"x"`, `{"and":{}}`, `{"and":[null]}`, `{"field":"x"}`, `{"eq":1}`, `{"field":"x","eq":null}`,
		`{"field":"x","eq":1,"eq":2}`, `{"field":"x","eq":1,"in":[2]}`, `{"field":"x","gt":1,"gte":2}`, `{"field":"","eq":1}`,
		`{"field":"x","eq":1} {}`, `{"field":"x","eq":[1]}`, `{"field":"x","eq":{"time":"yesterday"}}`, `{"field":"x","eq":{}}`,
		`{"field":"x","eq":99999999999999999999}`, `{"field":"x","eq":1e999}`, `{"field":"x","gt":1,"lt":"a"}`, `{"Field":"x","eq":1}`,
		`{"not":null}`, `{"field":1,"eq":1}`, `{"field":"x","exists":1}`, "{\"field\":\"\xff\",\"eq\":1}",
	} {
		if f, err := ParseFilter([]byte(text)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is read as %#v, %v", text, f, err)
		}
	}
	deep := ""
	for range MaxDepth + 2 {
		deep += `{"not":`
	}
	if _, err := ParseFilter([]byte(deep)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("depth: %v", err)
	}
}

func TestFiltersMean(t *testing.T) {
	p := &Passage{Document: "a.md", Fields: []Field{{"team", Text("sales")}, {"team", Text("law")}, {"year", Integer(2025)},
		{"share", Number(0.5)}, {"open", Truth(true)}, {"at", Time(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))}}}
	for text, want := range map[string]bool{
		`null`:                                                     true,
		`{"and":[]}`:                                               true,
		`{"or":[]}`:                                                false,
		`{"field":"team","eq":"law"}`:                              true,
		`{"field":"team","eq":"Law"}`:                              false,
		`{"field":"team","in":["x","sales"]}`:                      true,
		`{"field":"team","in":[]}`:                                 false,
		`{"not":{"field":"team","eq":"law"}}`:                      false,
		`{"field":"year","eq":2025}`:                               true,
		`{"field":"year","eq":2025.0}`:                             true,
		`{"field":"year","eq":"2025"}`:                             false,
		`{"field":"year","gt":2024.5,"lt":2025.5}`:                 true,
		`{"field":"year","gt":2025}`:                               false,
		`{"field":"year","lte":2025}`:                              true,
		`{"field":"share","gte":0.5,"lt":1}`:                       true,
		`{"field":"open","eq":true}`:                               true,
		`{"field":"at","gte":{"time":"2026-01-02T00:00:00Z"}}`:     true,
		`{"field":"at","lt":{"time":"2026-01-02T03:04:05+01:00"}}`: false,
		`{"field":"none","exists":true}`:                           false,
		`{"field":"none","exists":false}`:                          true,
		`{"field":"document","eq":"a.md"}`:                         true,
		`{"and":[{"field":"open","exists":true},{"or":[{"field":"year","lt":0},{"field":"team","gte":"s"}]}]}`: true,
	} {
		f, err := ParseFilter([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := Match(f, p); got != want {
			t.Errorf("%s is %v", text, got)
		}
		again, err := ParseFilter(AppendFilter(nil, f))
		if err != nil || Match(again, p) != want {
			t.Errorf("%s comes back as %s: %v", text, AppendFilter(nil, f), err)
		}
	}
}

// TestNumbersCompareExactly compares integers with doubles near the limit of
// what a double can tell apart.
func TestNumbersCompareExactly(t *testing.T) {
	const big = 1 << 53
	if order, _ := Integer(big + 1).Compare(Number(big)); order != 1 {
		t.Error("2^53+1 is not above 2^53")
	}
	if order, _ := Number(math.Inf(1)).Compare(Integer(math.MaxInt64)); order != 1 {
		t.Error("infinity is not above all")
	}
	if order, _ := Integer(math.MinInt64).Compare(Number(math.Inf(-1))); order != 1 {
		t.Error("infinity is not below all")
	}
	rapid.Check(t, func(t *rapid.T) {
		v, w := Integer(rapid.Int64().Draw(t, "v")), Number(rapid.Float64().Draw(t, "w"))
		a, _ := v.Compare(w)
		b, _ := w.Compare(v)
		if a != -b {
			t.Fatalf("%v against %v is %d and %d", v, w, a, b)
		}
	})
}

func TestReaders(t *testing.T) {
	ann := ReaderOf("ann", []string{"staff", "law"})
	for _, c := range []struct {
		who     Reader
		readers []string
		want    bool
	}{{ann, nil, false}, {ann, []string{"*"}, true}, {ann, []string{"user:bob", "group:law"}, true}, {ann, []string{"user:an"}, false},
		{ann, []string{"user:law"}, false}, {Reader{}, []string{"*"}, false}, {ReaderOf("", nil), []string{"*"}, true}, {Everything(), nil, true}} {
		if got := c.who.May(c.readers); got != c.want {
			t.Errorf("%q reads %q: %v", c.who.Marks(), c.readers, got)
		}
	}
	if ann.Key() != ReaderOf("ann", []string{"law", "staff", "law"}).Key() || ann.Key() == ReaderOf("ann", []string{"law"}).Key() {
		t.Error("keys of readers do not go by what they read")
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, text := range []string{`null`, `{"and":[{"field":"x","eq":1},{"not":{"or":[]}}]}`, `{"field":"x","gt":1.5,"lte":3}`, `{"field":"x","in":["a",true,{"time":"2026-01-01T00:00:00Z"}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := ParseFilter(data)
		if err != nil {
			return
		}
		text := AppendFilter(nil, parsed)
		again, err := ParseFilter(text)
		if err != nil {
			t.Fatalf("%q comes back as %q: %v", data, text, err)
		}
		if string(AppendFilter(nil, again)) != string(text) {
			t.Fatalf("%q is not stable", text)
		}
	})
}
