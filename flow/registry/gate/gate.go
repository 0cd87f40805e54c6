// Package gate decides whether a candidate model may go on: it evaluates the
// gate expressions of a pipeline over the candidate's figures and those of
// the champion it would replace.
package gate

import (
	"github.com/leat-ai/leat/flow/registry"
)

// Figures are what is known of one model.
type Figures struct {
	// Metrics by name: auc, logloss, p50_ms, p95_ms, size_bytes, …
	Metrics map[string]float64
	// Slices has the metrics of parts of the test rows: by the column that
	// they were parted by, the value in it, and the name of the metric.
	Slices map[string]map[string]map[string]float64
}

// Evaluate gives one verdict for each gate, in order.
func Evaluate(gates []string, candidate Figures, champion *Figures) ([]registry.Verdict, error) {
	return nil, nil
}
