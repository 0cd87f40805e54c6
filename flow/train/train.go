// Package train is the stage that makes a model from features and a label,
// and measures it on rows that it has not seen.
//
// A Trainer is handed a Dataset of plain numbers and returns a model.Model
// with the files that load it again; the built-in ones are the packages gbdt/
// and linear/ and auto, which chooses between them. Everything that is not
// fitting itself (reading the lake, splitting, encoding, metrics, slices,
// profiles, the model card) is done here, once, for all of them.
package train

import (
	"context"

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
	// Progress, when set, is called now and then with done of total rounds
	// and the present loss on the validation rows (NaN when there are none).
	Progress func(done, total int, loss float64)
}

// Artifact is a trained model with the files that its Format loads.
type Artifact struct {
	Format string            // model.Format's name
	Files  map[string][]byte // deterministic for the same data, params and seed
	Model  model.Model
	Params map[string]float64 // as used, defaults filled in
	Notes  []string           // what a reader of the model card should know, such as which settings won
}

// Trainer fits a model. It is safe for many goroutines, and gives the same
// bytes for the same dataset, params and seed on any number of threads.
type Trainer interface {
	Train(ctx context.Context, d *Dataset, p Params) (*Artifact, error)
}
