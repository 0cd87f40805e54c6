package gbdt

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// table is a file of real data: text by column.
type table struct {
	names []string
	rows  [][]string
}

func readTable(t testing.TB, name string, comma rune) table {
	t.Helper()
	f, err := os.Open(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(z)
	r.Comma = comma
	var rows [][]string
	for {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	if comma == '\t' { // has no header
		names := make([]string, len(rows[0]))
		for i := range names {
			names[i] = "c" + strconv.Itoa(i)
		}
		return table{names, rows}
	}
	return table{rows[0], rows[1:]}
}

// dataset encodes the table with numbers where every cell is one, and
// categories otherwise. Rows for which test is false come first, the others
// are its last Valid rows.
func (tb table) dataset(t testing.TB, label, positive string, drop []string, test func(i int) bool) *train.Dataset {
	t.Helper()
	order := make([]int, 0, len(tb.rows))
	var last []int
	for i := range tb.rows {
		if test(i) {
			last = append(last, i)
		} else {
			order = append(order, i)
		}
	}
	d := &train.Dataset{Encoder: &encode.Encoder{}, Valid: len(last), Task: model.Regression}
	order = append(order, last...)
	for at, name := range tb.names {
		cells := make([]string, len(order))
		for i, row := range order {
			cells[i] = strings.TrimSpace(tb.rows[row][at])
		}
		if name == label {
			d.Label = labels(t, cells, positive)
		} else if !slices.Contains(drop, name) {
			column, values := encodeCells(name, cells)
			d.Encoder.Columns = append(d.Encoder.Columns, column)
			d.Columns = append(d.Columns, values)
		}
	}
	if positive != "" {
		d.Task, d.Classes = model.Binary, []string{"no", "yes"}
	}
	return d
}

func labels(t testing.TB, cells []string, positive string) []float64 {
	values := make([]float64, len(cells))
	for i, cell := range cells {
		if positive != "" {
			if cell == positive {
				values[i] = 1
			}
			continue
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil {
			t.Fatal(err)
		}
		values[i] = v
	}
	return values
}

func encodeCells(name string, cells []string) (encode.Column, []float64) {
	values, numeric := make([]float64, len(cells)), true
	counts := map[string]int{}
	for i, cell := range cells {
		if cell == "" {
			values[i] = math.NaN()
			continue
		}
		counts[cell]++
		v, err := strconv.ParseFloat(cell, 64)
		numeric = numeric && err == nil
		values[i] = v
	}
	if numeric {
		return encode.Column{Name: name, Type: frame.Double, Kind: encode.Numeric}, values
	}
	column := encode.Column{Name: name, Type: frame.String, Kind: encode.Category}
	for text := range counts {
		column.Categories = append(column.Categories, text)
	}
	slices.SortFunc(column.Categories, func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
	column.Categories = column.Categories[:min(255, len(column.Categories))]
	codes := map[string]float64{}
	for i, text := range column.Categories {
		codes[text] = float64(i)
	}
	for i, cell := range cells {
		code, known := codes[cell]
		switch {
		case cell == "":
			values[i] = math.NaN()
		case known:
			values[i] = code
		default:
			values[i] = float64(len(column.Categories))
		}
	}
	return column, values
}

// auc is the area under the ROC curve, ties counted half.
func auc(scores, labels []float64) float64 {
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	positives, ranks := 0.0, 0.0
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && scores[order[to]] == scores[order[from]] {
			to++
		}
		for _, row := range order[from:to] {
			positives += labels[row]
			ranks += labels[row] * float64(from+1+to) / 2
		}
		from = to
	}
	negatives := float64(len(labels)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * negatives)
}

func rmse(scores, labels []float64) float64 {
	sum := 0.0
	for i, s := range scores {
		sum += (s - labels[i]) * (s - labels[i])
	}
	return math.Sqrt(sum / float64(len(scores)))
}
