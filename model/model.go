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
	Custom     Task = "custom"     // whatever its outputs say: an imported graph, a program, another server
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

// A Model that holds more than memory (a process, connections) is also an
// io.Closer; whoever loaded it closes it once, after the last Predict.

// Sizer is a Model that knows about how many bytes of memory it holds. One
// that does not is taken for as large as its files.
type Sizer interface {
	Size() int64
}

// Batcher is a Model that takes about as long for a few rows as for one, as a
// program behind a pipe or another server does. Requests that arrive while it
// is busy then go together (package batching).
type Batcher interface {
	Batching() Batching
}

// Batching says how small calls of a Batcher go together.
type Batching struct {
	Calls int // how many calls of Predict it works on at a time
	Rows  int // the most rows that go together in one
}

// Native is a Model that can answer in the columns of the library that it came
// from, next to those of its signature: the library's own output names, and
// prediction0, prediction1, … where it has none; labels stand before
// probabilities. Raw asks for the sums before the link function instead:
// margin0, margin1, … It is an Unsupported fault where there are none.
type Native interface {
	Native(ctx context.Context, in frame.Batch, raw bool) (frame.Batch, error)
}

// Describer is a Model that can say what it is to somebody who wonders what is
// in a file.
type Describer interface {
	Describe() Description
}

// Description is what Describer says. Zero values are not known, or do not
// apply.
type Description struct {
	Kind           string            `json:"kind"`                      // such as "boosted trees", "ONNX graph"
	Library        string            `json:"library,omitempty"`         // that wrote the file, such as "xgboost"
	LibraryVersion string            `json:"library_version,omitempty"` // as the file says
	Objective      string            `json:"objective,omitempty"`       // in the library's words
	Runtime        string            `json:"runtime,omitempty"`         // what executes it here
	Trees          int               `json:"trees,omitempty"`
	Leaves         int               `json:"leaves,omitempty"`    // of all trees
	Operators      map[string]int    `json:"operators,omitempty"` // of a graph, by name, how many
	Notes          map[string]string `json:"notes,omitempty"`     // what else the file tells of itself
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
