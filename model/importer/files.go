package importer

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Bounds of what is imported.
const (
	MaxBytes = 1 << 30 // of all files, unpacked
	maxFiles = 1024
	maxName  = 512 // bytes of a path
)

// Files are files in memory, by their path with slashes. As an fs.FS it has
// files and no folders; List is what walks it.
type Files map[string][]byte

// Open opens a file.
func (m Files) Open(name string) (fs.File, error) {
	content, err := m.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &opened{Reader: bytes.NewReader(content), name: path.Base(name)}, nil
}

// ReadFile returns a file's bytes, which are shared and read-only.
func (m Files) ReadFile(name string) ([]byte, error) {
	content, ok := m[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return content, nil
}

type opened struct {
	*bytes.Reader
	name string
}

func (f *opened) Stat() (fs.FileInfo, error) { return f, nil }
func (f *opened) Close() error               { return nil }
func (f *opened) Name() string               { return f.name }
func (f *opened) Mode() fs.FileMode          { return 0o444 }
func (f *opened) ModTime() time.Time         { return time.Time{} }
func (f *opened) IsDir() bool                { return false }
func (f *opened) Sys() any                   { return nil }

// read reads one file whole, up to a bound.
func read(files fs.FS, name string, limit int64) ([]byte, error) {
	f, err := files.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fault.New(fault.NotFound, "there is no file %q", name)
	case err != nil:
		return nil, fault.Wrap(err, fault.Forbidden, "%q cannot be opened", name)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%q cannot be read", name)
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%q is not a file", name)
	}
	if info.Size() > limit {
		return nil, tooLarge(name, limit)
	}
	var data bytes.Buffer
	data.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := io.Copy(&data, io.LimitReader(f, limit+1)); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%q cannot be read", name)
	}
	if int64(data.Len()) > limit {
		return nil, tooLarge(name, limit)
	}
	return data.Bytes(), nil
}

func tooLarge(name string, limit int64) error {
	return fault.New(fault.TooLarge, "%q is larger than %d MiB", name, limit>>20)
}

// gather reads every file of a folder into memory. Links are refused, because
// what they lead to is no part of the model; hidden files are left out.
func gather(files fs.FS) (Files, error) {
	if m, ok := files.(Files); ok {
		return m, nil
	}
	all, total := Files{}, int64(0)
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return fault.Wrap(err, fault.Unavailable, "%q cannot be read", name)
		case name != "." && hidden(name) && d.IsDir():
			return fs.SkipDir
		case hidden(name) || d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fault.New(fault.Invalid, "%q is a link or device, not a file", name).Hint("a model's folder holds plain files only")
		}
		data, err := read(files, name, MaxBytes-total)
		if err != nil {
			return err
		}
		total += int64(len(data))
		return all.Add(name, data)
	})
	return all, err
}

// Add adds a file under a name that cannot leave the folder.
func (m Files) Add(name string, data []byte) error {
	switch {
	case len(name) > maxName || !fs.ValidPath(name) || name == "." || strings.ContainsAny(name, "\\\x00:"):
		return fault.New(fault.Invalid, "%q cannot be the name of a model's file", shorten(name))
	case len(m) >= maxFiles:
		return fault.New(fault.TooLarge, "the folder has more than %d files", maxFiles)
	}
	if _, twice := m[name]; twice {
		return fault.New(fault.Invalid, "the file %q stands there twice", name)
	}
	m[name] = data
	return nil
}

// Room is how many bytes more there may be.
func (m Files) Room() int64 {
	room := int64(MaxBytes)
	for _, data := range m {
		room -= int64(len(data))
	}
	return room
}

// List names the files, sorted.
func (m Files) List() []string { return slices.Sorted(maps.Keys(m)) }

// below returns the files of a subfolder by their names in it.
func (m Files) below(folder string) Files {
	sub := Files{}
	for name, data := range m {
		if rest, ok := strings.CutPrefix(name, folder+"/"); ok {
			sub[rest] = data
		}
	}
	return sub
}

// hidden tells whether a path is what tools and systems leave in a folder.
func hidden(name string) bool {
	base := path.Base(name)
	return name != "." && strings.HasPrefix(base, ".") || base == "__MACOSX" || strings.HasPrefix(name, "__MACOSX/") || base == "__pycache__"
}

func shorten(name string) string {
	const most = 80
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
