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
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/result"
)

// tolerance is the difference of scores up to which the two are equal.
const tolerance = 1e-9

type size struct {
	columns, connections, rounds, bodies, workers int
	seconds                                       float64
	alone                                         bool
}

func main() {
	var s size
	flag.IntVar(&s.columns, "columns", 30, "features of a row, at least 8")
	flag.IntVar(&s.connections, "connections", 32, "of the load")
	flag.IntVar(&s.rounds, "rounds", 7, "")
	flag.IntVar(&s.bodies, "bodies", 1000, "different rows that are asked with")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "processes of the peer")
	flag.Float64Var(&s.seconds, "seconds", 6*result.Scale(), "of load, each round and side")
	flag.BoolVar(&s.alone, "alone", false, "without the peer, to profile")
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
	project, err := fixture.Make(ctx, dir, s.columns)
	if err != nil {
		return err
	}
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	rows := bodies(s)
	ours, err := newTarget("leat", server.URL+"/v1/endpoints/"+fixture.Endpoint+"/score", rows)
	if err != nil {
		return err
	}
	d := &contest{size: s, ours: ours, oursPID: server.PID()}
	if s.alone {
		return d.single(ctx)
	}
	p, err := startPeer(ctx, project.Peer, s.workers)
	if err != nil {
		return err
	}
	defer p.stop()
	d.theirsPID = p.cmd.Process.Pid
	if d.theirs, err = newTarget("FastAPI, tuned", p.url+"/tuned", rows); err != nil {
		return err
	}
	if d.plain, err = newTarget("FastAPI, plain", p.url+"/plain", rows); err != nil {
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

// single measures leat alone, to compare with itself.
func (d *contest) single(ctx context.Context) error {
	for range d.rounds {
		seconds, err := d.closed(ctx, d.ours, d.oursPID, &d.oursCPU)
		if err != nil {
			return err
		}
		fmt.Printf("leat alone: %.0f answers/s, %.1f µs of processor each\n", 1/seconds, 1e6*d.oursCPU[len(d.oursCPU)-1])
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
	ours, theirs, plain *target
	oursPID, theirsPID  int

	peak, peakPlain      duel.Result // seconds per answer, closed loop
	oursCPU, theirsCPU   []float64   // seconds of processor per answer
	plainCPU             []float64
	oursOpen, theirsOpen []quantiles // at half of the own peak
	oursAtPeer           []quantiles // leat at the peer's half peak
	oursPeak, theirsPeak float64
}

type quantiles struct{ p50, p95, p99 float64 }

func (d *contest) duration() time.Duration { return time.Duration(d.seconds * float64(time.Second)) }

func (d *contest) measure(ctx context.Context) error {
	if err := d.equal(); err != nil {
		return err
	}
	warm := d.duration() / 4
	for _, t := range []*target{d.ours, d.theirs, d.plain} {
		if _, err := t.closed(ctx, d.connections, warm); err != nil {
			return err
		}
	}
	ours := func() (float64, error) { return d.closed(ctx, d.ours, d.oursPID, &d.oursCPU) }
	var err error
	d.peak, err = duel.Alternate(d.rounds, ours, func() (float64, error) {
		return d.closed(ctx, d.theirs, d.theirsPID, &d.theirsCPU)
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

func (d *contest) closed(ctx context.Context, t *target, pid int, used *[]float64) (float64, error) {
	before := cpu(pid)
	rate, err := t.closed(ctx, d.connections, d.duration())
	if err != nil {
		return 0, err
	}
	*used = append(*used, (cpu(pid)-before).Seconds()/(rate*d.seconds))
	return 1 / rate, nil
}

// halves measures latency at half of the peak.
func (d *contest) halves() error {
	for _, turn := range []struct {
		t    *target
		rate float64
		to   *[]quantiles
	}{
		{d.ours, d.oursPeak / 2, &d.oursOpen}, {d.theirs, d.theirsPeak / 2, &d.theirsOpen},
		{d.ours, d.theirsPeak / 2, &d.oursAtPeer},
	} {
		took, err := turn.t.open(turn.rate, d.connections, d.duration())
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
	if err := d.ours.scores(ours); err != nil {
		return err
	}
	for _, t := range []*target{d.theirs, d.plain} {
		theirs := make([]float64, d.bodies)
		if err := t.scores(theirs); err != nil {
			return err
		}
		for i := range ours {
			if !(math.Abs(ours[i]-theirs[i]) <= tolerance) {
				return fmt.Errorf("row %d: leat says %v, %s %v", i, ours[i], t.name, theirs[i])
			}
		}
	}
	fmt.Fprintf(os.Stderr, "%d answers of each side are equal to %g\n", len(ours), tolerance)
	return nil
}

func (t *target) scores(into []float64) error {
	c, err := t.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	var body bytes.Buffer
	for i := range into {
		if err := c.ask(t.requests[i], &body); err != nil {
			return err
		}
		var answer struct{ Decisions []struct{ Score *float64 } }
		if err := json.Unmarshal(body.Bytes(), &answer); err != nil {
			return err
		}
		if len(answer.Decisions) != 1 || answer.Decisions[0].Score == nil {
			return fmt.Errorf("%s answered %s", t.name, body.Bytes())
		}
		into[i] = *answer.Decisions[0].Score
	}
	return nil
}

// dropped reads how many records the server kept and did not.
func dropped(url string) (string, error) {
	r, err := http.Get(url + "/metrics")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "leat_records") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, ", "), err
}

func (d *contest) report(records string) error {
	own := 1e6 * duel.Median(d.oursCPU)
	figures := []result.Figure{
		speedup("throughput over FastAPI's, plain handler", d.peakPlain).AtLeast(15),
		speedup("throughput over FastAPI's, tuned handler", d.peak).AtLeast(15),
		peak("peak, beside the plain handler", d.peakPlain), peak("peak, beside the tuned handler", d.peak),
		{Name: "processor time of an answer, plain", Value: own, Unit: "µs", Peer: 1e6 * duel.Median(d.plainCPU)},
		{Name: "processor time of an answer, tuned", Value: own, Unit: "µs", Peer: 1e6 * duel.Median(d.theirsCPU)},
	}
	for _, part := range []struct {
		name   string
		of     func(quantiles) float64
		atMost float64
	}{
		{"p50", func(q quantiles) float64 { return q.p50 }, 0},
		{"p95", func(q quantiles) float64 { return q.p95 }, 2},
		{"p99", func(q quantiles) float64 { return q.p99 }, 0},
	} {
		f := latency(part.name+" at half of the own peak", d.oursOpen, d.theirsOpen, part.of)
		if part.atMost > 0 {
			f = f.AtMost(part.atMost)
		}
		figures = append(figures, f)
	}
	figures = append(figures, latency("p95 at half of the peer's peak", d.oursAtPeer, d.theirsOpen, func(q quantiles) float64 { return q.p95 }))
	return result.Keep(result.Entry{Bench: "realtime", Figures: figures, Setup: fmt.Sprintf(
		"one row of %d doubles, %d trees, %d connections, %d rounds of %.1f s, peer: FastAPI, uvicorn with uvloop and httptools, %d workers; records: %s",
		d.columns, fixture.Trees, d.connections, d.rounds, d.seconds, d.workers, records)})
}

func speedup(name string, r duel.Result) result.Figure {
	ratio, least, most := r.Speedup()
	return result.Figure{Name: name, Value: ratio, Unit: "×", Least: least, Most: most}
}

func peak(name string, r duel.Result) result.Figure {
	return result.Figure{Name: name, Value: 1 / duel.Median(r.Ours), Unit: "answers/s", Peer: 1 / duel.Median(r.Theirs),
		Least: 1 / slices.Max(r.Ours), Most: 1 / slices.Min(r.Ours)}
}

func latency(name string, ours, theirs []quantiles, of func(quantiles) float64) result.Figure {
	values := func(list []quantiles) []float64 {
		out := make([]float64, len(list))
		for i, q := range list {
			out[i] = of(q)
		}
		return out
	}
	mine := values(ours)
	return result.Figure{Name: name, Value: duel.Median(mine), Unit: "ms", Least: slices.Min(mine), Most: slices.Max(mine), Peer: duel.Median(values(theirs))}
}
