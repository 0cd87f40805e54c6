package ops

import (
	"maps"
	"slices"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// What whoever serves a graph wants to know of its nodes.

// Operators lists the operators that Leat has of a set, sorted: of ONNX itself
// for "", of ONNX-ML for "ai.onnx.ml".
func Operators(domain string) []string {
	set := standard
	if domain == "ai.onnx.ml" {
		set = learning
	}
	return slices.Sorted(maps.Keys(set))
}

// Labels returns the labels of a classifier's node or of a ZipMap, nil for
// other nodes.
func Labels(n *proto.Node) *Tensor {
	b := &node{Node: n}
	switch n.Op {
	case "TreeEnsembleClassifier", "ZipMap":
		return classLabels(b, "classlabels_int64s", "classlabels_strings")
	case "LinearClassifier", "SVMClassifier":
		return classLabels(b, "classlabels_ints", "classlabels_strings")
	}
	return nil
}

// Columns returns how many columns a node needs its first input to have, as
// far as its settings and the constants of its graph tell; 0 is not known.
func Columns(n *proto.Node, constants map[string]*proto.Tensor) int {
	b := &node{Node: n}
	switch n.Op {
	case "Scaler":
		return len(b.floats("offset"))
	case "Imputer":
		return max(len(b.floats("imputed_value_floats")), len(b.ints("imputed_value_int64s")))
	case "LinearRegressor":
		return len(b.floats("coefficients")) / int(max(b.int("targets", 1), 1))
	case "LinearClassifier":
		scores := len(b.floats("intercepts"))
		if labels := Labels(n); scores == 0 && labels != nil {
			scores = labels.Len()
		}
		return len(b.floats("coefficients")) / max(scores, 1)
	case "SVMRegressor":
		return len(b.floats("support_vectors")) / int(max(b.int("n_supports", 1), 1))
	case "SVMClassifier":
		vectors := int64(0)
		for _, v := range b.ints("vectors_per_class") {
			vectors += v
		}
		return len(b.floats("support_vectors")) / int(max(vectors, 1))
	case "TreeEnsembleRegressor", "TreeEnsembleClassifier", "TreeEnsemble":
		if features := b.ints("nodes_featureids"); len(features) > 0 {
			return int(min(slices.Max(features)+1, maxFeatures))
		}
	case "Gemm", "MatMul", "Sub", "Add", "Mul", "Div":
		return matrixColumns(n, b, constants)
	}
	return 0
}

// matrixColumns looks at the constant that an input is joined with.
func matrixColumns(n *proto.Node, b *node, constants map[string]*proto.Tensor) int {
	if len(n.Inputs) < 2 {
		return 0
	}
	t := constants[n.Inputs[1]]
	switch {
	case t == nil || len(t.Dims) == 0:
	case n.Op == "MatMul" && len(t.Dims) == 2, n.Op == "Gemm" && len(t.Dims) == 2 && b.int("transB", 0) == 0:
		return int(t.Dims[0])
	case n.Op != "MatMul":
		return int(t.Dims[len(t.Dims)-1])
	}
	return 0
}

// Trees returns how many trees and leaves a node has.
func Trees(n *proto.Node) (trees, leaves int) {
	b := &node{Node: n}
	switch n.Op {
	case "TreeEnsembleRegressor", "TreeEnsembleClassifier":
		ids := b.indices("nodes_treeids")
		for i, id := range ids {
			if i == 0 || id != ids[i-1] {
				trees++
			}
		}
		if modes := b.attribute("nodes_modes", proto.ManyTexts); modes != nil {
			modes.EachText(func(mode []byte) {
				if string(mode) == "LEAF" {
					leaves++
				}
			})
		}
	case "TreeEnsemble":
		return b.count("tree_roots", proto.ManyInts), b.count("leaf_targetids", proto.ManyInts)
	}
	return trees, leaves
}
