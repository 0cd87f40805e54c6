package track_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// BenchmarkFirstSearch reads an experiment of 2,000 runs into memory.
func BenchmarkFirstSearch(b *testing.B) {
	db, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "catalog.db")})
	check(b, err)
	defer db.Close()
	tr := openTrack(b, db, track.Config{})
	for i := range 2000 {
		batch := track.Batch{}
		for k := range 10 {
			batch.Metrics = append(batch.Metrics, track.Metric{Key: fmt.Sprint("m", k), Value: float64(i) / 7, At: int64(i)})
			batch.Params = append(batch.Params, track.Pair{Key: fmt.Sprint("p", k), Value: fmt.Sprint("v", i%50)})
		}
		r := must[track.Run](b)(tr.Runs.Create(b.Context(), track.NewRun{Start: int64(i)}))
		check(b, tr.Runs.Log(b.Context(), r.ID, batch))
	}
	for b.Loop() {
		fresh := openTrack(b, db, track.Config{})
		if _, _, err := fresh.Runs.Search(b.Context(), track.RunSearch{Experiments: []int64{0}, Page: track.Page{Size: 10}}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(fresh.Kept())/2000, "B/run")
	}
}

// BenchmarkLogMetric logs one value, as a training loop does.
func BenchmarkLogMetric(b *testing.B) {
	db, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "catalog.db")})
	check(b, err)
	defer db.Close()
	tr := openTrack(b, db, track.Config{})
	r := must[track.Run](b)(tr.Runs.Create(b.Context(), track.NewRun{}))
	step := int64(0)
	for b.Loop() {
		step++
		check(b, tr.Runs.Log(b.Context(), r.ID, track.Batch{Metrics: []track.Metric{{Key: "loss", Value: 1 / float64(step), Step: step, At: step}}}))
	}
}
