package registry

import (
	"context"
	"slices"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
)

// Load returns the model of a version, once the bytes of every file are
// verified and the format has read them. The model is shared: it is immutable,
// and a few stay in memory.
func (r *Registry) Load(ctx context.Context, v Version) (model.Model, error) {
	if m := r.loaded.get(v.ID); m != nil {
		return m, nil
	}
	id, _, err := v.Manifest.hash()
	if err != nil {
		return nil, err
	}
	if id != v.ID {
		return nil, fault.New(fault.Corrupt, "the manifest of version %d of model %s is not what its id says", v.Number, v.Model)
	}
	if v.Manifest.Format == Reference {
		return nil, unservable(v)
	}
	format := r.format(v.Manifest.Format)
	if format == nil {
		return nil, noFormat(v.Manifest.Format)
	}
	files, err := r.files(ctx, v)
	if err != nil {
		return nil, err
	}
	m, err := load(ctx, format, files)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "version %d of model %s could not be loaded", v.Number, v.Model)
	}
	if err := same(v.Manifest.Signature, m.Signature()); err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "version %d of model %s", v.Number, v.Model)
	}
	r.loaded.put(v.ID, m)
	return m, nil
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

// cache keeps the models loaded last.
type cache struct {
	mu     sync.Mutex
	models []cached // the one used last at the end
}

type cached struct {
	id string
	m  model.Model
}

const cacheSize = 8

func newCache() *cache { return &cache{} }

func (c *cache) get(id string) model.Model {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := slices.IndexFunc(c.models, func(e cached) bool { return e.id == id })
	if at < 0 {
		return nil
	}
	found := c.models[at]
	c.models = append(slices.Delete(c.models, at, at+1), found)
	return found.m
}

func (c *cache) put(id string, m model.Model) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.models = slices.DeleteFunc(c.models, func(e cached) bool { return e.id == id })
	if len(c.models) >= cacheSize {
		c.models = slices.Delete(c.models, 0, 1)
	}
	c.models = append(c.models, cached{id, m})
}
