// Package xgboost loads models of XGBoost, as Booster.save_model writes them
// in JSON and UBJSON (1.3 to 3.x), into the engine of package tree.
//
// It stands below the contract package model, beside the other runtimes.
// Format loads an artifact, Parse the bytes of a file; Sniff tells whether a
// file is one. The old binary format is refused with a hint how to convert it.
//
// What is computed is what XGBoost computes: the comparisons of float32
// numbers, as thresholds of doubles that answer alike for every double; the
// sums in float32, tree by tree; the rules about missing values and
// categories. So the leaves are the same and the margins too, bit for bit;
// predictions differ by what a float32 exponential differs from a double one.
//
// All trees count, as with Booster.predict; a wrapper that stops at the best
// iteration saves models that still have the trees behind it.
//
// Where categories have names, in the file (3.1 and later) or beside it
// (CategoriesFile), their columns are text. A category that the model does not
// know is handled like a code that it does not know: XGBoost refuses the
// former. Where they have none, the columns are numbers: the codes.
package xgboost

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// FormatName is the name of the format, as stored with a version.
const FormatName = "xgboost"

// Model is a loaded model. It meets model.Model, model.Native, model.Sizer,
// model.Describer, model.Explainer and model.ONNXExporter.
type Model struct {
	*tree.Ensemble
	objective   objective
	nodes       [][]int32 // of each tree and leaf, its number in the file
	perTree     int       // trees of the ensemble for one of the file: the length of its leaves
	description model.Description
}

var (
	_ model.Model        = (*Model)(nil)
	_ model.Native       = (*Model)(nil)
	_ model.Sizer        = (*Model)(nil)
	_ model.Describer    = (*Model)(nil)
	_ model.Explainer    = (*Model)(nil)
	_ model.ONNXExporter = (*Model)(nil)
)

// Parse makes a model of the bytes of a file. categories are the names of the
// categories of features, in the order of their codes, where the file does not
// have them; nil is usual.
func Parse(data []byte, categories map[string][]string) (*Model, error) {
	lex, err := lexerOf(data)
	if err != nil {
		return nil, err
	}
	d := document{lex: lex}
	l, err := d.read()
	if err != nil {
		return nil, err
	}
	if l.features > unnamed && l.features > len(data) {
		return nil, d.invalid("num_feature is %d in a file of %d bytes", l.features, len(data))
	}
	o, err := l.objectiveOf()
	if err != nil {
		return nil, err
	}
	def, err := l.definition(o, categories)
	if err != nil {
		return nil, err
	}
	m := &Model{objective: o, nodes: l.forest.nodes, perTree: 1, description: l.describe()}
	if len(m.nodes) > 0 {
		m.perTree = len(def.Trees) / len(m.nodes)
	}
	if m.Ensemble, err = tree.New(*def); err != nil {
		return nil, err
	}
	return m, nil
}

// unnamed is how many features a file may claim that is shorter than their
// number: each takes memory, whether a tree asks for it or not.
const unnamed = 4096

func (l *learner) describe() model.Description {
	d := model.Description{
		Kind: "boosted trees", Library: "xgboost", LibraryVersion: l.version, Objective: l.objective, Runtime: tree.FormatName,
		Trees: len(l.forest.nodes), Notes: map[string]string{},
	}
	switch l.booster {
	case "dart":
		d.Kind = "boosted trees with dropouts"
	case "gblinear":
		d.Kind = "boosted linear model"
	}
	for _, nodes := range l.forest.nodes {
		d.Leaves += len(nodes)
	}
	maps.Copy(d.Notes, l.attributes)
	d.Notes["booster"] = l.booster
	return d
}

// Describe says what is in the file. Its notes are the attributes of the
// booster, such as best_iteration.
func (m *Model) Describe() model.Description {
	d := m.description
	d.Notes = maps.Clone(d.Notes)
	return d
}

// Size returns about how many bytes of memory the model holds.
func (m *Model) Size() int64 {
	size := m.Ensemble.Size()
	for _, nodes := range m.nodes {
		size += 24 + 4*int64(len(nodes))
	}
	return size
}

// Native answers as Booster.predict does: one column for each output, or one
// of the class's number for multi:softmax. Raw answers with the margins.
func (m *Model) Native(ctx context.Context, in frame.Batch, raw bool) (frame.Batch, error) {
	switch {
	case raw || !m.objective.raw && !m.objective.class:
		return m.Ensemble.Native(ctx, in, raw)
	case m.objective.raw:
		sums, err := m.Sums(ctx, in)
		if err != nil {
			return nil, err
		}
		return encode.Numbered("prediction", sums), nil
	}
	sums, err := m.Sums(ctx, in)
	if err != nil {
		return nil, err
	}
	class := make([]float64, in.NumRows())
	for k := range sums {
		for row, v := range sums[k] {
			if v > sums[int(class[row])][row] {
				class[row] = float64(k)
			}
		}
	}
	return encode.Numbered("prediction", [][]float64{class}), nil
}

// Leaves returns which leaf each row reaches, as Booster.predict does with
// pred_leaf: for every tree of the file the number of a node for each row.
func (m *Model) Leaves(ctx context.Context, in frame.Batch) ([][]int32, error) {
	if len(m.nodes) == 0 {
		return nil, nil
	}
	leaves, err := m.Ensemble.Leaves(ctx, in)
	if err != nil {
		return nil, err
	}
	found := make([][]int32, len(m.nodes))
	for t, at := 0, 0; t < len(m.nodes); t++ {
		found[t] = slices.Clone(leaves[at])
		for row, leaf := range found[t] {
			found[t][row] = m.nodes[t][leaf]
		}
		at += m.perTree
	}
	return found, nil
}

// String names the model for messages.
func (m *Model) String() string {
	return fmt.Sprintf("%s of XGBoost %s (%s)", m.description.Kind, m.description.LibraryVersion, m.description.Objective)
}
