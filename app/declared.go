package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/compose"
	"github.com/leat-ai/leat/model/process"
	"github.com/leat-ai/leat/model/remote"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
)

// declarations registers the models that a project declares: on other servers,
// as programs, made of other models. It does so before the project is put in
// force, because a declaration that cannot be brought about is a mistake of
// the project; the versions that an apply which then fails leaves behind are
// nobody's. Aliases are moved afterwards.
type declarations struct {
	app  *App
	by   string
	made map[string]resources.Registered // by the model's name
}

// declare registers a version of each declared model, parts before what is
// made of them. Models whose parts have no version yet wait for the next
// apply.
func (a *App) declare(ctx context.Context, list []spec.Resource, by string) ([]resources.Registered, error) {
	d := &declarations{app: a, by: by, made: map[string]resources.Registered{}}
	var mistakes fault.List
	var order []resources.Registered
	for _, r := range inOrder(list) {
		made, err := d.model(ctx, r.Spec.(*spec.Model))
		if waiting, ok := errors.AsType[*notYet](err); ok {
			a.log.Info("a model waits for its parts", "model", r.Name, "part", waiting.part)
			continue
		}
		if err != nil {
			mistakes.Add(fault.New(fault.KindOf(err), "Model %q", r.Name).At("%s", r.At).Because(err).Hint("%s", fault.HintOf(err)))
			continue
		}
		d.made[r.Name] = made
		order = append(order, made)
	}
	return order, mistakes.Err()
}

// inOrder lists the declared models, parts first. The language refuses cycles.
func inOrder(list []spec.Resource) []spec.Resource {
	var order []spec.Resource
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, r := range list {
			m, ok := r.Spec.(*spec.Model)
			if !ok || r.Name != name || !m.Declared() {
				continue
			}
			for _, p := range m.Parts() {
				part, _ := resources.ModelRef(p)
				visit(part)
			}
			order = append(order, r)
		}
	}
	for _, r := range list {
		if r.Kind == spec.KindModel {
			visit(r.Name)
		}
	}
	return order
}

// notYet says that a part has no version yet.
type notYet struct{ part string }

func (n *notYet) Error() string { return n.part + " has no version yet" }

// model registers one declared model.
func (d *declarations) model(ctx context.Context, m *spec.Model) (resources.Registered, error) {
	n := registry.NewVersion{Model: m.Name, By: d.by, Lineage: registry.Lineage{Leat: Version, Code: revision(ctx, d.app.config.Project)}}
	var err error
	switch {
	case m.Remote != nil:
		n.Format = remote.FormatName
		n.Files, n.Signature, err = d.remote(ctx, m)
	case m.Process != nil:
		n.Format = process.FormatName
		n.Files, n.Signature, err = d.process(ctx, m)
	default:
		n.Format = compose.FormatName
		n.Files, n.Signature, err = d.compose(ctx, m)
	}
	if err != nil {
		return resources.Registered{}, err
	}
	last, err := d.app.registry.Version(ctx, m.Name, "latest")
	if err != nil && !fault.Is(err, fault.NotFound) {
		return resources.Registered{}, err
	}
	v, err := d.app.registry.Register(ctx, n)
	return resources.Registered{Model: m.Name, Version: v.Number, ID: v.ID, Alias: m.Alias, New: v.Number > last.Number}, err
}

// reference finds the version that a part is now: the one that this apply
// registers, or the one that the registry has.
func (d *declarations) reference(ctx context.Context, text string) (model.Reference, error) {
	name, ref := resources.ModelRef(text)
	if made, ok := d.made[name]; ok && (ref == made.Alias || ref == strconv.Itoa(made.Version)) {
		return model.Reference{Model: name, Version: made.Version, ID: made.ID}, nil
	}
	v, err := d.app.registry.Version(ctx, name, ref)
	if fault.Is(err, fault.NotFound) {
		return model.Reference{}, &notYet{text}
	}
	return model.Reference{Model: v.Model, Version: v.Number, ID: v.ID}, err
}

func (d *declarations) remote(ctx context.Context, m *spec.Model) (map[string][]byte, model.Signature, error) {
	r := m.Remote
	manifest := remote.Manifest{
		Protocol: r.Protocol, URL: r.URL, Model: r.Model, ModelVersion: r.Version, Deployment: r.Deployment, Result: r.Result,
		Dimensions: r.Dimensions, Timeout: r.Timeout, Attempts: r.Attempts, Concurrency: r.Concurrency, MaxRows: r.MaxRows,
		MaxResponse: r.MaxResponse, Signature: declaredSignature(m),
	}
	switch {
	case r.Entra != nil:
		manifest.Auth = remote.Auth{Kind: remote.Entra, Tenant: r.Entra.Tenant, Client: r.Entra.Client, Secret: r.Entra.Secret, Scope: r.Entra.Scope}
	case r.Header != "":
		manifest.Auth = remote.Auth{Kind: remote.Header, Header: r.Header, Secret: r.Secret}
	case r.Secret != "":
		manifest.Auth = remote.Auth{Kind: remote.Bearer, Secret: r.Secret}
	}
	if r.Tensor != "" {
		manifest.Inputs = []remote.Tensor{{Name: r.Tensor, Datatype: "FP64", Width: len(m.Inputs)}}
	}
	if r.Fallback != "" {
		ref, err := d.reference(ctx, r.Fallback)
		if err != nil {
			return nil, model.Signature{}, err
		}
		manifest.Fallback = &ref
	}
	c := d.app.runtimes.Remote()
	manifest, err := remote.Complete(ctx, c, manifest)
	if err != nil {
		return nil, model.Signature{}, err
	}
	if err := d.standsIn(ctx, manifest); err != nil {
		return nil, model.Signature{}, err
	}
	files, err := manifest.Files()
	return files, manifest.Signature, err
}

// standsIn checks that a fallback fits, before anybody needs it.
func (d *declarations) standsIn(ctx context.Context, m remote.Manifest) error {
	if m.Fallback == nil {
		return nil
	}
	v, err := d.app.registry.Version(ctx, m.Fallback.Model, strconv.Itoa(m.Fallback.Version))
	if err != nil {
		return err
	}
	return fault.Wrap(remote.CanStandIn(m.Signature, v.Manifest.Signature), fault.Invalid, "the fallback %s", m.Fallback)
}

func (d *declarations) process(ctx context.Context, m *spec.Model) (map[string][]byte, model.Signature, error) {
	if err := d.app.programs(); err != nil {
		return nil, model.Signature{}, err
	}
	manifest, files, err := d.app.program(m)
	if err != nil {
		return nil, model.Signature{}, err
	}
	packed, known, err := d.app.unchanged(ctx, m.Name, manifest, files)
	if err == nil {
		return packed, known, nil // its program need not start to say so
	}
	return process.Pack(ctx, d.app.runtimes.Process(), manifest, files)
}

// program is what a resource says of a program, with the files of its folder.
func (a *App) program(m *spec.Model) (process.Manifest, map[string][]byte, error) {
	p := m.Process
	files, function, err := a.programFiles(p)
	if err != nil {
		return process.Manifest{}, nil, err
	}
	manifest := process.Manifest{
		Command: p.Command, Transport: p.Transport, Workers: p.Workers, Threads: p.Threads, Timeout: p.Timeout, Start: p.Start,
		Memory: p.Memory, CPU: p.CPU, OpenFiles: p.OpenFiles, Env: p.Env, Signature: declaredSignature(m),
	}
	if len(p.Command) == 0 {
		manifest.Python = &process.Python{Kind: process.MLflow, Interpreter: p.Python}
		if function != "" {
			manifest.Python.Kind, manifest.Python.File = process.Function, function
		}
		if strings.Contains(p.Python, "/") && !filepath.IsAbs(p.Python) {
			manifest.Python.Interpreter = filepath.Join(a.ingester.Root, filepath.FromSlash(p.Python))
		}
	}
	return manifest, files, nil
}

// unchanged returns the artifact of a program whose latest version has the
// very same content; a Conflict fault where it has not.
func (a *App) unchanged(ctx context.Context, name string, m process.Manifest, files map[string][]byte) (map[string][]byte, model.Signature, error) {
	last, err := a.registry.Version(ctx, name, "latest")
	if err != nil {
		return nil, model.Signature{}, err
	}
	packed, signature, err := process.Repack(m, last.Manifest.Signature, files)
	if err == nil && (last.Manifest.Format != process.FormatName || !sameFiles(packed, last.Manifest.Files)) {
		err = fault.New(fault.Conflict, "the program has changed")
	}
	return packed, signature, err
}

// sameFiles tells whether files are those of a version.
func sameFiles(files map[string][]byte, digests map[string]string) bool {
	if len(files) != len(digests) {
		return false
	}
	for name, content := range files {
		if digests[name] != string(blob.DigestOf(content)) {
			return false
		}
	}
	return true
}

func (d *declarations) compose(ctx context.Context, m *spec.Model) (map[string][]byte, model.Signature, error) {
	c := m.Compose
	definition := compose.Definition{Kind: compose.Sequence, Inputs: declaredSignature(m).Inputs}
	switch {
	case len(c.Average) > 0:
		definition.Kind = compose.Average
	case len(c.Switch) > 0:
		definition.Kind = compose.Switch
	}
	for i, name := range m.Parts() {
		ref, err := d.reference(ctx, name)
		if err != nil {
			return nil, model.Signature{}, err
		}
		part := compose.Part{Reference: ref}
		if len(c.Weights) > 0 {
			part.Weight = c.Weights[i]
		}
		if len(c.Switch) > 0 {
			part.When = c.Switch[i].When
		}
		definition.Parts = append(definition.Parts, part)
	}
	return compose.Pack(ctx, d.app.runtimes.Compose(), definition)
}

// declaredSignature is what a resource says of a model's columns.
func declaredSignature(m *spec.Model) model.Signature {
	s := model.Signature{Task: model.Task(m.Task), Classes: m.Classes}
	for _, c := range m.Inputs {
		s.Inputs = append(s.Inputs, model.Field{Name: c.Name, Type: c.Type})
	}
	for _, c := range m.Outputs {
		s.Outputs = append(s.Outputs, model.Field{Name: c.Name, Type: c.Type})
	}
	if s.Task != "" && len(s.Outputs) == 0 {
		s.Outputs = model.Outputs(s.Task, s.Classes)
	}
	return s
}

// Bounds of a program's folder; the registry has its own.
const (
	maxProgramFiles = 64
	maxProgramBytes = 1 << 30
)

// programFiles reads the folder of a program, beneath the folder it is in, and
// the name of its function's file, if it has one.
func (a *App) programFiles(p *spec.Process) (files map[string][]byte, function string, err error) {
	dir := filepath.FromSlash(p.From)
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(a.ingester.Root, dir)
	}
	function = p.Function
	only := ""
	if path.Ext(p.From) == ".py" {
		dir, only = filepath.Split(dir)
		function = only
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", fault.New(fault.NotFound, "the folder %q of the model cannot be opened", p.From).
			Hint("it lies below the project's folder, on the server")
	}
	defer root.Close()
	files = map[string][]byte{}
	left := int64(maxProgramBytes)
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		base := path.Base(name)
		switch {
		case err != nil:
			return fault.Wrap(err, fault.Unavailable, "the folder %q of the model cannot be read", p.From)
		case name != "." && (strings.HasPrefix(base, ".") || base == "__pycache__" || only != "" && name != only):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		case len(files) == maxProgramFiles:
			return fault.New(fault.TooLarge, "the folder %q of the model has more than %d files", p.From, maxProgramFiles)
		}
		content, err := readFile(root, name, left)
		left -= int64(len(content))
		files[name] = content
		return err
	})
	return files, function, err
}

func readFile(root *os.Root, name string, limit int64) ([]byte, error) {
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the file %q of the model cannot be read: it leads out of its folder, or may not be", name)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%q of the model is no file", name)
	}
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the file %q of the model", name)
	}
	if int64(len(content)) > limit {
		return nil, fault.New(fault.TooLarge, "the files of the model have more than %d bytes", int64(maxProgramBytes))
	}
	return content, nil
}

// point moves the aliases of declared models: to versions that are new, or
// whose resource has just changed, or that have none yet. An alias that
// somebody moved otherwise, as a rollback does, stays. It returns those that
// moved.
func (a *App) point(ctx context.Context, made []resources.Registered, plan spec.Plan, by string) (moved []resources.Registered, err error) {
	var mistakes fault.List
	for _, r := range made {
		now, err := a.registry.Version(ctx, r.Model, r.Alias)
		if err != nil && !fault.Is(err, fault.NotFound) {
			mistakes.Add(err)
			continue
		}
		changed := slices.ContainsFunc(plan.Changes, func(c spec.Change) bool { return c.Kind == spec.KindModel && c.Name == r.Model })
		if now.Number == r.Version || now.Number != 0 && !r.New && !changed {
			continue
		}
		mistakes.Add(a.registry.SetAlias(ctx, r.Model, r.Alias, r.Version, by))
		moved = append(moved, r)
	}
	return moved, mistakes.Err()
}

// touched adds the endpoints whose model moved to what a plan changes.
func touched(plan spec.Plan, list []spec.Resource, moved []resources.Registered) spec.Plan {
	all := spec.Plan{Changes: slices.Clone(plan.Changes)}
	for _, e := range spec.All[*spec.Endpoint](list) {
		name, ref := resources.ModelRef(e.Model)
		if slices.ContainsFunc(moved, func(r resources.Registered) bool { return r.Model == name && r.Alias == ref }) {
			all.Changes = append(all.Changes, spec.Change{Action: spec.Update, Kind: e.Kind(), Name: e.Name})
		}
	}
	return all
}
