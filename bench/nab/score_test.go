package main

import (
	"math"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-4 {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// TestSigmoid: the values that the paper's figure of the function has.
func TestSigmoid(t *testing.T) {
	near(t, "the left end", sigmoid(-1), 0.98661)
	near(t, "the middle", sigmoid(-0.5), 0.84828)
	near(t, "the right end", sigmoid(0), 0)
	near(t, "a window's width behind it", sigmoid(1), -0.98661)
	near(t, "far behind it", sigmoid(3.1), -1)
}

// series of 100 events with an anomaly from 40 to 59; 15 are for learning.
func scored(detections ...int) []point {
	scores := make([]float64, 100)
	for _, i := range detections {
		scores[i] = 1
	}
	return points(scores, []window{{40, 59}}, 0, standard)
}

func TestCases(t *testing.T) {
	for _, c := range []struct {
		name       string
		detections []int
		want       float64
	}{
		{"nothing is found", nil, -1},
		{"at once", []int{40}, 1 * sigmoid(-1) / sigmoid(-1)},
		{"in the middle", []int{50}, sigmoid(-0.5) / sigmoid(-1)},
		{"twice counts once, the earlier", []int{40, 50}, 1},
		{"while it learns, nothing counts", []int{3, 14}, -1},
		{"a false alarm before", []int{20}, -1 - 0.11},
		{"just behind the window", []int{60}, -1 + 0.11*sigmoid(1./19)},
		{"far behind the window", []int{99}, -1 + 0.11*sigmoid(40./19)},
		{"found, and two false alarms", []int{20, 21, 40}, 1 - 0.22},
	} {
		near(t, c.name, total(scored(c.detections...), 1, 0.5, standard), c.want)
	}
}

// TestOptimise: the best threshold is found among all that make a difference.
func TestOptimise(t *testing.T) {
	scores := make([]float64, 100)
	scores[20], scores[40], scores[45], scores[80] = 0.9, 0.8, 0.95, 0.3
	p := points(scores, []window{{40, 59}}, 0, standard)
	threshold, score := optimise(p, 1, standard)
	// At 0.95 the anomaly is found late; at 0.8 at once, for a false alarm.
	late, early := sigmoid(-15./20)/sigmoid(-1), 1-0.11
	near(t, "found late", late, 0.9670)
	if threshold != 0.95 {
		t.Errorf("the best threshold is %g", threshold)
	}
	near(t, "all events at it", total(p, 1, threshold, standard), score)
	near(t, "the best", score, math.Max(late, early))
	for _, other := range []float64{0, 0.3, 0.8, 0.9, 1} {
		if total(p, 1, other, standard) > score {
			t.Errorf("%g is better", other)
		}
	}
}

func TestNormalised(t *testing.T) {
	near(t, "nothing found", normalised(-7, 7, standard), 0)
	near(t, "all found at once", normalised(7, 7, standard), 100)
}

func TestProbation(t *testing.T) {
	for n, want := range map[int]int{100: 15, 4032: 604, 22695: 750} {
		if got := probation(n); got != want {
			t.Errorf("of %d events %d are for learning, want %d", n, got, want)
		}
	}
}
