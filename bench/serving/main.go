// Command serving measures one-row scoring over HTTP beside model servers:
// MLServer with its LightGBM runtime, which is asked in the Open Inference
// Protocol as leat is, and ONNX Runtime behind Node's HTTP server. All have the
// same trees on the same cores, which they share with the load; answers are
// first held equal. Leat has limits, records, metrics and a monitor on.
//
//	make build bench-tools && go run ./bench/serving
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

type size struct {
	columns, connections, rounds, bodies, workers int
	seconds                                       float64
}

func main() {
	var s size
	flag.IntVar(&s.columns, "columns", 30, "features of a row, at least 8")
	flag.IntVar(&s.connections, "connections", 32, "of the load")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.IntVar(&s.bodies, "bodies", 1000, "different rows that are asked with")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "processes of the peers")
	flag.Float64Var(&s.seconds, "seconds", 5*result.Scale(), "of load, each round and side")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for the pace of the load, which holds on to it
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
	project, err := fixture.Make(ctx, dir, s.columns)
	if err != nil {
		return err
	}
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	rows := fixture.Rows{Columns: s.columns, Seed: 2}.Draw(s.bodies)
	single(rows)
	var figures []result.Figure
	var absent []error
	for _, start := range peers() {
		peer, err := start(ctx, project, s.workers)
		if err != nil {
			absent = append(absent, err)
			continue
		}
		found, err := against(ctx, s, server, peer, rows)
		peer.stop()
		if err != nil {
			return err
		}
		figures = append(figures, found...)
	}
	err = result.Keep(result.Entry{Bench: "serving", Figures: figures, Setup: fmt.Sprintf(
		"one row of %d numbers, %d trees, %d connections, %d rounds of %.1f s; Node in %d processes",
		s.columns, fixture.Trees, s.connections, s.rounds, s.seconds, s.workers)})
	return errors.Join(append(absent, err)...)
}

// single rounds rows to what a float32 holds, because that is what ONNX
// Runtime reads.
func single(rows [][]float64) {
	for _, row := range rows {
		for i, v := range row {
			row[i] = float64(float32(v))
		}
	}
}

// against takes turns with a peer and returns the figures.
func against(ctx context.Context, s size, server *binary.Server, p *peer, rows [][]float64) ([]result.Figure, error) {
	bodies := make([][]byte, len(rows))
	for i, row := range rows {
		bodies[i] = p.body(row)
	}
	ours, err := load.New("leat", server.URL+p.ours, bodies)
	if err != nil {
		return nil, err
	}
	theirs, err := load.New(p.name, p.url, bodies)
	if err != nil {
		return nil, err
	}
	if err := equal(ours, theirs, p, len(rows)); err != nil {
		return nil, err
	}
	duration := time.Duration(s.seconds * float64(time.Second))
	side := func(t *load.Target, pid int, used *[]float64) func() (float64, error) {
		return func() (float64, error) {
			before := load.CPU(pid)
			rate, err := t.Closed(ctx, s.connections, duration)
			*used = append(*used, (load.CPU(pid)-before).Seconds()/(rate*s.seconds))
			return 1 / rate, err
		}
	}
	var oursCPU, theirsCPU []float64
	peak, err := duel.Alternate(s.rounds, side(ours, server.PID(), &oursCPU), side(theirs, p.cmd.Process.Pid, &theirsCPU))
	if err != nil {
		return nil, err
	}
	ratio, least, most := peak.Speedup()
	figures := []result.Figure{
		result.Figure{Name: "throughput over " + p.name, Value: ratio, Unit: "×", Least: least, Most: most}.AtLeast(p.wanted),
		{Name: "peak, beside " + p.name, Unit: "answers/s", Value: 1 / duel.Median(peak.Ours), Peer: 1 / duel.Median(peak.Theirs),
			Least: 1 / slices.Max(peak.Ours), Most: 1 / slices.Min(peak.Ours)},
		{Name: "processor time of an answer, beside " + p.name, Unit: "µs", Value: 1e6 * duel.Median(oursCPU), Peer: 1e6 * duel.Median(theirsCPU),
			Least: 1e6 * slices.Min(oursCPU), Most: 1e6 * slices.Max(oursCPU)},
	}
	halves, err := open(s, ours, theirs, 0.5/duel.Median(peak.Theirs), duration)
	return append(figures, halves...), err
}

// open measures latency at half of what the peer can do: both sides get
// requests at the same moments.
func open(s size, ours, theirs *load.Target, rate float64, duration time.Duration) ([]result.Figure, error) {
	quantiles := []float64{0.5, 0.95, 0.99}
	mine, their := make([][]float64, len(quantiles)), make([][]float64, len(quantiles))
	for range s.rounds {
		for _, side := range []struct {
			t  *load.Target
			to [][]float64
		}{{ours, mine}, {theirs, their}} {
			took, err := side.t.Open(rate, s.connections, duration)
			if err != nil {
				return nil, err
			}
			slices.Sort(took)
			for i, q := range quantiles {
				at := took[min(len(took)-1, int(math.Ceil(q*float64(len(took))))-1)]
				side.to[i] = append(side.to[i], at.Seconds()*1e3)
			}
		}
	}
	var figures []result.Figure
	for i, q := range quantiles {
		figures = append(figures, result.Figure{Name: fmt.Sprintf("p%.0f at half of the peak of %s", 100*q, theirs.Name), Unit: "ms",
			Value: duel.Median(mine[i]), Least: slices.Min(mine[i]), Most: slices.Max(mine[i]), Peer: duel.Median(their[i])})
	}
	return figures, nil
}

// equal asks both sides with every row and compares the scores.
func equal(ours, theirs *load.Target, p *peer, n int) error {
	want, got := make([]float64, n), make([]float64, n)
	for _, side := range []struct {
		t    *load.Target
		to   []float64
		read func([]byte) (float64, error)
	}{{ours, want, p.readOurs}, {theirs, got, p.read}} {
		err := side.t.Each(func(i int, answer []byte) (err error) {
			side.to[i], err = side.read(answer)
			return err
		})
		if err != nil {
			return err
		}
	}
	differ := 0
	for i := range want {
		if !(math.Abs(want[i]-got[i]) <= p.tolerance) {
			differ++
		}
	}
	if float64(differ) > p.mayDiffer*float64(n) {
		return fmt.Errorf("%d of %d answers of %s are not leat's", differ, n, p.name)
	}
	fmt.Fprintf(os.Stderr, "%d of %d answers of %s are equal to %g\n", n-differ, n, p.name, p.tolerance)
	return nil
}

// decision reads a score out of a native answer.
func decision(answer []byte) (float64, error) {
	var a struct{ Decisions []struct{ Score *float64 } }
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, err
	}
	if len(a.Decisions) != 1 || a.Decisions[0].Score == nil {
		return 0, fmt.Errorf("answered %s", answer)
	}
	return *a.Decisions[0].Score, nil
}

// inferred reads the first number out of an answer in the Open Inference
// Protocol.
func inferred(answer []byte) (float64, error) {
	var a struct {
		Outputs []struct{ Data []json.RawMessage }
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return 0, err
	}
	for _, output := range a.Outputs {
		var v float64
		if len(output.Data) == 1 && json.Unmarshal(output.Data[0], &v) == nil {
			return v, nil
		}
	}
	return 0, fmt.Errorf("answered %s", answer)
}
