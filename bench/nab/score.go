package main

import (
	"cmp"
	"math"
	"slices"
)

// profile is what detections and misses count: the standard profile of NAB.
type profile struct{ hit, alarm, miss float64 }

var standard = profile{hit: 1, alarm: 0.11, miss: 1}

// window is the events, from first to last, in which one anomaly is to be
// found.
type window struct{ first, last int }

// probation is how many events of a series are for the detector to learn from
// and not scored: 15 % of it, of 5,000 events at most.
func probation(n int) int { return int(0.15 * float64(min(n, 5000))) }

// sigmoid is the value of a detection by its place relative to a window: -1 at
// its left end, 0 at its right one, beyond that what is behind it.
func sigmoid(place float64) float64 {
	if place > 3 {
		return -1
	}
	return 2/(1+math.Exp(5*place)) - 1
}

// point is one scored event.
type point struct {
	score  float64 // the detector's
	value  float64 // what it counts when it is detected
	window int     // in all of the corpus; -1: none
}

// points weighs the events of a series. first is the number of its first
// window in the corpus.
func points(scores []float64, windows []window, first int, p profile) []point {
	var out []point
	at, before := 0, -1 // the window that is next or under way, and the last one that is over
	for i, s := range scores {
		for at < len(windows) && i > windows[at].last {
			before, at = at, at+1
		}
		if i < probation(len(scores)) {
			continue
		}
		q := point{score: s, window: -1, value: -p.alarm}
		switch {
		case at < len(windows) && i >= windows[at].first:
			w := windows[at]
			width := float64(w.last - w.first + 1)
			q.window = first + at
			q.value = p.hit * sigmoid(-float64(w.last-i+1)/width) / sigmoid(-1)
		case before >= 0:
			w := windows[before]
			q.value = p.alarm * sigmoid(float64(i-w.last)/math.Max(1, float64(w.last-w.first)))
		}
		out = append(out, q)
	}
	return out
}

// total is the score of all events at a threshold.
func total(all []point, windows int, threshold float64, p profile) float64 {
	best := make([]float64, windows)
	for i := range best {
		best[i] = -p.miss
	}
	sum := 0.0
	for _, q := range all {
		if q.score < threshold {
			continue
		}
		if q.window < 0 {
			sum += q.value
		} else {
			best[q.window] = math.Max(best[q.window], q.value)
		}
	}
	for _, b := range best {
		sum += b
	}
	return sum
}

// optimise finds the one threshold with which all events score best.
func optimise(all []point, windows int, p profile) (threshold, score float64) {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b point) int { return cmp.Compare(b.score, a.score) })
	best := make([]float64, windows)
	sum := -p.miss * float64(windows)
	for i := range best {
		best[i] = -p.miss
	}
	threshold, score = math.Inf(1), sum
	for i, q := range sorted {
		if q.window < 0 {
			sum += q.value
		} else if q.value > best[q.window] {
			sum += q.value - best[q.window]
			best[q.window] = q.value
		}
		if (i+1 == len(sorted) || sorted[i+1].score != q.score) && sum > score {
			threshold, score = q.score, sum
		}
	}
	return threshold, score
}

// normalised puts a score between a detector that finds nothing, 0, and one
// that finds every anomaly at once and nothing else, 100.
func normalised(score float64, windows int, p profile) float64 {
	null, perfect := -p.miss*float64(windows), p.hit*float64(windows)
	return 100 * (score - null) / (perfect - null)
}
