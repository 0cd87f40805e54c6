package evaluate_test

import (
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

const rows = 300

// binary, multiclass and regression are rows by formula, which scikit-learn
// was given too.
func binary() *evaluate.Predictions {
	p := &evaluate.Predictions{Task: model.Binary, Classes: []string{"no", "yes"}, Scores: make([][]float64, 1), Threshold: 0.6}
	for i := range rows {
		s, noise := float64(i*37%101)/101, float64(i*i*7%89)/89
		y := 0.0
		if s+noise > 1.05 {
			y = 1
		}
		p.Label = append(p.Label, y)
		p.Scores[0] = append(p.Scores[0], math.RoundToEven(s*100)/100)
	}
	return p
}

func multiclass() *evaluate.Predictions {
	p := &evaluate.Predictions{Task: model.Multiclass, Classes: []string{"a", "b", "c"}, Scores: make([][]float64, 3)}
	for i := range rows {
		y := (i*5 + i*i%7) % 3
		score := []float64{1 + float64(i*13%17)/17, 1 + float64(i*19%23)/23, 1 + float64(i*29%31)/31}
		score[y] += []float64{0.5, 0.7, 0.3}[y]
		sum := score[0] + score[1] + score[2]
		for k := range score {
			p.Scores[k] = append(p.Scores[k], score[k]/sum)
		}
		p.Label = append(p.Label, float64(y))
	}
	return p
}

func regression() *evaluate.Predictions {
	p := &evaluate.Predictions{Task: model.Regression, Scores: make([][]float64, 1)}
	for i := range rows {
		s, noise := math.RoundToEven(float64(i*37%101)/101*100)/100, float64(i*i*7%89)/89
		p.Label = append(p.Label, 10*s+noise)
		p.Scores[0] = append(p.Scores[0], 9*s+0.7)
	}
	return p
}

// The numbers were computed with scikit-learn 1.9.1.
func TestMeasuresEqualScikitLearn(t *testing.T) {
	for _, c := range []struct {
		p    *evaluate.Predictions
		want map[string]float64
	}{
		{binary(), map[string]float64{"auc": 0.8625935048348842, "pr_auc": 0.8037452125016104, "f1": 0.7049180327868853,
			"accuracy": 0.76, "precision": 0.7288135593220338, "recall": 0.6825396825396826,
			"logloss": 0.4745770104578218, "brier": 0.155984, "positives": 0.42}},
		{multiclass(), map[string]float64{"auc": 0.9190239898020819, "f1": 0.7560626640899635, "accuracy": 0.76,
			"logloss": 0.926919957319851}},
		{regression(), map[string]float64{"rmse": 0.4804848226249883, "mae": 0.3924771535580525, "r2": 0.9721851452659097}},
	} {
		got := c.p.Metrics()
		if len(got) != len(c.want) {
			t.Errorf("%s has %v", c.p.Task, got)
		}
		for name, want := range c.want {
			if math.Abs(got[name]-want) > 1e-12 {
				t.Errorf("%s: %s is %v, want %v", c.p.Task, name, got[name], want)
			}
		}
	}
}

func TestBestThresholdIsTheBest(t *testing.T) {
	p := binary()
	threshold, f1 := evaluate.BestThreshold(p.Label, p.Scores[0])
	if math.Abs(f1-0.7667731629392971) > 1e-12 || math.Abs(threshold-0.375) > 1e-9 {
		t.Errorf("threshold %v with F1 %v", threshold, f1)
	}
	p.Threshold = threshold
	if got := p.Metrics()["f1"]; got != f1 {
		t.Errorf("F1 at the threshold is %v, not %v", got, f1)
	}
}

func TestAUCIsTheShareOfPairsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(2, 40).Draw(t, "n")
		p := &evaluate.Predictions{Task: model.Binary, Classes: []string{"n", "y"}, Scores: [][]float64{{}}}
		for range n {
			p.Label = append(p.Label, float64(rapid.IntRange(0, 1).Draw(t, "y")))
			p.Scores[0] = append(p.Scores[0], float64(rapid.IntRange(0, 5).Draw(t, "s"))/5)
		}
		var pairs, right float64
		for i, y := range p.Label {
			for j, o := range p.Label {
				if y == 1 && o == 0 {
					pairs++
					switch a, b := p.Scores[0][i], p.Scores[0][j]; {
					case a > b:
						right++
					case a == b:
						right += 0.5
					}
				}
			}
		}
		got, ok := p.Metrics()["auc"]
		if ok != (pairs > 0) || (ok && math.Abs(got-right/pairs) > 1e-12) {
			t.Fatalf("AUC %v (%v), want %v of %v", got, ok, right, pairs)
		}
	})
}

func TestReportsOfDegenerateRowsAreJSON(t *testing.T) {
	one := &evaluate.Predictions{Task: model.Binary, Classes: []string{"n", "y"}, Label: []float64{0, 0}, Scores: [][]float64{{0, 1}}, Threshold: 0.5}
	none := &evaluate.Predictions{Task: model.Binary, Classes: []string{"n", "y"}, Scores: [][]float64{{}}, Threshold: 0.5}
	flat := &evaluate.Predictions{Task: model.Regression, Label: []float64{1, 1}, Scores: [][]float64{{1, 1}}}
	huge := &evaluate.Predictions{Task: model.Regression, Label: []float64{1e308, -1e308}, Scores: [][]float64{{-1e308, 1e308}}}
	for i, p := range []*evaluate.Predictions{one, none, flat, huge, binary(), multiclass(), regression()} {
		var r evaluate.Report
		r.Fill(p)
		if _, err := json.Marshal(r); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

func TestCurvesEndWhereTheyShould(t *testing.T) {
	var r evaluate.Report
	r.Fill(binary())
	first, last := r.ROC[0], r.ROC[len(r.ROC)-1]
	if first != (evaluate.Point{}) || last != (evaluate.Point{X: 1, Y: 1}) || r.PR[len(r.PR)-1].X != 1 {
		t.Errorf("ROC from %v to %v, PR to %v", first, last, r.PR[len(r.PR)-1])
	}
	if len(r.ROC) > 201 {
		t.Errorf("%d points", len(r.ROC))
	}
	total := 0
	for _, b := range r.Calibration {
		total += b.Rows
	}
	if total != rows {
		t.Errorf("calibration counts %d rows", total)
	}
}

func TestSlicesCoverAllRows(t *testing.T) {
	p := binary()
	text, numbers, few := make([]string, rows), make([]float64, rows), make([]float64, rows)
	for i := range rows {
		text[i] = []string{"north", "north", "south", "east"}[i%4]
		if i < 10 {
			text[i] = fmt.Sprint("rare", i)
		}
		numbers[i], few[i] = float64(i), float64(i%2)
		if i%5 == 0 {
			numbers[i] = math.NaN()
		}
	}
	for name, c := range map[string]struct {
		slices []evaluate.Slice
		want   string
	}{
		"text":    {p.SliceByText("city", text, func(row int) bool { return row%4 != 3 }), "[north (missing) south (other)]"},
		"numbers": {p.SliceByNumber("n", numbers), "[≤ 74 74 … 149 149 … 224 > 224 (missing)]"},
		"few":     {p.SliceByNumber("f", few), "[0 1]"},
	} {
		var values []string
		total := 0
		for _, s := range c.slices {
			values = append(values, s.Value)
			total += s.Rows
			if s.Rows >= 50 && s.Metrics["auc"] == 0 {
				t.Errorf("%s: no AUC in %s", name, s.Value)
			}
		}
		if total != rows || fmt.Sprint(values) != c.want {
			t.Errorf("%s: %d rows in %v, want %s", name, total, values, c.want)
		}
	}
}
