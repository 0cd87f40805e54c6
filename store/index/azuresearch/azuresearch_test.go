package azuresearch

import (
	"context"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/indextest"
)

func key(context.Context) (string, error) { return "secret", nil }

func config(endpoint, name string) Config {
	return Config{Endpoint: endpoint, Name: name, Key: key, Client: http.DefaultClient, Poll: time.Millisecond,
		Retry: resilience.Config{First: time.Millisecond, Longest: 10 * time.Millisecond, Budget: 1, Failures: 1000, Attempts: 12}}
}

func TestIndex(t *testing.T) {
	s, server := serve(t)
	s.faults = true
	indextest.Run(t, indextest.Options{Approximate: true, Checks: 10, Open: func(t testing.TB, name string) index.Index {
		x, err := Open(t.Context(), config(server.URL, name))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}})
}

var update = flag.Bool("update", false, "write the golden files anew")

// What goes over the wire is held against files: a build, who may read it, and
// each kind of question.
func TestRequests(t *testing.T) {
	s, server := serve(t)
	s.keep = true
	ctx := t.Context()
	x, err := Open(ctx, config(server.URL, "handbook"))
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(x.Grant(ctx, []index.Access{{Document: "travel's.md", Readers: []string{"user:o'hara", "group:staff"}}}))
	b, err := x.Build(ctx, index.Start{Settings: index.Settings{Language: "en", K1: 0.9, B: 0.4}})
	must(err)
	must(b.Put(ctx, []index.Passage{{
		ID: "travel's.md#0", Document: "travel's.md", Version: "abc", End: 21, Title: "Travel", Heading: "Hotels", Text: "Hotels are paid \xff back", Page: 3,
		Fields: []index.Field{{Name: "team", Value: index.Text("sales")}, {Name: "year", Value: index.Integer(2026)}, {Name: "rate", Value: index.Number(0.5)}},
		Vector: []float32{0.6, 0.8},
	}}))
	_, err = b.Commit(ctx, "one")
	must(err)
	from, to := index.Number(1.5), index.Time(time.Unix(1e9, 0))
	q := index.Query{Snapshot: "one", Text: `"hotels" -paid (back)`, K: 5, Who: index.ReaderOf("o'hara", []string{"staff, all"}), Filter: index.And{
		index.Eq("team", index.Text("sales")), index.Or{index.Range{Field: "year", From: &from, Above: true}, index.Range{Field: "at", To: &to}},
		index.Not{Filter: index.Eq(index.DocumentField, index.Text("b'.md"))}, index.Exists{Field: "rate"},
	}}
	_, err = x.Search(ctx, q)
	must(err)
	q.Vector, q.Fusion.Method, q.Filter, q.Who = []float32{1, 0}, index.RRF, nil, index.Everything()
	hits, err := x.Search(ctx, q)
	must(err)
	if len(hits) != 1 || hits[0].Passage.Text != "Hotels are paid \xff back" || len(hits[0].Passage.Fields) != 3 {
		t.Errorf("the passage did not come back: %+v", hits)
	}
	must(x.Withdraw(ctx, []string{"travel's.md"}))
	must(x.Drop(ctx, "one"))

	// What is drawn by chance or by time is named alike.
	got := strings.Join(s.seen, "\n\n") + "\n"
	for pattern, name := range map[string]string{`\b[A-Z2-7]{26}\b`: "SID", `stamp(\\?"| eq | ne )(:?\\?["'])[0-9a-z]{12}\b`: "stamp$1${2}STAMP", `20\d\d-\d\d-\d\dT[0-9:.]+Z`: "TIME", `[0-9a-f]{40}`: "HASH"} {
		got = regexp.MustCompile(pattern).ReplaceAllString(got, name)
	}
	path := filepath.Join("testdata", "requests.txt")
	if *update {
		must(os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	must(err)
	if got != string(want) {
		t.Errorf("the requests are others than those of %s:\n%s", path, got)
	}
}

func TestRefusals(t *testing.T) {
	for status, kind := range map[int]fault.Kind{401: fault.Forbidden, 403: fault.Forbidden, 400: fault.Invalid, 409: fault.Conflict, 413: fault.TooLarge, 429: fault.Limited, 503: fault.Unavailable, 500: fault.Unavailable} {
		client := &http.Client{Transport: answers{status}}
		c := config("https://example.search.windows.net", "a")
		c.Client = client
		if _, err := Open(t.Context(), c); !fault.Is(err, kind) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

type answers struct{ status int }

func (a answers) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{}, Body: http.NoBody}, nil
}

func TestConfig(t *testing.T) {
	good := config("https://example.search.windows.net", "a-1")
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*Config){
		"a path": func(c *Config) { c.Endpoint += "/x" }, "a user": func(c *Config) { c.Endpoint = "https://u:p@example.org" }, "no scheme": func(c *Config) { c.Endpoint = "example.org" },
		"capitals": func(c *Config) { c.Name = "A" }, "two dashes": func(c *Config) { c.Name = "a--b" }, "no key": func(c *Config) { c.Key = nil }, "no client": func(c *Config) { c.Client = nil },
	} {
		c := good
		change(&c)
		if err := c.Validate(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPlainWords(t *testing.T) {
	for text, want := range map[string]string{`what's "C++" -not? a|b (x) y*~2`: `what's  C     not  a b  x  y  2`, "***": "", "naïve\x00 日本\xff": "naïve  日本"} {
		if got := plainWords(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
