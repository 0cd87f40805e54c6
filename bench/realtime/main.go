// Command realtime measures one-row scoring over HTTP: leat with limits,
// records, metrics and a monitor on, against FastAPI under uvicorn with
// LightGBM. Both serve the same trees on the same cores, which they share with
// the load; both get the same bytes; answers are first held equal to 1e-9.
//
//	make build && LEAT_PYTHON=…/python go run ./bench/realtime
package main

import (
	"bytes"
	"context"
	"encoding/json"
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

// tolerance is the difference of scores up to which the two are equal.
const tolerance = 1e-9

type size struct {
	columns, connections, rounds, bodies, workers int
	seconds                                       float64
	alone, apart                                  bool
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == bareWord {
		log.Fatal(serveBare())
	}
	var s size
	flag.IntVar(&s.columns, "columns", 30, "features of a row, at least 8")
	flag.IntVar(&s.connections, "connections", 32, "of the load")
	flag.IntVar(&s.rounds, "rounds", 7, "")
	flag.IntVar(&s.bodies, "bodies", 1000, "different rows that are asked with")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "processes of the peer")
	flag.Float64Var(&s.seconds, "seconds", 6*result.Scale(), "of load, each round and side")
	flag.BoolVar(&s.alone, "alone", false, "without the peer, to profile")
	flag.BoolVar(&s.apart, "apart", false, "a processor for the server and one for the load: latency beside the bare handler")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for pace, which holds on to it
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
	if s.apart {
		return apart(ctx, s, project)
	}
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	rows := bodies(s)
	ours, err := load.New("leat", server.URL+"/v1/endpoints/"+fixture.Endpoint+"/score", rows)
	if err != nil {
		return err
	}
	d := &contest{size: s, ours: ours, oursPID: server.PID()}
	url, stop, pid, err := startBare(ctx)
	if err != nil {
		return err
	}
	defer stop()
	d.barePID = pid
	if d.bare, err = load.New("bare handler", url+"/", rows); err != nil {
		return err
	}
	if s.alone {
		return d.single(ctx)
	}
	p, err := startPeer(ctx, project.Peer, s.workers)
	if err != nil {
		return err
	}
	defer p.stop()
	d.theirsPID = p.cmd.Process.Pid
	if d.theirs, err = load.New("FastAPI, tuned", p.url+"/tuned", rows); err != nil {
		return err
	}
	if d.plain, err = load.New("FastAPI, plain", p.url+"/plain", rows); err != nil {
		return err
	}
	if err := d.measure(ctx); err != nil {
		return err
	}
	lost, err := dropped(server.URL)
	if err != nil {
		return err
	}
	return d.report(lost)
}

// single measures leat and the bare handler, without the peer.
func (d *contest) single(ctx context.Context) error {
	for range d.rounds {
		rate := 0.0
		for _, side := range []struct {
			t   *load.Target
			pid int
			cpu *[]float64
		}{{d.ours, d.oursPID, &d.oursCPU}, {d.bare, d.barePID, &d.bareCPU}} {
			seconds, err := d.closed(ctx, side.t, side.pid, side.cpu)
			if err != nil {
				return err
			}
			if rate == 0 {
				rate = 0.5 / seconds
			}
			took, err := side.t.Open(rate, d.connections, d.duration())
			if err != nil {
				return err
			}
			q, cpu := quantilesOf(took), *side.cpu
			fmt.Printf("%-12s %6.0f answers/s, %5.1f µs of processor each; at %.0f/s p50 %.2f ms, p95 %.2f ms, p99 %.2f ms\n",
				side.t.Name, 1/seconds, 1e6*cpu[len(cpu)-1], rate, q.p50, q.p95, q.p99)
		}
	}
	return nil
}

// bodies are requests of one row each.
func bodies(s size) [][]byte {
	rows := fixture.Rows{Columns: s.columns, Seed: 2}.Draw(s.bodies)
	out := make([][]byte, len(rows))
	for i, row := range rows {
		var b bytes.Buffer
		b.WriteString(`{"rows":[{`)
		for c, v := range row {
			if c > 0 {
				b.WriteByte(',')
			}
			text, _ := json.Marshal(v)
			fmt.Fprintf(&b, "%q:%s", fixture.ColumnName(c), text)
		}
		b.WriteString(`}]}`)
		out[i] = b.Bytes()
	}
	return out
}

// contest is the two servers in turns.
type contest struct {
	size
	ours, theirs, plain, bare   *load.Target
	oursPID, theirsPID, barePID int

	peak, peakPlain, peakBare duel.Result // seconds per answer, closed loop
	oursCPU, theirsCPU        []float64   // seconds of processor per answer
	plainCPU, bareCPU         []float64
	bareOpen                  []quantiles // the bare handler at half of our peak
	oursOpen, theirsOpen      []quantiles // at half of the own peak
	oursAtPeer                []quantiles // leat at the peer's half peak
	oursPeak, theirsPeak      float64
}

type quantiles struct{ p50, p95, p99 float64 }

func (d *contest) duration() time.Duration { return time.Duration(d.seconds * float64(time.Second)) }

func (d *contest) measure(ctx context.Context) error {
	if err := d.equal(); err != nil {
		return err
	}
	warm := d.duration() / 4
	for _, t := range []*load.Target{d.ours, d.theirs, d.plain} {
		if _, err := t.Closed(ctx, d.connections, warm); err != nil {
			return err
		}
	}
	// In the order that processor knows.
	ours := func() (float64, error) { return d.closed(ctx, d.ours, d.oursPID, &d.oursCPU) }
	var err error
	d.peak, err = duel.Alternate(d.rounds, ours, func() (float64, error) {
		return d.closed(ctx, d.theirs, d.theirsPID, &d.theirsCPU)
	})
	if err != nil {
		return err
	}
	d.peakBare, err = duel.Alternate(d.rounds, ours, func() (float64, error) {
		return d.closed(ctx, d.bare, d.barePID, &d.bareCPU)
	})
	if err != nil {
		return err
	}
	d.peakPlain, err = duel.Alternate(d.rounds, ours, func() (float64, error) {
		return d.closed(ctx, d.plain, d.theirsPID, &d.plainCPU)
	})
	if err != nil {
		return err
	}
	d.oursPeak, d.theirsPeak = 1/duel.Median(d.peak.Ours), 1/duel.Median(d.peak.Theirs)
	for range d.rounds {
		if err := d.halves(); err != nil {
			return err
		}
	}
	return nil
}

func (d *contest) closed(ctx context.Context, t *load.Target, pid int, used *[]float64) (float64, error) {
	before := load.CPU(pid)
	rate, err := t.Closed(ctx, d.connections, d.duration())
	if err != nil {
		return 0, err
	}
	*used = append(*used, (load.CPU(pid)-before).Seconds()/(rate*d.seconds))
	return 1 / rate, nil
}

// halves measures latency at half of the peak.
func (d *contest) halves() error {
	for _, turn := range []struct {
		t    *load.Target
		rate float64
		to   *[]quantiles
	}{
		{d.ours, d.oursPeak / 2, &d.oursOpen}, {d.theirs, d.theirsPeak / 2, &d.theirsOpen},
		{d.ours, d.theirsPeak / 2, &d.oursAtPeer}, {d.bare, d.oursPeak / 2, &d.bareOpen},
	} {
		took, err := turn.t.Open(turn.rate, d.connections, d.duration())
		if err != nil {
			return err
		}
		*turn.to = append(*turn.to, quantilesOf(took))
	}
	return nil
}

func quantilesOf(took []time.Duration) quantiles {
	slices.Sort(took)
	at := func(q float64) float64 {
		return took[min(len(took)-1, int(math.Ceil(q*float64(len(took))))-1)].Seconds() * 1e3
	}
	return quantiles{at(0.5), at(0.95), at(0.99)}
}

// equal asks every side with every row and compares the scores.
func (d *contest) equal() error {
	ours := make([]float64, d.bodies)
	if err := scores(d.ours, ours); err != nil {
		return err
	}
	for _, t := range []*load.Target{d.theirs, d.plain} {
		theirs := make([]float64, d.bodies)
		if err := scores(t, theirs); err != nil {
			return err
		}
		for i := range ours {
			if !(math.Abs(ours[i]-theirs[i]) <= tolerance) {
				return fmt.Errorf("row %d: leat says %v, %s %v", i, ours[i], t.Name, theirs[i])
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d answers of each side are equal to %g\n", len(ours), tolerance)
	return nil
}

// scores asks with every row.
func scores(t *load.Target, into []float64) error {
	return t.Each(func(i int, answer []byte) error {
		var a struct{ Decisions []struct{ Score *float64 } }
		if err := json.Unmarshal(answer, &a); err != nil {
			return err
		}
		if len(a.Decisions) != 1 || a.Decisions[0].Score == nil {
			return fmt.Errorf("%s answered %s", t.Name, answer)
		}
		into[i] = *a.Decisions[0].Score
		return nil
	})
}
