package track_test

import (
	"cmp"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// A search answers as a loop over all runs would, whether they are kept in
// memory or read each time, page by page and after any change.
func TestSearchIsALoopOverAllRuns(t *testing.T) {
	for name, memory := range map[string]int64{"kept": 0, "streamed": 1} {
		t.Run(name, func(t *testing.T) {
			db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
			check(t, err)
			t.Cleanup(func() { _ = db.Close() })
			tr := openTrack(t, db, track.Config{Memory: memory})
			number := 0
			rapid.Check(t, func(rt *rapid.T) {
				number++
				x := must[track.Experiment](t)(tr.Experiments.Create(t.Context(), track.NewExperiment{Name: fmt.Sprint("x", number)}))
				w := &looped{t: t, track: tr, experiment: x.ID}
				for range rapid.IntRange(1, 3).Draw(rt, "rounds") {
					w.change(rt)
					w.search(rt)
				}
			})
		})
	}
}

// looped is an experiment with what a loop would go over.
type looped struct {
	t          *testing.T
	track      *track.Track
	experiment int64
	runs       []string
}

var values = []float64{-1, 0, 0.5, 1, 2, math.NaN(), math.Inf(1)}

func (w *looped) change(rt *rapid.T) {
	ctx := w.t.Context()
	for range rapid.IntRange(0, 4).Draw(rt, "new runs") {
		r := must[track.Run](w.t)(w.track.Runs.Create(ctx, track.NewRun{Experiment: w.experiment, Name: rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name"),
			Start: rapid.Int64Range(0, 3).Draw(rt, "start")}))
		w.runs = append(w.runs, r.ID)
	}
	if len(w.runs) == 0 {
		return
	}
	for i := range rapid.IntRange(0, 4).Draw(rt, "changes") {
		run := rapid.SampledFrom(w.runs).Draw(rt, "run")
		key := rapid.SampledFrom([]string{"k", "a key"}).Draw(rt, "key")
		var err error
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0, 1:
			err = w.track.Runs.Log(ctx, run, track.Batch{Metrics: []track.Metric{{Key: key, Value: rapid.SampledFrom(values).Draw(rt, "value"), Step: int64(i)}}})
		case 2:
			err = w.track.Runs.SetTag(ctx, run, key, rapid.SampledFrom([]string{"", "x", "Xy", "z"}).Draw(rt, "tag"))
		case 3:
			err = w.track.Runs.Delete(ctx, run)
		case 4:
			err = w.track.Runs.Restore(ctx, run)
		case 5:
			_, err = w.track.Runs.Update(ctx, run, track.Update{Status: track.Finished, End: rapid.Int64Range(1, 3).Draw(rt, "end")})
		}
		if err != nil && !fault.Is(err, fault.Invalid) { // it may be deleted
			w.t.Fatal(err)
		}
	}
}

// clause is a comparison with what it means.
type clause struct {
	text  string
	holds func(track.Run) bool
}

func metricOf(r track.Run, key string) (float64, bool) {
	for _, m := range r.Metrics {
		if m.Key == key {
			return m.Value, true
		}
	}
	return 0, false
}

func clauses() []clause {
	return []clause{
		{"metrics.k > 0", func(r track.Run) bool { v, ok := metricOf(r, "k"); return ok && v > 0 }},
		{"metrics.`a key` <= 0.5", func(r track.Run) bool { v, ok := metricOf(r, "a key"); return ok && v <= 0.5 }},
		{"metrics.k != 1", func(r track.Run) bool { v, ok := metricOf(r, "k"); return ok && v != 1 }},
		{"tags.k = 'x'", func(r track.Run) bool { v, ok := r.Tags.Get("k"); return ok && v == "x" }},
		{"tags.k ILIKE 'x%'", func(r track.Run) bool { v, _ := r.Tags.Get("k"); return strings.HasPrefix(strings.ToLower(v), "x") }},
		{"tags.\"a key\" IS NULL", func(r track.Run) bool { _, ok := r.Tags.Get("a key"); return !ok }},
		{"status = 'FINISHED'", func(r track.Run) bool { return r.Status == track.Finished }},
		{"run_name != 'a'", func(r track.Run) bool { return r.Name != "a" }},
		{"end_time >= 2", func(r track.Run) bool { return r.End >= 2 }},
		{"attributes.start_time < 2", func(r track.Run) bool { return r.Start < 2 }},
	}
}

// order is an order with what it compares.
type order struct {
	text    string
	compare func(a, b track.Run) int
}

// rank sorts what is there before NaN, and that before what is not.
func rank(v float64, ok bool) int {
	switch {
	case !ok:
		return 2
	case math.IsNaN(v):
		return 1
	}
	return 0
}

func orders() []order {
	metric := func(key string, sign int) func(a, b track.Run) int {
		return func(a, b track.Run) int {
			x, xok := metricOf(a, key)
			y, yok := metricOf(b, key)
			return cmp.Or(cmp.Compare(rank(x, xok), rank(y, yok)), sign*cmp.Compare(x, y))
		}
	}
	return []order{
		{"metrics.k ASC", metric("k", 1)}, {"metrics.`a key` DESC", metric("a key", -1)},
		{"tags.k DESC", func(a, b track.Run) int {
			x, xok := a.Tags.Get("k")
			y, yok := b.Tags.Get("k")
			return cmp.Or(cmp.Compare(rank(0, xok), rank(0, yok)), cmp.Compare(y, x))
		}},
		{"attributes.start_time ASC", func(a, b track.Run) int { return cmp.Compare(a.Start, b.Start) }},
		{"end_time DESC", func(a, b track.Run) int {
			return cmp.Or(cmp.Compare(rank(0, a.End != 0), rank(0, b.End != 0)), cmp.Compare(b.End, a.End))
		}},
		{"run_name", func(a, b track.Run) int { return cmp.Compare(a.Name, b.Name) }},
	}
}

func (w *looped) search(rt *rapid.T) {
	ask := track.RunSearch{Experiments: []int64{w.experiment}, View: rapid.SampledFrom([]track.View{track.Active, track.Deleted, track.All}).Draw(rt, "view")}
	where := rapid.SliceOfNDistinct(rapid.IntRange(0, len(clauses())-1), 0, 2, rapid.ID[int]).Draw(rt, "where")
	by := rapid.SliceOfNDistinct(rapid.IntRange(0, len(orders())-1), 0, 2, rapid.ID[int]).Draw(rt, "by")
	var texts []string
	for _, i := range where {
		texts = append(texts, clauses()[i].text)
	}
	ask.Filter = strings.Join(texts, " and ")
	for _, i := range by {
		ask.Order = append(ask.Order, orders()[i].text)
	}
	ask.Page.Size = rapid.IntRange(1, 8).Draw(rt, "size")
	want, got := w.loop(ask, where, by), w.pages(ask)
	if !slices.Equal(got, want) {
		rt.Fatalf("%q by %q in pages of %d\n got %v\nwant %v", ask.Filter, ask.Order, ask.Page.Size, got, want)
	}
}

func (w *looped) loop(ask track.RunSearch, where, by []int) (ids []string) {
	var all []track.Run
	for _, id := range w.runs {
		r := must[track.Run](w.t)(w.track.Runs.Get(w.t.Context(), id))
		shown := ask.View == track.All || r.Deleted == (ask.View == track.Deleted)
		if shown && !slices.ContainsFunc(where, func(i int) bool { return !clauses()[i].holds(r) }) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b track.Run) int {
		for _, i := range by {
			if c := orders()[i].compare(a, b); c != 0 {
				return c
			}
		}
		return cmp.Or(cmp.Compare(b.Start, a.Start), cmp.Compare(a.ID, b.ID))
	})
	for _, r := range all {
		ids = append(ids, r.ID)
	}
	return ids
}

func (w *looped) pages(ask track.RunSearch) (ids []string) {
	for {
		runs, next, err := w.track.Runs.Search(w.t.Context(), ask)
		check(w.t, err)
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if next == "" {
			return ids
		}
		ask.Page.After = next
	}
}

func TestTokenOfAnotherSearchIsRefused(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	tr := openTrack(t, db, track.Config{})
	for range 3 {
		must[track.Run](t)(tr.Runs.Create(t.Context(), track.NewRun{}))
	}
	ask := track.RunSearch{Experiments: []int64{0}, Page: track.Page{Size: 1}}
	_, token, err := tr.Runs.Search(t.Context(), ask)
	check(t, err)
	for _, other := range []track.RunSearch{
		{Experiments: []int64{0}, Filter: "status = 'RUNNING'"}, {Experiments: []int64{0}, Order: []string{"end_time"}},
	} {
		other.Page = track.Page{Size: 1, After: token}
		if _, _, err := tr.Runs.Search(t.Context(), other); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", other, err)
		}
	}
	for _, bad := range []string{"x", "W10", token + "A", token[:len(token)-4], "WyJhIl0"} {
		ask.Page.After = bad
		if _, _, err := tr.Runs.Search(t.Context(), ask); !fault.Is(err, fault.Invalid) {
			t.Errorf("the token %q: %v", bad, err)
		}
	}
}

// What is kept stays within its bound, and searches go on.
func TestMemoryIsBounded(t *testing.T) {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	tr := openTrack(t, db, track.Config{Memory: 20_000})
	ctx := t.Context()
	for i := range 6 {
		x := must[track.Experiment](t)(tr.Experiments.Create(ctx, track.NewExperiment{Name: fmt.Sprint(i)}))
		for range 5 * (i + 1) {
			r := must[track.Run](t)(tr.Runs.Create(ctx, track.NewRun{Experiment: x.ID}))
			check(t, tr.Runs.SetTag(ctx, r.ID, "a", strings.Repeat("x", 100)))
		}
	}
	for range 3 {
		for i := range 6 {
			found, _, err := tr.Runs.Search(ctx, track.RunSearch{Experiments: []int64{int64(i + 1)}, Filter: "tags.a LIKE 'x%'", Page: track.Page{Size: 100}})
			if err != nil || len(found) != 5*(i+1) {
				t.Fatalf("experiment %d: %d runs, %v", i, len(found), err)
			}
			if used := tr.Kept(); used > 20_000 {
				t.Fatalf("%d bytes are kept", used)
			}
		}
	}
}
