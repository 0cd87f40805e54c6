// Package encode turns raw columns (numbers, text, times) into the columns of
// float64 that trees and linear models compute with.
//
// The recipe is fixed when a model is trained, travels inside its artifact as
// JSON, and is applied in the same way in training, batch and real time: that
// is why it stands beside the model runtimes and not in the trainer.
package encode

import (
	"github.com/leat-ai/leat/base/frame"
)

// Kind says how a raw column is read.
type Kind string

// The kinds of column.
const (
	Numeric  Kind = "numeric"  // as a number; NULL is NaN
	Category Kind = "category" // as the index of its text in Categories; NULL is NaN, unseen is len(Categories)
)

// Column is the recipe of one encoded column.
type Column struct {
	Name       string     `json:"name"` // of the raw column
	Type       frame.Type `json:"type"`
	Kind       Kind       `json:"kind"`
	Categories []string   `json:"categories,omitempty"` // most frequent first, ties by text
}

// Encoder is the recipe of a whole model. It is immutable once used, and safe
// for many goroutines.
type Encoder struct {
	Columns []Column `json:"columns"`
}
