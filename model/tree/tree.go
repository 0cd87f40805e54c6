// Package tree is the runtime of tree ensembles: boosted trees and forests,
// binary, multi-class and regression.
//
// A trainer fills a Definition, the plain form of an ensemble, and calls New;
// Format loads the same from an artifact. Both end in an Ensemble, which is
// immutable, safe for many goroutines, and meets model.Model.
//
// Speed is what this package is for. An Ensemble is compiled from its
// Definition (compile.go) for two engines that compute the same sums in the
// same order and so agree to the last bit: one descends from the roots, many
// trees of a row at a time (descend.go); one answers every question of the
// ensemble for 64 rows at once and keeps the rows of a node as the bits of a
// word (slice.go). The short recursive reference that both are tested against
// is in the tests.
package tree

import (
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// FormatName is the name of the artifacts that Format loads.
const FormatName = "tree"

// Link turns the sums of an ensemble into its answer.
type Link string

// The links.
const (
	Identity Link = "identity" // regression: the sum itself
	Sigmoid  Link = "sigmoid"  // binary: 1/(1+exp(-sum)) is the probability of Classes[1]
	Softmax  Link = "softmax"  // multiclass: exp(sum) over their total
)

// Definition is everything that an ensemble is. It is what the artifact
// stores and what a trainer makes.
type Definition struct {
	Task    model.Task
	Classes []string // of binary and multiclass, in the order of their probabilities
	Encoder *encode.Encoder
	Link    Link
	// Base is what each sum starts with: one number for binary and
	// regression, one for each class for multiclass.
	Base  []float64
	Trees []Tree
	// Threshold is the probability from which a binary answer is labelled
	// Classes[1]; 0 means 0.5.
	Threshold float64
	// Importance is how much each column of Encoder helped in training, in any
	// unit; nil when it is not known.
	Importance []float64
}

// Tree is one tree, splits and leaves apart. Splits[0] is the root; a tree
// without splits has one leaf.
type Tree struct {
	Output int // the index into Base of the sum it adds to
	Splits []Split
	Leaves []float64
}

// Split asks one question of one column of the encoder.
//
// A numeric split (Set is nil) sends x <= Threshold to the left. A
// categorical split sends the codes whose bit is set in Set to the left, and
// all others, unseen ones included, to the right. A missing value (NaN) goes
// where MissingLeft says.
//
// Left and Right are the children: c >= 0 is the split c, which stands behind
// its parent; c < 0 is the leaf ^c. Every split but the root and every leaf
// is the child of exactly one split.
type Split struct {
	Column      int
	Left, Right int
	MissingLeft bool
	Threshold   float64
	Set         []uint64 // bit c of word c/64 is category code c
}

// Bounds of an ensemble. They leave room for anything worth serving, and keep
// a hostile artifact from taking the machine.
const (
	MaxTrees   = 1 << 17
	MaxOutputs = 1 << 12
	maxSplits  = 1 << 24 // of all trees
)

// outputs returns how many sums the ensemble keeps.
func (d *Definition) outputs() int {
	if d.Task == model.Multiclass {
		return len(d.Classes)
	}
	return 1
}

// threshold returns the effective label threshold.
func (d *Definition) threshold() float64 {
	if d.Threshold == 0 {
		return 0.5
	}
	return d.Threshold
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...)
}
