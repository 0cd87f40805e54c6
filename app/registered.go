package app

import (
	"context"
	"strings"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// versionRef takes an address of the registry apart: models:/NAME@ALIAS,
// models:/NAME/VERSION or models:/NAME, which is the newest.
func versionRef(address string) (name, ref string, ok bool) {
	rest, ok := strings.CutPrefix(address, "models:/")
	if !ok {
		return "", "", false
	}
	if name, ref, ok = strings.Cut(rest, "@"); ok {
		return name, ref, true
	}
	if name, ref, ok = strings.Cut(rest, "/"); ok {
		return name, ref, true
	}
	return rest, "latest", true
}

// registered gets a version of the registry as a candidate, so that what a
// client registered is measured and judged like what was trained here.
func (a *App) registered(name, ref string) func(ctx context.Context) (*importer.Artifact, error) {
	return func(ctx context.Context) (*importer.Artifact, error) {
		v, err := a.registry.Version(ctx, name, ref)
		if err != nil {
			return nil, err
		}
		files, err := a.registry.Files(ctx, v)
		if err != nil {
			return nil, err
		}
		for _, f := range backends.Formats() {
			if f.Name() != v.Manifest.Format {
				continue
			}
			m, err := f.Load(ctx, importer.Files(files))
			if err != nil {
				return nil, err
			}
			return artifactOf(f.Name(), files, m), nil
		}
		return nil, fault.New(fault.Unsupported, "no runtime for models of format %q is built in", v.Manifest.Format)
	}
}

func artifactOf(format string, files map[string][]byte, m model.Model) *importer.Artifact {
	return &importer.Artifact{Kind: "registered version, format " + format, Format: format, Files: files, Model: m, Signature: m.Signature()}
}
