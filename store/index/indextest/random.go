package indextest

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// world is what an index should hold, kept in the plainest way.
type world struct {
	suite
	prefix    string // of the names of snapshots and documents: worlds share an index
	snapshots map[string]map[string][]index.Passage
	names     []string // of snapshots
	readers   map[string][]string
	withdrawn map[string]bool
}

// testRandom builds random snapshots, changes access at random, and compares
// every answer with brute force over what the caller may read.
func testRandom(t *testing.T, s suite) {
	n := 0
	run := func(t *rapid.T) {
		n++
		w := &world{suite: s, prefix: fmt.Sprintf("w%d-", n), snapshots: make(map[string]map[string][]index.Passage),
			readers: make(map[string][]string), withdrawn: make(map[string]bool)}
		w.buildAny(t)
		for range rapid.IntRange(3, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "step") {
			case 0, 1:
				w.buildAny(t)
			case 2:
				w.dropAny(t)
			case 3, 4:
				w.grantAny(t)
			case 5:
				w.withdrawAny(t)
			default:
				w.askAny(t)
			}
		}
		w.askAny(t)
		for _, name := range w.names {
			check(t, s.index.Drop(s.context(), name))
		}
	}
	if s.Checks > 0 {
		checks := flag.Lookup("rapid.checks").Value.String()
		check(t, flag.Set("rapid.checks", fmt.Sprint(s.Checks)))
		defer func() { check(t, flag.Set("rapid.checks", checks)) }()
	}
	rapid.Check(t, run)
}

// vocabulary is small, so that words meet; some are stop words.
var vocabulary = strings.Fields("hotel hotels train trains paid pay travel rules the and of Zürich expense expenses report reports ünïcode 北京 data lake river")

func (w *world) document(t *rapid.T) string {
	return fmt.Sprintf("%sdoc%02d", w.prefix, rapid.IntRange(0, 30).Draw(t, "document"))
}

func (w *world) words(t *rapid.T, most int) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(vocabulary), 0, most).Draw(t, "words"), " ")
}

func (w *world) value(t *rapid.T) index.Value {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return index.Text(rapid.SampledFrom([]string{"", "a", "b", "ü"}).Draw(t, "string"))
	case 1:
		return index.Truth(rapid.Bool().Draw(t, "bool"))
	case 2:
		return index.Number(float64(rapid.IntRange(-4, 4).Draw(t, "halves")) / 2)
	case 3:
		return index.Value{Kind: index.Timestamp, Int: rapid.Int64Range(-2, 2).Draw(t, "at") * 1_000_000}
	}
	return index.Integer(rapid.Int64Range(-2, 2).Draw(t, "int"))
}

func (w *world) field(t *rapid.T) string {
	return rapid.SampledFrom([]string{"f", "g", "h"}).Draw(t, "field")
}

func (w *world) passages(t *rapid.T, document string) []index.Passage {
	var all []index.Passage
	for i := range rapid.IntRange(1, 4).Draw(t, "passages") {
		p := passage(document, i, w.words(t, 12))
		p.Title, p.Heading, p.Context = w.words(t, 2), w.words(t, 2), w.words(t, 2)
		p.Language = rapid.SampledFrom([]string{"", "", "", "de", "zh"}).Draw(t, "language")
		for range rapid.IntRange(0, 3).Draw(t, "fields") {
			p.Fields = append(p.Fields, index.Field{Name: w.field(t), Value: w.value(t)})
		}
		all = append(all, p)
	}
	return all
}

// buildAny builds a snapshot, from nothing or on another, in several calls.
func (w *world) buildAny(t *rapid.T) {
	base := ""
	documents := make(map[string][]index.Passage)
	if len(w.names) > 0 && rapid.IntRange(0, 3).Draw(t, "on a base") > 0 {
		base = rapid.SampledFrom(w.names).Draw(t, "base")
		documents = maps.Clone(w.snapshots[base])
	}
	b, err := w.index.Build(w.context(), index.Start{Base: base, Settings: english})
	check(t, err)
	put := make(map[string]bool)
	for range rapid.IntRange(0, 10).Draw(t, "calls") {
		d := w.document(t)
		if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
			check(t, b.Delete(w.context(), []string{d}))
			delete(documents, d)
			delete(put, d)
		} else if !put[d] {
			put[d] = true
			documents[d] = w.passages(t, d)
			check(t, b.Put(w.context(), documents[d]))
		}
	}
	name := fmt.Sprintf("%ssnapshot%d", w.prefix, len(w.snapshots))
	made, err := b.Commit(w.context(), name)
	check(t, err)
	w.snapshots[name] = documents
	w.names = append(w.names, name)
	count := 0
	for _, passages := range documents {
		count += len(passages)
	}
	if made.Documents != len(documents) || made.Passages != count {
		t.Fatalf("the snapshot has %d documents and %d passages, not %d and %d", made.Documents, made.Passages, len(documents), count)
	}
	if !w.Approximate {
		w.buildAgain(t, name, documents)
	}
}

// buildAgain builds the same content from nothing and in another order: it
// must answer alike.
func (w *world) buildAgain(t *rapid.T, name string, documents map[string][]index.Passage) {
	if rapid.IntRange(0, 3).Draw(t, "build again") > 0 {
		return
	}
	b, err := w.index.Build(w.context(), index.Start{Settings: english})
	check(t, err)
	ids := slices.Sorted(maps.Keys(documents))
	slices.Reverse(ids)
	for _, d := range ids {
		check(t, b.Put(w.context(), documents[d]))
	}
	again := name + "again"
	_, err = b.Commit(w.context(), again)
	check(t, err)
	q := index.Query{Snapshot: name, Text: w.words(t, 6) + " hotel", K: 20, Who: index.Everything()}
	first, err := w.index.Search(w.context(), q)
	check(t, err)
	q.Snapshot = again
	second, err := w.index.Search(w.context(), q)
	check(t, err)
	if fmt.Sprint(first) != fmt.Sprint(second) {
		t.Fatalf("the same content, built in two ways, answers %q with\n%s and\n%s", q.Text, listing(first), listing(second))
	}
	check(t, w.index.Drop(w.context(), again))
}

func (w *world) dropAny(t *rapid.T) {
	if len(w.names) < 2 {
		return
	}
	i := rapid.IntRange(0, len(w.names)-1).Draw(t, "dropped")
	check(t, w.index.Drop(w.context(), w.names[i]))
	delete(w.snapshots, w.names[i])
	w.snapshots[fmt.Sprint("gone", w.names[i])] = nil // so that no later one gets its name
	w.names = slices.Delete(w.names, i, i+1)
}

func (w *world) grantAny(t *rapid.T) {
	var all []index.Access
	for range rapid.IntRange(1, 20).Draw(t, "grants") {
		marks := rapid.SliceOfN(rapid.SampledFrom([]string{"*", "user:ann", "user:bob", "group:staff", "group:law"}), 0, 3).Draw(t, "readers")
		d := w.document(t)
		w.readers[d] = marks
		all = append(all, index.Access{Document: d, Readers: marks})
	}
	check(t, w.index.Grant(w.context(), all))
}

func (w *world) withdrawAny(t *rapid.T) {
	d := []string{w.document(t), w.document(t)}
	if rapid.Bool().Draw(t, "withdraw") {
		check(t, w.index.Withdraw(w.context(), d))
		w.withdrawn[d[0]], w.withdrawn[d[1]] = true, true
		return
	}
	check(t, w.index.Restore(w.context(), d))
	delete(w.withdrawn, d[0])
	delete(w.withdrawn, d[1])
}

// filter is a random filter, or none.
func (w *world) filter(t *rapid.T, depth int) index.Filter {
	var parts []index.Filter
	kind := rapid.IntRange(0, 7).Draw(t, "filter")
	if kind < 2 && depth < 3 {
		for range rapid.IntRange(0, 3).Draw(t, "parts") {
			parts = append(parts, w.filter(t, depth+1))
		}
	}
	switch kind {
	case 0:
		return index.And(parts)
	case 1:
		return index.Or(parts)
	case 2:
		if depth < 3 {
			return index.Not{Filter: w.filter(t, depth+1)}
		}
	case 3:
		return index.Exists{Field: w.field(t)}
	case 4:
		return index.Eq(index.DocumentField, index.Text(w.document(t)))
	case 5:
		v := w.value(t)
		r := index.Range{Field: w.field(t), From: &v, Above: rapid.Bool().Draw(t, "above")}
		if rapid.Bool().Draw(t, "upper") {
			r.From, r.To, r.Above, r.Below = nil, &v, false, r.Above
		}
		return r
	}
	var values []index.Value
	for range rapid.IntRange(0, 3).Draw(t, "values") {
		values = append(values, w.value(t))
	}
	return index.In{Field: w.field(t), Values: values}
}

// askAny compares one answer with brute force.
func (w *world) askAny(t *rapid.T) {
	name := rapid.SampledFrom(w.names).Draw(t, "snapshot")
	q := index.Query{Snapshot: name, Text: w.words(t, 6), K: rapid.SampledFrom([]int{1, 2, 3, 10, 1000}).Draw(t, "k"),
		Who: index.ReaderOf(rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "who"), rapid.SliceOfN(rapid.SampledFrom([]string{"staff", "law"}), 0, 2).Draw(t, "groups"))}
	if q.Text == "" {
		q.Text = "hotel"
	}
	if rapid.Bool().Draw(t, "everything") {
		q.Who = index.Everything()
	}
	if rapid.Bool().Draw(t, "filtered") {
		q.Filter = w.filter(t, 0)
	}
	got, err := w.index.Search(w.context(), q)
	check(t, err)
	full, err := w.index.Search(w.context(), index.Query{Snapshot: name, Text: q.Text, K: index.MaxK, Who: index.Everything()})
	check(t, err)
	var want []index.Hit
	for _, h := range full {
		if w.mayRead(q.Who, h.Passage.Document) && index.Match(q.Filter, &h.Passage) && len(want) < q.K {
			want = append(want, h)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q by %v with %s gives\n%s\nand brute force\n%s", q.Text, q.Who.Marks(), index.AppendFilter(nil, q.Filter), listing(got), listing(want))
	}
	w.checkFull(t, name, q.Text, full)
}

func (w *world) mayRead(who index.Reader, document string) bool {
	return !w.withdrawn[document] && who.May(w.readers[document])
}

// checkFull compares the whole answer with the passages that have a word of
// the query, as they were put.
func (w *world) checkFull(t *rapid.T, name, text string, full []index.Hit) {
	for i, h := range full {
		if i > 0 && (h.Score > full[i-1].Score || h.Score == full[i-1].Score && h.Passage.ID <= full[i-1].Passage.ID) {
			t.Fatalf("hit %d is out of order:\n%s", i, listing(full))
		}
	}
	want := make(map[string]index.Passage)
	for d, passages := range w.snapshots[name] {
		for _, p := range passages {
			if !w.withdrawn[d] && (w.Approximate || hasWord(&p, text)) {
				want[p.ID] = p
			}
		}
	}
	for _, h := range full {
		p, ok := want[h.Passage.ID]
		if !ok || fmt.Sprintf("%+v", p) != fmt.Sprintf("%+v", h.Passage) {
			t.Fatalf("%q finds %+v, which is no such passage", text, h.Passage)
		}
		delete(want, h.Passage.ID)
	}
	if len(want) > 0 && !w.Approximate {
		t.Fatalf("%q does not find %v", text, slices.Sorted(maps.Keys(want)))
	}
}

// hasWord tells whether a passage has a word of a query.
func hasWord(p *index.Passage, query string) bool {
	language := p.Language
	if language == "" {
		language = english.Language
	}
	a := analysis.New(language)
	words := make(map[string]bool)
	for _, token := range a.Tokens(query, nil) {
		words[token.Term] = true
	}
	for _, text := range []string{p.Title, p.Heading, p.Context, p.Text} {
		for _, token := range a.Tokens(text, nil) {
			if words[token.Term] {
				return true
			}
		}
	}
	return false
}

func listing(hits []index.Hit) string {
	var b strings.Builder
	for _, h := range hits {
		fmt.Fprintf(&b, "  %s %v\n", h.Passage.ID, h.Score)
	}
	return b.String()
}
