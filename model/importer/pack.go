package importer

import (
	"archive/tar"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// companionNames are the files beside a model that can say something of it.
var companionNames = []string{categoriesFile, columnsFile, manifestFile}

// Gather reads what an import of a path needs: the file and what lies beside
// it that belongs to it, or the whole folder. Read takes both answers.
func Gather(location string) (files Files, name string, err error) {
	root, name, err := open(location)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = root.Close() }() // it was only read
	if name == "." {
		files, err = gather(root.FS())
		return files, name, err
	}
	files = Files{}
	for _, n := range append([]string{name}, companionNames...) {
		data, err := read(root.FS(), n, MaxBytes)
		if fault.Is(err, fault.NotFound) && n != name || err == nil && files[n] != nil {
			continue
		}
		if err == nil {
			err = files.Add(n, data)
		}
		if err != nil {
			return nil, "", err
		}
	}
	return files, name, nil
}

// Pack writes files as a tar stream, the same bytes for the same files.
func Pack(w io.Writer, files Files) error {
	t := tar.NewWriter(w)
	for _, name := range files.List() {
		header := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg, ModTime: time.Unix(0, 0)}
		if err := t.WriteHeader(header); err != nil {
			return fault.Wrap(err, fault.Unavailable, "%q cannot be sent", name)
		}
		if _, err := t.Write(files[name]); err != nil {
			return fault.Wrap(err, fault.Unavailable, "%q cannot be sent", name)
		}
	}
	return fault.Wrap(t.Close(), fault.Unavailable, "the files cannot be sent")
}

// Unpack reads the tar stream of a stranger within the bounds of an import.
func Unpack(r io.Reader) (Files, error) {
	all, err := untar(&budget{name: "the upload", left: MaxBytes}, r)
	if err == nil && len(all) == 0 {
		err = fault.New(fault.Invalid, "the upload has no files").Hint("send a tar archive of the model's files")
	}
	return all, err
}

// Only returns the one file at the root of files, or "." when there are
// several: what Read takes for an upload that does not say.
func (m Files) Only() string {
	names := slices.DeleteFunc(m.List(), func(name string) bool { return slices.Contains(companionNames, path.Base(name)) })
	if len(names) == 1 && fs.ValidPath(names[0]) && path.Dir(names[0]) == "." {
		return names[0]
	}
	return "."
}
