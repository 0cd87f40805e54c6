package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/result"
)

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
	figures := []result.Figure{
		speedup("throughput over FastAPI's, plain handler", d.peakPlain).AtLeast(15),
		speedup("throughput over FastAPI's, tuned handler", d.peak).AtLeast(15),
		speedup("throughput over a bare Go handler's that only parses", d.peakBare),
		peak("peak, beside the plain handler", d.peakPlain), peak("peak, beside the tuned handler", d.peak),
		peak("peak, beside the bare handler", d.peakBare),
		d.processor("plain", 2, d.plainCPU), d.processor("tuned", 0, d.theirsCPU), d.processor("bare", 1, d.bareCPU),
	}
	p95 := func(q quantiles) float64 { return q.p95 }
	for _, part := range []struct {
		name   string
		of     func(quantiles) float64
		atMost float64
	}{
		{"p50", func(q quantiles) float64 { return q.p50 }, 0},
		{"p95", p95, 2},
		{"p99", func(q quantiles) float64 { return q.p99 }, 0},
	} {
		f := latency(part.name+" at half of the own peak", d.oursOpen, d.theirsOpen, part.of)
		if part.atMost > 0 {
			f = f.AtMost(part.atMost)
		}
		figures = append(figures, f)
	}
	figures = append(figures, latency("p95, the bare handler at the same rate as peer", d.oursOpen, d.bareOpen, p95),
		latency("p95 at half of the peer's peak", d.oursAtPeer, d.theirsOpen, p95))
	return result.Keep(result.Entry{Bench: "realtime", Figures: figures, Setup: fmt.Sprintf(
		"one row of %d doubles, %d trees, %d connections, %d rounds of %.1f s, peer: FastAPI, uvicorn with uvloop and httptools, %d workers; records: %s",
		d.columns, fixture.Trees, d.connections, d.rounds, d.seconds, d.workers, records)})
}

func speedup(name string, r duel.Result) result.Figure {
	ratio, least, most := r.Speedup()
	return result.Figure{Name: name, Value: ratio, Unit: "×", Least: least, Most: most}
}

// processor compares the processor time of an answer in the rounds of one
// duel: it depends less than a rate on what else the machine does.
func (d *contest) processor(peer string, duelNumber int, theirs []float64) result.Figure {
	ours := d.oursCPU[duelNumber*d.rounds : (duelNumber+1)*d.rounds]
	return result.Figure{Name: "processor time of an answer, beside the " + peer + " handler", Unit: "µs",
		Value: 1e6 * duel.Median(ours), Least: 1e6 * slices.Min(ours), Most: 1e6 * slices.Max(ours), Peer: 1e6 * duel.Median(theirs)}
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
