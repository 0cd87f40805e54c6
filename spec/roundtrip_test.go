package spec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

// valid draws a spec that Validate accepts, defaults filled in.
func valid(t *rapid.T) Resource {
	s := drawSpec(t)
	r, err := Of(s)
	if err != nil {
		t.Skip("a rule between fields does not hold")
	}
	return r
}

func TestResourceReadsBackFromJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := valid(t)
		data, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var back Resource
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if string(canonical(back.Spec)) != string(canonical(r.Spec)) || back.ID() != r.ID() || back.Hash != r.Hash {
			t.Fatalf("%s\nreads back as\n%s", canonical(r.Spec), canonical(back.Spec))
		}
	})
}

// TestFormatReadsBack writes any spec as YAML and reads it: the meaning, and
// so the hash, is the same.
func TestFormatReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := valid(t)
		text := Format(r.Spec)
		l := &loader{}
		l.file(fstest.MapFS{"x.yaml": {Data: text}}, "x.yaml")
		l.decode("")
		if err := l.mistakes.err(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		back := l.project().Resources
		if len(back) != 1 || back[0].Hash != r.Hash {
			t.Fatalf("%s\nreads back as\n%s\nfrom\n%s", canonical(r.Spec), canonical(back[0].Spec), text)
		}
	})
}

func TestValidateTwiceIsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := valid(t)
		again, err := Of(r.Spec)
		if err != nil || again.Hash != r.Hash {
			t.Fatalf("%v: %s", err, canonical(r.Spec))
		}
	})
}

func TestStoredResourceIsChecked(t *testing.T) {
	r, err := Of(&Model{Name: "m", Owner: "a"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back Resource
	err = json.Unmarshal([]byte(strings.Replace(string(data), `"owner":"a"`, `"owner":"b"`, 1)), &back)
	if !fault.Is(err, fault.Corrupt) {
		t.Errorf("a changed resource was read: %v", err)
	}
}

func TestValuesReadBack(t *testing.T) {
	check := func(t *rapid.T, v encoding.TextMarshaler, back encoding.TextUnmarshaler) {
		text, err := v.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalText(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := reflect.ValueOf(back).Elem().Interface(); got != v {
			t.Fatalf("%v is written %s and reads back as %v", v, text, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, Percent(rapid.Float64Range(0, 1).Draw(t, "percent")), new(Percent))
		check(t, Percent(float64(rapid.IntRange(0, 1000).Draw(t, "permille"))/1000), new(Percent))
		check(t, Rate(rapid.Float64Range(0, 1e9).Draw(t, "rate")), new(Rate))
		check(t, Rate(float64(rapid.IntRange(0, 1000).Draw(t, "count"))/60), new(Rate))
		check(t, Bytes(rapid.Int64Range(0, 1<<62).Draw(t, "bytes")), new(Bytes))
		check(t, Duration(rapid.Int64Range(0, 1<<62).Draw(t, "duration")), new(Duration))
		check(t, Duration(rapid.IntRange(0, 1e6).Draw(t, "seconds"))*Duration(time.Second), new(Duration))
	})
}

func TestValuesAreWrittenAsPeopleDo(t *testing.T) {
	for want, v := range map[string]encoding.TextMarshaler{
		"20%": Percent(0.2), "99.9%": Percent(0.999), "29%": Percent(0.29), "0%": Percent(0),
		"500/s": Rate(500), "10/m": Rate(10.0 / 60), "3/h": Rate(3.0 / 3600),
		"16MiB": Bytes(16 << 20), "1000B": Bytes(1000), "0B": Bytes(0),
		"10m": Duration(10 * time.Minute), "7d": Duration(7 * day), "1h30m": Duration(90 * time.Minute),
		"250ms": Duration(250 * time.Millisecond), "1d1.5s": Duration(day + 1500*time.Millisecond), "0s": Duration(0),
	} {
		if got, err := v.MarshalText(); err != nil || string(got) != want {
			t.Errorf("%v is written %s, not %s (%v)", v, got, want, err)
		}
	}
	for _, bad := range []string{"", "x", "-1%", "101%", "1.1", "nan", "%", "1e300%"} {
		if err := new(Percent).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was read as a percentage", bad)
		}
	}
	for _, bad := range []string{"", "d", "-1d", "1dd", "+5m", "1d-1h", "9999999d", "106751d24h", "5"} {
		if err := new(Duration).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q was read as a duration", bad)
		}
	}
}

// TestTags proves that every rule is known, every default reads, and every
// field of every kind has a name.
func TestTags(t *testing.T) {
	seen := make(map[reflect.Type]bool)
	var walk func(reflect.Type)
	walk = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ == reflect.TypeFor[FeatureDef]() {
			typ = reflect.TypeFor[Aggregate]()
		}
		rules := RulesOf(typ)
		if seen[typ] || rules == nil {
			return
		}
		seen[typ] = true
		if len(rules) != typ.NumField() {
			t.Errorf("a field of %s has no json tag", typ)
		}
		for _, r := range rules {
			if tag := typ.Field(r.index).Tag.Get("spec"); tag != "" {
				for _, word := range strings.Split(tag, ",") {
					if !new(Rules).add(word) {
						t.Errorf("%s.%s: unknown rule %q", typ, r.Name, word)
					}
				}
			}
			if r.Default != "" {
				v := reflect.New(r.Type).Elem()
				fill(v, r.Default)
				if v.IsZero() {
					t.Errorf("%s.%s: the default %q does not read", typ, r.Name, r.Default)
				}
			}
			walk(r.Type)
		}
	}
	for _, k := range Kinds() {
		walk(reflect.TypeOf(New(k)))
	}
	if len(seen) < 15 {
		t.Errorf("only %d types were seen", len(seen))
	}
}

// TestTextFeaturesStayTheSame pins the canonical form of views that have no
// windows: releases and plans of before windows are named by it.
func TestTextFeaturesStayTheSame(t *testing.T) {
	r, err := Of(&FeatureView{Name: "customer", Entity: Names{"id"}, Source: "customers", Timestamp: "at", Columns: Names{"city"},
		Features: Features{{Name: "spend", Expr: "paid / months"}, {Name: "adult", Expr: "age >= 18"}}, Owner: "us", Tags: Names{"crm"}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"name":"customer","entity":["id"],"source":"customers","timestamp":"at","columns":["city"],` +
		`"features":{"spend":"paid / months","adult":"age >= 18"},"owner":"us","tags":["crm"]}`
	if got := string(canonical(r.Spec)); got != want {
		t.Errorf("%s\nis not\n%s", got, want)
	}
}

// TestAggregatesExpand shows what features several windows are.
func TestAggregatesExpand(t *testing.T) {
	a := Aggregate{Avg: "amount", Window: Durations{Duration(time.Hour), Duration(24 * time.Hour), Duration(90 * time.Minute), Duration(168 * time.Hour), Duration(1500)}}
	f := FeatureDef{Name: "spend", Aggregate: &a}
	if got := strings.Join(f.Names(), " "); got != "spend_1h spend_24h spend_90m spend_7d spend_1us" {
		t.Error(got)
	}
	a.Window = a.Window[:1]
	if got := strings.Join(f.Names(), " "); got != "spend" {
		t.Error(got)
	}
	if op, of := a.Op(); op != OpAvg || of != "amount" {
		t.Error(op, of)
	}
}
