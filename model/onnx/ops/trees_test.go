package ops_test

import (
	"fmt"
	"math"

	"github.com/leat-ai/leat/model/onnx"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

// forest is the attributes of an ensemble under construction.
type forest struct {
	trees, nodes, features, yes, no, tracks []int64
	modes                                   []string
	values                                  []float64
	leafTrees, leafNodes, leafIDs           []int64
	weights                                 []float64
}

func (f *forest) attributes(leaves string, double bool) attributes {
	a := attributes{
		onnx.Ints("nodes_treeids", f.trees), onnx.Ints("nodes_nodeids", f.nodes), onnx.Ints("nodes_featureids", f.features),
		onnx.Ints("nodes_truenodeids", f.yes), onnx.Ints("nodes_falsenodeids", f.no), onnx.Strings("nodes_modes", f.modes),
		onnx.Ints("nodes_missing_value_tracks_true", f.tracks),
		onnx.Ints(leaves+"treeids", f.leafTrees), onnx.Ints(leaves+"nodeids", f.leafNodes), onnx.Ints(leaves+"ids", f.leafIDs),
	}
	if double {
		return append(a, onnx.Doubles("nodes_values_as_tensor", f.values), onnx.Doubles(leaves+"weights_as_tensor", f.weights))
	}
	return append(a, onnx.Floats("nodes_values", singles(f.values)), onnx.Floats(leaves+"weights", singles(f.weights)))
}

func singles(values []float64) []float32 {
	out := make([]float32, len(values))
	for i, v := range values {
		out[i] = float32(v)
	}
	return out
}

// grow adds a random tree. give tells the outputs that a leaf has weights for.
func (b *table) grow(f *forest, modes []string, depth int, give func() []int64) {
	tree := int64(0)
	if len(f.trees) > 0 {
		tree = f.trees[len(f.trees)-1] + 1
	}
	next := int64(0)
	var branch func(depth int) int64
	branch = func(depth int) int64 {
		id, at := next, len(f.nodes)
		next++
		f.trees, f.nodes = append(f.trees, tree), append(f.nodes, id)
		f.features, f.modes = append(f.features, b.r.Int64N(4)), append(f.modes, "LEAF")
		f.yes, f.no, f.values = append(f.yes, 0), append(f.no, 0), append(f.values, 0)
		f.tracks = append(f.tracks, b.r.Int64N(2))
		if depth == 0 || depth < 3 && b.r.IntN(5) == 0 {
			for _, output := range give() {
				f.leafTrees, f.leafNodes = append(f.leafTrees, tree), append(f.leafNodes, id)
				f.leafIDs, f.weights = append(f.leafIDs, output), append(f.weights, float64(float32(b.r.NormFloat64())))
			}
			return id
		}
		f.modes[at] = modes[b.r.IntN(len(modes))]
		f.values[at] = float64(b.r.IntN(5)-2) / 2
		yes := branch(depth - 1)
		no := branch(depth - 1)
		f.yes[at], f.no[at] = yes, no
		return id
	}
	branch(depth)
}

// rows are values that meet the thresholds of grow, among others.
func (b *table) treeRows(n int64) onnxtest.Values {
	v := b.floats(n, 4)
	for i := range v.Floats {
		switch b.r.IntN(5) {
		case 0:
			v.Floats[i] = float32(math.NaN())
		case 1, 2:
			v.Floats[i] = float32(b.r.IntN(5)-2) / 2
		}
	}
	return v
}

var allModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"}

func treeRegressorsTable() *table {
	b := newTable()
	one := func() []int64 { return []int64{0} }
	for _, mode := range allModes {
		var f forest
		for range 5 {
			b.grow(&f, []string{mode}, 4, one)
		}
		b.ml("TreeEnsembleRegressor", append(f.attributes("target_", false), onnx.Int("n_targets", 1)), b.treeRows(70))
	}
	for _, aggregate := range []string{"SUM", "AVERAGE", "MIN", "MAX"} {
		for _, base := range [][]float32{nil, {0.7}} {
			for _, post := range []string{"NONE", "LOGISTIC"} {
				var f forest
				for range 7 {
					b.grow(&f, allModes, 4, one)
				}
				a := append(f.attributes("target_", false), onnx.Int("n_targets", 1), onnx.Text("aggregate_function", aggregate), onnx.Text("post_transform", post))
				if base != nil {
					a = append(a, onnx.Floats("base_values", base))
				}
				b.ml("TreeEnsembleRegressor", a, b.treeRows(70))
				b.ml("TreeEnsembleRegressor", a, b.treeRows(1))
			}
			var f forest
			for range 7 {
				b.grow(&f, allModes, 4, func() []int64 { return []int64{0, 1, 2} })
			}
			a := append(f.attributes("target_", false), onnx.Int("n_targets", 3), onnx.Text("aggregate_function", aggregate))
			if base != nil {
				a = append(a, onnx.Floats("base_values", []float32{0.1, 0.2, -3}))
			}
			b.ml("TreeEnsembleRegressor", a, b.treeRows(70))
		}
	}
	var f forest
	for range 7 {
		b.grow(&f, []string{"BRANCH_LEQ"}, 4, one)
	}
	doubles := b.doubles(70, 4)
	b.ml("TreeEnsembleRegressor", append(f.attributes("target_", true), onnx.Int("n_targets", 1)), doubles)
	return b
}

func treeClassifiersTable() *table {
	b := newTable()
	for _, post := range transforms() {
		for _, classes := range []int{2, 3} {
			for name, give := range map[string]func() []int64{
				"all":    func() []int64 { return []int64{0, 1, 2}[:classes] },
				"either": func() []int64 { return []int64{b.r.Int64N(int64(classes))} },
				"first":  func() []int64 { return []int64{0} },
				"second": func() []int64 { return []int64{1} },
			} {
				if classes > 2 && (name == "first" || name == "second") {
					continue
				}
				for _, base := range []int{0, 1, classes} {
					for _, positive := range []bool{false, true} {
						switch { // ONNX Runtime gives labels that are none, or none at all
						case classes > 2 && base == 1, classes == 2 && base == 2,
							classes == 2 && name == "second" && base > 0,
							classes == 2 && (name == "all" || name == "either"):
							continue
						}
						var f forest
						for range 5 {
							b.grow(&f, allModes, 4, give)
						}
						for i, w := range f.weights {
							if positive {
								f.weights[i] = math.Abs(w) / 5
							}
						}
						a := append(f.attributes("class_", false), onnx.Ints("classlabels_int64s", []int64{7, 5, 9}[:classes]), onnx.Text("post_transform", post))
						if base > 0 {
							a = append(a, onnx.Floats("base_values", []float32{0.3, -0.2, 0.1}[:base]))
						}
						b.ml("TreeEnsembleClassifier", a, b.treeRows(40))
						b.names[len(b.names)-1] += fmt.Sprint(" ", post, " ", classes, " ", name, " base ", base, " ", positive)
					}
				}
			}
		}
	}
	var f forest
	b.grow(&f, allModes, 4, func() []int64 { return []int64{0} })
	b.ml("TreeEnsembleClassifier", append(f.attributes("class_", false), onnx.Strings("classlabels_strings", []string{"no", "yes"})), b.treeRows(40))
	return b
}

// sharedNodesTable has trees as Leat writes them: a chain of questions for the
// categories of a set, which share their target.
func sharedNodesTable() *table {
	b := newTable()
	f := forest{
		trees: make([]int64, 7), nodes: []int64{0, 1, 2, 3, 4, 5, 6}, features: []int64{1, 1, 1, 0, 0, 0, 0},
		modes: []string{"BRANCH_EQ", "BRANCH_EQ", "BRANCH_EQ", "BRANCH_LEQ", "LEAF", "LEAF", "LEAF"}, values: []float64{1, -1, 0.5, 0, 0, 0, 0},
		yes: []int64{3, 3, 3, 4, 0, 0, 0}, no: []int64{1, 2, 6, 5, 0, 0, 0}, tracks: make([]int64, 7),
		leafTrees: make([]int64, 3), leafNodes: []int64{4, 5, 6}, leafIDs: make([]int64, 3), weights: []float64{1, 2, 4},
	}
	b.ml("TreeEnsembleRegressor", append(f.attributes("target_", false), onnx.Int("n_targets", 1)), b.treeRows(60))
	return b
}

func treeEnsembleTable() *table {
	b := newTable()
	nan := float32(math.NaN())
	for aggregate := range int64(4) {
		for _, double := range []bool{false, true} {
			modes := onnxtest.TensorAttribute("nodes_modes", onnxtest.Values{Dims: []int64{8}, Bytes: []byte{0, 6, 1, 2, 6, 3, 4, 5}})
			floats := func(name string, v ...float32) onnx.Attribute {
				t := onnxtest.Values{Dims: []int64{int64(len(v))}, Floats: v}
				if double {
					t.Floats = nil
					for _, x := range v {
						t.Doubles = append(t.Doubles, float64(x))
					}
				}
				return onnxtest.TensorAttribute(name, t)
			}
			a := attributes{
				modes, onnx.Int("n_targets", 2), onnx.Int("aggregate_function", aggregate), onnx.Int("post_transform", 0),
				onnx.Ints("tree_roots", []int64{0, 3}), onnx.Ints("nodes_featureids", []int64{0, 1, 2, 0, 2, 1, 3, 3}),
				floats("nodes_splits", 0.5, 0, -0.5, 0, 0, 1, 0.5, 1), floats("membership_values", 1, 3, nan, 2, 0, 1, nan),
				onnx.Ints("nodes_truenodeids", []int64{1, 0, 2, 4, 4, 6, 6, 8}), onnx.Ints("nodes_trueleafs", []int64{0, 1, 1, 0, 1, 0, 1, 1}),
				onnx.Ints("nodes_falsenodeids", []int64{2, 1, 3, 5, 5, 7, 7, 9}), onnx.Ints("nodes_falseleafs", []int64{0, 1, 1, 0, 1, 0, 1, 1}),
				onnx.Ints("leaf_targetids", []int64{0, 1, 0, 1, 0, 1, 0, 1, 0, 1}), floats("leaf_weights", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
			}
			rows := b.treeRows(60)
			if double {
				for _, v := range rows.Floats {
					rows.Doubles = append(rows.Doubles, float64(v))
				}
				rows.Floats = nil
			}
			b.addAs("TreeEnsemble", "ai.onnx.ml", 21, 5, 1, a, rows)
		}
	}
	return b
}
