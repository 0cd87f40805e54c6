package lightgbm

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model/modeltest"
)

const (
	head = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx=1\n" +
		"objective=regression\nfeature_names=x kind\nfeature_infos=[0:9] 0:1:2\n"
	foot = "end of trees\n\nfeature_importances:\nx=1\n\nparameters:\n[boosting: gbdt]\nend of parameters\n\npandas_categorical:null\n"

	branches = "num_leaves=3\nnum_cat=1\nsplit_feature=1 0\nsplit_gain=8 4\nthreshold=0 1.5\ndecision_type=1 10\n" +
		"left_child=-1 -2\nright_child=1 -3\nleaf_value=1 2 3\ncat_boundaries=0 1\ncat_threshold=5\nis_linear=0\nshrinkage=1\n"
	oneLeaf = "num_leaves=1\nnum_cat=0\nleaf_value=0.5\nis_linear=0\nshrinkage=1\n"
	slopes  = "num_leaves=2\nnum_cat=0\nsplit_feature=0\nthreshold=4\ndecision_type=8\nleft_child=-1\nright_child=-2\nleaf_value=10 20\n" +
		"is_linear=1\nleaf_const=1 2\nnum_features=0 1\nleaf_features= 0 \nleaf_coeff= 0.25 \nshrinkage=1\n"
)

// file makes a model of trees, as LightGBM lays them out.
func file(trees ...string) string {
	var sizes []string
	var body strings.Builder
	for i, t := range trees {
		text := "Tree=" + strconv.Itoa(i) + "\n" + t + "\n\n"
		sizes = append(sizes, strconv.Itoa(len(text)))
		body.WriteString(text)
	}
	return head + "tree_sizes=" + strings.Join(sizes, " ") + "\n\n" + body.String() + foot
}

func small() string { return file(branches, oneLeaf, slopes) }

// sums returns the margins of rows of x and kind.
func sums(t *testing.T, text string, rows [][2]float64) []float64 {
	t.Helper()
	m, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	columns := [][]float64{nil, nil}
	for _, r := range rows {
		columns[0], columns[1] = append(columns[0], r[0]), append(columns[1], r[1])
	}
	got, err := m.trees.Score(context.Background(), columns)
	if err != nil {
		t.Fatal(err)
	}
	return got[0]
}

func TestSmallModel(t *testing.T) {
	// Codes 0 and 2 go left, x up to 1.5 goes left of what is left; the last
	// tree is 1 up to 4, else 2 + x/4.
	rows := [][2]float64{{0, 0}, {0, 1}, {9, 1}, {9, 2}, {2, 7}}
	for i, want := range []float64{1 + 0.5 + 1, 2 + 0.5 + 1, 3 + 0.5 + 4.25, 1 + 0.5 + 4.25, 3 + 0.5 + 1} {
		if got := sums(t, small(), rows)[i]; got != want {
			t.Errorf("row %d: %v, not %v", i, got, want)
		}
	}
}

// Children before their parents are as good as behind them.
func TestOrderOfSplits(t *testing.T) {
	behind := "num_leaves=4\nsplit_feature=0 0 0\nthreshold=5 3 7\ndecision_type=8 8 8\nleft_child=1 -1 -3\nright_child=2 -2 -4\nleaf_value=1 2 3 4\n"
	before := "num_leaves=4\nsplit_feature=0 0 0\nthreshold=5 7 3\ndecision_type=8 8 8\nleft_child=2 -3 -1\nright_child=1 -4 -2\nleaf_value=1 2 3 4\n"
	mixed := "num_leaves=4\nsplit_feature=0 0 0\nthreshold=7 3 5\ndecision_type=8 8 8\nleft_child=1 -1 -2\nright_child=-4 2 -3\nleaf_value=1 2 3 4\n"
	turned := "num_leaves=4\nsplit_feature=0 0 0\nthreshold=7 5 3\ndecision_type=8 8 8\nleft_child=2 -2 -1\nright_child=-4 -3 1\nleaf_value=1 2 3 4\n"
	rows := [][2]float64{{1, 0}, {4, 0}, {6, 0}, {8, 0}}
	for i := range rows {
		if a, b := sums(t, file(behind), rows)[i], sums(t, file(before), rows)[i]; a != b || a != float64(i+1) {
			t.Errorf("row %d: %v and %v", i, a, b)
		}
		if a, b := sums(t, file(mixed), rows)[i], sums(t, file(turned), rows)[i]; a != b || a != float64(i+1) {
			t.Errorf("row %d: %v and %v", i, a, b)
		}
	}
}

func TestLineEndsOfWindows(t *testing.T) {
	if _, err := Parse(strings.ReplaceAll(small(), "\n", "\r\n")); err != nil {
		t.Error(err)
	}
}

// Fragments of trees, as text that parses or does not.
func TestFragments(t *testing.T) {
	for name, leaves := range map[string]int{"tree_1leaf.txt": 1, "tree_2leaves.txt": 2, "tree_3leaves.txt": 3} {
		text := data(t, "model-leaves/"+name)
		var raw rawTree
		if err := raw.parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if raw.leaves != leaves || len(raw.value) != leaves {
			t.Errorf("%s: %+v", name, raw)
		}
	}
	m, err := Parse(data(t, "model-leaves/model_simple.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if d := m.Describe(); d.Trees != 2 || d.Leaves != 6 || d.LibraryVersion != "v2" || d.Objective != "binary sigmoid:1" {
		t.Errorf("%+v", d)
	}
	if w := m.Importance(); !(w["X2"] > 0.9 && w["X2"] < 1) {
		t.Errorf("importance %v", w)
	}
}

func data(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Every mistake is refused, with its kind and its place.
func TestHostileFiles(t *testing.T) {
	tree := func(was, is string) string { return file(oneLeaf, strings.Replace(branches, was, is, 1)) }
	whole := func(was, is string) string { return strings.Replace(small(), was, is, 1) }
	many := func(was, is string) string { return file(oneLeaf, strings.Replace(slopes, was, is, 1)) }
	for _, c := range []struct {
		text string
		kind fault.Kind
		says string
	}{
		{"", fault.Corrupt, "does not begin"},
		{`{"name":"tree"}`, fault.Corrupt, "does not begin"},
		{whole("version=v4\n", ""), fault.Corrupt, "no version"},
		{whole("version=v4", "version=v9"), fault.Unsupported, "v9"},
		{whole("num_class=1\n", ""), fault.Corrupt, "num_class"},
		{whole("num_class=1", "num_class=999999999"), fault.Invalid, "num_class"},
		{whole("num_class=1", "num_class=x"), fault.Corrupt, "num_class"},
		{whole("num_tree_per_iteration=1", "num_tree_per_iteration=2"), fault.Corrupt, "3 trees"},
		{whole("max_feature_idx=1", "max_feature_idx=2000000000"), fault.Invalid, "max_feature_idx"},
		{whole("max_feature_idx=1", "max_feature_idx=2"), fault.Corrupt, "feature_names"},
		{whole("feature_names=x kind", "feature_names=x x"), fault.Invalid, `"x"`},
		{whole("objective=regression", "objective=tea"), fault.Unsupported, "tea"},
		{whole("objective=regression", "objective=multiclass num_class:7"), fault.Invalid, "outputs"},
		{whole("objective=regression", "objective=multiclass num_class:1"), fault.Invalid, "classes"},
		{whole("objective=regression", "objective=binary sigmoid:-1"), fault.Invalid, "sigmoid"},
		{whole("tree_sizes=", "tree_sizes=3 "), fault.Corrupt, "tree 0"},
		{whole("\n\nTree=0", " 77\n\nTree=0"), fault.Corrupt, "tree_sizes"},
		{whole("threshold=4\n", "threshold=4.000\n"), fault.Corrupt, "tree 2"},
		{whole("Tree=2", "Wood=2"), fault.Corrupt, "tree 1"},
		{whole("Tree=0", "Wood=0"), fault.Corrupt, "tree_sizes"},
		{whole("end of trees", "end"), fault.Corrupt, ""},
		{whole("end of parameters\n", ""), fault.Corrupt, "parameters"},
		{whole("pandas_categorical:null", `pandas_categorical:[["a",`), fault.Corrupt, "pandas_categorical"},
		{whole("pandas_categorical:null", `pandas_categorical:[["a",1]]`), fault.Corrupt, "pandas_categorical"},
		{whole("pandas_categorical:null", `pandas_categorical:[null]`), fault.Invalid, "pandas_categorical"},

		{tree("num_leaves=3", "num_leaves=2000000000"), fault.Corrupt, "tree 1"},
		{tree("num_leaves=3", "num_leaves=-3"), fault.Invalid, "num_leaves"},
		{tree("num_leaves=3", "num_leaves=0"), fault.Invalid, "num_leaves"},
		{tree("num_leaves=3", "num_leaves=99999999999999999999"), fault.Corrupt, "num_leaves"},
		{tree("num_leaves=3\n", ""), fault.Corrupt, "num_leaves"},
		{tree("leaf_value=1 2 3", "leaf_value=1 2"), fault.Corrupt, "leaf_value"},
		{tree("leaf_value=1 2 3", "leaf_value=1 2 nan"), fault.Corrupt, "leaf_value"},
		{tree("leaf_value=1 2 3", "leaf_value=1 2 1e999"), fault.Corrupt, "leaf_value"},
		{tree("threshold=0 1.5", "threshold=0 nan"), fault.Corrupt, "threshold"},
		{tree("threshold=0 1.5", "threshold=0 1.5 2"), fault.Corrupt, "threshold"},
		{tree("threshold=0 1.5", "threshold=1 1.5"), fault.Invalid, "set 1 of 1"},
		{tree("threshold=0 1.5", "threshold=0.5 1.5"), fault.Invalid, "set 0.5"},
		{tree("threshold=0 1.5", "threshold=-1 1.5"), fault.Invalid, "set -1"},
		{tree("threshold=0 1.5", "threshold=inf 1.5"), fault.Invalid, "set +Inf"},
		{tree("split_feature=1 0", "split_feature=1 2"), fault.Invalid, "feature 2"},
		{tree("split_feature=1 0", "split_feature=-1 0"), fault.Invalid, "feature -1"},
		{tree("decision_type=1 10", "decision_type=1 300"), fault.Corrupt, "decision_type"},
		{tree("decision_type=1 10", "decision_type=1 12"), fault.Invalid, "decision_type"},
		{tree("right_child=1 -3", "right_child=2 -3"), fault.Invalid, "child 2"},
		{tree("right_child=1 -3", "right_child=1 -9"), fault.Invalid, "child -9"},
		{tree("right_child=1 -3", "right_child=1 0"), fault.Invalid, "split 0"},
		{tree("right_child=1 -3", "right_child=0 -3"), fault.Invalid, "split 0"},
		{tree("right_child=1 -3", "right_child=1 1"), fault.Invalid, "split 1"},
		{tree("left_child=-1 -2", "left_child=-1 -1"), fault.Invalid, "parent already"},
		{tree("left_child=-1 -2", "left_child=1 -2"), fault.Invalid, "parent already"},
		{tree("num_cat=1", "num_cat=1000000000"), fault.Corrupt, "cat_boundaries"},
		{tree("cat_boundaries=0 1", "cat_boundaries=0 2"), fault.Invalid, "cat_boundaries"},
		{tree("cat_boundaries=0 1", "cat_boundaries=1 0"), fault.Invalid, "cat_boundaries"},
		{tree("cat_boundaries=0 1", "cat_boundaries=-1 1"), fault.Invalid, "cat_boundaries"},
		{tree("cat_threshold=5", "cat_threshold=-5"), fault.Corrupt, "cat_threshold"},
		{tree("cat_boundaries=0 1\ncat_threshold=5", "cat_boundaries=0 40001\ncat_threshold="+strings.Repeat("0 ", 40_000)+"1"), fault.Invalid, "category codes"},

		{many("num_features=0 1", "num_features=0 2000000000"), fault.Invalid, "linear leaf 1"},
		{many("num_features=0 1", "num_features=0 0"), fault.Invalid, "no linear leaf"},
		{many("num_features=0 1", "num_features=-1 2"), fault.Invalid, "linear leaf 0"},
		{many("leaf_features= 0", "leaf_features= 5"), fault.Invalid, "feature 5"},
		{many("leaf_coeff= 0.25", "leaf_coeff= nan"), fault.Corrupt, "leaf_coeff"},
		{many("leaf_const=1 2\n", ""), fault.Corrupt, "leaf_const"},
	} {
		_, err := Parse(c.text)
		if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("not refused as %s with %q: %v", c.kind, c.says, err)
		}
	}
}

// A text that was cut anywhere within the trees or the parameters is refused.
func TestTruncatedFiles(t *testing.T) {
	text := small()
	firstTree, lastTree := strings.Index(text, "Tree="), strings.Index(text, "end of trees")
	from, to := strings.Index(text, "parameters:\n")+len("parameters:\n"), strings.Index(text, "end of parameters")
	for n := range text {
		_, err := Parse(text[:n])
		if (n < lastTree || n >= from && n < to) && (err == nil || n > firstTree && !fault.Is(err, fault.Corrupt)) {
			t.Fatalf("cut to %d bytes, which end in %q: %v", n, text[max(0, n-20):n], err)
		}
	}
}

// What a file claims takes no memory; what is there takes a small multiple.
func TestMemoryFollowsTheFile(t *testing.T) {
	big := file(strings.Repeat("x", 1<<20))
	claims := []string{
		strings.Replace(small(), "num_leaves=3", "num_leaves=2000000000", 1),
		strings.Replace(small(), "num_cat=1", "num_cat=2000000000", 1),
		strings.Replace(small(), "num_features=0 1", "num_features=0 2000000000", 1),
		strings.Replace(small(), "max_feature_idx=1", "max_feature_idx=60000", 1),
		big,
	}
	for _, text := range claims {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := Parse(text); err == nil {
			t.Error("not refused")
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<16 {
			t.Errorf("%d bytes were taken for a file of %d", took, len(text))
		}
	}
}

func TestLoad(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m, err := Format{}.Load(ctx, fstest.MapFS{File: {Data: []byte(small())}})
	if err != nil || m.Signature().Inputs[1].Name != "kind" {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := (Format{}).Load(ctx, fstest.MapFS{}); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), File) {
		t.Error(err)
	}
	cancel()
	if _, err := (Format{}).Load(ctx, fstest.MapFS{}); !fault.Is(err, fault.Canceled) {
		t.Error(err)
	}
}

// Categories of pandas go to the features that they belong to, or nowhere.
func TestCategoriesAreAssigned(t *testing.T) {
	list := func(n int) *categories {
		c := &categories{}
		for i := range n {
			c.texts = append(c.texts, "t"+strconv.Itoa(i))
		}
		return c
	}
	for name, c := range map[string]struct {
		infos, parameter string
		lists            []int // lengths
		want             string
	}{
		"one for each":              {"[0:1] 0:1 [0:9] 2:0:1", "1,3", []int{2, 3}, "-0-1"},
		"none":                      {"[0:1] 0:1", "1", nil, "--"},
		"an ordered one":            {"[0.5:1] 0:1 [0:2] 1:0", "1,3", []int{2, 3, 2}, "-012"},
		"two that could be ordered": {"[0:1] 0:1 [0:1]", "1", []int{2, 2}, "?"},
		"codes beside":              {"0:1:7 0:1", "0,1", []int{2}, "-0"},
		"codes or not":              {"0:1 0:1", "0,1", []int{2}, "?"},
		"of no use in training":     {"none [0:5]", "0", []int{3}, "0-"},
		"too short for any":         {"0:1:2 [0:5]", "0", []int{2}, "?"},
		"more than features":        {"0:1", "0", []int{2, 2}, "?"},
	} {
		infos := tokens(c.infos)
		h := &header{features: infos.count(), infos: infos}
		var lists []*categories
		for _, n := range c.lists {
			lists = append(lists, list(n))
		}
		given, ok := assign(lists, h, &tail{categorical: c.parameter})
		got := ""
		for _, g := range given {
			at := "-"
			for i, l := range lists {
				if l == g {
					at = strconv.Itoa(i)
				}
			}
			got += at
		}
		if !ok {
			got = "?"
		}
		if got != c.want {
			t.Errorf("%s: %s, not %s", name, got, c.want)
		}
	}
}

// A comparison of an ordered category is a set of as many bits as there are
// categories: many of both would take the square of the file's size.
func TestOrderedCategoriesTakeNoMoreThanTheFile(t *testing.T) {
	words := make([]string, 60_000)
	for i := range words {
		words[i] = `"` + strconv.Itoa(i) + `"`
	}
	ordered := strings.Replace(branches, "split_feature=1 0", "split_feature=0 0", 1)
	ordered = strings.Replace(ordered, "decision_type=1 10", "decision_type=10 10", 1)
	trees := make([]string, 2_000)
	for i := range trees {
		trees[i] = ordered
	}
	text := strings.Replace(file(trees...), "null", "[["+strings.Join(words, ",")+"]]", 1)
	text = strings.Replace(text, "[0:9] 0:1:2", "[0:59999] [0.5:0.7]", 1)
	_, err := Parse(text)
	if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "60000 ordered categories") {
		t.Fatalf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(small())
	f.Add(file(oneLeaf))
	f.Add(file(branches, branches))
	f.Add(strings.Replace(small(), "null", `[["a","b","c"]]`, 1))
	f.Add(strings.Replace(small(), "null", `[[0.5,1,7]]`, 1))
	f.Add(strings.Replace(small(), "objective=regression", "objective=binary sigmoid:2\naverage_output", 1))
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, text string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		m, err := Parse(text)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 4*uint64(len(text))+8<<20 {
			t.Fatalf("%d bytes made it allocate %d", len(text), used)
		}
		if err != nil {
			if kind := fault.KindOf(err); kind == fault.Internal {
				t.Fatalf("%s: %v", kind, err)
			}
			return
		}
		in := modeltest.Rows(memory.DefaultAllocator, m.Signature().Inputs, 9, 1)
		defer in.Release()
		out, err := m.Predict(context.Background(), in)
		if err != nil || out.NumRows() != 9 {
			t.Fatalf("%v, %v", out, err)
		}
		out.Release()
	})
}
