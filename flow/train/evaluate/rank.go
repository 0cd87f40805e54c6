package evaluate

import (
	"math"
	"slices"
)

// ranking is what a threshold that falls from above all scores to below all
// of them finds: at each distinct score, how many rows of the class and of
// the others have been passed.
type ranking struct {
	score     []float64
	hit, miss []int // running counts
}

func rank(label, score []float64, class float64) ranking {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case score[a] > score[b]:
			return -1
		case score[a] < score[b]:
			return 1
		}
		return 0
	})
	var r ranking
	hit, miss := 0, 0
	for i, row := range order {
		if label[row] == class {
			hit++
		} else {
			miss++
		}
		if i == len(order)-1 || score[order[i+1]] != score[row] {
			r.score = append(r.score, score[row])
			r.hit, r.miss = append(r.hit, hit), append(r.miss, miss)
		}
	}
	return r
}

func (r ranking) totals() (hits, misses float64) {
	if len(r.hit) == 0 {
		return 0, 0
	}
	return float64(r.hit[len(r.hit)-1]), float64(r.miss[len(r.miss)-1])
}

// auc is the area under the ROC curve; NaN when a class has no row.
func (r ranking) auc() float64 {
	hits, misses := r.totals()
	area, before, beforeMiss := 0.0, 0.0, 0.0
	for i := range r.hit {
		hit, miss := float64(r.hit[i]), float64(r.miss[i])
		area += (miss - beforeMiss) * (hit + before) / 2
		before, beforeMiss = hit, miss
	}
	if hits == 0 || misses == 0 {
		return math.NaN()
	}
	return area / (hits * misses)
}

// averagePrecision is the mean precision over the gains in recall; NaN when
// there is no positive.
func (r ranking) averagePrecision() float64 {
	hits, _ := r.totals()
	if hits == 0 {
		return math.NaN()
	}
	sum, before := 0.0, 0
	for i, hit := range r.hit {
		sum += float64(hit-before) / hits * float64(hit) / float64(hit+r.miss[i])
		before = hit
	}
	return sum
}

// BestThreshold returns the threshold of a binary score at which F1 is
// highest, halfway to the next lower score, and that F1. Without a positive
// row it is 0.5.
func BestThreshold(label, score []float64) (threshold, f1 float64) {
	r := rank(label, score, 1)
	hits, _ := r.totals()
	threshold = 0.5
	for i := range r.score {
		tp := float64(r.hit[i])
		v := ratio(2*tp, tp+float64(r.miss[i])+hits)
		if v > f1 {
			f1, threshold = v, r.score[i]
			if i+1 < len(r.score) {
				threshold = r.score[i] + (r.score[i+1]-r.score[i])/2
			}
		}
	}
	return threshold, f1
}

// maxPoints bounds the points that are kept of a curve.
const maxPoints = 200

// roc returns the ROC curve with its ends, thinned.
func (r ranking) roc() []Point {
	hits, misses := r.totals()
	if hits == 0 || misses == 0 {
		return nil
	}
	points := []Point{{0, 0}}
	for i := range r.hit {
		points = append(points, Point{float64(r.miss[i]) / misses, float64(r.hit[i]) / hits})
	}
	return thin(points)
}

// pr returns the curve of precision over recall, thinned.
func (r ranking) pr() []Point {
	hits, _ := r.totals()
	if hits == 0 {
		return nil
	}
	var points []Point
	for i := range r.hit {
		points = append(points, Point{float64(r.hit[i]) / hits, float64(r.hit[i]) / float64(r.hit[i]+r.miss[i])})
	}
	return thin(points)
}

// thin keeps the first and last point and those that lie at least one
// maxPoints-th of the curve's way from the one kept before: where much
// happens, more is kept.
func thin(points []Point) []Point {
	way := 0.0
	step := func(a, b Point) float64 { return math.Abs(a.X-b.X) + math.Abs(a.Y-b.Y) }
	for i := 1; i < len(points); i++ {
		way += step(points[i-1], points[i])
	}
	kept, gone := points[:1:1], 0.0
	for i := 1; i < len(points); i++ {
		gone += step(points[i-1], points[i])
		if gone >= way/(maxPoints-2) || i == len(points)-1 {
			kept, gone = append(kept, points[i]), 0
		}
	}
	return kept
}

// calibration puts rows in ten bins of their score.
func calibration(label, score []float64) []Bin {
	const bins = 10
	sums := make([]struct{ score, positive float64 }, bins)
	out := make([]Bin, bins)
	for i, s := range score {
		b := min(max(int(s*bins), 0), bins-1)
		out[b].Rows++
		sums[b].score += s
		sums[b].positive += label[i]
	}
	for b := range out {
		out[b].From, out[b].To = float64(b)/bins, float64(b+1)/bins
		if n := float64(out[b].Rows); n > 0 {
			out[b].Score, out[b].Share = sums[b].score/n, sums[b].positive/n
		}
	}
	return out
}
