package track_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// catalogs opens a fresh catalog of each kind. Opening one again is another
// replica.
func catalogs(t *testing.T) map[string]func(t testing.TB) func() *catalog.DB {
	server := testserver.Postgres(t)
	opened := func(t testing.TB, open func() (*catalog.DB, error)) func() *catalog.DB {
		return func() *catalog.DB {
			db, err := open()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return db
		}
	}
	return map[string]func(testing.TB) func() *catalog.DB{
		"sqlite": func(t testing.TB) func() *catalog.DB {
			path := filepath.Join(t.TempDir(), "catalog.db")
			return opened(t, func() (*catalog.DB, error) { return sqlite.Open(context.Background(), sqlite.Config{Path: path}) })
		},
		"postgres": func(t testing.TB) func() *catalog.DB {
			url := server.URL(t)
			return opened(t, func() (*catalog.DB, error) { return postgres.Open(context.Background(), postgres.Config{URL: url}) })
		},
	}
}

// inBoth runs a test on each kind of catalog.
func inBoth(t *testing.T, test func(t *testing.T, replica func() *track.Track)) {
	for name, fresh := range catalogs(t) {
		t.Run(name, func(t *testing.T) {
			open := fresh(t)
			test(t, func() *track.Track { return openTrack(t, open(), track.Config{}) })
		})
	}
}

func openTrack(t testing.TB, db *catalog.DB, c track.Config) *track.Track {
	t.Helper()
	bucket, err := file.Open(t.Context(), file.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	tracking, err := track.Open(t.Context(), db, blob.NewStore(bucket, t.TempDir()), clock.System{}, c)
	if err != nil {
		t.Fatal(err)
	}
	return tracking
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReplicasSeeEachOther(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		ctx := t.Context()
		here, there := replica(), replica()
		x := must[track.Experiment](t)(here.Experiments.Create(ctx, track.NewExperiment{Name: "x"}))
		if _, err := there.Experiments.Create(ctx, track.NewExperiment{Name: "x"}); !fault.Is(err, fault.Conflict) {
			t.Errorf("a name twice: %v", err)
		}
		for i := range 20 {
			r := must[track.Run](t)(here.Runs.Create(ctx, track.NewRun{Experiment: x.ID, Start: int64(i)}))
			check(t, there.Runs.Log(ctx, r.ID, track.Batch{Metrics: []track.Metric{{Key: "m", Value: float64(i)}}}))
			for _, replica := range []*track.Track{here, there} {
				found, _, err := replica.Runs.Search(ctx, track.RunSearch{Experiments: []int64{x.ID}, Filter: fmt.Sprintf("metrics.m = %d", i), Page: track.Page{Size: 10}})
				if err != nil || len(found) != 1 || found[0].ID != r.ID {
					t.Fatalf("run %d: %v, %v", i, found, err)
				}
			}
		}
		check(t, there.Experiments.Delete(ctx, x.ID))
		found, _, err := here.Runs.Search(ctx, track.RunSearch{Experiments: []int64{x.ID}, Page: track.Page{Size: 10}})
		if err != nil || len(found) != 0 {
			t.Errorf("of a deleted experiment: %d runs, %v", len(found), err)
		}
	})
}

// Many who log to one run at once lose nothing of each other.
func TestManyLogToOneRun(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		replicas := []*track.Track{replica(), replica()}
		ctx := t.Context()
		r := must[track.Run](t)(replicas[0].Runs.Create(ctx, track.NewRun{}))
		var wg sync.WaitGroup
		for worker := range 6 {
			wg.Go(func() {
				for i := range 10 {
					b := track.Batch{
						Metrics: []track.Metric{{Key: "shared", Value: float64(worker), Step: int64(10*i + worker)}, {Key: fmt.Sprint("own", worker), Value: float64(i), Step: int64(i)}},
						Params:  []track.Pair{{Key: fmt.Sprint("p", worker, ".", i), Value: "x"}}, Tags: []track.Pair{{Key: fmt.Sprint("t", worker, ".", i), Value: "y"}},
					}
					if err := replicas[worker%2].Runs.Log(ctx, r.ID, b); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		r = must[track.Run](t)(replicas[0].Runs.Get(ctx, r.ID))
		if len(r.Params) != 60 || len(r.Tags) != 61 || len(r.Metrics) != 7 { // the name is a tag
			t.Errorf("%d parameters, %d tags, %d metrics", len(r.Params), len(r.Tags), len(r.Metrics))
		}
		if last := r.Metrics[slices.IndexFunc(r.Metrics, func(m track.Metric) bool { return m.Key == "shared" })]; last.Step != 95 || last.Value != 5 {
			t.Errorf("the last value is %+v", last)
		}
		values, next, err := replicas[1].Runs.History(ctx, r.ID, "shared", track.Page{Size: 100})
		if err != nil || len(values) != 60 || next != "" {
			t.Errorf("%d values, %q, %v", len(values), next, err)
		}
	})
}

func TestHistoryAndSample(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr, ctx := replica(), t.Context()
		r := must[track.Run](t)(tr.Runs.Create(ctx, track.NewRun{}))
		odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, math.Copysign(0, -1), math.MaxFloat64, -5e-324}
		var all []track.Metric
		for i := range 500 {
			all = append(all, track.Metric{Key: "m", Value: odd[i%len(odd)], At: int64(i / 10), Step: int64(i)})
		}
		check(t, tr.Runs.Log(ctx, r.ID, track.Batch{Metrics: all}))
		check(t, tr.Runs.Log(ctx, r.ID, track.Batch{Metrics: all})) // the same are one
		var read []track.Metric
		for token, pages := "", 0; pages == 0 || token != ""; pages++ {
			some, next, err := tr.Runs.History(ctx, r.ID, "m", track.Page{Size: 70, After: token})
			check(t, err)
			read, token = append(read, some...), next
		}
		same := func(a, b track.Metric) bool {
			return math.Float64bits(a.Value) == math.Float64bits(b.Value) || math.IsNaN(a.Value) && math.IsNaN(b.Value)
		}
		if len(read) != len(all) || !slices.EqualFunc(read, all, func(a, b track.Metric) bool { return a.Step == b.Step && a.At == b.At && same(a, b) }) {
			t.Errorf("the history has %d of %d values, or others", len(read), len(all))
		}
		for most, want := range map[int][]int64{1: {499}, 2: {0, 499}, 3: {0, 250, 499}, 1000: nil} {
			values, err := tr.Runs.Sample(ctx, r.ID, "m", nil, most)
			check(t, err)
			var steps []int64
			for _, v := range values {
				steps = append(steps, v.Step)
			}
			if most == 1000 && len(steps) != 500 || want != nil && !slices.Equal(steps, want) {
				t.Errorf("a sample of %d has the steps %v", most, steps)
			}
		}
		values, err := tr.Runs.Sample(ctx, r.ID, "m", &track.Steps{From: 490, To: 600}, 3)
		if err != nil || len(values) != 3 || values[0].Step != 490 || values[2].Step != 499 {
			t.Errorf("a sample of some steps: %+v, %v", values, err)
		}
	})
}

func TestArtifacts(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr, ctx := replica(), t.Context()
		put := func(path, content string) error {
			_, err := tr.Artifacts.Put(ctx, path, strings.NewReader(content), "me")
			return err
		}
		names := func(files []track.File, err error) (names []string) {
			check(t, err)
			for _, f := range files {
				names = append(names, f.Path)
			}
			return names
		}
		for path, content := range map[string]string{"0/r/a": "1", "0/r/b/c": "2", "0/r/b/d/é x": "3", "0/r-2/a": "4", "0/r/Z": "5"} {
			check(t, put(path, content))
		}
		check(t, put("0/r/a", "another"))
		if got := names(tr.Artifacts.List(ctx, "/0/r/")); !slices.Equal(got, []string{"0/r/Z", "0/r/a", "0/r/b"}) {
			t.Errorf("the folder holds %q", got)
		}
		if got := names(tr.Artifacts.Files(ctx, "0/r")); !slices.Equal(got, []string{"0/r/Z", "0/r/a", "0/r/b/c", "0/r/b/d/é x"}) {
			t.Errorf("beneath the folder lie %q", got)
		}
		f, content, err := tr.Artifacts.Open(ctx, "0/r/a")
		check(t, err)
		text, err := io.ReadAll(content)
		if string(text) != "another" || err != nil || f.Size != 7 {
			t.Errorf("%q, %+v, %v", text, f, err)
		}
		check(t, content.Close())
		for path, kind := range map[string]fault.Kind{"0/r/b": fault.Invalid, "0/r/a/x": fault.Invalid, "../x": fault.Invalid, "a//b": fault.Invalid,
			"a\\b": fault.Invalid, "%2e%2e/a": fault.Invalid, "": fault.Invalid, "/a": fault.Invalid, strings.Repeat("a/", 40) + "a": fault.Invalid} {
			if err := put(path, "x"); !fault.Is(err, kind) {
				t.Errorf("Put %q: %v", path, err)
			}
		}
		check(t, tr.Artifacts.Delete(ctx, "0/r/b"))
		if got := names(tr.Artifacts.Files(ctx, "")); !slices.Equal(got, []string{"0/r-2/a", "0/r/Z", "0/r/a"}) {
			t.Errorf("after Delete there are %q", got)
		}
		check(t, tr.Artifacts.Delete(ctx, "0/r-2/a"))
		if got := names(tr.Artifacts.List(ctx, "0")); !slices.Equal(got, []string{"0/r"}) {
			t.Errorf("a folder that holds nothing stays: %q", got)
		}
		if err := tr.Artifacts.Delete(ctx, "0/r/nothing"); !fault.Is(err, fault.NotFound) {
			t.Errorf("Delete of nothing: %v", err)
		}
	})
}

// An upload that breaks off leaves nothing.
func TestBrokenUploadLeavesNothing(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr := replica()
		broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<20)), errReader{})
		if _, err := tr.Artifacts.Put(t.Context(), "a/b", broken, "me"); err == nil {
			t.Error("it was kept")
		}
		if files, err := tr.Artifacts.List(t.Context(), ""); err != nil || len(files) != 0 {
			t.Errorf("%+v, %v", files, err)
		}
	})
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// What was deleted comes back as it was.
func TestMarksAreApart(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr, ctx := replica(), t.Context()
		x := must[track.Experiment](t)(tr.Experiments.Create(ctx, track.NewExperiment{Name: "x"}))
		r := must[track.Run](t)(tr.Runs.Create(ctx, track.NewRun{Experiment: x.ID}))
		m := must[track.Model](t)(tr.Models.Create(ctx, track.NewModel{Experiment: x.ID}))
		check(t, tr.Runs.Delete(ctx, r.ID))
		check(t, tr.Runs.Delete(ctx, r.ID))
		check(t, tr.Experiments.Delete(ctx, x.ID))
		if err := tr.Experiments.Rename(ctx, x.ID, "y"); !fault.Is(err, fault.Invalid) {
			t.Errorf("Rename: %v", err)
		}
		if _, err := tr.Models.Create(ctx, track.NewModel{Experiment: x.ID}); !fault.Is(err, fault.Invalid) {
			t.Errorf("a model of a deleted experiment: %v", err)
		}
		check(t, tr.Experiments.Restore(ctx, x.ID))
		if got := must[track.Run](t)(tr.Runs.Get(ctx, r.ID)); !got.Deleted {
			t.Error("the run came back with its experiment")
		}
		check(t, tr.Runs.Restore(ctx, r.ID))
		check(t, tr.Runs.SetTag(ctx, r.ID, "a", "b"))
		check(t, tr.Models.Delete(ctx, m.ID))
		if _, err := tr.Models.Get(ctx, m.ID, false); !fault.Is(err, fault.NotFound) {
			t.Errorf("a deleted model: %v", err)
		}
		if got, err := tr.Models.Get(ctx, m.ID, true); err != nil || !got.Removed {
			t.Errorf("a deleted model asked for: %+v, %v", got, err)
		}
	})
}

// What does not fit into the catalog is refused, and nothing of it stays.
func TestTextThatCannotBeKept(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr, ctx := replica(), t.Context()
		r := must[track.Run](t)(tr.Runs.Create(ctx, track.NewRun{Start: time.Now().UnixMilli()}))
		err := tr.Runs.Log(ctx, r.ID, track.Batch{Params: []track.Pair{{Key: "a", Value: "x"}}, Metrics: []track.Metric{{Key: "a\x00b"}}})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("a zero byte: %v", err)
		}
		if got := must[track.Run](t)(tr.Runs.Get(ctx, r.ID)); len(got.Params) != 0 {
			t.Errorf("of a refused batch stayed %+v", got.Params)
		}
		check(t, tr.Runs.Log(ctx, r.ID, track.Batch{Params: []track.Pair{{Key: "b", Value: "zero \x00, \u2028, 👋, \"quotes\""}}}))
		if got := must[track.Run](t)(tr.Runs.Get(ctx, r.ID)); got.Params[0].Value != "zero \x00, \u2028, 👋, \"quotes\"" {
			t.Errorf("the parameter is %q", got.Params[0].Value)
		}
	})
}

// A run that is recorded twice is there once.
func TestRecordIsThereOnce(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		ctx, replicas := t.Context(), []*track.Track{replica(), replica()}
		rec := track.Record{ID: "a/pipeline:1", Experiment: "learn", Name: "first", Start: 1, End: 2, Status: track.Finished,
			Params: []track.Pair{{Key: "depth", Value: "8"}, {Key: "not\na key", Value: "x"}}, Metrics: map[string]float64{"auc": 0.5, "": 1},
			Inputs: []track.Dataset{{Name: "table", Digest: "1"}}}
		var wg sync.WaitGroup
		ids := make([]string, 6)
		for i := range ids {
			wg.Go(func() {
				var err error
				if ids[i], err = replicas[i%2].Record(ctx, rec); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if slices.ContainsFunc(ids, func(id string) bool { return id != "a-pipeline-1" }) {
			t.Errorf("the ids are %q", ids)
		}
		x := must[track.Experiment](t)(replicas[0].Experiments.ByName(ctx, "learn"))
		runs, _, err := replicas[1].Runs.Search(ctx, track.RunSearch{Experiments: []int64{x.ID}, Page: track.Page{Size: 10}})
		if err != nil || len(runs) != 1 || len(runs[0].Params) != 1 || len(runs[0].Metrics) != 1 || len(runs[0].Datasets) != 1 {
			t.Errorf("%+v, %v", runs, err)
		}
	})
}

// What a run holds is bounded, because it is written as a whole.
func TestRunIsBounded(t *testing.T) {
	inBoth(t, func(t *testing.T, replica func() *track.Track) {
		tr, ctx := replica(), t.Context()
		r := must[track.Run](t)(tr.Runs.Create(ctx, track.NewRun{}))
		batch := func(i int) (b track.Batch) {
			for k := range track.MaxPairs {
				b.Tags = append(b.Tags, track.Pair{Key: fmt.Sprint("t", i, ".", k)})
			}
			return b
		}
		full := track.MaxPairsKept / track.MaxPairs
		check(t, tr.Fill(ctx, r.ID, track.MaxPairsKept-1)) // the name is one
		if err := tr.Runs.Log(ctx, r.ID, batch(full)); !fault.Is(err, fault.Invalid) {
			t.Errorf("over the bound: %v", err)
		}
		check(t, tr.Runs.SetTag(ctx, r.ID, "t0", "changed"))
	})
}
