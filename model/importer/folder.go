package importer

import (
	"bytes"
	"context"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// folder imports a folder: an MLflow model, an artifact of Leat, or one that
// holds a single model.
func (im *Importer) folder(ctx context.Context, files fs.FS, h Hints) (*Artifact, error) {
	all, err := gather(files)
	if err != nil {
		return nil, err
	}
	// Archives mostly hold one folder that holds the rest.
	const deepest = 8
	for range deepest {
		if _, ok := all[mlmodelFile]; ok {
			return im.mlflow(ctx, all, h)
		}
		if _, ok := all[processFile]; ok {
			return im.program(ctx, all, h)
		}
		inner := all.onlyFolder()
		if inner == "" {
			break
		}
		all = all.below(inner)
	}
	name, err := all.model()
	if err != nil {
		return nil, err
	}
	return im.file(ctx, found{name: name, data: all[name], beside: all}, h)
}

// onlyFolder is the one folder that all files are in, or "".
func (m Files) onlyFolder() string {
	only := ""
	for name := range m {
		top, _, inside := strings.Cut(name, "/")
		if !inside || only != "" && only != top {
			return ""
		}
		only = top
	}
	return only
}

// model finds the one file of a folder that is a model.
func (m Files) model() (string, error) {
	if err := m.foreign(); err != nil {
		return "", err
	}
	var models, others []string
	var refused error
	for _, name := range m.List() {
		if slices.Contains(companionNames, path.Base(name)) || strings.Contains(name, "/") {
			continue
		}
		k, err := sniff(name, m[name])
		switch {
		case err == nil && k < packed:
			models = append(models, name)
		case err != nil && refused == nil && fault.Is(err, fault.Unsupported):
			refused = err
			fallthrough
		default:
			others = append(others, name)
		}
	}
	switch {
	case len(models) == 1:
		return models[0], nil
	case len(models) > 1:
		return "", fault.New(fault.Invalid, "the folder holds %d models: %s", len(models), listed(models)).Hint("name the one to import")
	case refused != nil:
		return "", refused
	case len(others) == 0:
		return "", fault.New(fault.Invalid, "the folder holds no model").Hint("%s", hintKinds)
	}
	return "", fault.New(fault.Invalid, "the folder holds no model, but %s", listed(others)).Hint("%s", hintKinds)
}

// foreign refuses folders by the files that only one library writes.
func (m Files) foreign() error {
	for name := range m {
		switch path.Base(name) {
		case "data.pkl":
			return fault.New(fault.Unsupported, "it is a PyTorch model, whose graph is in a Python pickle").Hint("%s", hintTorch)
		case "model.weights.h5":
			return fault.New(fault.Unsupported, "it is a Keras model").Hint("%s", hintKeras)
		case "saved_model.pb":
			return fault.New(fault.Unsupported, "it is a TensorFlow SavedModel").Hint("%s", hintKeras)
		case "schema.json":
			if bytes.Contains(m[name], []byte("__loader__")) {
				return fault.New(fault.Unsupported, "it is a skops file, which names Python classes to load").Hint("%s", hintPickle)
			}
		}
	}
	return nil
}

// listed names a few of many.
func listed(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
