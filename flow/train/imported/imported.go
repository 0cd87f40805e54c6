// Package imported is the trainer that fits nothing: it brings a model that
// was made elsewhere to the place where candidates are measured.
//
// Such a model then goes the way of every other: the stage scores the rows
// that are held out, the gates judge it, it is registered with its report and
// the profile that monitors compare with, and released. Its inputs are the
// features of the step, by name. What a model file is, model/importer knows.
package imported

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// Trainer imports a file or folder, or gets a model from elsewhere. It meets
// train.TableTrainer and is safe for many goroutines.
type Trainer struct {
	// Get, where it is not nil, is asked instead of reading a path.
	Get func(ctx context.Context) (*importer.Artifact, error)

	Importer *importer.Importer
	Path     string // of this machine
	Hints    importer.Hints
}

// TrainTables loads the model. The rows to fit are not looked at, but for what
// was asked of them: a model of another task is refused before it is measured.
func (t Trainer) TrainTables(ctx context.Context, tables *train.Tables, _ train.Params) (*train.Artifact, map[string]float64, error) {
	a, err := t.get(ctx)
	if err != nil {
		return nil, nil, err
	}
	if got := a.Signature.Task; got != tables.Task {
		importer.Close(a.Model)
		return nil, nil, misfit(got, tables)
	}
	notes := append([]string{a.Kind + ", which was made elsewhere"}, a.Notes...)
	return &train.Artifact{Format: a.Format, Files: a.Files, Model: a.Model, Notes: notes}, nil, nil
}

func (t Trainer) get(ctx context.Context) (*importer.Artifact, error) {
	if t.Get != nil {
		return t.Get(ctx)
	}
	return t.Importer.Path(ctx, t.Path, t.Hints)
}

func misfit(got model.Task, tables *train.Tables) error {
	err := fault.New(fault.Unsupported, "the model is for %s, and the label %q asks for %s", got, tables.Label, tables.Task)
	if got == model.Custom {
		return err.Hint("a model whose outputs are its own cannot be measured here; import it with `leat model import`")
	}
	return err.Hint("is it the right column? task: says how its values are meant")
}
