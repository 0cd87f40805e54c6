package registry

import (
	"context"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
)

// Hold returns the model of a version, once the bytes of every file are
// verified and the format has read them, until release is called; release may
// be called twice. The model is shared: it is immutable, and in memory once
// however many hold it.
func (r *Registry) Hold(ctx context.Context, v Version) (m model.Model, release func(), err error) {
	return r.resident.hold(ctx, v.ID, func(ctx context.Context) (model.Model, int64, error) { return r.load(ctx, v) })
}

// Full tells whether the models in memory have more of it than they may. Who
// holds models that are not used lets them go.
func (r *Registry) Full() bool { return r.resident.full() }

// Memory says how many bytes models may have in memory; DefaultMemory when it
// was never said. It is not for a registry in use.
func (r *Registry) Memory(bytes int64) { r.resident.room = bytes }

// Close ends the models that nobody holds any more.
func (r *Registry) Close() error { return r.resident.close() }

// load reads a version, and says about how much memory its model takes.
func (r *Registry) load(ctx context.Context, v Version) (model.Model, int64, error) {
	id, _, err := v.Manifest.hash()
	if err != nil {
		return nil, 0, err
	}
	if id != v.ID {
		return nil, 0, fault.New(fault.Corrupt, "the manifest of version %d of model %s is not what its id says", v.Number, v.Model)
	}
	if v.Manifest.Format == Reference {
		return nil, 0, unservable(v)
	}
	format := r.format(v.Manifest.Format)
	if format == nil {
		return nil, 0, noFormat(v.Manifest.Format)
	}
	files, err := r.files(ctx, v)
	if err != nil {
		return nil, 0, err
	}
	m, err := load(ctx, format, files)
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.KindOf(err), "version %d of model %s could not be loaded", v.Number, v.Model)
	}
	if err := same(v.Manifest.Signature, m.Signature()); err != nil {
		(&entry{model: m}).end()
		return nil, 0, fault.Wrap(err, fault.Invalid, "version %d of model %s", v.Number, v.Model)
	}
	if s, ok := m.(model.Sizer); ok {
		return m, s.Size(), nil
	}
	size := int64(0)
	for _, content := range files {
		size += int64(len(content))
	}
	return m, size, nil
}

// load turns a panic of a format into a fault: model files are hostile input.
func load(ctx context.Context, format model.Format, files memory) (m model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fault.New(fault.Internal, "the %s runtime broke on the model's files", format.Name()).
				Hint("the files may be made to do harm; please report it with the version's id")
		}
	}()
	return format.Load(ctx, files)
}

// files reads the artifact; the blob store checks each file's digest.
func (r *Registry) files(ctx context.Context, v Version) (memory, error) {
	files := memory{}
	for name, d := range v.Manifest.Files {
		content, err := r.blobs.ReadAll(ctx, blob.Digest(d), maxFile)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "file %s of version %d of model %s", name, v.Number, v.Model)
		}
		files[name] = content
	}
	return files, nil
}

// same checks that a loaded model reads and writes what its version promised:
// the path that is compiled from a version relies on it.
func same(promised, loaded model.Signature) error {
	if promised.Task != loaded.Task {
		return fault.New(fault.Invalid, "the files hold a %s model, the version says %s", loaded.Task, promised.Task)
	}
	for _, pair := range [][2][]model.Field{{promised.Inputs, loaded.Inputs}, {promised.Outputs, loaded.Outputs}} {
		if len(pair[0]) != len(pair[1]) {
			return fault.New(fault.Invalid, "the files have %d columns where the version says %d", len(pair[1]), len(pair[0]))
		}
		for _, f := range pair[0] {
			if !slices.ContainsFunc(pair[1], func(g model.Field) bool { return f.Name == g.Name && f.Type == g.Type }) {
				return fault.New(fault.Invalid, "column %q of type %s is in the version's signature, not in its files", f.Name, f.Type)
			}
		}
	}
	return nil
}
