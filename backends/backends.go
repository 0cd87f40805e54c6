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
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/ingest/https"
	sourcepostgres "github.com/leat-ai/leat/flow/ingest/postgres"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/auto"
	"github.com/leat-ai/leat/flow/train/command"
	"github.com/leat-ai/leat/flow/train/gbdt"
	trainlinear "github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/onnx/graph"
	"github.com/leat-ai/leat/model/onnx/ort"
	"github.com/leat-ai/leat/model/process"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/model/xgboost"
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
func Catalog(ctx context.Context, address string) (*catalog.DB, error) {
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		return postgres.Open(ctx, postgres.Config{URL: address})
	}
	return sqlite.Open(ctx, sqlite.Config{Path: strings.TrimPrefix(address, "sqlite:")})
}

// Bucket opens a bucket at a URL: s3://…, azblob://…, or the path of a folder.
// Without a secret the ways of the cloud's own tools find who is asking: the
// environment, shared files, the identity of the machine. For Azure the
// variable AZURE_STORAGE_KEY has the key of the account where there is no
// identity.
func Bucket(ctx context.Context, address string) (blob.Bucket, error) {
	if scheme, _, _ := strings.Cut(address, "://"); scheme == "s3" || scheme == "azblob" {
		secret := ""
		if scheme == "azblob" {
			secret = os.Getenv("AZURE_STORAGE_KEY")
		}
		return cloudBucket(ctx, address, secret, nil)
	}
	return file.Open(ctx, file.Config{Path: filepath.Clean(strings.TrimPrefix(address, "file://"))})
}

// cloudBucket opens a bucket of a cloud. options are added to the URL's query;
// the secret is "ACCESS:SECRET" for S3 and the account's key for Azure.
func cloudBucket(ctx context.Context, address, secret string, options map[string]string) (blob.Bucket, error) {
	query := url.Values{}
	for name, value := range options {
		query.Set(name, value)
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	if strings.HasPrefix(address, "azblob://") {
		c, err := azure.Parse(address)
		if err != nil {
			return nil, err
		}
		if secret != "" {
			c.Key = func(context.Context) (string, error) { return secret, nil }
		}
		return azure.Open(ctx, c)
	}
	c, err := s3.Parse(address)
	if err != nil {
		return nil, err
	}
	if access, key, ok := strings.Cut(secret, ":"); ok {
		c.Keys = func(context.Context) (string, string, error) { return access, key, nil }
	} else if secret != "" {
		return nil, fault.New(fault.Invalid, "the secret of %s is not of the form ACCESS:SECRET", address)
	}
	return s3.Open(ctx, c)
}

// Warehouse is where the tables of a lake are.
type Warehouse struct {
	Address string      // a folder, or the address in a bucket by which Iceberg's readers know it
	Bucket  blob.Bucket // nil for a folder; whoever opened it closes it
}

// Lake opens the warehouse at a URL: s3://…, azblob://… or abfss://… with the
// same query as that of Bucket, or the path of a folder.
func Lake(ctx context.Context, address string) (Warehouse, error) {
	if strings.HasPrefix(address, "abfss://") {
		var err error
		if address, err = azure.FromLake(address); err != nil {
			return Warehouse{}, err
		}
	}
	scheme, _, remote := strings.Cut(address, "://")
	switch {
	case !remote || scheme == "file":
		return Warehouse{Address: address}, nil
	case scheme == "s3":
		known, _, _ := strings.Cut(address, "?")
		bucket, err := Bucket(ctx, address)
		return Warehouse{known, bucket}, err
	case scheme == "azblob":
		c, err := azure.Parse(address)
		if err != nil {
			return Warehouse{}, err
		}
		bucket, err := Bucket(ctx, address)
		return Warehouse{c.LakeAddress(), bucket}, err
	}
	return Warehouse{}, fault.New(fault.Unsupported, "a lake cannot be at %s://", scheme).Hint("use a folder, s3://… or azblob://…")
}

// Formats lists the model formats that load.
func Formats() []model.Format {
	return []model.Format{tree.Format{}, linear.Format{}, lightgbm.Format{}, xgboost.Format{}, graph.Format{Runtime: ort.Runtime{}},
		process.Format{Config: process.Config{Python: os.Getenv("LEAT_WORKER_PYTHON")}}}
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

// Openers lists what opens the addresses of sources, by scheme, where a policy
// lets them. Local files need none.
func Openers(policy egress.Policy) map[string]ingest.Opener {
	buckets, web := ingest.Buckets{Bucket: cloudBucket}, https.New(https.Config{Policy: policy})
	return map[string]ingest.Opener{"s3": buckets, "azblob": buckets, "https": web, "http": web}
}

// Databases lists what runs the queries of sources, by scheme.
func Databases() map[string]ingest.Database {
	return map[string]ingest.Database{"postgres": sourcepostgres.Source{}, "postgresql": sourcepostgres.Source{}}
}
