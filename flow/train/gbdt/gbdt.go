// Package gbdt trains gradient-boosted decision trees on histograms: binary,
// multi-class and regression.
//
// It is one of the built-in trainers of the stage train, which hands it
// encoded columns; what it returns runs in model/tree.
package gbdt

import (
	"context"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
)

// Trainer is the trainer "gbdt". It is safe for many goroutines.
type Trainer struct{}

var _ train.Trainer = Trainer{}

// Train fits an ensemble.
func (Trainer) Train(ctx context.Context, d *train.Dataset, p train.Params) (*train.Artifact, error) {
	return nil, fault.New(fault.Unsupported, "gbdt is being built")
}
