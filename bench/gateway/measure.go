package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

// contest is what is measured, by side and round.
type contest struct {
	size
	sides  []*side
	server string

	open   [3][]quantiles // at the wanted rate; the peer at half of its peak
	beside []quantiles    // the upstream at the peer's rate
	calm   [3][]quantiles // one call after the other
	first  [3][]quantiles // until the first piece of an answer
	peaks  [3][]float64   // calls a second
	cpu    [3][]float64   // seconds of processor a call, at the peak
}

// quantiles are of milliseconds.
type quantiles struct{ p50, p99 float64 }

func quantilesOf(took []time.Duration) quantiles {
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[min(len(took)-1, int(q*float64(len(took))))].Nanoseconds()) / 1e6
	}
	return quantiles{at(0.5), at(0.99)}
}

// measure lets the sides take turns, round by round; another one begins each.
func (c *contest) measure(ctx context.Context) error {
	for _, x := range c.sides {
		if _, err := x.target.Closed(ctx, c.connections, warm); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	for round := range c.rounds {
		for k := range c.sides {
			i := (round + k) % len(c.sides)
			if err := c.turn(ctx, i); err != nil {
				return fmt.Errorf("%s: %w", c.sides[i].name, err)
			}
		}
	}
	return nil
}

// turn measures one side.
func (c *contest) turn(ctx context.Context, i int) error {
	x := c.sides[i]
	duration := time.Duration(c.seconds * float64(time.Second))
	before := load.CPU(x.pid)
	peak, err := x.target.Closed(ctx, c.connections, duration/2)
	if err != nil {
		return err
	}
	c.peaks[i] = append(c.peaks[i], peak)
	c.cpu[i] = append(c.cpu[i], (load.CPU(x.pid)-before).Seconds()/(peak*(duration/2).Seconds()))
	rate := c.rate
	if i == 2 { // a queue would be measured beyond what it can do
		rate = min(rate, duel.Median(c.peaks[i])/2)
	}
	took, err := x.target.Open(rate, c.connections, duration)
	if err != nil {
		return err
	}
	c.open[i] = append(c.open[i], quantilesOf(took))
	if i == 2 {
		if took, err = c.sides[0].target.Open(rate, c.connections, duration/2); err != nil {
			return err
		}
		c.beside = append(c.beside, quantilesOf(took))
	}
	if err := c.calmly(i); err != nil {
		return err
	}
	q := c.open[i][len(c.open[i])-1]
	fmt.Printf("%-9s %7.0f calls/s at its peak, %5.0f µs of processor each; at %.0f/s p50 %.3f ms, p99 %.3f ms; alone %.3f ms; first piece %.3f ms\n",
		x.name, peak, 1e6*c.cpu[i][len(c.cpu[i])-1], rate, q.p50, q.p99, last(c.calm[i]).p50, last(c.first[i]).p50)
	return nil
}

func last(list []quantiles) quantiles { return list[len(list)-1] }

// calmly asks one call after the other: whole answers, then answers in pieces
// until their first.
func (c *contest) calmly(i int) error {
	x := c.sides[i]
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	for _, stream := range []bool{false, true} {
		var took []time.Duration
		questions := bodies(stream)
		for n := range c.streams {
			d, err := first(client, x.url, questions[n%len(questions)], stream)
			if err != nil {
				return err
			}
			took = append(took, d)
		}
		if stream {
			c.first[i] = append(c.first[i], quantilesOf(took))
		} else {
			c.calm[i] = append(c.calm[i], quantilesOf(took))
		}
	}
	return nil
}

// first is the time until the first piece with content of an answer, or until
// the end of a whole one. An answer in pieces must come to its end.
func first(client *http.Client, url string, body []byte, stream bool) (time.Duration, error) {
	begun := time.Now()
	r, err := client.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 500))
		return 0, fmt.Errorf("%s: %s", r.Status, text)
	}
	if !stream {
		_, err := io.Copy(io.Discard, r.Body)
		return time.Since(begun), err
	}
	var took time.Duration
	pieces, done := 0, false
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		line := lines.Text()
		if strings.Contains(line, `" word"`) {
			if pieces++; pieces == 1 {
				took = time.Since(begun)
			}
		}
		done = done || strings.Contains(line, "[DONE]")
	}
	if pieces != 20 || !done {
		return 0, fmt.Errorf("an answer of %d pieces, done: %t", pieces, done)
	}
	return took, nil
}

// added is what a side takes beyond the upstream, as the median of the rounds
// and their range.
func added(name string, side, upstream []quantiles, of func(quantiles) float64) result.Figure {
	var all []float64
	for i := range side {
		all = append(all, of(side[i])-of(upstream[i]))
	}
	return result.Figure{Name: name, Value: duel.Median(all), Unit: "ms", Least: slices.Min(all), Most: slices.Max(all)}
}

func p50(q quantiles) float64 { return q.p50 }
func p99(q quantiles) float64 { return q.p99 }

func (c *contest) report() error {
	figures := []result.Figure{
		added(fmt.Sprintf("added at %.0f calls/s, p50", c.rate), c.open[1], c.open[0], p50).AtMost(0.3),
		added(fmt.Sprintf("added at %.0f calls/s, p99", c.rate), c.open[1], c.open[0], p99).AtMost(2),
		added("added to the first piece, p50", c.first[1], c.first[0], p50).AtMost(1),
		added("added to the first piece, p99", c.first[1], c.first[0], p99),
		added("added to one call after the other, p50", c.calm[1], c.calm[0], p50),
		{Name: "peak", Value: duel.Median(c.peaks[1]), Unit: "calls/s", Least: slices.Min(c.peaks[1]), Most: slices.Max(c.peaks[1]), Note: fmt.Sprintf("the upstream itself %.0f", duel.Median(c.peaks[0]))},
		{Name: "processor time of a call", Value: 1e6 * duel.Median(c.cpu[1]), Unit: "µs", Least: 1e6 * slices.Min(c.cpu[1]), Most: 1e6 * slices.Max(c.cpu[1])},
	}
	if len(c.sides) > 2 {
		c.compare(figures)
		ratio := result.Figure{Name: "peak over LiteLLM's", Value: duel.Median(c.peaks[1]) / duel.Median(c.peaks[2]), Unit: "×"}
		var all []float64
		for i := range c.peaks[1] {
			all = append(all, c.peaks[1][i]/c.peaks[2][i])
		}
		ratio.Least, ratio.Most = slices.Min(all), slices.Max(all)
		figures = append(figures, ratio)
	}
	kept, err := metrics(c.server)
	if err != nil {
		return err
	}
	return result.Keep(result.Entry{Bench: "gateway", Figures: figures, Setup: fmt.Sprintf(
		"%d connections, %d rounds of %.1f s, questions of 0.6 KB; limits, budget, price, ledger, record and metrics on; peer: LiteLLM %s with a worker for each core, nothing of that on, asked at half of its peak; afterwards %s",
		c.connections, c.rounds, c.seconds, peerVersion, kept)})
}

// compare sets the peer's figures beside ours.
func (c *contest) compare(figures []result.Figure) {
	figures[0].Peer = added("", c.open[2], c.beside, p50).Value
	figures[1].Peer = added("", c.open[2], c.beside, p99).Value
	figures[2].Peer = added("", c.first[2], c.first[0], p50).Value
	figures[3].Peer = added("", c.first[2], c.first[0], p99).Value
	figures[4].Peer = added("", c.calm[2], c.calm[0], p50).Value
	figures[5].Peer = duel.Median(c.peaks[2])
	figures[6].Peer = 1e6 * duel.Median(c.cpu[2])
}

// metrics reads what the server kept and did not.
func metrics(url string) (string, error) {
	r, err := http.Get(url + "/metrics")
	if err != nil {
		return "", err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	var found []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "leat_records_dropped") || strings.HasPrefix(line, "leat_llm_ledger_dropped") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return strings.Join(found, ", "), err
}
