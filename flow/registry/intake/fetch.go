package intake

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/model/importer"
)

// fetch gets what an address names: by a server of models, or as a file or a
// folder.
func (in *Intake) fetch(ctx context.Context, address, secret string) (Fetched, error) {
	scheme, _, ok := strings.Cut(strings.ToLower(address), "://")
	if !ok {
		return Fetched{}, fault.New(fault.Invalid, "%q is not an address", address).
			Hint("write https://…, s3://… or azblob://…; a file of your own machine is sent, not named")
	}
	if f := in.fetchers[scheme]; f != nil {
		return f.Fetch(ctx, address, secret)
	}
	opener := in.openers[scheme]
	if opener == nil {
		known := slices.Sorted(maps.Keys(in.openers))
		return Fetched{}, fault.New(fault.Unsupported, "models are not fetched from %s://", scheme).Hint("use %s://", strings.Join(known, "://, "))
	}
	if strings.HasSuffix(address, "/") && scheme != "http" && scheme != "https" {
		files, err := fetchFolder(ctx, opener, address, secret)
		return Fetched{Files: files, Name: "."}, err
	}
	objects, err := opener.List(ctx, address, secret, nil)
	if err != nil {
		return Fetched{}, err
	}
	if len(objects) != 1 {
		return Fetched{}, fault.New(fault.NotFound, "the address %s names %d files, not one", withoutSecrets(address), len(objects)).
			Hint("a folder's address ends in /")
	}
	name := fileName(address)
	files := importer.Files{}
	return Fetched{Files: files, Name: name}, fetchObject(ctx, opener, objects[0], secret, files, name)
}

// fetchFolder gets every file below an address.
func fetchFolder(ctx context.Context, opener ingest.Opener, address, secret string) (importer.Files, error) {
	objects, err := opener.List(ctx, address+"**/*", secret, nil)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, fault.New(fault.NotFound, "there is nothing at %s", withoutSecrets(address))
	}
	files := importer.Files{}
	for _, o := range objects {
		name := strings.TrimPrefix(o.Name, address)
		if err := fetchObject(ctx, opener, o, secret, files, name); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func fetchObject(ctx context.Context, opener ingest.Opener, o ingest.Object, secret string, files importer.Files, name string) error {
	left := files.Room()
	if o.Size > left {
		return fault.New(fault.TooLarge, "the model has more than %d MiB", importer.MaxBytes>>20)
	}
	r, err := opener.Open(ctx, o, secret, nil)
	if err != nil {
		return err
	}
	data, err := io.ReadAll(io.LimitReader(r, left+1))
	err = errors.Join(err, r.Close())
	switch {
	case err != nil:
		return fault.Wrap(err, kindOf(err), "the model's file %q broke off", name)
	case int64(len(data)) > left:
		return fault.New(fault.TooLarge, "the model has more than %d MiB", importer.MaxBytes>>20)
	}
	return files.Add(name, data)
}

// kindOf is the kind of an error of reading from elsewhere.
func kindOf(err error) fault.Kind {
	if kind := fault.KindOf(err); kind != fault.Internal {
		return kind
	}
	return fault.Unavailable
}
