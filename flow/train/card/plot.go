package card

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// plot is one figure. Its parts are in the coordinates of the SVG, whose view
// is plotWidth × plotHeight.
type plot struct {
	Title, Caption string
	XTitle, YTitle string
	XTicks, YTicks []tick
	Lines          []line
	Dots           []dot
	Boxes          []box
	Left, Right    float64 // of the plotting area
	Top, Bottom    float64
}

type tick struct {
	At    float64
	Label string
}

// line is a path with a class of the style sheet.
type line struct{ Class, Path string }

type dot struct {
	Class   string
	X, Y, R float64
	Title   string
}

type box struct{ X, Y, W, H float64 }

const (
	plotWidth, plotHeight = 340, 300
	left, right           = 46, 328
	top, bottom           = 14, 256
)

// scale maps from..to to the pixels a..b.
type scale struct{ from, to, a, b float64 }

func (s scale) at(v float64) float64 {
	return math.Round(10*(s.a+(s.b-s.a)*(v-s.from)/(s.to-s.from))) / 10
}

func newPlot(title, xTitle, yTitle string, x, y scale) plot {
	return plot{Title: title, XTitle: xTitle, YTitle: yTitle, XTicks: ticks(x), YTicks: ticks(y),
		Left: left, Right: right, Top: top, Bottom: bottom}
}

// ticks are about five round values of a scale.
func ticks(s scale) []tick {
	span := s.to - s.from
	step := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, m := range []float64{5, 2.5, 2} {
		if span/(step*m) >= 3.5 {
			step *= m
			break
		}
	}
	var out []tick
	for i := math.Ceil(s.from/step - 1e-9); i*step <= s.to+1e-9*span && len(out) < 12; i++ {
		v := i*step + 0 // no −0
		out = append(out, tick{s.at(v), strings.Replace(strconv.FormatFloat(v, 'g', 4, 64), "-", "−", 1)})
	}
	return out
}

func unit() (x, y scale) { return scale{0, 1, left, right}, scale{0, 1, bottom, top} }

func path(points []evaluate.Point, x, y scale) string {
	var b strings.Builder
	for i, p := range points {
		fmt.Fprintf(&b, "%c%g %g", "ML"[min(i, 1)], x.at(p.X), y.at(p.Y))
	}
	return b.String()
}

func plots(r *evaluate.Report) []plot {
	switch r.Task {
	case model.Binary:
		return []plot{rocPlot(r), prPlot(r), calibrationPlot(r)}
	case model.Regression:
		var out []plot
		if len(r.Scatter) > 1 {
			out = append(out, scatterPlot(r))
		}
		if len(r.Residuals) > 1 {
			out = append(out, residualPlot(r))
		}
		return out
	}
	return nil
}

// rates returns true and false positive rate and precision at the threshold.
func rates(r *evaluate.Report) (tpr, fpr, precision float64, ok bool) {
	if len(r.Confusion) != 2 {
		return 0, 0, 0, false
	}
	c := r.Confusion
	tn, fp, fn, tp := float64(c[0][0]), float64(c[0][1]), float64(c[1][0]), float64(c[1][1])
	return tp / max(tp+fn, 1), fp / max(fp+tn, 1), tp / max(tp+fp, 1), true
}

func (p *plot) mark(r *evaluate.Report, x, y float64) {
	if r.Threshold != nil {
		p.Dots = append(p.Dots, dot{"mark", x, y, 5, fmt.Sprintf("threshold %s", number(*r.Threshold))})
	}
}

func rocPlot(r *evaluate.Report) plot {
	x, y := unit()
	p := newPlot("ROC curve", "false positive rate", "true positive rate", x, y)
	curve := path(r.ROC, x, y)
	if len(r.ROC) > 0 {
		p.Lines = append(p.Lines, line{"area", curve + fmt.Sprintf("L%d %dZ", right, bottom)})
	}
	p.Lines = append(p.Lines, line{"guide", path([]evaluate.Point{{X: 0, Y: 0}, {X: 1, Y: 1}}, x, y)}, line{"curve", curve})
	if tpr, fpr, _, ok := rates(r); ok {
		p.mark(r, x.at(fpr), y.at(tpr))
	}
	p.Caption = "The dot is the threshold; the dashed line is guessing."
	return p
}

func prPlot(r *evaluate.Report) plot {
	x, y := unit()
	p := newPlot("Precision and recall", "recall", "precision", x, y)
	curve := path(r.PR, x, y)
	if len(r.PR) > 0 {
		p.Lines = append(p.Lines, line{"area", curve + fmt.Sprintf("L%d %dL%d %dZ", right, bottom, left, bottom)})
	}
	share := r.Metrics[evaluate.Positives]
	p.Lines = append(p.Lines, line{"guide", path([]evaluate.Point{{X: 0, Y: share}, {X: 1, Y: share}}, x, y)}, line{"curve", curve})
	if tpr, _, precision, ok := rates(r); ok {
		p.mark(r, x.at(tpr), y.at(precision))
	}
	p.Caption = fmt.Sprintf("The dashed line is the share of positives, %s.", percent(share))
	return p
}

func calibrationPlot(r *evaluate.Report) plot {
	x, y := unit()
	p := newPlot("Calibration", "score", "share of positives", x, y)
	most := 1
	for _, b := range r.Calibration {
		most = max(most, b.Rows)
	}
	var points []evaluate.Point
	for _, b := range r.Calibration {
		height := 60 * math.Sqrt(float64(b.Rows)/float64(most))
		from, to := x.at(b.From), x.at(b.To)
		p.Boxes = append(p.Boxes, box{from + 1, math.Round(10*(bottom-height)) / 10, to - from - 2, math.Round(10*height) / 10})
		if b.Rows > 0 {
			points = append(points, evaluate.Point{X: b.Score, Y: b.Share})
			p.Dots = append(p.Dots, dot{"point", x.at(b.Score), y.at(b.Share), 3.5,
				fmt.Sprintf("score %s: %s of %s rows are positive", number(b.Score), percent(b.Share), count(b.Rows))})
		}
	}
	p.Lines = []line{{"guide", path([]evaluate.Point{{X: 0, Y: 0}, {X: 1, Y: 1}}, x, y)}, {"curve", path(points, x, y)}}
	p.Caption = "On the dashed line a score of 0.3 comes true in 30 of 100 rows; bars show where the scores lie."
	return p
}

func scatterPlot(r *evaluate.Report) plot {
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range r.Scatter {
		low, high = min(low, s.X, s.Y), max(high, s.X, s.Y)
	}
	x, y := spread(low, high, left, right), spread(low, high, bottom, top)
	p := newPlot("Predicted and actual", "actual", "predicted", x, y)
	p.Lines = []line{{"guide", path([]evaluate.Point{{X: x.from, Y: x.from}, {X: x.to, Y: x.to}}, x, y)}}
	for _, s := range r.Scatter {
		p.Dots = append(p.Dots, dot{Class: "cloud", X: x.at(s.X), Y: y.at(s.Y), R: 2.2})
	}
	p.Caption = fmt.Sprintf("%d test rows; on the dashed line the prediction is right.", len(r.Scatter))
	return p
}

// spread is a scale with a margin, which also keeps one value from having no
// width.
func spread(low, high, a, b float64) scale {
	margin := 0.03 * (high - low)
	if !(margin > 0) || math.IsInf(margin, 0) {
		margin = 1
	}
	return scale{low - margin, high + margin, a, b}
}

func residualPlot(r *evaluate.Report) plot {
	most := 1
	for _, b := range r.Residuals {
		most = max(most, b.Rows)
	}
	n := len(r.Residuals)
	x := scale{r.Residuals[0].From, r.Residuals[n-1].To, left, right}
	y := scale{0, 1.05 * float64(most), bottom, top}
	p := newPlot("Errors", "actual minus predicted", "test rows", x, y)
	for _, b := range r.Residuals {
		from, to := x.at(b.From), x.at(b.To)
		p.Boxes = append(p.Boxes, box{from + 0.5, y.at(float64(b.Rows)), max(to-from-1, 0.5), math.Round(10*(bottom-y.at(float64(b.Rows)))) / 10})
	}
	if x.from < 0 && x.to > 0 {
		p.Lines = []line{{"guide", fmt.Sprintf("M%g %dL%g %d", x.at(0), bottom, x.at(0), top)}}
	}
	p.Caption = "The first and last bar hold what lies further out."
	return p
}
