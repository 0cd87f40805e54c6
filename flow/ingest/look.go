package ingest

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
)

// Found is a file of a source, as it is found without reading it.
type Found struct {
	Object
	// Modified is when a local file was written to, in nanoseconds since 1970;
	// 0 of an object, which is whole as soon as it is there.
	Modified int64
}

// Look lists the files of a source without reading them; local ones have no
// digest. A database, and an address without listing, has none.
func (in *Ingester) Look(ctx context.Context, src spec.Source) ([]Found, error) {
	j := &job{in: in, src: src}
	scheme := schemeOf(src.From)
	switch {
	case in.Databases[scheme] != nil || scheme == "http" || scheme == "https":
		return nil, nil
	case scheme == "" || scheme == "file":
		pattern, err := j.localPattern()
		if err != nil {
			return nil, err
		}
		return j.lookLocal(pattern)
	}
	opener := in.Openers[scheme]
	if opener == nil {
		return nil, fault.New(fault.Unsupported, "source %q reads from %s://, which is not configured", src.Name, scheme)
	}
	secret, err := j.secret(ctx)
	if err != nil {
		return nil, err
	}
	objects, err := opener.List(ctx, src.From, secret, src.Options)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	found := make([]Found, len(objects))
	for i, o := range objects {
		found[i] = Found{Object: o}
	}
	return found, err
}

func (j *job) lookLocal(pattern string) ([]Found, error) {
	paths, err := expand(pattern)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "source %q cannot list %q", j.src.Name, j.src.From)
	}
	found := make([]Found, 0, len(paths))
	for _, p := range paths {
		info, err := os.Stat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // it went meanwhile
		case err != nil:
			return nil, openFault(err, p)
		case info.Mode().IsRegular():
			found = append(found, Found{Object{Name: j.nameOf(p), Size: info.Size()}, info.ModTime().UnixNano()})
		}
	}
	return found, nil
}
