package tree

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/model"
)

func load(data []byte) (model.Model, error) {
	return Format{}.Load(context.Background(), fstest.MapFS{modelFile: {Data: data}})
}

// TestArtifactIsTheModel stores any ensemble and loads it again: the loaded
// one stores to the same bytes and gives the same answers.
func TestArtifactIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := anyDefinition(t)
		e, err := New(d)
		if err != nil {
			t.Fatal(err)
		}
		files, err := e.Files()
		if err != nil {
			t.Fatal(err)
		}
		m, err := load(files[modelFile])
		if err != nil {
			t.Fatalf("its own artifact is refused: %v", err)
		}
		again, err := m.(*Ensemble).Files()
		if err != nil || !bytes.Equal(files[modelFile], again[modelFile]) {
			t.Fatalf("the artifact changed on its way: %v", err)
		}
		columns := anyColumns(t, d.Encoder, 70)
		want, _ := e.Score(context.Background(), columns)
		got, err := m.(*Ensemble).Score(context.Background(), columns)
		if err != nil {
			t.Fatal(err)
		}
		for k := range want {
			for i := range want[k] {
				if math.Float64bits(want[k][i]) != math.Float64bits(got[k][i]) {
					t.Fatalf("output %d row %d: %v before, %v after", k, i, want[k][i], got[k][i])
				}
			}
		}
	})
}

func smallFile(t testing.TB) string {
	t.Helper()
	files, err := smallEnsemble(t, model.Binary).Files()
	if err != nil {
		t.Fatal(err)
	}
	return string(files[modelFile])
}

// TestLoadTrustsNothing breaks a good file in one place at a time.
func TestLoadTrustsNothing(t *testing.T) {
	good := smallFile(t)
	for _, c := range []struct {
		name, old, new string
		kind           fault.Kind
	}{
		{"cut off", good[len(good)/2:], "", fault.Corrupt},
		{"not JSON", good, "\x80\x04", fault.Corrupt},
		{"more behind", good, good + good, fault.Corrupt},
		{"unknown field", `{"version"`, `{"extra":1,"version"`, fault.Corrupt},
		{"newer version", `"version":1`, `"version":3`, fault.Unsupported},
		{"no encoder", `"encoder":{`, `"encoder":null,"classes_":{`, fault.Corrupt},
		{"unknown task", `"task":"binary"`, `"task":"magic"`, fault.Invalid},
		{"other link", `"link":"sigmoid"`, `"link":"softmax"`, fault.Invalid},
		{"no classes", `"classes":["no","yes"],`, ``, fault.Invalid},
		{"class twice", `["no","yes"]`, `["no","no"]`, fault.Invalid},
		{"three bases", `"base":[0.5]`, `"base":[0.5,1,1]`, fault.Invalid},
		{"infinite where a set is", `"version":1`, `"version":2,"infinite":[1]`, fault.Corrupt},
		{"infinite out of range", `"version":1`, `"version":2,"infinite":[-1]`, fault.Corrupt},
		{"fewer linear leaves", `"version":1`, `"version":2,"linear_size":[0]`, fault.Corrupt},
		{"linear leaf that is not there", `"version":1`, `"version":2,"linear_size":[-1,-1,0,0]`, fault.Corrupt},
		{"huge linear leaf", `"version":1`, `"version":2,"linear_size":[-1,-1,-1,1000000],"linear_constant":[1]`, fault.Corrupt},
		{"linear leaf of a category", `"version":1`, `"version":2,"linear_size":[-1,-1,-1,1],"linear_constant":[1],"linear_column":[1],"linear_coefficients":[1]`, fault.Invalid},
		{"linear leaf out of range", `"version":1`, `"version":2,"linear_size":[-1,-1,-1,1],"linear_constant":[1],"linear_column":[9],"linear_coefficients":[1]`, fault.Invalid},
		{"average below zero", `"version":1`, `"version":2,"average":-1`, fault.Invalid},
		{"single of doubles", `"leaf":[-1`, `"single":true,"leaf":[0.1`, fault.Invalid},
		{"threshold above one", `"threshold":0.5`, `"threshold":1.5`, fault.Invalid},
		{"importance short", `"importance":[3,1]`, `"importance":[3]`, fault.Invalid},
		{"importance below zero", `"importance":[3,1]`, `"importance":[3,-1]`, fault.Invalid},
		{"more splits than there are", `"splits":[2,0]`, `"splits":[9,0]`, fault.Corrupt},
		{"fewer splits than there are", `"splits":[2,0]`, `"splits":[1,0]`, fault.Corrupt},
		{"splits below zero", `"splits":[2,0]`, `"splits":[3,-1]`, fault.Corrupt},
		{"huge number of splits", `"splits":[2,0]`, `"splits":[9223372036854775807,9223372036854775807]`, fault.Corrupt},
		{"column out of range", `"column":[0,1]`, `"column":[0,7]`, fault.Corrupt},
		{"column below zero", `"column":[0,1]`, `"column":[-1,1]`, fault.Corrupt},
		{"output out of range", `"output":[0,0]`, `"output":[0,1]`, fault.Invalid},
		{"a cycle", `"right":[1,-3]`, `"right":[0,-3]`, fault.Invalid},
		{"child out of range", `"right":[1,-3]`, `"right":[5,-3]`, fault.Invalid},
		{"leaf out of range", `"right":[1,-3]`, `"right":[1,-30]`, fault.Invalid},
		{"leaf shared", `"right":[1,-3]`, `"right":[1,-2]`, fault.Invalid},
		{"NaN threshold", `"at":[10,2]`, `"at":[NaN,2]`, fault.Corrupt},
		{"infinite threshold", `"at":[10,2]`, `"at":[1e999,2]`, fault.Corrupt},
		{"lying set size", `"at":[10,2]`, `"at":[10,1e300]`, fault.Corrupt},
		{"odd set size", `"at":[10,2]`, `"at":[10,1]`, fault.Corrupt},
		{"set left over", `"set_words":[5,0]`, `"set_words":[5,0,0,0]`, fault.Corrupt},
		{"set beyond the categories", `"set_words":[5,0]`, `"set_words":[9,0]`, fault.Invalid},
		{"missing neither way", `"missing_left":[1,0]`, `"missing_left":[2,0]`, fault.Corrupt},
		{"leaf too many", `"leaf":[`, `"leaf":[0,`, fault.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the good file has no %s", c.old)
			}
			_, err := load([]byte(strings.Replace(good, c.old, c.new, 1)))
			if !fault.Is(err, c.kind) {
				t.Errorf("load gives %v (%s), want a %s fault", err, fault.KindOf(err), c.kind)
			}
		})
	}
	if _, err := (Format{}).Load(t.Context(), fstest.MapFS{}); !fault.Is(err, fault.Invalid) {
		t.Errorf("an artifact without files gives %v", err)
	}
}

func TestNewRefusesNumbersThatAreNone(t *testing.T) {
	for name, spoil := range map[string]func(*Definition){
		"threshold NaN": func(d *Definition) { d.Trees[0].Splits[0].Threshold = math.NaN() },
		"scale NaN":     func(d *Definition) { d.Scale = math.NaN() },
		"leaf NaN":      func(d *Definition) { d.Trees[0].Leaves[1] = math.NaN() },
		"base Inf":      func(d *Definition) { d.Base[0] = math.Inf(-1) },
		"no encoder":    func(d *Definition) { d.Encoder = nil },
		"set on number": func(d *Definition) { d.Trees[0].Splits[0].Set = []uint64{1} },
		"no set":        func(d *Definition) { d.Trees[0].Splits[1].Set = nil },
	} {
		d := smallDefinition(model.Binary)
		spoil(&d)
		if _, err := New(d); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: New gives %v, want an Invalid fault", name, err)
		}
	}
}

// FuzzLoad holds that a file either loads into a model that scores, or is
// refused with a kind that is not Internal.
func FuzzLoad(f *testing.F) {
	f.Add([]byte(smallFile(f)))
	for _, task := range []model.Task{model.Multiclass, model.Regression} {
		files, err := smallEnsemble(f, task).Files()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(files[modelFile])
	}
	f.Add([]byte(`{"version":1,"task":"regression","link":"identity","base":[0],"encoder":{"columns":[]}}`))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := load(data)
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatalf("a hostile file gives an internal fault: %v", err)
			}
			return
		}
		e := m.(*Ensemble)
		for _, rows := range []int{1, 20} {
			columns := e.def.Encoder.Matrix(rows)
			for i := range columns {
				columns[i][0] = math.NaN()
			}
			if _, err := e.Score(context.Background(), columns); err != nil && len(columns) > 0 {
				t.Fatalf("a model that loaded does not score: %v", err)
			}
		}
	})
}
