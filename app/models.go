package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/registry/mlflow"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/imported"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
)

// imports registers models that were made elsewhere, and releases endpoints
// that were waiting for them.
type imports struct {
	app    *App
	intake *intake.Intake
}

func (a *App) newImports() (*imports, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	return &imports{a, intake.New(intake.Config{
		Registry: a.registry, Formats: a.formats, Openers: backends.Openers(policy), Fetchers: fetchers(policy), Clock: a.clock, Version: Version,
	})}, nil
}

// fetchers are the servers of models that an import may name, by scheme.
func fetchers(policy egress.Policy) map[string]intake.Fetcher {
	from := mlflow.New(policy)
	all := map[string]intake.Fetcher{}
	for _, scheme := range mlflow.Schemes() {
		all[scheme] = from
	}
	return all
}

// Import registers a model. What an endpoint serves already stays; one that
// had no version of its model yet begins to serve.
func (i *imports) Import(ctx context.Context, r intake.Request) (intake.Imported, error) {
	if r.Secret != "" {
		secret, err := i.app.ingester.Secret(ctx, r.Secret)
		if err != nil {
			return intake.Imported{}, err
		}
		r.Secret = secret
	}
	imported, err := i.intake.Import(ctx, r)
	if err != nil || r.Alias == "" {
		return imported, err
	}
	// The version is there: an endpoint that cannot serve it is news, and no
	// reason to say that the import failed.
	fault.Each(i.app.converge(ctx, r.By, spec.Plan{}), func(err error) { imported.Notes = append(imported.Notes, err.Error()) })
	return imported, nil
}

// decidable finds, before anything is put in force, the endpoints of a project
// that their models cannot serve.
func (a *App) decidable(ctx context.Context, list []spec.Resource) error {
	var mistakes fault.List
	for _, r := range list {
		e, ok := r.Spec.(*spec.Endpoint)
		if !ok {
			continue
		}
		name, ref := resources.ModelRef(e.Model)
		v, err := a.registry.Version(ctx, name, ref)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err == nil {
			err = resources.Decidable(e, v)
		}
		if f, ok := errors.AsType[*fault.Error](err); ok {
			mistakes.Add(f.At("%s", r.At.String()))
		} else {
			mistakes.Add(err)
		}
	}
	return mistakes.Err()
}

// trainer returns who fits a step: a built-in trainer, or the import of a
// model in the project's folder or of a version in the registry.
func (a *App) trainer(step spec.TrainStep) (train.Options, error) {
	if step.Trainer != "import" {
		return backends.Trainer(step)
	}
	if name, ref, ok := versionRef(step.From); ok {
		return train.Options{Tables: imported.Trainer{Get: a.registered(name, ref)}}, nil
	}
	path := step.From
	if !filepath.IsAbs(path) {
		path = filepath.Join(a.config.Project, filepath.FromSlash(path))
	}
	return train.Options{Tables: imported.Trainer{Importer: importer.New(a.formats), Path: path, Hints: importer.Hints{Programs: true}}}, nil
}

// checkMonitors tells which monitors have nothing to compare with: the model
// that they watch was made elsewhere, and nobody measured it here.
func (a *App) checkMonitors(ctx context.Context, declared []spec.Resource) []api.Check {
	var checks []api.Check
	for _, m := range spec.All[*spec.Monitor](declared) {
		release, err := a.router.Release(m.Watch)
		if err != nil {
			continue // the check of the endpoint says why
		}
		c := api.Check{Name: "monitor " + m.Name, OK: true, Partial: true, Note: "watches " + m.Watch}
		switch p, err := a.watch.profile(ctx, release); {
		case err != nil:
			c.OK, c.Note, c.Hint = false, err.Error(), fault.HintOf(err)
		case p == nil:
			v := release.Content.Variants[0]
			c.Note = fmt.Sprintf("is silent: version %d of %s has no training profile to compare with; a pipeline with trainer: import makes one", v.Version, v.Model)
		}
		checks = append(checks, c)
	}
	return checks
}

// Deploy releases a version of an endpoint's model, and returns once it is
// served. One that cannot be served is taken back.
func (e endpoints) Deploy(ctx context.Context, endpoint, ref, by string) (deploy.Release, error) {
	a := e.app
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return deploy.Release{}, err
	}
	res, ok := spec.Find[*spec.Endpoint](list, endpoint)
	if !ok {
		return deploy.Release{}, fault.New(fault.NotFound, "no endpoint is called %q", endpoint).Hint("apply one; `leat releases` lists them")
	}
	name, alias := resources.ModelRef(res.Model)
	v, err := a.registry.Version(ctx, name, cmp.Or(ref, alias))
	if err != nil {
		return deploy.Release{}, err
	}
	content, err := resources.Compose(ctx, res, v, list, a.features)
	if err != nil {
		return deploy.Release{}, err
	}
	r, err := a.releases.Deploy(ctx, endpoint, content, by, "deploy")
	if err != nil {
		return r, err
	}
	if err := a.serve(ctx, endpoint); err != nil {
		return r, errors.Join(err, a.takeBack(ctx, endpoint, by))
	}
	return r, a.follow(ctx, r, by)
}

// takeBack makes what was live before live again; the first release of an
// endpoint has nothing before it.
func (a *App) takeBack(ctx context.Context, endpoint, by string) error {
	_, err := a.releases.Rollback(ctx, endpoint, "", by)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}
