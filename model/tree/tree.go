// Package tree is the runtime of tree ensembles: boosted trees and forests,
// binary, multi-class and regression.
//
// A trainer fills a Definition, the plain form of an ensemble, and calls New;
// so do the readers of other libraries' files (xgboost/, lightgbm/, onnx/).
// Format loads the same from an artifact. All end in an Ensemble, which is
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
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// FormatName is the name of the artifacts that Format loads.
const FormatName = "tree"

// Link turns the sums of an ensemble into its answers.
type Link string

// The links. All but Softmax work on each sum by itself.
const (
	Identity   Link = "identity"    // the sum itself
	Sigmoid    Link = "sigmoid"     // 1/(1+exp(-sum)): a probability
	Softmax    Link = "softmax"     // exp(sum) over the total of all: the probabilities of classes
	Exp        Link = "exp"         // exp(sum)
	Softplus   Link = "softplus"    // log(1+exp(sum))
	SignSquare Link = "sign_square" // sum·|sum|
	Step       Link = "step"        // 1 above 0, else 0
)

// Definition is everything that an ensemble is. It is what the artifact
// stores and what a trainer or an importer makes.
//
// A sum starts with its Base, and the leaves that a row reaches are added to it
// in the order of the trees. Scale and Link make answers of sums. Most
// ensembles need no more than that; Average, BaseLast and Single are there to
// add up exactly as the library does that an ensemble was imported from.
type Definition struct {
	Task    model.Task
	Classes []string // of binary and multiclass, in the order of their probabilities
	Encoder *encode.Encoder
	Link    Link
	// Base is what each sum starts with, one number for each sum: one for
	// binary (the answer is the probability of Classes[1]) or two (one for each
	// class), one for each class for multiclass, and at least one for
	// regression and custom.
	Base  []float64
	Trees []Tree
	// Names are the output columns of regression and custom, one for each sum;
	// nil means score for a single one, score_0, score_1, … for several.
	Names []string
	// Threshold is the probability from which a binary answer is labelled
	// Classes[1]; 0 means 0.5.
	Threshold float64
	// Scale multiplies sums before the link; 0 means 1.
	Scale float64
	// Average divides what the trees add to each sum, such as by the number of
	// trees of a forest; 0 means that nothing is divided. It implies BaseLast.
	Average int
	// BaseLast adds Base behind the trees instead of before them.
	BaseLast bool
	// Single rounds every addition, and the division, to float32. Base and
	// leaves must be such numbers already.
	Single bool
	// Importance is how much each column of Encoder helped in training, in any
	// unit; nil when it is not known.
	Importance []float64
}

// Tree is one tree, splits and leaves apart. Splits[0] is the root; a tree
// without splits has one leaf.
//
// A tree whose leaves are vectors is said as several trees of the same splits,
// one for each output.
type Tree struct {
	Output int // the index into Base of the sum it adds to
	Splits []Split
	Leaves []float64
	Linear []Linear // nil, or one for each of Leaves
}

// Linear is a leaf that is a linear model: Constant plus, in this order, each
// coefficient times its column of the encoder. When one of the columns is
// missing or the result is not a finite number, the leaf's value in Leaves
// stands for it.
type Linear struct {
	Constant     float64
	Columns      []int
	Coefficients []float64
}

// Split asks one question of one column of the encoder.
//
// A numeric split (Set is nil) sends x <= Threshold to the left; the threshold
// may be infinite, but is a number. A split of a column with codes sends the
// codes whose bit is set in Set, which may be empty but is not nil, to the
// left, and all others, unseen ones included, to the right. A missing value
// (NaN) goes where MissingLeft says.
//
// Libraries that compare as float32, or ask x < t, get their exact threshold
// from AtMostSingle, BelowSingle and Below.
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

// late tells whether Base is added behind the trees.
func (d *Definition) late() bool { return d.BaseLast || d.Average > 0 }

// linear tells whether any leaf is a linear model.
func (d *Definition) linear() bool {
	return slices.ContainsFunc(d.Trees, func(t Tree) bool { return t.Linear != nil })
}

// outputs returns the output columns.
func (d *Definition) outputs() []model.Field {
	if d.Task == model.Binary || d.Task == model.Multiclass {
		return model.Outputs(d.Task, d.Classes)
	}
	fields := make([]model.Field, len(d.Base))
	for k := range fields {
		name := model.ScoreColumn
		switch {
		case d.Names != nil:
			name = d.Names[k]
		case len(fields) > 1:
			name += "_" + strconv.Itoa(k)
		}
		fields[k] = model.Field{Name: name, Type: frame.Double}
	}
	return fields
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
