// Package train is the stage that makes a model from features and a label,
// and measures it on rows that it has not seen.
//
// A Trainer is handed a Dataset of plain numbers and returns a model.Model
// with the files that load it again; the built-in ones are the packages gbdt/
// and linear/ and auto, which chooses between them. A TableTrainer, such as
// command/, is handed the rows as they are.
//
// Call Run. It takes typed rows and a spec.TrainStep and gives a Candidate.
// Everything that is not fitting itself is done here, once, for all trainers:
// the task is read off the label (label.go), rows are split into those to
// train on, to choose by and to test on (split.go), encoded (dataset.go), and
// the candidate is measured on the test rows (measure.go) by package evaluate.
// Package card draws the result.
package train

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// Dataset is what a trainer fits: columns of numbers, as encode.Encoder made
// them. Slices are shared and read-only.
type Dataset struct {
	Encoder *encode.Encoder // how raw columns became Columns; stored inside the artifact
	Columns [][]float64     // column-major, one slice for each of Encoder's columns; NaN is missing; a categorical column holds category codes
	Label   []float64       // class index 0..len(Classes)-1, or the number to predict
	Weight  []float64       // nil: all 1
	Task    model.Task
	Classes []string // of the label, nil for regression
	// Valid marks how many of the last rows are for early stopping and for
	// choosing between settings: they are not fitted. It may be 0.
	Valid int
	// Ordered tells that the rows are in the order of time: to choose between
	// settings, only later rows may stand for the future.
	Ordered bool
}

// Rows returns the number of rows, those for validation included.
func (d *Dataset) Rows() int { return len(d.Label) }

// Params are the settings of a trainer by name; each trainer documents its
// own and refuses what it does not know.
type Params struct {
	Values   map[string]float64
	Monotone map[string]int // by input column
	Seed     int64
	// Threads bounds how many goroutines fit; the result does not depend on
	// it. 0 means GOMAXPROCS.
	Threads int
	// Progress, when set, is called with done of total rounds and the present
	// loss on the validation rows (NaN when there are none): after every round
	// when there are, so that the caller sees which round was best.
	Progress func(done, total int, loss float64)
}

// Artifact is a trained model with the files that its Format loads.
type Artifact struct {
	Format string            // model.Format's name
	Files  map[string][]byte // deterministic for the same data, params and seed
	Model  model.Model
	Params map[string]float64 // as used, defaults filled in
	Notes  []string           // what a reader of the model card should know, such as which settings won
	// HeldOut are the scores of the last len(HeldOut) rows of a binary
	// Dataset by models that had not fitted them. A trainer sets it when Model
	// itself has fitted the validation rows; the threshold is chosen on it.
	HeldOut []float64
}

// Trainer fits a model. It is safe for many goroutines, and gives the same
// bytes for the same dataset, params and seed on any number of threads.
type Trainer interface {
	Train(ctx context.Context, d *Dataset, p Params) (*Artifact, error)
}

// Tables is what a TableTrainer fits: whole rows, with the label as it was.
type Tables struct {
	Train, Test []frame.Batch // inputs, label and weights; stay the caller's
	Schema      *arrow.Schema
	Label       string
	Task        model.Task
	Classes     []string
}

// TableTrainer fits raw rows. Measured are figures of its own, by name, that
// the report takes up where the stage has none of that name. It is handed the
// validation rows among those to train on, so the threshold of a binary task
// is the step's, or 0.5.
type TableTrainer interface {
	TrainTables(ctx context.Context, t *Tables, p Params) (a *Artifact, measured map[string]float64, err error)
}
