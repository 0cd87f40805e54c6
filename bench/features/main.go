// Command features measures reading features online over HTTP: 250 doubles in
// five views, of one entity and of fifty. Leat is asked by its own API and by
// Feast's protocol, with the store in its process and with Redis; the peer is
// Feast's Python feature server, a process for each core, with Redis. All share
// the cores with the load and get the same bytes; the answers are compared
// first, value by value.
//
//	make build && go run ./bench/features
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

type size struct {
	entities, features, views, connections, rounds, bodies, workers int
	rate, seconds                                                   float64
	alone                                                           bool
}

func main() {
	var s size
	flag.IntVar(&s.entities, "entities", 1000, "drivers that there are")
	flag.IntVar(&s.features, "features", 250, "of a driver")
	flag.IntVar(&s.views, "views", 5, "that the features are in")
	flag.IntVar(&s.connections, "connections", 32, "of the load")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.IntVar(&s.bodies, "bodies", 200, "different requests")
	flag.IntVar(&s.workers, "workers", runtime.NumCPU(), "processes of the peer")
	flag.Float64Var(&s.rate, "rate", 5000, "requests each second of the open loop, where a side can do them")
	flag.Float64Var(&s.seconds, "seconds", 4*result.Scale(), "of load, each round and side")
	flag.BoolVar(&s.alone, "alone", false, "without the peer, to profile")
	flag.Parse()
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one for pace, which holds on to it
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s size) (err error) {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	h, err := newHouse(ctx, dir, s)
	defer func() { err = errors.Join(err, h.stop()) }()
	if err != nil {
		return err
	}
	var figures []result.Figure
	for _, n := range []int{1, 50} {
		sides, err := h.sides(n)
		if err != nil {
			return err
		}
		if err := equal(sides); err != nil {
			return err
		}
		c := contest{size: s, n: n, sides: sides}
		if err := c.measure(ctx); err != nil {
			return err
		}
		figures = append(figures, c.figures()...)
	}
	return result.Keep(result.Entry{Bench: "features", Figures: figures,
		Setup: fmt.Sprintf("%d features in %d views, %d entities, %d connections; Feast with %d processes", s.features, s.views, s.entities, s.connections, s.workers)})
}

// side is one way to ask, with what it took.
type side struct {
	*load.Target
	pids   []int // whose processor time counts
	decode func(answer []byte) (answered, error)

	perAnswer []float64 // seconds in a closed loop, by round
	cpu       []float64 // seconds of processor, by round
	rate      float64   // of the open loop
	open      []quantiles
}

type quantiles struct{ p50, p95, p99 float64 } // milliseconds

// contest is the sides in turns, with requests for n entities.
type contest struct {
	size
	n     int
	sides []*side
}

func (c *contest) duration() time.Duration { return time.Duration(c.seconds * float64(time.Second)) }

func (c *contest) measure(ctx context.Context) error {
	var turns []func() (float64, error)
	for _, s := range c.sides {
		if _, err := s.Closed(ctx, c.connections, c.duration()/4); err != nil {
			return err
		}
		turns = append(turns, func() (float64, error) { return s.closed(ctx, c.connections, c.duration()) })
	}
	took, err := duel.Turns(c.rounds, turns...)
	if err != nil {
		return err
	}
	for i, s := range c.sides {
		s.perAnswer = took[i]
		// Beyond its peak a queue is measured, and not a server.
		s.rate = math.Min(c.rate, 0.5/duel.Median(took[i]))
	}
	_, err = duel.Turns(c.rounds, turnsOf(c.sides, func(s *side) error {
		took, err := s.Open(s.rate, c.connections, c.duration())
		if err == nil {
			s.open = append(s.open, quantilesOf(took))
		}
		return err
	})...)
	if err != nil {
		return err
	}
	return c.fast()
}

// fast asks a side that could do half of it at the whole rate, too.
func (c *contest) fast() error {
	for _, s := range c.sides {
		if s.rate == c.rate || duel.Median(s.perAnswer) > 0.9/c.rate {
			continue
		}
		s.rate, s.open = c.rate, nil
		for range c.rounds {
			took, err := s.Open(s.rate, c.connections, c.duration())
			if err != nil {
				return err
			}
			s.open = append(s.open, quantilesOf(took))
		}
	}
	return nil
}

func turnsOf(sides []*side, f func(*side) error) (turns []func() (float64, error)) {
	for _, s := range sides {
		turns = append(turns, func() (float64, error) { return 0, f(s) })
	}
	return turns
}

func (s *side) closed(ctx context.Context, connections int, d time.Duration) (float64, error) {
	before := s.used()
	rate, err := s.Closed(ctx, connections, d)
	if err != nil {
		return 0, err
	}
	s.cpu = append(s.cpu, (s.used()-before).Seconds()/(rate*d.Seconds()))
	return 1 / rate, nil
}

func (s *side) used() (total time.Duration) {
	for _, pid := range s.pids {
		total += load.CPU(pid)
	}
	return total
}

func quantilesOf(took []time.Duration) quantiles {
	slices.Sort(took)
	at := func(q float64) float64 {
		return took[min(len(took)-1, int(math.Ceil(q*float64(len(took))))-1)].Seconds() * 1e3
	}
	return quantiles{at(0.5), at(0.95), at(0.99)}
}

// figures are three for each side; the first side is the one that is promised.
func (c *contest) figures() (all []result.Figure) {
	var peer *side
	if last := c.sides[len(c.sides)-1]; !c.alone {
		peer = last
	}
	for i, s := range c.sides {
		name := fmt.Sprintf("%s, %d entities", s.Name, c.n)
		rates, p99 := inverse(s.perAnswer), s.p99()
		peak := result.Figure{Name: name + ": peak", Value: duel.Median(rates), Unit: "/s", Least: slices.Min(rates), Most: slices.Max(rates),
			Note: fmt.Sprintf("%.0f µs of processor each", duel.Median(s.cpu)*1e6)}
		latency := result.Figure{Name: name + ": p99", Value: duel.Median(p99), Unit: "ms", Least: slices.Min(p99), Most: slices.Max(p99), Note: s.note()}
		if peer != nil && s != peer {
			peak.Peer, latency.Peer = duel.Median(inverse(peer.perAnswer)), duel.Median(peer.p99())
		}
		if i == 0 && s.rate == c.rate {
			latency = latency.AtMost(1)
		}
		all = append(all, peak, latency)
	}
	return all
}

func inverse(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = 1 / v
	}
	return out
}

func (s *side) p99() (all []float64) {
	for _, q := range s.open {
		all = append(all, q.p99)
	}
	return all
}

func (s *side) note() string {
	var p50, p95 []float64
	for _, q := range s.open {
		p50, p95 = append(p50, q.p50), append(p95, q.p95)
	}
	return fmt.Sprintf("at %.0f/s; p50 %.2f, p95 %.2f ms", s.rate, duel.Median(p50), duel.Median(p95))
}
