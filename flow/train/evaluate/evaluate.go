package evaluate

import (
	"math"

	"github.com/leat-ai/leat/model"
)

// Predictions are rows with what is true and what a model said.
type Predictions struct {
	Task    model.Task
	Classes []string
	Label   []float64 // the class's index, or the number
	// Scores are column-major: one column for binary (the probability of
	// Classes[1]) and regression, one for each class for multiclass.
	Scores    [][]float64
	Threshold float64 // binary: positive from this score upwards
}

// Rows returns the number of rows.
func (p *Predictions) Rows() int { return len(p.Label) }

// Subset returns the rows at the given positions.
func (p *Predictions) Subset(rows []int) *Predictions {
	s := *p
	s.Label = pick(p.Label, rows)
	s.Scores = make([][]float64, len(p.Scores))
	for k := range s.Scores {
		s.Scores[k] = pick(p.Scores[k], rows)
	}
	return &s
}

func pick(values []float64, rows []int) []float64 {
	picked := make([]float64, len(rows))
	for i, row := range rows {
		picked[i] = values[row]
	}
	return picked
}

// Metrics returns the measures of the task that have a value on these rows.
func (p *Predictions) Metrics() map[string]float64 {
	m := map[string]float64{}
	if p.Rows() == 0 {
		return m
	}
	switch p.Task {
	case model.Binary:
		p.binary(m)
	case model.Multiclass:
		p.multiclass(m)
	default:
		p.regression(m)
	}
	for name, v := range m {
		if v-v != 0 { // no value, or too large for JSON
			delete(m, name)
		}
	}
	return m
}

func (p *Predictions) binary(m map[string]float64) {
	r := rank(p.Label, p.Scores[0], 1)
	m[AUC], m[PRAUC] = r.auc(), r.averagePrecision()
	c := p.Confusion()
	tp, fp, fn := float64(c[1][1]), float64(c[0][1]), float64(c[1][0])
	m[F1] = ratio(2*tp, 2*tp+fp+fn)
	m[Precision], m[Recall] = ratio(tp, tp+fp), ratio(tp, tp+fn)
	m[Accuracy] = float64(c[0][0]+c[1][1]) / float64(p.Rows())
	m[Positives] = (tp + fn) / float64(p.Rows())
	m[LogLoss], m[Brier] = p.logLoss(), p.brier()
}

// ratio is 0 where there is nothing to divide by, as is the custom for
// precision, recall and F1.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}

func (p *Predictions) multiclass(m map[string]float64) {
	c := p.Confusion()
	var aucs, f1, hits float64
	for k := range p.Classes {
		aucs += rank(p.Label, p.Scores[k], float64(k)).auc()
		tp, wrong := float64(c[k][k]), 0.0
		for j := range p.Classes {
			if j != k {
				wrong += float64(c[k][j] + c[j][k])
			}
		}
		f1 += ratio(2*tp, 2*tp+wrong)
		hits += tp
	}
	n := float64(len(p.Classes))
	m[AUC], m[F1] = aucs/n, f1/n
	m[Accuracy], m[LogLoss] = hits/float64(p.Rows()), p.logLoss()
}

func (p *Predictions) regression(m map[string]float64) {
	var mean, square, absolute, total float64
	n := float64(p.Rows())
	for _, y := range p.Label {
		mean += y / n
	}
	for i, y := range p.Label {
		d := y - p.Scores[0][i]
		square += d * d
		absolute += math.Abs(d)
		total += (y - mean) * (y - mean)
	}
	m[RMSE], m[MAE] = math.Sqrt(square/n), absolute/n
	if total > 0 {
		m[R2] = 1 - square/total
	}
}

// tiny keeps the logarithm of a probability of 0 finite.
const tiny = 0x1p-52

func (p *Predictions) logLoss() float64 {
	sum := 0.0
	for _, loss := range p.Losses() {
		sum += loss
	}
	return sum / float64(p.Rows())
}

// probability returns what the model gave class k in a row.
func (p *Predictions) probability(k, row int) float64 {
	switch {
	case p.Task == model.Multiclass:
		return p.Scores[k][row]
	case k == 1:
		return p.Scores[0][row]
	}
	return 1 - p.Scores[0][row]
}

func (p *Predictions) brier() float64 {
	sum := 0.0
	for i, y := range p.Label {
		d := p.Scores[0][i] - y
		sum += d * d
	}
	return sum / float64(p.Rows())
}

// predicted returns the class that the model chooses for a row.
func (p *Predictions) predicted(row int) int {
	if p.Task == model.Binary {
		if p.Scores[0][row] >= p.Threshold {
			return 1
		}
		return 0
	}
	best := 0
	for k := range p.Scores {
		if p.Scores[k][row] > p.Scores[best][row] {
			best = k
		}
	}
	return best
}

// Confusion counts rows by true and predicted class; nil for regression.
func (p *Predictions) Confusion() [][]int {
	if p.Task == model.Regression {
		return nil
	}
	c := make([][]int, len(p.Classes))
	for k := range c {
		c[k] = make([]int, len(p.Classes))
	}
	for i, y := range p.Label {
		c[int(y)][p.predicted(i)]++
	}
	return c
}

// Losses returns what each row adds to the loss by which candidates are
// compared: the log loss, or the squared error of regression. Less is better.
func (p *Predictions) Losses() []float64 {
	losses := make([]float64, p.Rows())
	for i, y := range p.Label {
		if p.Task == model.Regression {
			d := y - p.Scores[0][i]
			losses[i] = d * d
		} else {
			losses[i] = -math.Log(min(max(p.probability(int(y), i), tiny), 1-tiny))
		}
	}
	return losses
}
