package xgboost_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/xgboost"
)

// small is a model of one tree with a numeric and a categorical split.
const small = `{"learner":{"attributes":{},"feature_names":["x","k"],"feature_types":["q","c"],
"gradient_booster":{"model":{"gbtree_model_param":{"num_trees":"1"},"tree_info":[0],"trees":[
{"base_weights":[0,0,0,0,0],"categories":[1,3],"categories_nodes":[2],"categories_segments":[0],"categories_sizes":[2],
"default_left":[1,0,0,0,0],"left_children":[1,-1,3,-1,-1],"right_children":[2,-1,4,-1,-1],"loss_changes":[2,0,1,0,0],
"parents":[2147483647,0,0,2,2],"split_conditions":[1.5,-1,NaN,0.25,2],"split_indices":[0,0,1,0,0],"split_type":[0,0,1,0,0],
"sum_hessian":[5,1,4,2,2],"tree_param":{"num_nodes":"5","size_leaf_vector":"1"}}]},"name":"gbtree"},
"learner_model_param":{"base_score":"5E-1","num_class":"0","num_feature":"2","num_target":"1"},
"objective":{"name":"binary:logistic"}},"version":[2,0,3]}`

// TestSmallModel spells out what a small file means.
func TestSmallModel(t *testing.T) {
	m, err := xgboost.Parse([]byte(small), nil)
	if err != nil {
		t.Fatal(err)
	}
	x := table{names: []string{"x", "k"}, cells: [][]string{
		{"1", "1"}, {"", "1"}, {"1.5", "1"}, {"2", "3"}, {"2", "3.9"}, {"2", "2"}, {"2", "-1"}, {"2", "99"}, {"2", ""}}}
	in := x.batch(t, m)
	defer in.Release()
	leaves, err := m.Leaves(t.Context(), in)
	if err != nil || fmt.Sprint(leaves) != "[[1 1 4 4 4 3 3 3 4]]" {
		t.Errorf("the rows reach %v, %v", leaves, err)
	}
	if got := m.Importance(); got["x"] != 2.0/3 || got["k"] != 1.0/3 {
		t.Errorf("the importance is %v", got)
	}
	s := m.Signature()
	if s.Task != model.Binary || s.Inputs[1].Type != frame.Double || fmt.Sprint(s.Classes) != "[0 1]" {
		t.Errorf("the signature is %+v", s)
	}
	named, err := xgboost.Parse([]byte(small), map[string][]string{"k": {"a", "b", "c", "d"}})
	if err != nil {
		t.Fatal(err)
	}
	if f := named.Signature().Inputs[1]; f.Type != frame.String || len(f.Categories) != 4 {
		t.Errorf("with categories the input is %+v", f)
	}
	x.cells = [][]string{{"2", "b"}, {"2", "d"}, {"2", "a"}, {"2", "never seen"}}
	words := x.batch(t, named)
	defer words.Release()
	if leaves, err := named.Leaves(t.Context(), words); err != nil || fmt.Sprint(leaves) != "[[4 4 3 3]]" {
		t.Errorf("the words reach %v, %v", leaves, err)
	}
}

// TestParseTrustsNothing breaks the small model in one place at a time.
func TestParseTrustsNothing(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		kind           fault.Kind
		says           string
	}{
		{"cut off", small[len(small)/2:], "", fault.Corrupt, "does not end"},
		{"more behind", `"version":[2,0,3]}`, `"version":[2,0,3]}{`, fault.Corrupt, "behind"},
		{"no comma", `"num_class":"0",`, `"num_class":"0"`, fault.Corrupt, "comma"},
		{"no value", `"attributes":{}`, `"more":{"a":}`, fault.Corrupt, "value is missing"},
		{"bare word", `"num_class":"0"`, `"num_class":zero`, fault.Corrupt, "value is missing"},
		{"too deep", `"attributes":{}`, `"more":` + strings.Repeat("[", 100) + strings.Repeat("]", 100), fault.Corrupt, "nested"},
		{"a list for an object", `"attributes":{}`, `"attributes":[]`, fault.Invalid, "learner.attributes"},
		{"a cycle", `[1,-1,3,-1,-1],"right`, `[1,-1,0,-1,-1],"right`, fault.Invalid, "trees[0]"},
		{"a shared child", `[2,-1,4,-1,-1]`, `[2,-1,3,-1,-1]`, fault.Invalid, "child 3, which has a parent already"},
		{"child out of range", `[2,-1,4,-1,-1]`, `[2,-1,5,-1,-1]`, fault.Invalid, "node 2 has the child 5"},
		{"child below zero", `[2,-1,4,-1,-1]`, `[2,-1,-7,-1,-1]`, fault.Invalid, "child -7"},
		{"lying number of nodes", `"num_nodes":"5"`, `"num_nodes":"4"`, fault.Invalid, "5 entries where the tree needs 4"},
		{"huge number of nodes", `"num_nodes":"5"`, `"num_nodes":"2147483647"`, fault.Invalid, "needs 2147483647"},
		{"nodes below zero", `"num_nodes":"5"`, `"num_nodes":"-5"`, fault.Invalid, "-5"},
		{"no nodes", `"num_nodes":"5"`, `"num_nodes":"0"`, fault.Invalid, "no nodes"},
		{"NaN threshold", `[1.5,-1,NaN,0.25,2]`, `[NaN,-1,NaN,0.25,2]`, fault.Invalid, "threshold of node 0"},
		{"threshold at the lower end", `[1.5,-1,NaN,0.25,2]`, `[-Infinity,-1,NaN,0.25,2]`, fault.Invalid, "threshold of node 0"},
		{"NaN leaf", `[1.5,-1,NaN,0.25,2]`, `[1.5,-1,NaN,NaN,2]`, fault.Invalid, "leaf 3"},
		{"infinite leaf", `[1.5,-1,NaN,0.25,2]`, `[1.5,-1,NaN,0.25,1e39]`, fault.Invalid, "leaf 4"},
		{"feature out of range", `"split_indices":[0,0,1,0,0]`, `"split_indices":[2,0,1,0,0]`, fault.Invalid, "feature 2 of 2"},
		{"huge feature", `"split_indices":[0,0,1,0,0]`, `"split_indices":[2147483647,0,1,0,0]`, fault.Invalid, "feature 2147483647"},
		{"a fraction for a whole number", `"split_indices":[0,`, `"split_indices":[0.5,`, fault.Invalid, "0.5"},
		{"unknown split", `"split_type":[0,0,1,0,0]`, `"split_type":[0,0,2,0,0]`, fault.Invalid, "split type 2"},
		{"categories of nothing", `"categories_nodes":[2]`, `"categories_nodes":[9]`, fault.Invalid, "node 9"},
		{"categories of a number", `"categories_nodes":[2]`, `"categories_nodes":[0]`, fault.Invalid, "no categorical split"},
		{"categories that are not there", `"categories_sizes":[2]`, `"categories_sizes":[3]`, fault.Invalid, "not there"},
		{"category below zero", `"categories":[1,3]`, `"categories":[1,-3]`, fault.Invalid, "category -3"},
		{"huge category", `"categories":[1,3]`, `"categories":[1,16777216]`, fault.Invalid, "16777216"},
		{"one name", `["x","k"]`, `["x"]`, fault.Invalid, "1 feature names for 2"},
		{"a name twice", `["x","k"]`, `["x","x"]`, fault.Invalid, "twice"},
		{"no features", `"num_feature":"2"`, `"num_feature":"0"`, fault.Invalid, "no features"},
		{"more features than bytes", `"num_feature":"2"`, `"num_feature":"40000"`, fault.Invalid, "40000 in a file of"},
		{"too many features", `"num_feature":"2"`, `"num_feature":"99999999"`, fault.Invalid, "99999999"},
		{"too many classes", `"num_class":"0"`, `"num_class":"99999999"`, fault.Invalid, "99999999"},
		{"tree of no output", `"tree_info":[0]`, `"tree_info":[1]`, fault.Invalid, "output 1"},
		{"tree of the output below zero", `"tree_info":[0]`, `"tree_info":[-1]`, fault.Invalid, "output -1"},
		{"more outputs than trees", `"tree_info":[0]`, `"tree_info":[0,0]`, fault.Invalid, "2 entries for 1 trees"},
		{"vectors that are not there", `"size_leaf_vector":"1"`, `"size_leaf_vector":"4000"`, fault.Invalid, "base_weights"},
		{"impossible base score", `"5E-1"`, `"1"`, fault.Invalid, "base score 1"},
		{"no base score", `"5E-1"`, `"half"`, fault.Invalid, "half"},
		{"two base scores", `"5E-1"`, `"[5E-1,5E-1]"`, fault.Invalid, "2 base scores"},
		{"unknown objective", `binary:logistic`, `binary:magic`, fault.Unsupported, "binary:magic"},
		{"unknown booster", `"name":"gbtree"`, `"name":"gbforest"`, fault.Unsupported, "gbforest"},
		{"dart without weights", `"name":"gbtree"`, `"name":"dart"`, fault.Invalid, "weight_drop"},
		{"no classes", `binary:logistic`, `multi:softprob`, fault.Invalid, "0 classes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatalf("the model has no %s", c.old)
			}
			_, err := xgboost.Parse([]byte(strings.Replace(small, c.old, c.new, 1)), nil)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("it gives %v (%s), want a %s fault with %q", err, fault.KindOf(err), c.kind, c.says)
			}
		})
	}
}

// TestUBJSONTrustsNothing breaks a good file by its bytes: cut off anywhere,
// and with any length made huge.
func TestUBJSONTrustsNothing(t *testing.T) {
	good, err := os.ReadFile(filepath.Join("testdata", "seeds", "trees.ubj"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := xgboost.Parse(good[:n], nil); err == nil || fault.Is(err, fault.Internal) {
			t.Fatalf("cut off at byte %d it gives %v", n, err)
		}
	}
	for i, c := range good {
		if c != 'L' || i+9 > len(good) {
			continue
		}
		for _, huge := range [][]byte{{0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0, 0, 0, 0, 0x40, 0, 0, 0}} {
			bad := append([]byte{}, good...)
			copy(bad[i+1:], huge)
			if _, err := xgboost.Parse(bad, nil); fault.Is(err, fault.Internal) {
				t.Fatalf("a huge length at byte %d gives %v", i, err)
			}
		}
	}
}

// TestFormatLoadsArtifacts reads the files of an artifact, and what may be
// wrong with them.
func TestFormatLoadsArtifacts(t *testing.T) {
	load := func(files fstest.MapFS) (model.Model, error) {
		return xgboost.Format{}.Load(context.Background(), files)
	}
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	m, err := load(fstest.MapFS{"model.json": file(small), "categories.json": file(`{"k":["a","b","c","d"]}`)})
	if err != nil || m.Signature().Inputs[1].Type != frame.String {
		t.Fatalf("it gives %v", err)
	}
	ubj := readFile(t, realdata.Path(t, "model-server-examples/kserve-iris-xgboost.ubj"))
	if m, err = load(fstest.MapFS{"model.ubj": {Data: ubj}}); err != nil || len(m.Signature().Classes) != 10 {
		t.Fatalf("it gives %v", err)
	}
	for name, files := range map[string]fstest.MapFS{
		"nothing":                {},
		"no JSON of categories":  {"model.json": file(small), "categories.json": file(`{"k":["a"`)},
		"more categories behind": {"model.json": file(small), "categories.json": file(`{}{}`)},
		"categories of nothing":  {"model.json": file(small), "categories.json": file(`{"other":["a"]}`)},
		"categories of a number": {"model.json": file(small), "categories.json": file(`{"x":["a"]}`)},
		"a category twice":       {"model.json": file(small), "categories.json": file(`{"k":["a","a"]}`)},
	} {
		if _, err := load(files); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s gives %v", name, err)
		}
	}
}

// TestSniff tells models by their first bytes.
func TestSniff(t *testing.T) {
	ubj, err := os.ReadFile(filepath.Join("testdata", "seeds", "linear.ubj"))
	if err != nil {
		t.Fatal(err)
	}
	for data, want := range map[string]string{small: "model.json", "{\n  \"learner\": {": "model.json", string(ubj): "model.ubj", `{"version":[3,2,0],"learner":{`: "model.json"} {
		if name, err := xgboost.Sniff([]byte(data)); name != want || err != nil {
			t.Errorf("%.20s is %q, %v", data, name, err)
		}
	}
	for data, kind := range map[string]fault.Kind{
		"": fault.Invalid, "tree\nversion=v4": fault.Invalid, `{"name":"tree"}`: fault.Invalid, "{": fault.Invalid,
		"\x80\x04\x95": fault.Unsupported,
	} {
		if _, err := xgboost.Sniff([]byte(data)); !fault.Is(err, kind) {
			t.Errorf("%q gives %v", data, err)
		}
	}
}
