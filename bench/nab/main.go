// Command nab scores the anomaly detector of package model/anomaly on the
// Numenta Anomaly Benchmark, with the standard profile: on every series of the
// data folder by one set of parameters and one threshold, which is the best on
// all of them, as the benchmark lays down. Beside it stands what parameters and
// threshold that were chosen on half of the groups score on the other half.
//
//	go run ./bench/nab
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"log"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/model/anomaly"
)

func main() {
	each := flag.Bool("each", false, "print what every series scores, too")
	flag.Parse()
	if err := run(context.Background(), *each); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, each bool) error {
	all, err := readAll()
	if err != nil {
		return err
	}
	begin := time.Now()
	scores, err := detect(ctx, all, anomaly.Default())
	if err != nil {
		return err
	}
	took := time.Since(begin)
	p, windows := weigh(all, scores, nil)
	threshold, sum := optimise(p, windows, standard)
	if each {
		printEach(all, scores, threshold)
	}
	hits, alarms := count(p, windows, threshold)
	figures := []result.Figure{
		result.Figure{Name: "all groups", Value: normalised(sum, windows, standard),
			Note: fmt.Sprintf("threshold %.4g: %d of %d anomalies, %d false alarms", threshold, hits, windows, alarms)}.AtLeast(wanted),
	}
	found, err := splits(ctx, all)
	if err != nil {
		return err
	}
	events := 0
	for _, s := range all {
		events += len(s.values)
	}
	figures = append(figures, found...)
	figures = append(figures, result.Figure{Name: "processor time of an event", Value: took.Seconds() * 1e6 * float64(min(len(all), runtime.NumCPU())) / float64(events), Unit: "µs", Note: "at most: other work counts too"})
	return result.Keep(result.Entry{Bench: "nab", Figures: figures, Setup: fmt.Sprintf("%d series, %d events, %d windows; standard profile; %+v", len(all), events, windows, anomaly.Default())})
}

// wanted is the score to reach: near that of the best detectors that look at
// windows of values, and above those that look at values alone.
const wanted = 55

// detect scores every event of every series, in one pass each.
func detect(ctx context.Context, all []series, c anomaly.Config) ([][]float64, error) {
	scores := make([][]float64, len(all))
	g, _ := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, s := range all {
		g.Go(func() error {
			d, err := anomaly.New(c)
			if err != nil {
				return err
			}
			scores[i] = make([]float64, len(s.values))
			for k, v := range s.values {
				scores[i][k] = d.Add(v)
			}
			return nil
		})
	}
	return scores, g.Wait()
}

// weigh gathers the scored events of the series of some groups, of all when
// nil, and counts their windows.
func weigh(all []series, scores [][]float64, groups []string) (p []point, windows int) {
	for i, s := range all {
		if groups != nil && !slices.Contains(groups, s.group()) {
			continue
		}
		p = append(p, points(scores[i], s.windows, windows, standard)...)
		windows += len(s.windows)
	}
	return p, windows
}

// halves are the groups in two halves, each with anomalies of several makes.
var halves = [2][]string{{"realAWSCloudwatch", "artificialNoAnomaly"}, {"realKnownCause", "artificialWithAnomaly"}}

// splits chooses parameters and threshold on one half and scores the other.
func splits(ctx context.Context, all []series) ([]result.Figure, error) {
	type choice struct {
		config    anomaly.Config
		threshold float64
		sum       float64
		other     float64
	}
	var tried [2][]choice
	var sizes [2]int
	for _, c := range candidates() {
		scores, err := detect(ctx, all, c)
		if err != nil {
			return nil, err
		}
		for half := range halves {
			p, n := weigh(all, scores, halves[half])
			threshold, sum := optimise(p, n, standard)
			other, m := weigh(all, scores, halves[1-half])
			sizes[1-half] = m
			tried[half] = append(tried[half], choice{c, threshold, sum, normalised(total(other, m, threshold, standard), m, standard)})
		}
	}
	var figures []result.Figure
	for half := range halves {
		best := slices.MaxFunc(tried[half], func(a, b choice) int { return cmp.Compare(a.sum, b.sum) })
		least := slices.MinFunc(tried[half], func(a, b choice) int { return cmp.Compare(a.other, b.other) })
		most := slices.MaxFunc(tried[half], func(a, b choice) int { return cmp.Compare(a.other, b.other) })
		figures = append(figures, result.Figure{
			Name: strings.Join(halves[1-half], ", "), Value: best.other, Least: least.other, Most: most.other,
			Note: fmt.Sprintf("%d anomalies, chosen on the other half: windows %v, %d neighbours, threshold %.4g; range of all %d choices",
				sizes[1-half], best.config.Windows, best.config.Neighbours, best.threshold, len(tried[half])),
		})
	}
	return figures, nil
}

// candidates are the parameters that are chosen among.
func candidates() (all []anomaly.Config) {
	for _, windows := range [][]int{{1, 6}, {1, 12}, {1, 24}, {1, 4, 16}, {1, 3, 9, 27}} {
		for _, neighbours := range []int{5, 10, 20} {
			c := anomaly.Default()
			c.Windows, c.Neighbours = windows, neighbours
			all = append(all, c)
		}
	}
	return all
}

// count tells how many windows are found and how many events outside of any
// are alarms.
func count(p []point, windows int, threshold float64) (hits, alarms int) {
	found := make([]bool, windows)
	for _, q := range p {
		switch {
		case q.score < threshold:
		case q.window < 0:
			alarms++
		case !found[q.window]:
			found[q.window] = true
			hits++
		}
	}
	return hits, alarms
}

func printEach(all []series, scores [][]float64, threshold float64) {
	for i, s := range all {
		p := points(scores[i], s.windows, 0, standard)
		hits, alarms := count(p, len(s.windows), threshold)
		fmt.Printf("%-66s %6.2f, %d of %d found, %d false alarms\n", s.name, total(p, len(s.windows), threshold, standard), hits, len(s.windows), alarms)
	}
}
