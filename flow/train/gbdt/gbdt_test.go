package gbdt

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/tree"
)

func numeric(n int) *encode.Encoder {
	enc := &encode.Encoder{}
	for i := range n {
		enc.Columns = append(enc.Columns, encode.Column{Name: fmt.Sprintf("x%d", i), Type: frame.Double, Kind: encode.Numeric})
	}
	return enc
}

// made is a dataset with a number, a number with gaps, a constant and a
// category, all of which but the constant tell something about the label.
func made(rows int, task model.Task, seed uint64) *train.Dataset {
	random := rand.New(rand.NewPCG(seed, 1))
	d := &train.Dataset{Encoder: numeric(3), Columns: make([][]float64, 4), Task: task}
	c := encode.Column{Name: "kind", Type: frame.String, Kind: encode.Category}
	for i := range 30 {
		c.Categories = append(c.Categories, fmt.Sprintf("k%d", i))
	}
	d.Encoder.Columns = append(d.Encoder.Columns, c)
	switch task {
	case model.Binary:
		d.Classes = []string{"no", "yes"}
	case model.Multiclass:
		d.Classes = []string{"a", "b", "c"}
	}
	for range rows {
		x, gap, kind := random.NormFloat64(), random.NormFloat64(), float64(random.IntN(30))
		y := math.Sin(2*x) + 0.3*random.NormFloat64()
		if int(kind)%3 == 0 {
			y++
		}
		if random.IntN(4) == 0 {
			gap = math.NaN()
			y += 0.7
		} else {
			y += 0.5 * gap
		}
		switch task {
		case model.Binary:
			y = math.Max(0, math.Copysign(1, y-0.8))
		case model.Multiclass:
			y = min(max(math.Floor(y+1), 0), 2)
		}
		for i, v := range []float64{x, gap, 7, kind} {
			d.Columns[i] = append(d.Columns[i], v)
		}
		d.Label = append(d.Label, y)
	}
	return d
}

func fit(t testing.TB, d *train.Dataset, p train.Params) *train.Artifact {
	t.Helper()
	a, err := Trainer{}.Train(t.Context(), d, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func score(t testing.TB, a *train.Artifact, columns [][]float64) [][]float64 {
	t.Helper()
	answers, err := a.Model.(*tree.Ensemble).Score(t.Context(), columns)
	if err != nil {
		t.Fatal(err)
	}
	return answers
}

// values are settings by name.
type values = map[string]float64

// TestThreadsDoNotShow is the promise that a model depends on data, settings
// and seed only: enough rows for several blocks and parts, every task, and
// sampling of rows and columns.
func TestThreadsDoNotShow(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		d := made(60_000, task, 1)
		d.Valid = 10_000
		p := train.Params{Seed: 7, Values: values{"trees": 4, "bagging_fraction": 0.7, "feature_fraction": 0.7}}
		p.Threads = 1
		one := fit(t, d, p)
		for _, threads := range []int{2, 3, 8} {
			p.Threads = threads
			if many := fit(t, d, p); !bytes.Equal(one.Files["model.json"], many.Files["model.json"]) {
				t.Errorf("%s: %d threads make another model than one", task, threads)
			}
		}
		p.Seed++
		if other := fit(t, d, p); bytes.Equal(one.Files["model.json"], other.Files["model.json"]) {
			t.Errorf("%s: another seed makes the same sample", task)
		}
	}
}

// TestModelAnswersAsItWasTrained compares what training believed of each row,
// in bins, with what the exported model says, in thresholds and sets.
func TestModelAnswersAsItWasTrained(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		d := made(5000, task, 2)
		d.Valid = 1000
		d.Columns[0][3], d.Columns[0][4] = math.Inf(1), math.Inf(-1)
		d.Columns[0][4500] = math.NaN() // training saw none here
		d.Columns[3][4501] = 30         // an unseen category
		s, _, err := parse(train.Params{Values: values{"trees": 20, "early_stopping_rounds": 0}}, d.Encoder)
		if err != nil {
			t.Fatal(err)
		}
		b := newBooster(d, s)
		if err := b.boost(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		a, err := b.artifact(d, nil)
		if err != nil {
			t.Fatal(err)
		}
		answers := score(t, a, d.Columns)
		p := make([]float64, len(b.sums))
		for i := range d.Label {
			switch task {
			case model.Multiclass:
				softmax(b.sums, i, p)
			case model.Binary:
				p[0] = 1 / (1 + math.Exp(-b.sums[0][i]))
			default:
				p[0] = b.sums[0][i]
			}
			for k := range p {
				if math.Abs(p[k]-answers[k][i]) > 1e-12 {
					t.Fatalf("%s row %d output %d: training says %v, the model %v", task, i, k, p[k], answers[k][i])
				}
			}
		}
	}
}

func TestTrainedModelsConform(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		t.Run(string(task), func(t *testing.T) {
			a := fit(t, made(3000, task, 15), train.Params{Values: values{"trees": 10}})
			files := fstest.MapFS{}
			for name, data := range a.Files {
				files[name] = &fstest.MapFile{Data: data}
			}
			loaded, err := tree.Format{}.Load(t.Context(), files)
			if err != nil {
				t.Fatalf("the artifact does not load: %v", err)
			}
			modeltest.Run(t, loaded)
		})
	}
}

func TestLearnsFromEveryKindOfColumn(t *testing.T) {
	d := made(20_000, model.Binary, 3)
	a := fit(t, d, train.Params{})
	importance := a.Model.(model.Explainer).Importance()
	for _, name := range []string{"x0", "x1", "kind"} {
		if importance[name] < 0.1 {
			t.Errorf("column %s has the importance %v, want more", name, importance[name])
		}
	}
	if importance["x2"] != 0 {
		t.Errorf("the constant column has the importance %v", importance["x2"])
	}
	test := made(20_000, model.Binary, 4)
	if got := auc(score(t, a, test.Columns)[0], test.Label); got < 0.93 {
		t.Errorf("AUC on fresh rows %.4f, want 0.93", got)
	}
}

// TestMissingValuesGoWhereTheyBelong has a label that only the absence of a
// value explains.
func TestMissingValuesGoWhereTheyBelong(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	d := &train.Dataset{Encoder: numeric(1), Columns: [][]float64{nil}, Task: model.Regression}
	for i := range 2000 {
		x, y := random.NormFloat64(), 0.0
		if i%5 == 0 {
			x, y = math.NaN(), 1
		}
		d.Columns[0], d.Label = append(d.Columns[0], x), append(d.Label, y)
	}
	a := fit(t, d, train.Params{Values: values{"trees": 1, "learning_rate": 1.0}})
	got := score(t, a, [][]float64{{math.NaN(), 0, 3, -3}})[0]
	for i, want := range []float64{1, 0, 0, 0} {
		if math.Abs(got[i]-want) > 1e-6 {
			t.Errorf("answer %d is %v, want %v", i, got[i], want)
		}
	}
}

// TestMonotoneColumnsAreMonotone asks many random models for pairs of rows
// that differ in the constrained column only.
func TestMonotoneColumnsAreMonotone(t *testing.T) {
	for seed := range uint64(6) {
		d := made(4000, []model.Task{model.Binary, model.Regression}[seed%2], seed)
		way := 1 - 2*int(seed/2%2)
		a := fit(t, d, train.Params{
			Monotone: map[string]int{"x0": way, "x1": 1},
			Values:   values{"trees": 30, "min_data_in_leaf": 5, "lambda_l1": 0.1, "lambda_l2": float64(seed)},
		})
		var low, high [][]float64
		random := rand.New(rand.NewPCG(seed, 9))
		for _, constrained := range []int{0, 1} {
			low, high = make([][]float64, 4), make([][]float64, 4)
			for i := range 2000 {
				row := random.IntN(4000)
				for c := range d.Columns {
					low[c] = append(low[c], d.Columns[c][row])
					high[c] = append(high[c], d.Columns[c][row])
				}
				low[constrained][i] = random.NormFloat64() * 2
				high[constrained][i] = low[constrained][i] + random.ExpFloat64()
			}
			ways := []int{way, 1}
			l, h := score(t, a, low)[0], score(t, a, high)[0]
			for i := range l {
				if float64(ways[constrained])*(h[i]-l[i]) < 0 {
					t.Fatalf("seed %d column %d: %v gives %v, %v gives %v", seed, constrained, low[constrained][i], l[i], high[constrained][i], h[i])
				}
			}
		}
	}
}

func TestEarlyStoppingGoesBackToTheBest(t *testing.T) {
	d := made(3000, model.Binary, 6)
	d.Valid = 1000
	var losses []float64
	a := fit(t, d, train.Params{
		Values: values{"trees": 500, "early_stopping_rounds": 10, "learning_rate": 0.3},
		Progress: func(done, total int, loss float64) {
			if total != 500 || done != len(losses)+1 {
				t.Errorf("progress %d of %d after %d calls", done, total, len(losses))
			}
			losses = append(losses, loss)
		},
	})
	best := 0
	for i, l := range losses {
		if l < losses[best] {
			best = i
		}
	}
	if len(losses) != best+1+10 {
		t.Errorf("training went on for %d rounds after the best one", len(losses)-best-1)
	}
	if trees := len(a.Model.(*tree.Ensemble).Definition().Trees); trees != best+1 {
		t.Errorf("the model has %d trees, the best round was %d", trees, best+1)
	}
	if len(a.Notes) != 1 || !strings.Contains(a.Notes[0], "stopped early") {
		t.Errorf("notes %q do not say that training stopped early", a.Notes)
	}
}

func TestWeightsCountAsRows(t *testing.T) {
	d := made(2000, model.Binary, 7)
	twice := &train.Dataset{Encoder: d.Encoder, Columns: make([][]float64, len(d.Columns)), Task: d.Task, Classes: d.Classes}
	d.Weight = make([]float64, d.Rows())
	for i := range d.Weight {
		d.Weight[i] = float64(1 + i%2)
		for range 1 + i%2 {
			for c := range d.Columns {
				twice.Columns[c] = append(twice.Columns[c], d.Columns[c][i])
			}
			twice.Label = append(twice.Label, d.Label[i])
		}
	}
	p := train.Params{Values: values{"trees": 20}}
	weighted, doubled := score(t, fit(t, d, p), d.Columns)[0], score(t, fit(t, twice, p), d.Columns)[0]
	if a, b := auc(weighted, d.Label), auc(doubled, d.Label); math.Abs(a-b) > 0.01 {
		t.Errorf("AUC %.4f with weights, %.4f with rows twice", a, b)
	}
	mean := func(v []float64) (m float64) {
		for _, x := range v {
			m += x / float64(len(v))
		}
		return m
	}
	if a, b := mean(weighted), mean(doubled); math.Abs(a-b) > 0.01 {
		t.Errorf("mean probability %.4f with weights, %.4f with rows twice", a, b)
	}
}

func TestTrainEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rounds := 0
	_, err := Trainer{}.Train(ctx, made(2000, model.Binary, 8), train.Params{
		Values:   values{"trees": 10_000},
		Progress: func(done, _ int, _ float64) { rounds = done; cancel() },
	})
	if !fault.Is(err, fault.Canceled) || rounds != 1 {
		t.Errorf("after %d rounds: %v, want a Canceled fault after one", rounds, err)
	}
}

func TestParamsAreChecked(t *testing.T) {
	d := made(200, model.Binary, 9)
	for _, c := range []struct {
		p    train.Params
		hint string
	}{
		{train.Params{Values: values{"num_leavse": 31}}, `did you mean "num_leaves"?`},
		{train.Params{Values: values{"learning_rate": 0.0}}, ""},
		{train.Params{Values: values{"learning_rate": math.NaN()}}, ""},
		{train.Params{Values: values{"trees": 1.5}}, ""},
		{train.Params{Values: values{"max_bin": 300}}, ""},
		{train.Params{Monotone: map[string]int{"x00": 1}}, `did you mean "x0"?`},
		{train.Params{Monotone: map[string]int{"x0": 2}}, ""},
		{train.Params{Monotone: map[string]int{"kind": 1}}, ""},
	} {
		_, err := Trainer{}.Train(t.Context(), d, c.p)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%v %v: %v, want an Invalid fault", c.p.Values, c.p.Monotone, err)
		}
		if c.hint != "" && fault.HintOf(err) != c.hint {
			t.Errorf("%v %v: hint %q, want %q", c.p.Values, c.p.Monotone, fault.HintOf(err), c.hint)
		}
	}
}

func TestDatasetIsChecked(t *testing.T) {
	for name, spoil := range map[string]func(*train.Dataset){
		"label NaN":          func(d *train.Dataset) { d.Label[5] = math.NaN() },
		"label no class":     func(d *train.Dataset) { d.Label[5] = 2 },
		"label between":      func(d *train.Dataset) { d.Label[5] = 0.5 },
		"weight below zero":  func(d *train.Dataset) { d.Weight = make([]float64, 200); d.Weight[3] = -1 },
		"weights short":      func(d *train.Dataset) { d.Weight = make([]float64, 3) },
		"column short":       func(d *train.Dataset) { d.Columns[1] = d.Columns[1][:10] },
		"no columns":         func(d *train.Dataset) { d.Columns = nil },
		"all for validation": func(d *train.Dataset) { d.Valid = 200 },
		"one class":          func(d *train.Dataset) { d.Classes = d.Classes[:1] },
	} {
		d := made(200, model.Binary, 10)
		spoil(d)
		if _, err := (Trainer{}).Train(t.Context(), d, train.Params{}); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v, want an Invalid fault", name, err)
		}
	}
}

// TestDegenerateDatasetsGiveConstantModels: nothing to learn is no error.
func TestDegenerateDatasetsGiveConstantModels(t *testing.T) {
	for name, spoil := range map[string]func(*train.Dataset){
		"one row":      func(d *train.Dataset) { cut(d, 1) },
		"few rows":     func(d *train.Dataset) { cut(d, 15) },
		"one label":    func(d *train.Dataset) { clear(d.Label) },
		"all missing":  func(d *train.Dataset) { fill(d, math.NaN()) },
		"all infinite": func(d *train.Dataset) { fill(d, math.Inf(1)) },
		"weights zero": func(d *train.Dataset) { d.Weight = make([]float64, d.Rows()) },
		"no columns":   func(d *train.Dataset) { d.Columns, d.Encoder = nil, numeric(0) },
	} {
		for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
			d := made(300, task, 11)
			spoil(d)
			a := fit(t, d, train.Params{Values: values{"trees": 5}})
			if len(d.Columns) == 0 {
				continue
			}
			for _, answers := range score(t, a, d.Columns) {
				for _, v := range answers {
					if math.IsNaN(v) || v != answers[0] {
						t.Fatalf("%s, %s: answers %v and %v", name, task, answers[0], v)
					}
				}
			}
		}
	}
}

// TestDivergingTrainingIsRefused: a rate that doubles every error.
func TestDivergingTrainingIsRefused(t *testing.T) {
	d := made(300, model.Regression, 13)
	for i := range d.Label {
		d.Label[i] *= 1e30
	}
	_, err := Trainer{}.Train(t.Context(), d, train.Params{Values: values{"learning_rate": 10, "trees": 1000}})
	if !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
		t.Errorf("a training that diverges gives %v", err)
	}
}

func cut(d *train.Dataset, rows int) {
	for i := range d.Columns {
		d.Columns[i] = d.Columns[i][:rows]
	}
	d.Label = d.Label[:rows]
}

func fill(d *train.Dataset, v float64) {
	for i := range d.Columns[:3] {
		for r := range d.Columns[i] {
			d.Columns[i][r] = v
		}
	}
	for r := range d.Columns[3] {
		d.Columns[3][r] = 30 // unseen
	}
}

// TestManyLeavesWithFewHistograms grows trees whose histograms do not all fit
// into the pool: they must be the trees that they are with room for all.
func TestManyLeavesWithFewHistograms(t *testing.T) {
	d := made(5000, model.Regression, 12)
	grow := func(pool int) []byte {
		s, used, err := parse(train.Params{Values: values{"trees": 5, "num_leaves": 64}}, d.Encoder)
		if err != nil {
			t.Fatal(err)
		}
		b := newBooster(d, s)
		b.grower.pool = pool
		if err := b.boost(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		a, err := b.artifact(d, used)
		if err != nil {
			t.Fatal(err)
		}
		return a.Files["model.json"]
	}
	if !bytes.Equal(grow(1000), grow(4)) {
		t.Error("trees grown with four histograms are not those grown with a thousand")
	}
}

// BenchmarkTrain reports rows times trees for each second.
func BenchmarkTrain(b *testing.B) {
	d := made(100_000, model.Binary, 14)
	for b.Loop() {
		fit(b, d, train.Params{Values: values{"trees": 10}})
	}
	b.ReportMetric(float64(b.N*100_000*10)/b.Elapsed().Seconds(), "row-trees/s")
}
