package linear_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/modeltest"
)

// sample is a small model with every kind of column.
func sample(task model.Task, classes ...string) *linear.Spec {
	k := 1
	if task == model.Multiclass {
		k = len(classes)
	}
	vector := func(v float64) []float64 {
		w := make([]float64, k)
		for i := range w {
			w[i] = v * float64(1+i*i) / float64(1+i)
		}
		return w
	}
	number := func(mean, scale, w, missing float64) linear.Term {
		return linear.Term{Mean: mean, Scale: scale, Weight: vector(w), Missing: vector(missing)}
	}
	return &linear.Spec{
		Version: 1, Task: task, Classes: classes,
		Encoder: &encode.Encoder{Columns: []encode.Column{
			{Name: "amount", Type: frame.Double, Kind: encode.Numeric},
			{Name: "age", Type: frame.Int, Kind: encode.Numeric},
			{Name: "member", Type: frame.Bool, Kind: encode.Numeric},
			{Name: "at", Type: frame.Timestamp, Kind: encode.Numeric},
			{Name: "day", Type: frame.Date, Kind: encode.Numeric},
			{Name: "city", Type: frame.String, Kind: encode.Category, Categories: []string{"Lund", "Bern", ""}},
		}},
		Bias: vector(0.3),
		Terms: []linear.Term{number(3, 2.5, 0.7, -0.2), number(40, 12, -0.4, 0.1), number(0.5, 0.5, 0.25, 0),
			number(1e9, 1e8, 0.3, 0), number(15000, 3000, -0.1, 0),
			{Weights: [][]float64{vector(0.5), vector(-0.75), vector(0.2), vector(0.01)}, Missing: vector(-0.125)}},
		Importance: []float64{3, 1, 1, 1, 1, 2},
	}
}

func TestLinearMeetsTheContract(t *testing.T) {
	for _, spec := range []*linear.Spec{
		sample(model.Binary, "no", "yes"),
		sample(model.Multiclass, "a", "b", "c", "d"),
		sample(model.Regression),
	} {
		t.Run(string(spec.Task), func(t *testing.T) {
			m, err := linear.New(spec)
			if err != nil {
				t.Fatal(err)
			}
			files, err := m.Files()
			if err != nil {
				t.Fatal(err)
			}
			loaded, err := linear.Format{}.Load(context.Background(), fstest.MapFS{linear.FileName: {Data: files[linear.FileName]}})
			if err != nil {
				t.Fatal(err)
			}
			modeltest.Run(t, loaded)
			again, err := loaded.(*linear.Model).Files()
			if err != nil || string(again[linear.FileName]) != string(files[linear.FileName]) {
				t.Error("a loaded model writes other bytes")
			}
		})
	}
}

func TestHostileFilesAreRefused(t *testing.T) {
	for want, change := range map[string]func(*linear.Spec){
		"version 7":        func(s *linear.Spec) { s.Version = 7 },
		"the task":         func(s *linear.Spec) { s.Classes = s.Classes[:1] },
		"no encoder":       func(s *linear.Spec) { s.Encoder = nil },
		"stands there":     func(s *linear.Spec) { s.Classes = []string{"no", "no"} },
		"bias":             func(s *linear.Spec) { s.Bias = nil },
		"6 columns with 5": func(s *linear.Spec) { s.Terms = s.Terms[:5] },
		"rows of weights":  func(s *linear.Spec) { s.Terms[5].Weights = s.Terms[5].Weights[:3] },
		"scale 0":          func(s *linear.Spec) { s.Terms[0].Scale = 0 },
		"out of bounds":    func(s *linear.Spec) { s.Terms[1].Weight[0] = 1e300 },
		"2 weights":        func(s *linear.Spec) { s.Terms[1].Missing = []float64{1, 2} },
		"importance of":    func(s *linear.Spec) { s.Importance[2] = -1 },
		"of categories":    func(s *linear.Spec) { s.Terms[0].Weights = [][]float64{{1}} },
	} {
		spec := sample(model.Binary, "no", "yes")
		change(spec)
		data, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		_, err = linear.Parse(data)
		if !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: kind %s", want, fault.KindOf(err))
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestAbsentFileIsNamed(t *testing.T) {
	_, err := linear.Format{}.Load(context.Background(), fstest.MapFS{})
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), linear.FileName) {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	for _, spec := range []*linear.Spec{sample(model.Binary, "n", "y"), sample(model.Multiclass, "a", "b", "c"), sample(model.Regression)} {
		data, err := json.Marshal(spec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := linear.Parse(data)
		if err != nil {
			return
		}
		in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, 9, 1)
		out, err := m.Predict(context.Background(), in)
		if err != nil {
			t.Fatalf("a model that was taken cannot predict: %v", err)
		}
		out.Release()
	})
}
