// Command tracking measures searches over the runs of an experiment: Leat
// beside a stock MLflow server with its SQLite store, asked the same over the
// same protocol, in turns.
//
//	make build && go run ./bench/tracking
//
// The peer is the server of LEAT_TOOLS/venv-mlflow3. Its database is filled
// directly, because through its API that would take half an hour; ours is
// filled through the API, and how long that takes is a figure.
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

func main() {
	rounds := flag.Int("rounds", 40, "how often each search is asked of both sides")
	alone := flag.Int("alone", 200, "how often each search is asked of us alone, for the percentiles")
	flag.Parse()
	if err := run(context.Background(), result.Scaled(10_000, 500), *rounds, *alone); err != nil {
		log.Fatal(err)
	}
}

// question is a search as people ask it.
type question struct {
	name   string
	Filter string   `json:"filter,omitempty"`
	Order  []string `json:"order_by,omitempty"`
	Most   int      `json:"max_results"`
}

func questions() []question {
	return []question{
		{"the newest 100", "", nil, 100},
		{"best 100 of those over a metric", "metrics.m0 > 0.9", []string{"metrics.m1 DESC"}, 100},
		{"metric and parameter", "metrics.m0 > 0.2 AND params.p1 = 'v3'", nil, 100},
		{"tag LIKE", "tags.`mlflow.source.name` LIKE '%_7.py'", nil, 100},
		{"parameter ILIKE, two orders", "params.p2 ILIKE 'V1%'", []string{"params.p3 ASC", "metrics.m2 ASC"}, 100},
		{"1,000 by a metric", "", []string{"metrics.m2 DESC"}, 1000},
	}
}

func run(ctx context.Context, runs, rounds, alone int) error {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	data := makeRuns(runs)
	ours, err := binary.Up(ctx, dir)
	if err != nil {
		return err
	}
	defer ours.Stop()
	began := time.Now()
	if err := fill(ctx, ours.URL, data); err != nil {
		return err
	}
	filled := time.Since(began)
	theirs, stop, err := peer(ctx, dir, data)
	if err != nil {
		return err
	}
	defer stop()
	sides := []*side{{url: ours.URL}, {url: theirs}}
	for _, s := range sides {
		if err := s.find(ctx); err != nil {
			return err
		}
	}
	e := result.Entry{Bench: "tracking", Setup: fmt.Sprintf("%d runs with %d metrics, %d parameters and 2 tags each; MLflow 3.17.2 with SQLite; %d turns, %d alone", runs, width, width, rounds, alone)}
	e.Figures = append(e.Figures, result.Figure{Name: "runs filled through the API, 8 at once", Value: float64(runs) / filled.Seconds(), Unit: "/s"})
	for _, q := range questions() {
		figures, err := contest(ctx, sides, q, rounds, alone)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		e.Figures = append(e.Figures, figures...)
	}
	if used, err := load.Resident(ours.PID()); err == nil {
		e.Figures = append(e.Figures, result.Figure{Name: "resident memory", Value: used, Unit: "MiB"})
	}
	return result.Keep(e)
}

// contest asks both sides, compares what they answer, and times them.
func contest(ctx context.Context, sides []*side, q question, rounds, alone int) ([]result.Figure, error) {
	if err := equal(ctx, sides[0], sides[1], q); err != nil {
		return nil, err
	}
	times, err := duel.Alternate(rounds, func() (float64, error) { return sides[0].timed(ctx, q) }, func() (float64, error) { return sides[1].timed(ctx, q) })
	if err != nil {
		return nil, err
	}
	var own []float64
	for range alone {
		t, err := sides[0].timed(ctx, q)
		if err != nil {
			return nil, err
		}
		own = append(own, 1000*t)
	}
	slices.Sort(own)
	at := func(p float64) float64 { return own[int(p*float64(len(own)-1))] }
	ratio, least, most := times.Speedup()
	peer := slices.Sorted(slices.Values(times.Theirs))
	return []result.Figure{
		result.Figure{Name: q.name + ", p95", Value: at(0.95), Unit: "ms", Least: own[0], Most: own[len(own)-1],
			Peer: 1000 * peer[int(0.95*float64(len(peer)-1))], Note: fmt.Sprintf("p50 %.2f ms", at(0.5))}.AtMost(10),
		{Name: q.name + ", MLflow's time over ours", Value: ratio, Unit: "×", Least: least, Most: most},
	}, nil
}

// side is a server that is asked.
type side struct {
	url        string
	experiment string
}

func (s *side) find(ctx context.Context) error {
	var found struct {
		Experiment struct {
			ID string `json:"experiment_id"`
		}
	}
	if err := call(ctx, http.MethodGet, s.url+"/api/2.0/mlflow/experiments/get-by-name?experiment_name="+experiment, nil, &found); err != nil {
		return err
	}
	s.experiment = found.Experiment.ID
	return nil
}

// timed asks and reads the answer to its end, without decoding it.
func (s *side) timed(ctx context.Context, q question) (float64, error) {
	began := time.Now()
	err := call(ctx, http.MethodPost, s.url+"/api/2.0/mlflow/runs/search", s.ask(q), nil)
	return time.Since(began).Seconds(), err
}

func (s *side) ask(q question) any {
	return struct {
		question
		Experiments []string `json:"experiment_ids"`
	}{q, []string{s.experiment}}
}

// answer is what both sides must agree on.
type answer struct {
	Runs []struct {
		Info struct {
			Name   string `json:"run_name"`
			Start  int64  `json:"start_time"`
			Status string `json:"status"`
		} `json:"info"`
		Data struct {
			Metrics []struct {
				Key   string  `json:"key"`
				Value float64 `json:"value"`
			} `json:"metrics"`
			Params []pair `json:"params"`
			Tags   []pair `json:"tags"`
		} `json:"data"`
	} `json:"runs"`
	Next string `json:"next_page_token"`
}

func equal(ctx context.Context, ours, theirs *side, q question) error {
	var texts [2][]byte
	for i, s := range []*side{ours, theirs} {
		var a answer
		if err := call(ctx, http.MethodPost, s.url+"/api/2.0/mlflow/runs/search", s.ask(q), &a); err != nil {
			return err
		}
		if len(a.Runs) == 0 {
			return fmt.Errorf("%s finds nothing", s.url)
		}
		if a.Next != "" {
			a.Next = "more"
		}
		for _, r := range a.Runs {
			slices.SortFunc(r.Data.Metrics, func(a, b struct {
				Key   string  `json:"key"`
				Value float64 `json:"value"`
			}) int {
				return bytes.Compare([]byte(a.Key), []byte(b.Key))
			})
			byKey := func(a, b pair) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) }
			slices.SortFunc(r.Data.Params, byKey)
			slices.SortFunc(r.Data.Tags, byKey)
		}
		var err error
		if texts[i], err = json.Marshal(a); err != nil {
			return err
		}
	}
	if !bytes.Equal(texts[0], texts[1]) {
		at := 0
		for at < min(len(texts[0]), len(texts[1])) && texts[0][at] == texts[1][at] {
			at++
		}
		around := func(text []byte) []byte { return text[max(0, at-200):min(len(text), at+200)] }
		return fmt.Errorf("the sides disagree:\n%s\n%s", around(texts[0]), around(texts[1]))
	}
	return nil
}

//go:embed fill.py
var filler string

// peer fills a database and starts a stock server on it.
func peer(ctx context.Context, dir string, data []tracked) (url string, stop func(), err error) {
	home := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow3", "bin")
	if os.Getenv("LEAT_TOOLS") == "" {
		home = filepath.Join(".cache", "tools", "venv-mlflow3", "bin")
	}
	text, err := json.Marshal(data)
	if err != nil {
		return "", nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "runs.json"), text, 0o600); err != nil {
		return "", nil, err
	}
	store := "sqlite:///" + filepath.Join(dir, "mlflow.db")
	if _, _, err := binary.Run(ctx, filepath.Join(home, "python"), "-c", filler, store, filepath.Join(dir, "runs.json"), experiment); err != nil {
		return "", nil, err
	}
	port, err := load.FreePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(home, "mlflow"), "server", "--backend-store-uri", store, "--artifacts-destination", filepath.Join(dir, "artifacts"),
		"--host", "127.0.0.1", "--port", port, "--workers", "1")
	cmd.Env = append(os.Environ(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "PATH="+home+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it starts others, which end with it
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
	}
	url = "http://127.0.0.1:" + port
	if err := awaited(ctx, url+"/health"); err != nil {
		stop()
		return "", nil, err
	}
	return url, stop, nil
}

func awaited(ctx context.Context, url string) error {
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err = call(ctx, http.MethodGet, url, nil, nil); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the peer does not serve: %w", err)
}
