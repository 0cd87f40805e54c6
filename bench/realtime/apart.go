package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

// Processors of the run in which servers and load do not share one: what a
// server's answer waits for is then the server.
const (
	serversCore = 0
	loadsCore   = 1
)

// apart measures latency with a processor for the server and another one for
// the load. On shared ones an answer also waits for the turns that the system
// gives to the load's threads, milliseconds at a time.
func apart(ctx context.Context, s size, project *fixture.Project) error {
	if runtime.NumCPU() < 2 {
		return errors.New("two processors are needed")
	}
	server, err := binary.UpOn(ctx, serversCore, project.Dir)
	if err != nil {
		return err
	}
	defer server.Stop()
	url, stop, pid, err := startBare(ctx, "taskset", "-c", strconv.Itoa(serversCore))
	if err != nil {
		return err
	}
	defer stop()
	if err := pinSelf(loadsCore); err != nil {
		return err
	}
	runtime.GOMAXPROCS(2) // one that asks, one that keeps time: more would take turns on the one processor
	rows := bodies(s)
	ours, err := load.New("leat", server.URL+"/v1/endpoints/"+fixture.Endpoint+"/score", rows)
	if err != nil {
		return err
	}
	bare, err := load.New("bare handler", url+"/", rows)
	if err != nil {
		return err
	}
	d := &contest{size: s, ours: ours, bare: bare}
	peak, err := duel.Alternate(s.rounds,
		func() (float64, error) { return d.closed(ctx, ours, server.PID(), &d.oursCPU) },
		func() (float64, error) { return d.closed(ctx, bare, pid, &d.bareCPU) })
	if err != nil {
		return err
	}
	rate := 0.5 / duel.Median(peak.Ours)
	for range s.rounds {
		for _, turn := range []struct {
			t  *load.Target
			to *[]quantiles
		}{{ours, &d.oursOpen}, {bare, &d.bareOpen}} {
			took, err := turn.t.Open(rate, d.connections, d.duration())
			if err != nil {
				return err
			}
			*turn.to = append(*turn.to, quantilesOf(took))
		}
	}
	return d.reportApart(peak)
}

func (d *contest) reportApart(r duel.Result) error {
	over, least, most := r.Speedup()
	return result.Keep(result.Entry{Bench: "realtime", Figures: []result.Figure{
		{Name: "throughput over a bare Go handler's that only parses", Value: over, Unit: "×", Least: least, Most: most},
		peak("peak on one processor", r),
		d.processor("bare", 0, d.bareCPU),
		latency("p50 at half of the own peak", d.oursOpen, d.bareOpen, func(q quantiles) float64 { return q.p50 }),
		latency("p95 at half of the own peak", d.oursOpen, d.bareOpen, func(q quantiles) float64 { return q.p95 }),
		latency("p99 at half of the own peak", d.oursOpen, d.bareOpen, func(q quantiles) float64 { return q.p99 }),
	}, Setup: fmt.Sprintf("apart: one processor for the server and one for the load; one row of %d doubles, %d trees, %d connections, %d rounds of %.1f s, peer: the bare handler at the same rate",
		d.columns, fixture.Trees, d.connections, d.rounds, d.seconds)})
}

// pinSelf has every thread of this process run on one processor. Threads to
// come are born where their parents are.
func pinSelf(core int) error {
	var set unix.CPUSet
	set.Set(core)
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended meanwhile
			return err
		}
	}
	return nil
}
