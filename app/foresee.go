package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/spec"
)

// foresee says which declared models an apply would register a version of,
// without starting a program or asking a server: those whose resource, files
// or parts are other than before. Where it turns out that nothing differs
// after all, the apply registers nothing.
func (a *App) foresee(ctx context.Context, list []spec.Resource, plan spec.Plan) (notes []string) {
	if confined(ctx, list) != nil {
		return nil // who may not apply it has no file read for them
	}
	news := map[string]string{} // model → alias that moves
	for _, r := range inOrder(list) {
		m := r.Spec.(*spec.Model)
		changed := slices.ContainsFunc(plan.Changes, func(c spec.Change) bool { return c.Kind == spec.KindModel && c.Name == m.Name })
		changed = changed || slices.ContainsFunc(m.Parts(), func(p string) bool {
			name, ref := resources.ModelRef(p)
			alias, ok := news[name]
			return ok && alias == ref
		})
		if !changed && !a.otherProgram(ctx, m) {
			continue
		}
		news[m.Name] = m.Alias
		notes = append(notes, fmt.Sprintf("a version of model %s will be registered as %s", m.Name, m.Alias))
	}
	return notes
}

// otherProgram tells whether the files of a program are other than those of
// its latest version.
func (a *App) otherProgram(ctx context.Context, m *spec.Model) bool {
	if m.Process == nil {
		return false
	}
	manifest, files, err := a.program(m)
	if err != nil {
		return false // the apply says what is wrong
	}
	_, _, err = a.unchanged(ctx, m.Name, manifest, files)
	return err != nil
}
