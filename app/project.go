package app

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/spec"
)

// project plans and applies what clients send.
type project struct{ app *App }

// parse reads files as a project; paths that leave it are refused.
func (p project) parse(files map[string]string) ([]spec.Resource, error) {
	loaded, err := spec.LoadFiles(files, spec.Options{Environment: p.environment()})
	if err != nil {
		return nil, err
	}
	return loaded.Resources, nil
}

func (p project) environment() string {
	if p.app.config.Env == "default" {
		return ""
	}
	return p.app.config.Env
}

func (p project) Plan(ctx context.Context, files map[string]string) (spec.Plan, error) {
	list, err := p.parse(files)
	if err != nil {
		return spec.Plan{}, err
	}
	plan, err := p.app.resources.Plan(ctx, p.app.config.Env, list)
	if err != nil {
		return plan, err
	}
	plan.Notes = p.app.foresee(ctx, list, plan)
	return plan, nil
}

func (p project) Apply(ctx context.Context, files map[string]string, by string) (resources.Applied, error) {
	list, err := p.parse(files)
	if err != nil {
		return resources.Applied{}, err
	}
	if err := confined(ctx, list); err != nil {
		return resources.Applied{}, err
	}
	if err := p.app.decidable(ctx, list); err != nil {
		return resources.Applied{}, err
	}
	made, err := p.app.declare(ctx, list, by)
	if err != nil {
		return resources.Applied{}, err
	}
	applied, err := p.app.resources.Apply(ctx, p.app.config.Env, list, by)
	if err != nil {
		return applied, err
	}
	applied.Versions = made
	moved, err := p.app.point(ctx, made, applied.Plan, by)
	if err != nil {
		return applied, err
	}
	return applied, p.app.converge(ctx, by, touched(applied.Plan, list, moved))
}

func (p project) List(ctx context.Context) ([]spec.Resource, error) {
	return p.app.resources.List(ctx, p.app.config.Env)
}

// converge brings about what the resources in force ask for: a release of each
// endpoint that has none or that a plan has just changed, the timetables, the
// monitors. Doing it again changes nothing, and it never undoes a rollback:
// what is live stays until somebody changes the endpoint or deploys.
func (a *App) converge(ctx context.Context, by string, plan spec.Plan) error {
	a.converging.Lock()
	defer a.converging.Unlock()
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return err
	}
	a.convergeGateway(list)
	a.convergeKnowledge(ctx, list, plan)
	var mistakes fault.List
	for _, e := range spec.All[*spec.Endpoint](list) {
		err := a.release(ctx, e, list, by, plan)
		mistakes.Add(fault.Wrap(err, fault.KindOf(err), "endpoint %q", e.Name))
	}
	mistakes.Add(a.releaseAssistants(ctx, list, by, plan))
	mistakes.Add(a.schedule(ctx, list))
	a.askable.converge(list, a.clock.Now())
	a.monitors(list)
	a.views.Refresh()
	a.streams.Converge(list)
	return mistakes.Err()
}

// release makes the release that an endpoint's resource asks for. Without a
// version of its model there is nothing to serve yet, and nothing wrong.
func (a *App) release(ctx context.Context, e *spec.Endpoint, list []spec.Resource, by string, plan spec.Plan) error {
	changed := slices.ContainsFunc(plan.Changes, func(c spec.Change) bool { return c.Kind == e.Kind() && c.Name == e.Name })
	_, err := a.releases.Live(ctx, e.Name)
	switch {
	case err == nil && !changed:
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	case !changed && a.unloaded(ctx, e.Name):
		return nil
	}
	name, ref := resources.ModelRef(e.Model)
	v, err := a.registry.Version(ctx, name, ref)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	content, err := resources.Compose(ctx, e, v, list, a.features)
	if err != nil {
		return err
	}
	if _, err := a.releases.Deploy(ctx, e.Name, content, by, "apply"); err != nil {
		return err
	}
	return a.serve(ctx, e.Name)
}

// monitors starts a watcher for each monitor in force and ends those before.
func (a *App) monitors(list []spec.Resource) {
	if a.stopMonitors != nil {
		a.stopMonitors()
	}
	ctx, stop := context.WithCancel(a.life)
	a.stopMonitors = stop
	features := monitor.Features{Served: served{a}, Newest: served{a}.newestEvent, Clock: a.clock}
	w := &monitor.Watcher{Live: a.watch.live, Features: features.Look, Keep: a.watch.keep, Clock: a.clock, Log: a.log}
	for _, m := range spec.All[*spec.Monitor](list) {
		a.loops.Go(func() { w.Run(ctx, m) })
	}
}

// endpoints changes and shows what is live.
type endpoints struct{ app *App }

func (e endpoints) Path(name string) (*decide.Path, error) { return e.app.serving.Path(name) }

func (e endpoints) Endpoints() []string { return e.app.router.Endpoints() }

func (e endpoints) Release(name string) (deploy.Release, error) { return e.app.serving.Release(name) }

// Rollback returns once the earlier release is served.
func (e endpoints) Rollback(ctx context.Context, endpoint, to, by string) (deploy.Release, error) {
	r, err := e.app.releases.Rollback(ctx, endpoint, to, by)
	if err != nil {
		return r, err
	}
	if err := e.app.serve(ctx, endpoint); err != nil {
		return r, err
	}
	return r, e.app.follow(ctx, r, by)
}

// follow moves the alias that an endpoint serves by to the version that is
// live, so that what is called champion is what decides.
func (a *App) follow(ctx context.Context, r deploy.Release, by string) error {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return err
	}
	e, ok := spec.Find[*spec.Endpoint](list, r.Endpoint)
	if !ok {
		return nil
	}
	variant := r.Content.Variants[0]
	name, alias := resources.ModelRef(e.Model)
	if _, err := strconv.Atoi(alias); err == nil || name != variant.Model {
		return nil // a fixed version, or a release of another model
	}
	return a.registry.SetAlias(ctx, name, alias, variant.Version, by)
}

// revision is the revision of the repository that a folder is in, with + when
// there are changes in it, or "" when there is none.
func revision(ctx context.Context, dir string) string {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	git := func(args ...string) (string, error) {
		cmd := exec.CommandContext(ctx, "git", append([]string{"-C", dir}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0")
		text, err := cmd.Output()
		return strings.TrimSpace(string(text)), err
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err != nil {
		return ""
	}
	head, err := git("rev-parse", "--short=12", "HEAD")
	if err != nil {
		return ""
	}
	if changes, err := git("status", "--porcelain"); err == nil && changes != "" {
		head += "+"
	}
	return head
}
