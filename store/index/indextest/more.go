package indextest

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
)

const dimension = 8

func vectorOf(r *rand.Rand) []float32 {
	v := make([]float32, dimension)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

func cosine(v, w []float32) float64 {
	var dot, a, b float64
	for i := range v {
		dot += float64(v[i]) * float64(w[i])
		a += float64(v[i]) * float64(v[i])
		b += float64(w[i]) * float64(w[i])
	}
	return dot / math.Sqrt(a*b)
}

// testVectors compares with a scan, and fuses.
func testVectors(t *testing.T, s suite) {
	r := rand.New(rand.NewPCG(1, 2))
	var all []index.Passage
	for i := range 200 {
		p := passage(fmt.Sprintf("d%03d", i), 0, []string{"red words", "blue words"}[i%2])
		if i%10 != 7 {
			p.Vector = vectorOf(r)
		}
		all = append(all, p)
		s.grant(t, []string{[]string{"*", "group:a"}[i%3/2]}, p.Document)
	}
	s.build(t, "", "half", all[:100]...)
	s.build(t, "half", "one", all[100:]...)
	for range 20 {
		q := index.Query{Snapshot: "one", Vector: vectorOf(r), K: 7, Who: index.ReaderOf("", nil)}
		var want []index.Passage
		for i, p := range all {
			if p.Vector != nil && i%3 != 2 {
				want = append(want, p)
			}
		}
		slices.SortFunc(want, func(x, y index.Passage) int {
			return cmp.Compare(cosine(y.Vector, q.Vector), cosine(x.Vector, q.Vector))
		})
		hits, err := s.index.Search(s.context(), q)
		check(t, err)
		if len(hits) != q.K {
			t.Fatalf("%d passages are near, not %d", len(hits), q.K)
		}
		for i, h := range hits {
			if h.Passage.ID != want[i].ID || math.Abs(h.Score-cosine(want[i].Vector, q.Vector)) > 1e-4 {
				t.Errorf("near is %s with %v, not %s with %v", h.Passage.ID, h.Score, want[i].ID, cosine(want[i].Vector, q.Vector))
			}
			if h.Passage.Vector != nil {
				t.Error("a hit has a vector")
			}
		}
		fuseBoth(t, s, q)
	}
	_, err := s.index.Search(s.context(), index.Query{Snapshot: "one", Vector: []float32{1}, K: 1})
	s.wants(t, fault.Invalid, err, "a vector of another length")
	b, err := s.index.Build(s.context(), index.Start{Base: "one", Settings: english})
	check(t, err)
	wrong := passage("x", 0, "x")
	wrong.Vector = []float32{1, 2}
	s.wants(t, fault.Invalid, b.Put(s.context(), []index.Passage{wrong}), "a passage with a vector of another length")
	check(t, b.Abort())
}

// fuseBoth asks by text and vector together.
func fuseBoth(t *testing.T, s suite, q index.Query) {
	t.Helper()
	q.Text, q.Explain = "red", true
	for _, f := range []index.Fusion{{}, {Method: index.RRF}, {Text: 1, Vector: 3, Depth: 50}} {
		q.Fusion = f
		hits, err := s.index.Search(s.context(), q)
		check(t, err)
		if len(hits) != q.K {
			t.Fatalf("%d passages by both, not %d", len(hits), q.K)
		}
		for i, h := range hits {
			if i > 0 && h.Score > hits[i-1].Score {
				t.Error("scores rise")
			}
			e := h.Explain
			if e == nil || e.Text == nil && e.Vector == nil || e.Fused != h.Score {
				t.Errorf("a fused hit is explained as %+v", e)
			}
			if e != nil && e.Text != nil && !strings.HasPrefix(h.Passage.Text, "red") {
				t.Errorf("%q is found by the word red", h.Passage.Text)
			}
		}
	}
}

// testExplain sees that terms add up.
func testExplain(t *testing.T, s suite) {
	s.build(t, "", "one", passage("a", 0, "apples and pears, apples"), passage("b", 0, "pears only, a longer passage of pears"), passage("c", 0, "nothing"))
	hits, err := s.index.Search(s.context(), index.Query{Snapshot: "one", Text: "apples pears", K: 5, Who: index.Everything(), Explain: true})
	check(t, err)
	if len(hits) != 2 || hits[0].Passage.ID != "a#0" {
		t.Fatalf("found %s", idsOf(hits))
	}
	for i, h := range hits {
		e := h.Explain
		if e == nil || e.Text == nil || e.Vector != nil || e.Text.Rank != i+1 || e.Text.Score != h.Score {
			t.Fatalf("hit %d is explained as %+v", i, e)
		}
		if s.Approximate {
			continue
		}
		sum := 0.0
		for _, term := range e.Text.Terms {
			sum += term.Score
		}
		if math.Abs(sum-h.Score) > 1e-9 {
			t.Errorf("the terms add up to %v, the score is %v", sum, h.Score)
		}
	}
	if s.Approximate {
		return
	}
	if terms := hits[0].Explain.Text.Terms; len(terms) != 2 || terms[0].Term != "appl" || terms[0].Passages != 1 || terms[0].Frequency != 2 || terms[1].Passages != 2 {
		t.Errorf("the terms are %+v", terms)
	}
}

// testReopen closes and opens: snapshots and access are there.
func testReopen(t *testing.T, s suite) {
	s.build(t, "", "one", passage("a", 0, "lasting words"), passage("b", 0, "lasting words"), passage("c", 0, "lasting words"))
	s.build(t, "one", "two", passage("a", 0, "other words"))
	s.build(t, "", "gone", passage("a", 0, "other words"))
	s.grant(t, []string{"*"}, "a", "b", "c")
	check(t, s.index.Withdraw(s.context(), []string{"b", "c"}))
	check(t, s.index.Restore(s.context(), []string{"c"}))
	check(t, s.index.Drop(s.context(), "gone"))
	unfinished, err := s.index.Build(s.context(), index.Start{Base: "two", Settings: english})
	check(t, err)
	check(t, unfinished.Put(s.context(), []index.Passage{passage("d", 0, "lost words")}))
	check(t, unfinished.Abort())
	before, err := s.index.Snapshots(s.context())
	check(t, err)
	check(t, s.index.Close())
	again := suite{Options: s.Options, name: s.name, index: s.Open(t, s.name)}
	t.Cleanup(func() { check(t, again.index.Close()) })
	after, err := again.index.Snapshots(s.context())
	check(t, err)
	if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 2 {
		t.Errorf("snapshots were %+v and are %+v", before, after)
	}
	if one, two := again.ids(t, "one", "lasting"), again.ids(t, "two", "lasting words"); one != "a#0 c#0" || sorted(two) != "a#0 c#0" {
		t.Errorf("after opening again there is %q and %q", one, two)
	}
	again.build(t, "two", "three", passage("e", 0, "lasting words"))
	again.grant(t, []string{"*"}, "e")
	if got := again.ids(t, "three", "lasting"); sorted(got) != "c#0 e#0" {
		t.Errorf("a build on a snapshot from before has %q", got)
	}
}

// testTogether asks, builds, drops and changes access at once.
func testTogether(t *testing.T, s suite) {
	var all []index.Passage
	for i := range 100 {
		all = append(all, passage(fmt.Sprintf("d%02d", i), 0, fmt.Sprintf("word%d and the same words", i)))
	}
	s.build(t, "", "base", all...)
	ctx, cancel := context.WithCancel(s.context())
	var wait sync.WaitGroup
	errs := make(chan error, 100)
	try := func(err error) {
		if err != nil && ctx.Err() == nil {
			select {
			case errs <- err:
			default:
			}
		}
	}
	for range 2 {
		wait.Go(func() {
			for ctx.Err() == nil {
				hits, err := s.index.Search(ctx, index.Query{Snapshot: "base", Text: "same", K: 100, Who: index.ReaderOf("ann", nil)})
				try(err)
				for _, h := range hits {
					if h.Passage.Document >= "d50" {
						try(fmt.Errorf("%s was never granted and is found", h.Passage.Document))
					}
				}
			}
		})
	}
	wait.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			d := fmt.Sprintf("d%02d", i%50)
			try(s.index.Grant(ctx, []index.Access{{Document: d, Readers: []string{"user:ann"}}}))
			try(s.index.Withdraw(ctx, []string{d}))
			hits, err := s.index.Search(ctx, index.Query{Snapshot: "base", Text: fmt.Sprintf("word%d", i%50), K: 1, Who: index.ReaderOf("ann", nil)})
			try(err)
			if len(hits) > 0 {
				try(fmt.Errorf("%s is found after it was withdrawn", d))
			}
			try(s.index.Restore(ctx, []string{d}))
		}
	})
	for i := range 8 {
		name := fmt.Sprint("made", i)
		s.build(t, "base", name, passage("d99", 0, "changed"), passage(name, 0, "more of the same"))
		if got := s.idsFor(t, index.Query{Snapshot: name, Text: "changed", K: 3, Who: index.Everything()}); got != "d99#0" {
			t.Errorf("%s has %q", name, got)
		}
		check(t, s.index.Drop(s.context(), name))
	}
	cancel()
	wait.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}
