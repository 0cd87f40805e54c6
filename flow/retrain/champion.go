package retrain

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/gate"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// models is what a pipeline asks about the model that a candidate would
// replace: the registry.
type models interface {
	Version(ctx context.Context, name, ref string) (registry.Version, error)
	Hold(ctx context.Context, v registry.Version) (m model.Model, release func(), err error)
}

// championOf returns the champion of a model for a training on features of a
// table, or nil when there is none, until release is called. One that cannot
// be measured says why; that is no error.
func championOf(ctx context.Context, from models, name, table string, features []string) (c *train.Champion, release func(), err error) {
	release = func() {}
	v, err := from.Version(ctx, name, champion)
	if fault.Is(err, fault.NotFound) {
		return nil, release, nil
	}
	if err != nil {
		return nil, release, err
	}
	c = &train.Champion{Version: v.ID, Number: v.Number, Threshold: v.Manifest.Threshold}
	if v.Lineage.Table == table {
		c.Split = v.Lineage.Split
	}
	for _, view := range v.Lineage.Features {
		if !slices.Contains(features, view) {
			c.Why = "its features are defined otherwise now"
			return c, release, nil
		}
	}
	m, let, err := from.Hold(ctx, v)
	if err != nil {
		if ctx.Err() != nil {
			return nil, release, err
		}
		c.Why = err.Error()
		return c, release, nil
	}
	c.Model = m
	return c, let, nil
}

// judge gives the verdicts of gates on a candidate, and says in words what
// the champion's figures are of.
func judge(ctx context.Context, from models, name string, gates []string, v registry.NewVersion) ([]registry.Verdict, string, error) {
	var report evaluate.Report
	if len(v.Report) > 0 {
		if err := json.Unmarshal(v.Report, &report); err != nil {
			return nil, "", fault.Wrap(err, fault.Corrupt, "the evaluation report cannot be read")
		}
	}
	candidate := gate.Figures{Metrics: v.Metrics, Slices: report.Slices}
	current, err := from.Version(ctx, name, champion)
	if fault.Is(err, fault.NotFound) {
		verdicts, err := gate.Evaluate(gates, candidate, nil)
		return verdicts, "", err
	}
	if err != nil {
		return nil, "", err
	}
	figures, sameRows := train.ChampionFigures(report.Champion, current.ID, current.Metrics)
	basis := "the champion's figures are of the same rows"
	if !sameRows {
		basis = "the champion's figures are of other rows"
	}
	verdicts, err := gate.Evaluate(gates, candidate, &gate.Figures{Metrics: figures})
	return verdicts, basis, err
}
