// Package indextest is the conformance suite of store/index: what every
// backend must do, written once.
//
// A backend's test calls Run with a way to open it. The heart of the suite is
// a comparison with brute force over what the caller may read, on random
// documents, readers, filters and changes of access (random.go).
package indextest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

// Options say what is tested and how much of it.
type Options struct {
	// Open opens an index. The same name is the same index, opened again after
	// Close; another name is another one, empty at first.
	Open func(t testing.TB, name string) index.Index
	// Approximate is a backend whose words are cut by other rules than those of
	// package analysis, such as a service's: which passages match is not
	// compared then, and neither are scores after another way of building.
	Approximate bool
	// Checks is how many random worlds are tried; 0: rapid's own number.
	Checks int
}

// Run runs the suite.
func Run(t *testing.T, o Options) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, suite)
	}{
		{"Words", testWords}, {"Access", testAccess}, {"Filters", testFilters}, {"Snapshots", testSnapshots}, {"Builds", testBuilds},
		{"Passages", testPassages}, {"Ties", testTies}, {"Vectors", testVectors}, {"Explain", testExplain}, {"Bounds", testBounds},
		{"Reopen", testReopen}, {"Together", testTogether}, {"Random", testRandom},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := fmt.Sprintf("%s%d", strings.ToLower(c.name), time.Now().UnixNano())
			s := suite{Options: o, name: name, index: o.Open(t, name)}
			t.Cleanup(func() { check(t, s.index.Close()) })
			c.run(t, s)
		})
	}
}

type suite struct {
	Options
	name  string
	index index.Index
}

// check ends a test that has an error. A testing.TB and a rapid.T are both one.
func check(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (s suite) context() context.Context { return context.Background() }

// build makes a snapshot of passages.
func (s suite) build(t fataler, base, name string, passages ...index.Passage) {
	t.Helper()
	b, err := s.index.Build(s.context(), index.Start{Base: base, Settings: english})
	check(t, err)
	check(t, b.Put(s.context(), passages))
	_, err = b.Commit(s.context(), name)
	check(t, err)
}

// english are the settings of most tests.
var english = index.Settings{Language: "en"}

// grant lets readers read documents.
func (s suite) grant(t fataler, readers []string, documents ...string) {
	t.Helper()
	var all []index.Access
	for _, d := range documents {
		all = append(all, index.Access{Document: d, Readers: readers})
	}
	check(t, s.index.Grant(s.context(), all))
}

// ids are the hits of a query by everyone.
func (s suite) ids(t fataler, snapshot, text string) string {
	t.Helper()
	return s.idsFor(t, index.Query{Snapshot: snapshot, Text: text, K: 10, Who: index.ReaderOf("", nil)})
}

func (s suite) idsFor(t fataler, q index.Query) string {
	t.Helper()
	hits, err := s.index.Search(s.context(), q)
	check(t, err)
	return idsOf(hits)
}

func idsOf(hits []index.Hit) string {
	var ids []string
	for _, h := range hits {
		ids = append(ids, h.Passage.ID)
	}
	return strings.Join(ids, " ")
}

// sorted is idsOf without the order.
func sorted(ids string) string {
	list := strings.Fields(ids)
	slices.Sort(list)
	return strings.Join(list, " ")
}

// passage is a passage of a document, with a text.
func passage(document string, ordinal int, text string) index.Passage {
	return index.Passage{ID: index.PassageID(document, ordinal), Document: document, Version: "v", Ordinal: ordinal, End: len(text), Text: text}
}

func (s suite) wants(t fataler, kind fault.Kind, err error, doing string) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Fatalf("%s gives %v, not the fault %s", doing, err, kind)
	}
}

func testWords(t *testing.T, s suite) {
	titled := passage("t", 0, "about other matters")
	titled.Title = "Travel expenses"
	in := passage("c", 0, "1,200 | 3,400")
	in.Context = "Expenses of the quarter"
	de := passage("de", 0, "Die Häuser am Fluss")
	de.Language = "de"
	s.build(t, "", "one", passage("a", 0, "The hotel is paid by the company."), passage("a", 1, "Hotels in Paris, hotel by hotel: hotels."),
		passage("b", 0, "Trains are paid, too, and hotel trains."), titled, in, de)
	s.grant(t, []string{"*"}, "a", "b", "t", "c", "de")
	for text, want := range map[string]string{
		"hotels": "a#0 a#1 b#0", "expense": "c#0 t#0", "nothing of that": "", "Paris": "a#1", "Haus Fluß": "de#0", "the of and": "", "paid trains": "a#0 b#0",
	} {
		if got := sorted(s.ids(t, "one", text)); got != want {
			t.Errorf("%q finds %q, not %q", text, got, want)
		}
	}
	if got := s.ids(t, "one", "hotel"); !strings.HasPrefix(got, "a#1") {
		t.Errorf("the passage that says it most is not the first: %s", got)
	}
	if got := s.idsFor(t, index.Query{Snapshot: "one", Text: "hotel", K: 1, Who: index.Everything()}); got != "a#1" {
		t.Errorf("the best of one is %s", got)
	}
}

func testAccess(t *testing.T, s suite) {
	s.build(t, "", "one", passage("open", 0, "secret word"), passage("staff", 0, "secret word"), passage("ann", 0, "secret word"), passage("none", 0, "secret word"))
	ann, bob := index.ReaderOf("ann", []string{"staff"}), index.ReaderOf("bob", nil)
	see := func(who index.Reader) string {
		return sorted(s.idsFor(t, index.Query{Snapshot: "one", Text: "secret", K: 10, Who: who}))
	}
	want := func(what, annSees, bobSees, all string) {
		t.Helper()
		if a, b, e := see(ann), see(bob), see(index.Everything()); a != annSees || b != bobSees || e != all {
			t.Errorf("%s: ann sees %q, bob %q, all is %q", what, a, b, e)
		}
	}
	all := "ann#0 none#0 open#0 staff#0"
	want("nothing granted", "", "", all)
	s.grant(t, []string{"*"}, "open")
	s.grant(t, []string{"group:staff", "user:carl"}, "staff")
	s.grant(t, []string{"user:ann"}, "ann")
	s.grant(t, nil, "none")
	want("granted", "ann#0 open#0 staff#0", "open#0", all)
	if got := see(index.Reader{}); got != "" {
		t.Errorf("nobody sees %q", got)
	}
	s.grant(t, []string{"user:bob"}, "ann")
	want("granted to another", "open#0 staff#0", "ann#0 open#0", all)
	check(t, s.index.Withdraw(s.context(), []string{"open", "unknown"}))
	want("withdrawn", "staff#0", "ann#0", "ann#0 none#0 staff#0")
	s.grant(t, []string{"*"}, "open")
	want("granted while withdrawn", "staff#0", "ann#0", "ann#0 none#0 staff#0")
	s.build(t, "", "two", passage("open", 0, "secret word"))
	if got := s.ids(t, "two", "secret"); got != "" {
		t.Errorf("a later snapshot shows what is withdrawn: %q", got)
	}
	check(t, s.index.Restore(s.context(), []string{"open", "other"}))
	want("restored", "open#0 staff#0", "ann#0 open#0", all)
	may, err := s.index.Readable(s.context(), bob, []string{"open", "staff", "ann", "none", "unheard of"})
	check(t, err)
	if !slices.Equal(may, []bool{true, false, true, false, false}) {
		t.Errorf("bob may read %v", may)
	}
}

func testFilters(t *testing.T, s suite) {
	day := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var all []index.Passage
	for i := range 20 {
		p := passage(fmt.Sprintf("d%02d", i), 0, "the same word")
		p.Fields = []index.Field{{Name: "n", Value: index.Integer(int64(i))}, {Name: "team", Value: index.Text([]string{"law", "sales"}[i%2])},
			{Name: "at", Value: index.Time(day.AddDate(0, 0, i))}, {Name: "x", Value: index.Number(float64(i) / 4)}}
		if i%3 == 0 {
			p.Fields = append(p.Fields, index.Field{Name: "team", Value: index.Text("all")}, index.Field{Name: "open", Value: index.Truth(i%2 == 0)})
		}
		all = append(all, p)
	}
	s.build(t, "", "one", all...)
	for _, text := range []string{
		`{"field":"n","eq":7}`, `{"field":"n","gte":3,"lt":9}`, `{"field":"n","gt":3.5}`, `{"field":"x","lte":1}`, `{"field":"x","eq":2}`,
		`{"field":"team","eq":"law"}`, `{"field":"team","in":["all","nobody"]}`, `{"not":{"field":"team","eq":"all"}}`, `{"field":"open","eq":false}`,
		`{"field":"open","exists":true}`, `{"field":"open","exists":false}`, `{"field":"at","gt":{"time":"2026-03-10T00:00:00Z"}}`, `{"field":"team","gte":"m"}`,
		`{"or":[{"field":"n","lt":2},{"and":[{"field":"n","gt":17},{"field":"team","eq":"law"}]}]}`, `{"field":"document","in":["d03","d05"]}`,
		`{"field":"unknown","eq":1}`, `{"not":{"field":"unknown","eq":1}}`, `{"and":[]}`, `{"or":[]}`, `{"field":"n","eq":"7"}`,
	} {
		f, err := index.ParseFilter([]byte(text))
		check(t, err)
		var want []string
		for i := range all {
			if index.Match(f, &all[i]) {
				want = append(want, all[i].ID)
			}
		}
		got := s.idsFor(t, index.Query{Snapshot: "one", Text: "word", K: 50, Who: index.Everything(), Filter: f})
		if sorted(got) != strings.Join(want, " ") {
			t.Errorf("%s finds %q, not %q", text, got, want)
		}
	}
}

func testSnapshots(t *testing.T, s suite) {
	s.grant(t, []string{"*"}, "a", "b", "c")
	s.build(t, "", "one", passage("a", 0, "old words"), passage("a", 1, "old more"), passage("b", 0, "old words too"))
	b, err := s.index.Build(s.context(), index.Start{Base: "one", Settings: english})
	check(t, err)
	check(t, b.Put(s.context(), []index.Passage{passage("a", 0, "new words"), passage("c", 0, "new and old")}))
	check(t, b.Delete(s.context(), []string{"b", "unheard of"}))
	if got := s.ids(t, "one", "old new"); sorted(got) != "a#0 a#1 b#0" {
		t.Errorf("a build shows before it is committed: %s", got)
	}
	made, err := b.Commit(s.context(), "two")
	check(t, err)
	if made.Name != "two" || made.Base != "one" || made.Passages != 2 || made.Documents != 2 {
		t.Errorf("the snapshot is %+v", made)
	}
	if got := s.ids(t, "two", "old new"); sorted(got) != "a#0 c#0" {
		t.Errorf("the second snapshot has %s", got)
	}
	if got := s.ids(t, "one", "old new"); sorted(got) != "a#0 a#1 b#0" {
		t.Errorf("the first snapshot changed: %s", got)
	}
	list, err := s.index.Snapshots(s.context())
	check(t, err)
	if len(list) != 2 || list[0].Name != "one" || list[1].Name != "two" || list[0].Passages != 3 || list[0].Documents != 2 {
		t.Errorf("snapshots are %+v", list)
	}
	check(t, s.index.Drop(s.context(), "one"))
	check(t, s.index.Drop(s.context(), "one"))
	if got := s.ids(t, "two", "old new"); sorted(got) != "a#0 c#0" {
		t.Errorf("with the first snapshot went %s", got)
	}
	_, err = s.index.Search(s.context(), index.Query{Snapshot: "one", Text: "old", K: 1})
	s.wants(t, fault.NotFound, err, "a dropped snapshot")
	s.build(t, "", "empty")
	if got := s.ids(t, "empty", "old"); got != "" {
		t.Errorf("an empty snapshot has %s", got)
	}
}

func testBuilds(t *testing.T, s suite) {
	s.grant(t, []string{"*"}, "a", "b")
	s.build(t, "", "one", passage("a", 0, "first words"))
	start := index.Start{Base: "one", Settings: english}
	one, err := s.index.Build(s.context(), start)
	check(t, err)
	two, err := s.index.Build(s.context(), start)
	check(t, err)
	check(t, one.Put(s.context(), []index.Passage{passage("a", 0, "changed words")}))
	check(t, two.Put(s.context(), []index.Passage{passage("b", 0, "words beside")}))
	check(t, two.Put(s.context(), []index.Passage{passage("b", 1, "words following")}))
	_, err = one.Commit(s.context(), "one")
	s.wants(t, fault.Conflict, err, "a name that is taken")
	_, err = two.Commit(s.context(), "two")
	check(t, err)
	check(t, two.Abort())
	if got := sorted(s.ids(t, "two", "words")); got != "a#0 b#0 b#1" {
		t.Errorf("the second build made %s", got)
	}
	three, err := s.index.Build(s.context(), start)
	check(t, err)
	check(t, three.Put(s.context(), []index.Passage{passage("a", 3, "lost words")}))
	check(t, three.Abort())
	if _, err := three.Commit(s.context(), "three"); err == nil {
		t.Error("a build that was given up can be committed")
	}
	four, err := s.index.Build(s.context(), start)
	check(t, err)
	check(t, four.Put(s.context(), []index.Passage{passage("a", 0, "wrong words"), passage("b", 0, "wrong words")}))
	check(t, four.Delete(s.context(), []string{"a", "b"}))
	check(t, four.Put(s.context(), []index.Passage{passage("b", 0, "right words")}))
	s.wants(t, fault.Invalid, four.Put(s.context(), []index.Passage{passage("b", 0, "twice")}), "a passage that is put twice")
	_, err = four.Commit(s.context(), "four")
	check(t, err)
	if got := sorted(s.ids(t, "four", "words wrong")); got != "b#0" {
		t.Errorf("what was put after a deletion is %s", got)
	}
	_, err = s.index.Build(s.context(), index.Start{Base: "nothing", Settings: english})
	s.wants(t, fault.NotFound, err, "a base that is not there")
	_, err = s.index.Build(s.context(), index.Start{Base: "one", Settings: index.Settings{Language: "de"}})
	s.wants(t, fault.Conflict, err, "another language than the base's")
}

func testPassages(t *testing.T, s suite) {
	full := index.Passage{ID: "doc/ü#1", Document: "doc/ü", Version: "abc", Start: 10, End: 25, Title: "Title", Heading: "A > B", Text: "the text itself\n",
		Context: "context", Language: "en", Page: 3, Ordinal: 1, Parent: "doc/ü#0",
		Fields: []index.Field{{Name: "k", Value: index.Text("v")}, {Name: "k", Value: index.Integer(-3)}, {Name: "f", Value: index.Number(0.5)},
			{Name: "b", Value: index.Truth(true)}, {Name: "at", Value: index.Time(time.Unix(1, 5000).UTC())}}}
	s.build(t, "", "one", passage("doc/ü", 0, "zero"), full, passage("doc/ü", 2, "two"), passage("other", 0, "other"))
	s.grant(t, []string{"user:ann"}, "doc/ü")
	ann := index.ReaderOf("ann", nil)
	got, err := s.index.Passages(s.context(), "one", ann, []string{"doc/ü#2", "other#0", "doc/ü#1", "doc/ü#7", "x", ""})
	check(t, err)
	if len(got) != 2 || got[0].ID != "doc/ü#2" || fmt.Sprintf("%+v", got[1]) != fmt.Sprintf("%+v", full) {
		t.Errorf("passages are %+v", got)
	}
	hits, err := s.index.Search(s.context(), index.Query{Snapshot: "one", Text: "itself", K: 3, Who: ann})
	check(t, err)
	if len(hits) != 1 || fmt.Sprintf("%+v", hits[0].Passage) != fmt.Sprintf("%+v", full) {
		t.Errorf("the hit is %+v", hits)
	}
	if got, err := s.index.Passages(s.context(), "one", index.ReaderOf("bob", nil), []string{"doc/ü#1"}); err != nil || len(got) != 0 {
		t.Errorf("bob gets %v, %v", got, err)
	}
	_, err = s.index.Passages(s.context(), "none", ann, []string{"x"})
	s.wants(t, fault.NotFound, err, "passages of a snapshot that is not there")
}

func testTies(t *testing.T, s suite) {
	var base []index.Passage
	for i := range 30 {
		base = append(base, passage(fmt.Sprintf("d%02d", 2*i), 0, "equal words"))
	}
	s.build(t, "", "one", base...)
	var more []index.Passage
	for i := range 30 {
		more = append(more, passage(fmt.Sprintf("d%02d", 2*i+1), 0, "equal words"))
	}
	s.build(t, "one", "two", more...)
	got := strings.Fields(s.idsFor(t, index.Query{Snapshot: "two", Text: "equal", K: 20, Who: index.Everything()}))
	if len(got) != 20 || !slices.IsSorted(got) || got[19] != "d19#0" {
		t.Errorf("passages of equal score are ordered %v", got)
	}
}

func testBounds(t *testing.T, s suite) {
	s.build(t, "", "one", passage("a", 0, "words"))
	for doing, q := range map[string]index.Query{
		"no text":   {Snapshot: "one", K: 1},
		"k of 0":    {Snapshot: "one", Text: "x"},
		"a large k": {Snapshot: "one", Text: "x", K: index.MaxK + 1},
		"no name":   {Text: "x", K: 1},
		"a method":  {Snapshot: "one", Text: "x", K: 1, Fusion: index.Fusion{Method: "magic"}},
		"a filter":  {Snapshot: "one", Text: "x", K: 1, Filter: index.Range{Field: "x"}},
	} {
		_, err := s.index.Search(s.context(), q)
		s.wants(t, fault.Invalid, err, doing)
	}
	b, err := s.index.Build(s.context(), index.Start{Settings: english})
	check(t, err)
	wrong := passage("a", 1, "words")
	wrong.ID = "a#2"
	s.wants(t, fault.Invalid, b.Put(s.context(), []index.Passage{wrong}), "an id of another ordinal")
	s.wants(t, fault.TooLarge, b.Put(s.context(), []index.Passage{passage("a", 1, strings.Repeat("x", index.MaxText+1))}), "a long text")
	_, err = b.Commit(s.context(), "")
	s.wants(t, fault.Invalid, err, "a snapshot without a name")
	check(t, b.Abort())
	for _, mark := range []string{"", "ann", "user:", "group:", "USER:ann"} {
		s.wants(t, fault.Invalid, s.index.Grant(s.context(), []index.Access{{Document: "a", Readers: []string{mark}}}), "the reader "+mark)
	}
	gone, cancel := context.WithCancel(s.context())
	cancel()
	if _, err := s.index.Search(gone, index.Query{Snapshot: "one", Text: "words", K: 1, Who: index.Everything()}); fault.KindOf(err) != fault.Canceled {
		t.Errorf("a caller who went away gets %v", err)
	}
}
