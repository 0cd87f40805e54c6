package card

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// view is a Card as the template reads it.
type view struct {
	Card
	Style      template.CSS
	Policy     string
	Task       string
	Tiles      []tile
	Plots      []plot
	Confusion  *matrix
	Importance []bar
	Unshown    int // inputs beyond those in Importance
	Slices     []sliceTable
	Inputs     []input
	Settings   []Entry
	Passed     int // gates
}

// tile is a measure in large figures.
type tile struct{ Name, Value, Hint string }

// bar is a labelled share of a largest one.
type bar struct {
	Name  string
	Share float64
	Width float64 // of 100
}

// input is a line of the signature.
type input struct{ Name, Type, Values string }

// maxBars is how many importances are drawn.
const maxBars = 20

func newView(c Card) *view {
	r := c.Report
	v := &view{
		Card:   c,
		Style:  template.CSS(style), // our own file, not the caller's text
		Policy: policy(),
		Task:   map[model.Task]string{model.Binary: "Binary classification", model.Multiclass: "Classification", model.Regression: "Regression"}[r.Task],
		Tiles:  tiles(r), Plots: plots(r), Confusion: newMatrix(r),
		Slices: sliceTables(r), Inputs: signatureLines(c.Signature),
	}
	for i, w := range r.Importance {
		if i == maxBars {
			v.Unshown = len(r.Importance) - maxBars
			break
		}
		v.Importance = append(v.Importance, bar{w.Name, w.Share, 100 * w.Share / max(r.Importance[0].Share, 1e-12)})
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		v.Settings = append(v.Settings, Entry{name, strconv.FormatFloat(c.Params[name], 'g', 6, 64)})
	}
	for _, g := range c.Gates {
		if g.Passed {
			v.Passed++
		}
	}
	return v
}

// titles are the names of measures for people, in the order of the tiles.
func titles(task model.Task) [][3]string {
	switch task {
	case model.Binary:
		return [][3]string{
			{evaluate.AUC, "AUC", "chance that a positive scores above a negative"},
			{evaluate.PRAUC, "PR-AUC", "average precision"},
			{evaluate.F1, "F1", "at the threshold"},
			{evaluate.Precision, "Precision", "at the threshold"},
			{evaluate.Recall, "Recall", "at the threshold"},
			{evaluate.Accuracy, "Accuracy", "at the threshold"},
			{evaluate.LogLoss, "Log loss", "less is better"},
			{evaluate.Brier, "Brier score", "less is better"},
		}
	case model.Multiclass:
		return [][3]string{
			{evaluate.Accuracy, "Accuracy", "share of rows right"},
			{evaluate.F1, "F1", "mean over classes"},
			{evaluate.AUC, "AUC", "each class against the rest"},
			{evaluate.LogLoss, "Log loss", "less is better"},
		}
	}
	return [][3]string{
		{evaluate.RMSE, "RMSE", "root mean squared error"},
		{evaluate.MAE, "MAE", "mean absolute error"},
		{evaluate.R2, "R²", "share of the variance explained"},
	}
}

func tiles(r *evaluate.Report) []tile {
	var out []tile
	for _, t := range titles(r.Task) {
		if v, ok := r.Metrics[t[0]]; ok {
			out = append(out, tile{t[1], number(v), t[2]})
		}
	}
	if v, ok := r.Metrics[evaluate.P95]; ok {
		out = append(out, tile{"p95", latency(v), "one row through the model"})
	}
	return out
}

func latency(ms float64) string {
	if ms < 1 {
		return fmt.Sprintf("%.0f µs", 1000*ms)
	}
	return fmt.Sprintf("%.1f ms", ms)
}

// matrix is the confusion of classes, shaded by the share of the true class.
type matrix struct {
	Classes []string
	Rows    []matrixRow
}

type matrixRow struct {
	Class string
	Cells []matrixCell
}

type matrixCell struct {
	Count int
	Share float64
	Shade int // 0 to 5
	Right bool
}

// maxClasses is up to how many classes a matrix is readable.
const maxClasses = 12

func newMatrix(r *evaluate.Report) *matrix {
	if len(r.Confusion) == 0 || len(r.Classes) > maxClasses {
		return nil
	}
	m := &matrix{Classes: r.Classes}
	for k, counts := range r.Confusion {
		total := 0
		for _, n := range counts {
			total += n
		}
		row := matrixRow{Class: r.Classes[k]}
		for j, n := range counts {
			share := float64(n) / float64(max(total, 1))
			row.Cells = append(row.Cells, matrixCell{n, share, int(math.Round(5 * share)), j == k})
		}
		m.Rows = append(m.Rows, row)
	}
	return m
}

// sliceTable is the slices of one column.
type sliceTable struct {
	Column  string
	Metrics []string
	Rows    []sliceRow
}

type sliceRow struct {
	Value string
	Count int
	Cells []string
	Delta string // of the first measure, against all rows
	Worse bool   // by enough to look at
}

func sliceTables(r *evaluate.Report) []sliceTable {
	shown := map[model.Task][]string{
		model.Binary:     {evaluate.AUC, evaluate.F1, evaluate.Accuracy, evaluate.Positives},
		model.Multiclass: {evaluate.Accuracy, evaluate.F1, evaluate.LogLoss},
		model.Regression: {evaluate.RMSE, evaluate.MAE, evaluate.R2},
	}[r.Task]
	var tables []sliceTable
	for _, s := range r.Slices {
		if len(tables) == 0 || tables[len(tables)-1].Column != s.Column {
			tables = append(tables, sliceTable{Column: s.Column, Metrics: shown})
		}
		t := &tables[len(tables)-1]
		row := sliceRow{Value: s.Value, Count: s.Rows}
		for _, name := range shown {
			cell := "–"
			if v, ok := s.Metrics[name]; ok {
				cell = number(v)
			}
			row.Cells = append(row.Cells, cell)
		}
		row.Delta, row.Worse = delta(r, s, shown[0])
		t.Rows = append(t.Rows, row)
	}
	return tables
}

// delta compares a slice's first measure with that of all rows.
func delta(r *evaluate.Report, s evaluate.Slice, name string) (text string, worse bool) {
	v, ok := s.Metrics[name]
	all, known := r.Metrics[name]
	if !ok || !known {
		return "", false
	}
	d := v - all
	text, worse = fmt.Sprintf("%+.3f", d), d < -0.05
	if r.Task == model.Regression {
		text, worse = fmt.Sprintf("%+.0f%%", 100*d/max(all, 1e-300)), d > 0.25*all
	}
	return strings.Replace(text, "-", "−", 1), worse
}

func signatureLines(s model.Signature) []input {
	var lines []input
	for _, f := range s.Inputs {
		values := ""
		if n := len(f.Categories); n > 0 {
			values = strings.Join(f.Categories[:min(n, 6)], ", ")
			if n > 6 {
				values += fmt.Sprintf(" and %d more", n-6)
			}
		}
		lines = append(lines, input{f.Name, string(f.Type), values})
	}
	slices.SortStableFunc(lines, func(a, b input) int { return cmp.Compare(a.Name, b.Name) })
	return lines
}

// number shows four digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case a == 0 || (a >= 0.001 && a < 10):
		return strings.Replace(strconv.FormatFloat(v, 'f', 4, 64), "-", "−", 1)
	case a >= 1000 && a < 1e9:
		return count(int(math.Round(v)))
	}
	return strings.Replace(strconv.FormatFloat(v, 'g', 4, 64), "-", "−", 1)
}

func percent(v float64) string { return fmt.Sprintf("%.1f%%", 100*v) }

// count groups thousands by thin spaces.
func count(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "\u202f" + text[at:]
	}
	return text
}

func short(id string) string { return id[:min(len(id), 12)] }
