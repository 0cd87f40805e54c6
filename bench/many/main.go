// Command many measures a server with a thousand models and memory for some of
// them: every endpoint has a model of its own, requests come for all of them
// (some often, most rarely), every answer is compared with what the model says
// in this process, and the server's memory is watched all the time.
//
//	make build && go run ./bench/many
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/lightgbm"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

// Sizes of each model.
const (
	columns = 20
	trees   = 100
	leaves  = 31
)

type size struct {
	models, requests, callers int
	memory                    string
}

func main() {
	var s size
	flag.IntVar(&s.models, "models", result.Scaled(1000, 50), "models, each with an endpoint of its own")
	flag.IntVar(&s.requests, "requests", result.Scaled(100_000, 5000), "")
	flag.IntVar(&s.callers, "callers", 8, "at the same time")
	flag.StringVar(&s.memory, "model-memory", "192MiB", "what the server may keep of the models")
	flag.Parse()
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s size) error {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "project.yaml"), []byte(resources(s.models)), 0o600); err != nil {
		return err
	}
	first := time.Now()
	if err := fill(ctx, dir, s); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%d models in the registry, each with a release, after %.0f s\n", s.models, time.Since(first).Seconds())
	// What a control group of 512 MiB makes the server do by itself.
	if err := os.Setenv("GOMEMLIMIT", "384MiB"); err != nil {
		return err
	}
	server, err := binary.UpWith(ctx, dir, "--model-memory", s.memory)
	if err != nil {
		return err
	}
	defer server.Stop()
	started := time.Since(server.Started)
	took, cold, peak, err := ask(ctx, server, s)
	if err != nil {
		return err
	}
	at := func(of []time.Duration, q float64) float64 {
		slices.Sort(of)
		return of[min(len(of)-1, int(q*float64(len(of))))].Seconds() * 1e3
	}
	return result.Keep(result.Entry{Bench: "many", Figures: []result.Figure{
		result.Figure{Name: "most resident memory of the server", Value: peak, Unit: "MiB"}.AtMost(512),
		{Name: "start, until it serves", Value: started.Seconds(), Unit: "s"},
		{Name: "p50", Value: at(took, 0.5), Unit: "ms"}, {Name: "p95", Value: at(took, 0.95), Unit: "ms"}, {Name: "p99", Value: at(took, 0.99), Unit: "ms"},
		{Name: "p50 of each endpoint's first answer", Value: at(cold, 0.5), Unit: "ms"},
		{Name: "p99 of each endpoint's first answer", Value: at(cold, 0.99), Unit: "ms"},
	}, Setup: fmt.Sprintf("%d models of %d trees of %d leaves, --model-memory %s, %d requests of %d callers for endpoints of falling popularity (Zipf, s = 1.1), every answer compared",
		s.models, trees, leaves, s.memory, s.requests, s.callers)})
}

func name(i int) string { return fmt.Sprintf("m%04d", i) }

func resources(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\nkind: Model\nname: %[1]s\n---\nkind: Endpoint\nname: %[1]s\nmodel: %[1]s@champion\n", name(i))
	}
	return b.String()
}

// definition is the i-th model: random trees on numbers between 0 and 1.
func definition(i int) tree.Definition {
	random := rand.New(rand.NewPCG(uint64(i), 1))
	d := tree.Definition{Task: model.Binary, Classes: []string{"0", "1"}, Link: tree.Sigmoid, Base: []float64{0}, Encoder: &encode.Encoder{}}
	for c := range columns {
		d.Encoder.Columns = append(d.Encoder.Columns, encode.Column{Name: fmt.Sprintf("x%d", c), Type: frame.Double, Kind: encode.Numeric})
	}
	for range trees {
		t := tree.Tree{}
		for split := range leaves - 1 { // as a heap: children stand at 2n+1 and 2n+2, leaves behind the splits
			child := func(n int) int {
				if n < leaves-1 {
					return n
				}
				return ^(n - (leaves - 1))
			}
			t.Splits = append(t.Splits, tree.Split{Column: random.IntN(columns), Threshold: random.Float64(), Left: child(2*split + 1), Right: child(2*split + 2)})
		}
		for range leaves {
			t.Leaves = append(t.Leaves, random.NormFloat64()/10)
		}
		d.Trees = append(d.Trees, t)
	}
	return d
}

// fill imports the models into a server that has the project.
func fill(ctx context.Context, dir string, s size) error {
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		return err
	}
	for i := range s.models {
		d := definition(i)
		text, err := lightgbm.Text(&d)
		if err != nil {
			return err
		}
		if _, err := c.Upload(ctx, name(i), importer.Files{"model.txt": text}, api.ImportOptions{Alias: "champion"}); err != nil {
			return err
		}
	}
	_, err = c.Apply(ctx, map[string]string{"project.yaml": resources(s.models)})
	return err
}

// ask asks with every caller at a time. cold is the first answer of each
// endpoint.
func ask(ctx context.Context, server *binary.Server, s size) (took, cold []time.Duration, peak float64, err error) {
	c, err := client.New(server.URL, client.Options{})
	if err != nil {
		return nil, nil, 0, err
	}
	models := make([]*tree.Ensemble, s.models)
	for i := range models {
		if models[i], err = tree.New(definition(i)); err != nil {
			return nil, nil, 0, err
		}
	}
	watching, done := context.WithCancel(ctx)
	memory := make(chan float64, 1)
	go func() { memory <- watch(watching, server.PID()) }()
	seen := make([]atomic.Bool, s.models)
	var group sync.WaitGroup
	var mu sync.Mutex
	for k := range s.callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(k), 2))
			popular := rand.NewZipf(random, 1.1, 10, uint64(s.models-1))
			for n := range s.requests / s.callers {
				i := int(popular.Uint64())
				if n < s.models/s.callers { // each at least once
					i = n*s.callers + k
				}
				begin := time.Now()
				problem := one(ctx, c, models[i], i, random)
				d := time.Since(begin)
				mu.Lock()
				if problem != nil && err == nil {
					err = problem
				}
				if took = append(took, d); !seen[i].Swap(true) {
					cold = append(cold, d)
				}
				stop := err != nil
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	group.Wait()
	done()
	return took, cold, <-memory, err
}

// one asks the i-th endpoint for a row, and compares.
func one(ctx context.Context, c *client.Client, m *tree.Ensemble, i int, random *rand.Rand) error {
	row, encoded := client.Row{}, make([][]float64, columns)
	for x := range columns {
		encoded[x] = []float64{random.Float64()}
		row[fmt.Sprintf("x%d", x)] = encoded[x][0]
	}
	want, err := m.Score(ctx, encoded)
	if err != nil {
		return err
	}
	answer, err := c.Score(ctx, name(i), []client.Row{row}, "")
	if err != nil {
		return err
	}
	if got, ok := answer.Decisions[0].Values["score"].(float64); !ok || math.Abs(got-want[0][0]) > 1e-12 {
		return fmt.Errorf("%s says %v, its model %v", name(i), answer.Decisions[0], want[0][0])
	}
	return nil
}

// watch returns the most memory that a process had until ctx ends, in MiB.
func watch(ctx context.Context, pid int) (most float64) {
	for ctx.Err() == nil {
		if mib, err := load.Resident(pid); err == nil {
			most = max(most, mib)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return most
}
