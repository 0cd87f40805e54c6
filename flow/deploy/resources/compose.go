package resources

import (
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
)

// Stable is the name of the variant that takes the traffic of a release with
// only one.
const Stable = "stable"

// Compose makes the content of a release: an endpoint's resource, a version of
// its model, and the definitions of the feature views that the version was
// trained with. A view that has changed since is a Conflict fault: served with
// it, the model would see other numbers than it learned from.
func Compose(e *spec.Endpoint, v registry.Version, inForce []spec.Resource) (deploy.Content, error) {
	views, err := viewsOf(e, v, inForce)
	if err != nil {
		return deploy.Content{}, err
	}
	decide := e.Decide
	if decide.Threshold == nil {
		decide.Threshold = v.Manifest.Threshold
	}
	return deploy.Content{
		Variants: []deploy.Variant{{Name: Stable, Weight: 1, Model: v.Model, Version: v.Number, ID: v.ID}},
		Features: views,
		Decide:   decide,
		Limits:   e.Limits,
		Record:   e.Record,
		Allow:    e.Allow,
		SLO:      e.SLO,
	}, nil
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
		if hash, ok := trained[name]; ok && hash != spec.Hash(view) {
			return nil, fault.New(fault.Conflict, "the feature view %q has changed since %s version %d was trained", name, v.Model, v.Number).
				Hint("run the pipeline again, so that a version learns from the new definition")
		}
		views = append(views, *view)
	}
	slices.SortFunc(views, func(a, b spec.FeatureView) int { return strings.Compare(a.Name, b.Name) })
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
