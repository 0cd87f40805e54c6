package registry

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// Reference is the format of versions that are kept but cannot be executed
// here: they are listed, have aliases and lineage, and can be downloaded. One
// without a folder is an address alone, of something that Leat cannot read.
const Reference = "reference"

// maxFolder bounds the files of a folder.
const maxFolder = 10_000

// File is a file whose content lies in the blob store.
type File struct {
	Digest blob.Digest `json:"digest"`
	Bytes  int64       `json:"bytes"`
}

func checkFolder(folder map[string]File) error {
	var l fault.List
	if len(folder) > maxFolder {
		return fault.New(fault.TooLarge, "the folder has %d files; a version has at most %d", len(folder), maxFolder)
	}
	for name, f := range folder {
		if !fs.ValidPath(name) || name == "." {
			l.Add(fault.New(fault.Invalid, "%q cannot be the name of a model's file", name))
		}
		if _, err := blob.ParseDigest(string(f.Digest)); err != nil {
			l.Add(err)
		}
	}
	return l.Err()
}

func checkReference(n NewVersion) error {
	switch {
	case len(n.Folder) == 0 && n.Lineage.Source == "":
		return fault.New(fault.Invalid, "a version of the format %s needs a folder, or the address of one", Reference)
	case len(n.Files) > 0 || n.Unservable == "":
		return fault.New(fault.Invalid, "a version of the format %s has no files but its folder, and says why it cannot be served", Reference)
	}
	return nil
}

func unservable(v Version) error {
	return fault.New(fault.Unsupported, "version %d of model %s is kept, but cannot be served: %s", v.Number, v.Model, v.Unservable).
		Hint("log the model with a flavor that Leat executes, such as onnx, xgboost or lightgbm")
}

// putFolder writes the listing of a folder. Of a reference, the folder is the
// content.
func (r *Registry) putFolder(ctx context.Context, n NewVersion, v *Version) error {
	if len(n.Folder) == 0 {
		return nil
	}
	if n.Format == Reference {
		for name, f := range n.Folder {
			v.Manifest.Files[name] = string(f.Digest)
		}
	}
	text, err := json.Marshal(n.Folder) // in the order of names
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the listing of a folder")
	}
	d, err := r.blobs.PutBytes(ctx, text)
	v.Folder = string(d)
	return err
}

// maxListing bounds the bytes of a listing: maxFolder names of a long path.
const maxListing = 16 << 20

// Folder returns the files that a version was made of, by name; none where it
// was made here. Open reads them.
func (r *Registry) Folder(ctx context.Context, v Version) (map[string]File, error) {
	if v.Folder == "" {
		return nil, nil
	}
	text, err := r.blobs.ReadAll(ctx, blob.Digest(v.Folder), maxListing)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the folder of version %d of model %s", v.Number, v.Model)
	}
	var folder map[string]File
	return folder, fault.Wrap(json.Unmarshal(text, &folder), fault.Corrupt, "the folder of version %d of model %s", v.Number, v.Model)
}

// Open reads a file of a folder, checking it on the way.
func (r *Registry) Open(ctx context.Context, f File) (io.ReadCloser, error) {
	return r.blobs.Open(ctx, f.Digest)
}

// Files reads the files of a version as its format reads them, checked.
func (r *Registry) Files(ctx context.Context, v Version) (map[string][]byte, error) {
	if v.Manifest.Format == Reference {
		return nil, unservable(v)
	}
	files, err := r.files(ctx, v)
	return files, err
}
