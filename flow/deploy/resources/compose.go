package resources

import (
	"context"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// Stable is the name of the variant that takes the traffic of a release with
// only one.
const Stable = "stable"

// Pins says what a release holds of the lake: feature/tables.
type Pins interface {
	Sources(ctx context.Context, views []spec.FeatureView) (map[string][]frame.Column, error)
	Pin(ctx context.Context, views []spec.FeatureView) (map[string]int64, error)
}

// Compose makes the content of a release: an endpoint's resource, a version of
// its model, and the definitions of the feature views that the version was
// trained with. A view that has changed since is a Conflict fault: served with
// it, the model would see other numbers than it learned from.
func Compose(ctx context.Context, e *spec.Endpoint, v registry.Version, inForce []spec.Resource, p Pins) (c deploy.Content, err error) {
	if err := Decidable(e, v); err != nil {
		return c, err
	}
	views, err := viewsOf(e, v, inForce)
	if err != nil {
		return c, err
	}
	if c.Sources, err = p.Sources(ctx, views); err != nil {
		return c, err
	}
	if c.Snapshots, err = p.Pin(ctx, views); err != nil {
		return c, err
	}
	decide := e.Decide
	if decide.Threshold == nil {
		decide.Threshold = v.Manifest.Threshold
	}
	c.Variants = []deploy.Variant{{Name: Stable, Weight: 1, Model: v.Model, Version: v.Number, ID: v.ID}}
	c.Features, c.Decide, c.Limits = views, decide, e.Limits
	c.Record, c.Allow, c.SLO = e.Record, e.Allow, e.SLO
	return c, nil
}

// Decidable tells whether an endpoint can decide as its resource says by what
// a version answers: a threshold needs a score, which a model that came with
// outputs of its own may not have.
func Decidable(e *spec.Endpoint, v registry.Version) error {
	d := e.Decide
	if d.Threshold == nil && d.OnAbove == "" && d.OnBelow == "" {
		return nil
	}
	s := v.Manifest.Signature
	for _, out := range s.Outputs {
		if out.Name == model.ScoreColumn && out.Type == frame.Double {
			return nil
		}
	}
	var names []string
	for _, out := range s.Outputs {
		names = append(names, out.Name)
	}
	return fault.New(fault.Invalid, "endpoint %q decides by a score, and %s version %d has no output %q", e.Name, v.Model, v.Number, model.ScoreColumn).
		Hint("the model is a %s one with the outputs %s: leave decide: out, and let the application decide", s.Task, strings.Join(names, ", "))
}

func viewsOf(e *spec.Endpoint, v registry.Version, inForce []spec.Resource) ([]spec.FeatureView, error) {
	trained := map[string]string{} // view → hash of its definition
	var names []string
	for _, f := range v.Lineage.Features {
		name, hash, _ := strings.Cut(f, "@")
		trained[name] = hash
		names = append(names, name)
	}
	if len(e.Features) > 0 {
		names = e.Features
	}
	var views []spec.FeatureView
	for _, name := range names {
		view, ok := spec.Find[*spec.FeatureView](inForce, name)
		if !ok {
			return nil, fault.New(fault.NotFound, "the feature view %q, which %s version %d needs, is not in force", name, v.Model, v.Number)
		}
		if hash, ok := trained[name]; ok && hash != feature.Hash(*view) {
			return nil, fault.New(fault.Conflict, "the feature view %q has changed since %s version %d was trained", name, v.Model, v.Number).
				Hint("run the pipeline again, so that a version learns from the new definition")
		}
		views = append(views, *view)
	}
	return views, nil
}

// ModelRef takes an endpoint's model apart: "fraud@champion" is the model
// fraud and the reference champion, which is what a bare name means too.
func ModelRef(model string) (name, ref string) {
	name, ref, ok := strings.Cut(model, "@")
	if !ok {
		ref = "champion"
	}
	return name, ref
}
