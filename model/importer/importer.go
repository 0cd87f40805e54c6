// Package importer says what a model file or folder is, and makes of it the
// artifact that a runtime loads.
//
// People come with what their tools wrote: an XGBoost file, an ONNX graph, an
// MLflow folder, an archive of one. Call New with the formats that are built
// in, then Path with a place on this machine or Read with files from anywhere;
// both answer with an Artifact, whose model has been loaded once, or with a
// fault that says what the thing is instead and what to do. Pack and Unpack
// carry such files to a server and back out of a stream.
//
// What is promised:
//
//   - A file is known by its content. Its name is used where content says
//     nothing, and in messages.
//   - Nothing is executed. A pickle is refused by its first bytes, never read.
//   - Sizes, counts and names are bounded before anything is kept: archives
//     hold no links, and no name leaves the folder.
//   - What lies beside a model is used where it says something about it: the
//     categories of a manifest.json, the names of columns.
//
// The package imports no runtime; backends lists them.
package importer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// Artifact is what a file or folder makes.
type Artifact struct {
	Kind        string            // what it was, for people: "XGBoost model (JSON)"
	Format      string            // of the runtime that loads Files
	Files       map[string][]byte // as the format reads them
	Model       model.Model       // loaded from Files; whoever got it closes it if it is an io.Closer
	Signature   model.Signature   //
	Description model.Description // zero where the model says nothing of itself
	Notes       []string          // what was taken from where, for people
	Source      []File            // the files that it was made of
}

// File is a file that an artifact was made of.
type File struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // in hex
}

// Hints are what the caller knows about a model beyond its files.
type Hints struct {
	// Columns are the names of the columns that the model is to read, in its
	// own order, for models that read a matrix and have no names for it.
	Columns []string
	// Categories are the texts of categorical inputs by column, in the order
	// of their codes.
	Categories map[string][]string
	// Programs says that the model may be a program: whoever imports it may
	// have it run, with the rights of this process.
	Programs bool
	// Flavor chooses among the flavors of an MLflow folder: xgboost,
	// lightgbm, onnx or python_function. The first that loads when empty.
	Flavor string
}

// Importer makes artifacts. It is safe for many goroutines.
type Importer struct {
	formats []model.Format
}

// New returns an importer for the formats that are built in.
func New(formats []model.Format) *Importer { return &Importer{formats: formats} }

// Path imports a file or folder of this machine.
func (im *Importer) Path(ctx context.Context, path string, h Hints) (*Artifact, error) {
	root, name, err := open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }() // it was only read
	return im.Read(ctx, root.FS(), name, h)
}

// open opens the folder that a path is, or that it lies in. A file keeps its
// name below that root; of a folder the name is ".".
func open(path string) (*os.Root, string, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, "", fault.New(fault.NotFound, "there is no file or folder %q", path)
	case err != nil:
		return nil, "", fault.Wrap(err, fault.Unavailable, "%q cannot be read", path)
	}
	name := "."
	if !info.IsDir() {
		path, name = filepath.Split(path)
	}
	if path == "" {
		path = "."
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, "", fault.Wrap(err, fault.Unavailable, "%q cannot be read", path)
	}
	return root, name, nil
}

// Read imports the named file of a folder, or for "." the folder itself. What
// else lies in the folder is used where it belongs to the model.
func (im *Importer) Read(ctx context.Context, files fs.FS, name string, h Hints) (*Artifact, error) {
	if name == "." {
		return im.folder(ctx, files, h)
	}
	data, err := read(files, name, MaxBytes)
	if err != nil {
		return nil, err
	}
	return im.file(ctx, found{name: name, data: data, beside: files}, h)
}

// found is one file with what lies around it.
type found struct {
	name   string
	data   []byte
	beside fs.FS
}

// file imports one file: a model, a packed model or an archive.
func (im *Importer) file(ctx context.Context, f found, h Hints) (*Artifact, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the import ended")
	}
	k, err := sniff(f.name, f.data)
	if err != nil {
		return nil, err
	}
	switch k {
	case packed:
		return im.packed(ctx, f, h)
	case zipArchive, tarArchive:
		inner, err := unarchive(f.name, k, f.data)
		if err != nil {
			return nil, err
		}
		a, err := im.folder(ctx, inner, h)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "in the archive %s", f.name)
		}
		a.Source = []File{fileOf(f.name, f.data)}
		return a, nil
	}
	return im.make(ctx, k, f, h)
}

// packed imports the one file, or the tar archive, inside of a gzip file.
func (im *Importer) packed(ctx context.Context, f found, h Hints) (*Artifact, error) {
	data, err := gunzip(f.name, f.data)
	if err != nil {
		return nil, err
	}
	inner := found{name: strings.TrimSuffix(strings.TrimSuffix(f.name, ".gz"), ".GZ"), data: data, beside: f.beside}
	if k, err := sniff(inner.name, data); err == nil && (k == packed || k == zipArchive) {
		return nil, fault.New(fault.Unsupported, "%s holds another archive", f.name).Hint("unpack it once and import what is inside")
	}
	a, err := im.file(ctx, inner, h)
	if err != nil {
		return nil, err
	}
	a.Source[0] = fileOf(f.name, f.data)
	return a, nil
}

// make lays out the files of a model for its runtime and loads it once.
func (im *Importer) make(ctx context.Context, k kind, f found, h Hints) (*Artifact, error) {
	l := layouts[k]
	a := &Artifact{Kind: l.title, Format: l.format, Files: map[string][]byte{l.file: f.data}, Source: []File{fileOf(f.name, f.data)}}
	if err := a.categories(f, h); err != nil {
		return nil, err
	}
	if err := im.load(ctx, a, f.name); err != nil {
		return nil, err
	}
	named, err := a.columns(f, h)
	if err == nil && named {
		Close(a.Model)
		err = im.load(ctx, a, f.name)
	}
	if err != nil {
		return nil, err
	}
	return a, nil
}

// Close closes a model that holds more than memory.
func Close(m model.Model) {
	if c, ok := m.(io.Closer); ok {
		_ = c.Close() // it is not used any more
	}
}

// load loads the artifact with the runtime of its format, and takes over what
// the model says of itself.
func (im *Importer) load(ctx context.Context, a *Artifact, name string) error {
	at := slices.IndexFunc(im.formats, func(f model.Format) bool { return f.Name() == a.Format })
	if at < 0 {
		return fault.New(fault.Unsupported, "%s is an %s, and no runtime of the format %q is built in", name, a.Kind, a.Format)
	}
	m, err := guarded(ctx, im.formats[at], a.Files)
	if err != nil {
		return fault.Wrap(err, fault.KindOf(err), "%s", name)
	}
	a.Model, a.Signature = m, m.Signature()
	if d, ok := m.(model.Describer); ok {
		a.Description = d.Describe()
	}
	return nil
}

// guarded turns a panic of a runtime into a fault: what it reads may be made
// to do harm.
func guarded(ctx context.Context, f model.Format, files map[string][]byte) (m model.Model, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = nil, fault.New(fault.Internal, "the %s runtime broke on the file", f.Name()).
				Hint("please report it with the file")
		}
	}()
	return f.Load(ctx, Files(files))
}

func fileOf(name string, data []byte) File {
	sum := sha256.Sum256(data)
	return File{Name: name, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:])}
}
