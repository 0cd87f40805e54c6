package linear_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	runtime "github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/modeltest"
)

const rows = 200

// formula is a data set that other programs make too, without a file: two
// numbers, a category of three, and a label from all of them.
func formula(task model.Task) *train.Dataset {
	d := &train.Dataset{
		Encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "x1", Type: frame.Double, Kind: encode.Numeric},
			{Name: "x2", Type: frame.Double, Kind: encode.Numeric},
			{Name: "cat", Type: frame.String, Kind: encode.Category, Categories: []string{"a", "b", "c"}},
		}},
		Columns: make([][]float64, 3),
		Task:    task,
	}
	for i := range rows {
		x1, x2, cat, noise := float64(i*37%101)/101, float64(i*i*13%97)/97, float64(i*7%3), float64(i*29%31)/31
		d.Columns[0] = append(d.Columns[0], x1)
		d.Columns[1] = append(d.Columns[1], x2)
		d.Columns[2] = append(d.Columns[2], cat)
		s := x1*3 - x2*2 + cat*0.5 + noise
		switch task {
		case model.Binary:
			d.Label, d.Classes = append(d.Label, step(s, 1.5)), []string{"no", "yes"}
		case model.Multiclass:
			d.Label, d.Classes = append(d.Label, step(s, 1)+step(s, 2)), []string{"low", "mid", "high"}
		default:
			d.Label = append(d.Label, s)
		}
	}
	return d
}

func step(s, at float64) float64 {
	if s >= at {
		return 1
	}
	return 0
}

// batch makes raw rows of the formula again.
func batch(d *train.Dataset, rows ...int) frame.Batch {
	columns := []frame.Column{{Name: "x1", Type: frame.Double}, {Name: "x2", Type: frame.Double}, {Name: "cat", Type: frame.String}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	for _, row := range rows {
		b.Field(0).(*array.Float64Builder).Append(d.Columns[0][row])
		b.Field(1).(*array.Float64Builder).Append(d.Columns[1][row])
		b.Field(2).(*array.StringBuilder).Append(string(rune('a' + int(d.Columns[2][row]))))
	}
	return b.NewRecordBatch()
}

func fit(t *testing.T, d *train.Dataset, p train.Params) *train.Artifact {
	t.Helper()
	a, err := linear.Trainer{}.Train(context.Background(), d, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func scores(t *testing.T, m model.Model, in frame.Batch, column string) []float64 {
	t.Helper()
	out, err := m.Predict(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	return out.Column(frame.Index(out.Schema(), column)).(*array.Float64).Float64Values()
}

// The numbers were computed with scikit-learn 1.9.1 (LogisticRegression with
// C=0.5, Ridge with alpha=2, on standardised and one-hot encoded columns).
func TestFitsEqualScikitLearn(t *testing.T) {
	at := []int{0, 1, 2, 57, 199}
	balanced := formula(model.Binary)
	for _, y := range balanced.Label {
		balanced.Weight = append(balanced.Weight, []float64{1.0 / 102, 1.0 / 98}[int(y)])
	}
	for name, c := range map[string]struct {
		data   *train.Dataset
		column string
		at     []int
		want   []float64
	}{
		"binary":   {formula(model.Binary), "score", at, []float64{0.027681165, 0.619581067, 0.948395881, 0.932958498, 0.988672673}},
		"balanced": {balanced, "score", at, []float64{0.028436434, 0.627072562, 0.94995222, 0.935104497, 0.989071008}},
		"ridge":    {formula(model.Regression), "score", at, []float64{0.50525952, 1.82237441, 2.594698576, 2.260635565, 2.97979052}},
		"class 0":  {formula(model.Multiclass), "score_low", []int{0, 57, 199}, []float64{0.8266983421, 0.00707793725, 0.0003315211742}},
		"class 2":  {formula(model.Multiclass), "score_high", []int{0, 57, 199}, []float64{0.007392390312, 0.6324493132, 0.9287228023}},
	} {
		t.Run(name, func(t *testing.T) {
			a := fit(t, c.data, train.Params{Values: map[string]float64{linear.L2: 2}})
			got := scores(t, a.Model, batch(c.data, c.at...), c.column)
			for i, want := range c.want {
				if math.Abs(got[i]-want) > 2e-6 {
					t.Errorf("row %d: %v, want %v", c.at[i], got[i], want)
				}
			}
		})
	}
}

func TestSameBytesOnAnyNumberOfThreads(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		one := fit(t, formula(task), train.Params{Threads: 1})
		many := fit(t, formula(task), train.Params{Threads: 7})
		if !bytes.Equal(one.Files[runtime.FileName], many.Files[runtime.FileName]) {
			t.Errorf("%s: the files differ", task)
		}
	}
}

func TestTrainedModelMeetsTheContract(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		d := formula(task)
		for i := 0; i < rows; i += 9 {
			d.Columns[i%3][i] = math.NaN()
		}
		a := fit(t, d, train.Params{})
		m, err := runtime.Format{}.Load(context.Background(), fstest.MapFS{runtime.FileName: {Data: a.Files[runtime.FileName]}})
		if err != nil {
			t.Fatal(err)
		}
		t.Run(string(task), func(t *testing.T) { modeltest.Run(t, m) })
	}
}

func TestValidationRowsAreNotFitted(t *testing.T) {
	d := formula(model.Binary)
	d.Valid = 50
	a := fit(t, d, train.Params{})
	for i := rows - 50; i < rows; i++ {
		d.Label[i], d.Columns[0][i], d.Columns[2][i] = 1-d.Label[i], 1e9, math.NaN()
	}
	b := fit(t, d, train.Params{})
	if !bytes.Equal(a.Files[runtime.FileName], b.Files[runtime.FileName]) {
		t.Error("the validation rows changed the model")
	}
}

func TestMonotoneConstraintIsKept(t *testing.T) {
	d := formula(model.Binary)
	a := fit(t, d, train.Params{Monotone: map[string]int{"x2": 1}}) // truly falling
	in := formula(model.Binary)
	for i := range in.Columns[1] {
		in.Columns[0][i], in.Columns[1][i], in.Columns[2][i] = 0.5, float64(i), 1
	}
	before := 0.0
	for i, s := range scores(t, a.Model, batch(in, 0, 1, 5, 50, 199), "score") {
		if s < before {
			t.Errorf("the score falls to %v at %d", s, i)
		}
		before = s
	}
}

func TestHardDataStillFits(t *testing.T) {
	d := formula(model.Binary)
	for i := range d.Columns[0] {
		d.Columns[0][i] = 1.7e18 + 1e9*d.Label[i] // separable, and a large number that varies little
		d.Columns[1][i] = []float64{math.Inf(1), math.Inf(-1), math.MaxFloat64, -math.MaxFloat64}[i%4]
	}
	a := fit(t, d, train.Params{})
	for i, s := range scores(t, a.Model, batch(d, 0, 2), "score") {
		if math.IsNaN(s) || (s > 0.5) != (i == 1) {
			t.Errorf("row %d has score %v", i, s)
		}
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for want, p := range map[string]train.Params{
		"no parameter": {Values: map[string]float64{"trees": 3}},
		"not between":  {Values: map[string]float64{linear.L2: 0}},
		"monotone":     {Monotone: map[string]int{"cat": 1}},
	} {
		_, err := linear.Trainer{}.Train(context.Background(), formula(model.Binary), p)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, task := range []model.Task{model.Binary, model.Multiclass} {
		if _, err := (linear.Trainer{}).Train(ctx, formula(task), train.Params{}); !errors.Is(err, context.Canceled) {
			t.Errorf("after the context ended: %v", err)
		}
	}
}
