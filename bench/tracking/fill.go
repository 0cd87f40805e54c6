package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"

	"golang.org/x/sync/errgroup"
)

// experiment is the name of the one that all runs are in.
const experiment = "bench"

// width is how many metrics and how many parameters a run has.
const width = 10

// tracked is a run as it is logged.
type tracked struct {
	Name    string   `json:"name"`
	Start   int64    `json:"start"` // milliseconds; no two have the same, so that no order has ties
	Metrics []metric `json:"metrics"`
	Params  []pair   `json:"params"`
	Tags    []pair   `json:"tags"`
}

type metric struct {
	Key   string  `json:"key"`
	Value float64 `json:"value"`
	At    int64   `json:"timestamp"`
	Step  int64   `json:"step"`
}

type pair struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// makeRuns makes runs up from a seed.
func makeRuns(n int) []tracked {
	random := rand.New(rand.NewPCG(1, 2))
	runs := make([]tracked, n)
	for i := range runs {
		r := tracked{Name: fmt.Sprintf("run-%05d", i), Start: 1_700_000_000_000 + 1000*int64(i)}
		for k := range width {
			r.Metrics = append(r.Metrics, metric{fmt.Sprint("m", k), random.Float64(), r.Start, 0})
			r.Params = append(r.Params, pair{fmt.Sprint("p", k), fmt.Sprint("v", random.IntN(5*(k+1)))})
		}
		r.Tags = []pair{{"mlflow.source.name", fmt.Sprintf("train_%d.py", i%20)}, {"team", fmt.Sprint("team-", i%3)}}
		runs[i] = r
	}
	return runs
}

// fill logs runs as a client does: the run, and all that is logged to it at
// once.
func fill(ctx context.Context, url string, runs []tracked) error {
	var made struct {
		ID string `json:"experiment_id"`
	}
	if err := call(ctx, http.MethodPost, url+"/api/2.0/mlflow/experiments/create", map[string]string{"name": experiment}, &made); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, r := range runs {
		g.Go(func() error { return logOne(ctx, url, made.ID, r) })
	}
	return g.Wait()
}

func logOne(ctx context.Context, url, experiment string, r tracked) error {
	var made struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			}
		}
	}
	err := call(ctx, http.MethodPost, url+"/api/2.0/mlflow/runs/create",
		map[string]any{"experiment_id": experiment, "run_name": r.Name, "start_time": r.Start, "tags": r.Tags}, &made)
	if err != nil {
		return err
	}
	return call(ctx, http.MethodPost, url+"/api/2.0/mlflow/runs/log-batch", map[string]any{"run_id": made.Run.Info.ID, "metrics": r.Metrics, "params": r.Params}, nil)
}

// call sends a message and reads the answer to its end, into a value if one
// is given.
func call(ctx context.Context, method, url string, message, into any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %.300s", url, answer.Status, content)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}
