package evaluate

import (
	"cmp"
	"math"
	"slices"

	"github.com/leat-ai/leat/model"
)

// Fill sets what follows from the predictions on the test rows: metrics,
// confusion and curves.
func (r *Report) Fill(p *Predictions) {
	r.Task, r.Classes = p.Task, p.Classes
	r.Metrics = p.Metrics()
	r.Confusion = p.Confusion()
	switch p.Task {
	case model.Binary:
		threshold := p.Threshold
		r.Threshold = &threshold
		ranked := rank(p.Label, p.Scores[0], 1)
		r.ROC, r.PR = ranked.roc(), ranked.pr()
		r.Calibration = calibration(p.Label, p.Scores[0])
	case model.Regression:
		r.Scatter = scatter(p.Label, p.Scores[0])
		r.Residuals = residuals(p.Label, p.Scores[0])
	}
}

// Rank sets the importances, largest first.
func (r *Report) Rank(importance map[string]float64) {
	r.Importance = nil
	for name, share := range importance {
		r.Importance = append(r.Importance, Weight{Name: name, Share: share})
	}
	slices.SortFunc(r.Importance, func(a, b Weight) int {
		return cmp.Or(cmp.Compare(b.Share, a.Share), cmp.Compare(a.Name, b.Name))
	})
}

const maxScatter = 500

// scatter keeps every n-th row.
func scatter(label, score []float64) []Point {
	stride := (len(label) + maxScatter - 1) / maxScatter
	var points []Point
	for i := 0; i < len(label); i += max(stride, 1) {
		points = append(points, Point{label[i], score[i]})
	}
	return points
}

// residuals is a histogram of actual minus predicted between the 1st and the
// 99th percentile; the first and last bin take what lies beyond.
func residuals(label, score []float64) []Bin {
	const bins = 24
	if len(label) == 0 {
		return nil
	}
	d := make([]float64, len(label))
	for i := range d {
		d[i] = label[i] - score[i]
	}
	sorted := slices.Sorted(slices.Values(d))
	low, high := sorted[len(sorted)/100], sorted[len(sorted)-1-len(sorted)/100]
	if math.IsInf(high-low, 0) || math.IsNaN(high-low) {
		return nil
	}
	if high == low {
		return []Bin{{From: low, To: high, Rows: len(d)}}
	}
	out := make([]Bin, bins)
	width := (high - low) / bins
	for b := range out {
		out[b].From, out[b].To = low+float64(b)*width, low+float64(b+1)*width
	}
	for _, v := range d {
		out[min(max(int((v-low)/width), 0), bins-1)].Rows++
	}
	return out
}

// Quantile returns the q-quantile of sorted values by nearest rank.
func Quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}
