// Package model is the contract that every model meets, whatever made it:
// record batch in, record batch out, under a signature that is checked.
//
// The runtimes are the packages below this one (tree/, linear/, …); each
// offers a Format, and backends/ lists them. A trained model is an artifact:
// a few files, named by the hash of their bytes, of one format. The decision
// path loads artifacts and calls Predict; package modeltest is the
// conformance suite of the contract.
package model

import (
	"context"
	"io/fs"

	"github.com/leat-ai/leat/base/frame"
)

// Task is what a model was made to say.
type Task string

// The tasks.
const (
	Binary     Task = "binary"     // one of two classes
	Multiclass Task = "multiclass" // one of three or more classes
	Regression Task = "regression" // a number
)

// Field is one input or output column of a signature.
type Field struct {
	Name     string     `json:"name"`
	Type     frame.Type `json:"type"`
	Required bool       `json:"required,omitempty"` // NULL or absent is an error of the row
	// Categories are the values seen in training, most frequent first, of a
	// categorical string input. Any other value is scored as unseen.
	Categories []string `json:"categories,omitempty"`
}

// Signature says what a model reads and writes. Inputs are looked up by name;
// their order is the model's own.
type Signature struct {
	Task    Task     `json:"task"`
	Inputs  []Field  `json:"inputs"`
	Outputs []Field  `json:"outputs"`
	Classes []string `json:"classes,omitempty"` // in the order of their probabilities; Classes[1] is the positive one of two
}

// Names of the output columns that built-in models write.
//
//	binary      score (probability of Classes[1]), label
//	multiclass  label, then score_<class> for each class
//	regression  score
const (
	ScoreColumn = "score"
	LabelColumn = "label"
)

// Outputs returns the output fields of a built-in model of a task.
func Outputs(task Task, classes []string) []Field {
	score := Field{Name: ScoreColumn, Type: frame.Double}
	label := Field{Name: LabelColumn, Type: frame.String}
	switch task {
	case Binary:
		return []Field{score, label}
	case Multiclass:
		fields := []Field{label}
		for _, class := range classes {
			fields = append(fields, Field{Name: ScoreColumn + "_" + class, Type: frame.Double})
		}
		return fields
	}
	return []Field{score}
}

// Model scores rows. It is immutable and safe for many goroutines.
//
// Predict reads the columns that the signature names, in any order and among
// others, from a batch of zero or more rows, and returns a batch with the
// columns of Signature().Outputs and as many rows. The caller releases the
// result; the input stays the caller's. The same input gives the same output,
// bit for bit, in a batch of any size. A missing or wrongly typed column is
// an Invalid fault that names it. A long Predict ends early when ctx does.
type Model interface {
	Signature() Signature
	Predict(ctx context.Context, in frame.Batch) (frame.Batch, error)
}

// Explainer is a Model that can say how much each input mattered in training:
// non-negative weights by input name that sum to 1.
type Explainer interface {
	Importance() map[string]float64
}

// ONNXExporter is a Model that can be written as an ONNX model file.
type ONNXExporter interface {
	ONNX() ([]byte, error)
}

// Format loads the artifacts of one runtime. Load trusts nothing in the
// files: sizes are checked before memory is taken, indices before they are
// followed, and a file that is not what it says is an Invalid or Corrupt
// fault that says what and where.
type Format interface {
	Name() string // as stored with a version: "tree", "linear", …
	Load(ctx context.Context, files fs.FS) (Model, error)
}
