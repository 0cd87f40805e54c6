package lightgbm

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// Model is a model of LightGBM, ready to score. It is immutable and safe for
// many goroutines. What it answers follows its objective: label and score for
// binary, label and one score a class for multiclass, and score for all
// others; see model.Outputs. Classes are "0", "1", …, as LightGBM numbers them.
//
// Its leaves are numbered as in the file: Leaves tells which one a row reaches.
type Model struct {
	trees *tree.Ensemble
	about model.Description
}

var (
	_ model.Model        = (*Model)(nil)
	_ model.Native       = (*Model)(nil)
	_ model.Sizer        = (*Model)(nil)
	_ model.Describer    = (*Model)(nil)
	_ model.Explainer    = (*Model)(nil)
	_ model.ONNXExporter = (*Model)(nil)
)

// Parse makes a model of a text as LightGBM writes it. Its faults are those
// of Format.Load.
func Parse(text string) (*Model, error) {
	l := &lines{text: text}
	h, err := readHeader(l)
	if err != nil {
		return nil, err
	}
	// What stands below the trees says how the features above are read, so it
	// is looked for first.
	end := &lines{text: text, at: l.at}
	t, err := readTail(end)
	if err != nil {
		return nil, err
	}
	lists, err := readCategories(t.pandas)
	if err != nil {
		return nil, err
	}
	given, assigned := assign(lists, h, t)
	b, err := newBuilder(h, given, len(text))
	if err != nil {
		return nil, err
	}
	var raw rawTree
	err = readTrees(l, h, func(number int, text string) error {
		err := raw.parse(text)
		if err == nil {
			err = b.add(&raw, number%h.outputs)
		}
		if err != nil {
			return err.At("tree %d", number)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return b.model(h, t, assigned)
}

// model compiles what was read.
func (b *builder) model(h *header, t *tail, assigned bool) (*Model, error) {
	m, err := understand(h.objective, h.outputs)
	if err != nil {
		return nil, err
	}
	if len(b.trees)%h.outputs != 0 {
		return nil, corrupt("there are %d trees, which %d outputs cannot share", len(b.trees), h.outputs).At(File)
	}
	def := tree.Definition{
		Task: m.task, Link: m.link, Scale: m.scale, Encoder: b.encoder(),
		Base: make([]float64, h.outputs), Trees: b.trees,
	}
	if h.average {
		def.Average = len(b.trees) / h.outputs
	}
	if squashed(h, m, b.trees) {
		def.Link, def.Scale = tree.Identity, 0
	}
	switch m.task {
	case model.Binary:
		def.Classes = []string{"0", "1"}
	case model.Multiclass:
		for k := range h.outputs {
			def.Classes = append(def.Classes, strconv.Itoa(k))
		}
	}
	def.Importance = make([]float64, len(b.columns))
	copy(def.Importance, b.gains)
	ensemble, err := tree.New(def)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s does not hold a sound ensemble", File)
	}
	return &Model{trees: ensemble, about: describe(ensemble, h, t, assigned)}, nil
}

// Signature says what the model reads and writes.
func (m *Model) Signature() model.Signature { return m.trees.Signature() }

// Predict scores the rows of a batch, as model.Model says.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	return m.trees.Predict(ctx, in)
}

// Native answers as Booster.predict does: prediction0, … are the scores
// without labels. Raw is raw_score=True: the sums of the leaves, of a forest,
// too, whose predictions are made of their mean.
func (m *Model) Native(ctx context.Context, in frame.Batch, raw bool) (frame.Batch, error) {
	trees := m.trees.Definition().Average
	if !raw || trees <= 1 {
		return m.trees.Native(ctx, in, raw)
	}
	sums, err := m.trees.Sums(ctx, in)
	if err != nil {
		return nil, err
	}
	for _, s := range sums {
		for i := range s {
			s[i] *= float64(trees)
		}
	}
	return encode.Numbered("margin", sums), nil
}

// Leaves returns which leaf each row reaches in each tree, by tree and row, as
// Booster.predict does with pred_leaf=True.
func (m *Model) Leaves(ctx context.Context, in frame.Batch) ([][]int32, error) {
	return m.trees.Leaves(ctx, in)
}

// Trees returns the ensemble that does the work.
func (m *Model) Trees() *tree.Ensemble { return m.trees }

// Size returns about how many bytes of memory the model holds.
func (m *Model) Size() int64 { return m.trees.Size() }

// Importance returns the share of each feature in the gain of all splits.
func (m *Model) Importance() map[string]float64 { return m.trees.Importance() }

// ONNX writes the model as an ONNX file.
func (m *Model) ONNX() ([]byte, error) { return m.trees.ONNX() }

// Describe says what the file tells of itself.
func (m *Model) Describe() model.Description {
	about := m.about
	about.Notes = maps.Clone(about.Notes)
	return about
}

func describe(e *tree.Ensemble, h *header, t *tail, assigned bool) model.Description {
	d := e.Describe()
	d.Kind, d.Library, d.Notes = "boosted trees", "lightgbm", map[string]string{}
	d.LibraryVersion, d.Objective = strings.Clone(h.version), strings.Clone(h.objective)
	if h.average {
		d.Kind = "random forest"
	}
	if t.boosting != "" {
		d.Notes["boosting"] = strings.Clone(t.boosting)
	}
	if !assigned {
		d.Notes["categories"] = unassigned
	}
	return d
}
