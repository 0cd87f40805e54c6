// Package backends is the one list of what is built in: where the catalog and
// blobs may lie, which model formats load, who trains, what source addresses
// open.
//
// There is no registration: a backend is here or it is not, and this file is
// where one is added, with its line in a table. The app asks by the URL or the
// name that configuration has.
package backends

import (
	"context"
	"path/filepath"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/auto"
	"github.com/leat-ai/leat/flow/train/command"
	"github.com/leat-ai/leat/flow/train/gbdt"
	trainlinear "github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/azure"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/blob/s3"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// Catalog opens the catalog at a URL: postgres://…, or the path of a SQLite
// file.
func Catalog(ctx context.Context, url string) (*catalog.DB, error) {
	if strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://") {
		return postgres.Open(ctx, postgres.Config{URL: url})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: strings.TrimPrefix(url, "sqlite:")})
}

// Bucket opens a bucket at a URL: s3://…, azblob://…, or the path of a folder.
func Bucket(ctx context.Context, url string) (blob.Bucket, error) {
	switch scheme, _, _ := strings.Cut(url, "://"); scheme {
	case "s3":
		c, err := s3.Parse(url)
		if err != nil {
			return nil, err
		}
		return s3.Open(ctx, c)
	case "azblob":
		c, err := azure.Parse(url)
		if err != nil {
			return nil, err
		}
		return azure.Open(ctx, c)
	}
	return file.Open(ctx, file.Config{Path: filepath.Clean(strings.TrimPrefix(url, "file://"))})
}

// Formats lists the model formats that load.
func Formats() []model.Format {
	return []model.Format{tree.Format{}, linear.Format{}}
}

// Trainer returns who fits a training step.
func Trainer(step spec.TrainStep) (train.Options, error) {
	trees, lines := gbdt.Trainer{}, trainlinear.Trainer{}
	switch step.Trainer {
	case "", "auto":
		return train.Options{Trainer: auto.Trainer{Trees: trees, Linear: lines}}, nil
	case "gbdt":
		return train.Options{Trainer: trees}, nil
	case "linear":
		return train.Options{Trainer: lines}, nil
	case "command":
		return train.Options{Tables: command.Trainer{Command: step.Command, Env: step.Env, Formats: Formats()}}, nil
	}
	return train.Options{}, fault.New(fault.Invalid, "no trainer is called %q", step.Trainer).
		Hint("use auto, gbdt, linear or command")
}

// Openers lists what opens the addresses of sources, by scheme. Local files
// need none.
func Openers() map[string]ingest.Opener { return nil }

// Databases lists what runs the queries of sources, by scheme.
func Databases() map[string]ingest.Database { return nil }
