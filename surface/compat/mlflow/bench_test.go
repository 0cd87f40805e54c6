package mlflow_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/surface/server"
)

// BenchmarkSearchRuns asks for pages of 2,000 runs with ten metrics and ten
// parameters each.
func BenchmarkSearchRuns(b *testing.B) {
	w := newWorld(b, server.AuthLocal)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		batch := track.Batch{}
		for k := range 10 {
			batch.Metrics = append(batch.Metrics, track.Metric{Key: fmt.Sprint("m", k), Value: random.Float64(), At: int64(i)})
			batch.Params = append(batch.Params, track.Pair{Key: fmt.Sprint("p", k), Value: fmt.Sprint("v", random.IntN(50))})
		}
		r, err := w.track.Runs.Create(b.Context(), track.NewRun{Start: int64(i), Tags: []track.Pair{{Key: "team", Value: "fraud"}}})
		if err == nil {
			err = w.track.Runs.Log(b.Context(), r.ID, batch)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	handler := w.server.Handler()
	for name, body := range map[string]string{
		"newest 100":  `{"experiment_ids":["0"],"max_results":100}`,
		"filter, 100": `{"experiment_ids":["0"],"max_results":100,"filter":"metrics.m0 > 0.2 AND params.p1 LIKE 'v%'","order_by":["metrics.m1 DESC"]}`,
		"ten":         `{"experiment_ids":["0"],"max_results":10,"filter":"metrics.m0 > 0.2 AND params.p1 LIKE 'v%'","order_by":["metrics.m1 DESC"]}`,
		"1,000":       `{"experiment_ids":["0"],"max_results":1000,"order_by":["metrics.m1 DESC"]}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/api/2.0/mlflow/runs/search", strings.NewReader(body))
				r.Host = "localhost"
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, r)
				if answer.Code != http.StatusOK {
					b.Fatal(answer.Body)
				}
				_, _ = io.Copy(io.Discard, answer.Body)
			}
		})
	}
}
