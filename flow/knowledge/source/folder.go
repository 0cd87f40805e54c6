package source

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
)

// maxItems bounds how many documents one source has.
const maxItems = 1_000_000

// Folder reads files beneath a root: a file, a folder, or those that match a
// glob. A symbolic link that leads out of the root is not followed, and of
// those within it only links to files are.
type Folder struct {
	root    *os.Root
	at      string // the folder that is walked, or the one file
	pattern string // "" where everything below is meant
	names   Names
}

// OpenFolder opens what a pattern means beneath a root. An absolute pattern has
// to lie beneath it too.
func OpenFolder(root, pattern string, names Names) (*Folder, error) {
	pattern = strings.TrimPrefix(pattern, "file://")
	if filepath.IsAbs(pattern) {
		rel, err := filepath.Rel(root, pattern)
		if err != nil {
			return nil, outside(pattern)
		}
		pattern = rel
	}
	pattern = path.Clean(filepath.ToSlash(pattern))
	if !filepath.IsLocal(filepath.FromSlash(pattern)) {
		return nil, outside(pattern)
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the project's folder cannot be opened")
	}
	f := &Folder{root: r, at: pattern, names: names}
	if HasGlob(pattern) {
		f.at, f.pattern = globBase(pattern), pattern
	}
	return f, nil
}

func outside(pattern string) error {
	return fault.New(fault.Forbidden, "%q is not within the project's folder", pattern).Hint("write a path relative to it")
}

// List walks the folder. One that is not there is an error, and not an empty
// listing: what is missing would count as deleted.
func (f *Folder) List(ctx context.Context, _ string, found func(Item) error) (string, error) {
	info, err := f.root.Stat(f.at)
	if err != nil {
		return "", pathFault(err, f.at)
	}
	if !info.IsDir() {
		return "", found(f.item(f.at, info))
	}
	n := 0
	err = fs.WalkDir(f.root.FS(), f.at, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != f.at && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir // .git, .leat and the like are no documents
			}
			return nil
		}
		if !f.wanted(name) {
			return nil
		}
		info, err := f.root.Stat(name) // follows a link, beneath the root only
		if err != nil || !info.Mode().IsRegular() {
			return nil // a link that leads nowhere or out, a socket, gone meanwhile
		}
		if n++; n > maxItems {
			return fault.New(fault.TooLarge, "%q has more than %d files", f.at, maxItems)
		}
		return found(f.item(name, info))
	})
	if fault.KindOf(err) == fault.Internal {
		err = pathFault(err, f.at)
	}
	return "", err
}

func (f *Folder) wanted(name string) bool {
	if strings.HasPrefix(path.Base(name), ".") {
		return false
	}
	return (f.pattern == "" || Match(f.pattern, name)) && f.names.Wanted(name)
}

func (f *Folder) item(name string, info fs.FileInfo) Item {
	return Item{ID: name, Name: name, Mark: fileMark(info), Size: info.Size(), Modified: info.ModTime().UTC()}
}

// Open opens a file. Whether it changed while it was read is told by its mark.
func (f *Folder) Open(_ context.Context, it Item, _ string) (Content, error) {
	file, err := f.root.OpenFile(it.ID, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place blocks nobody
	if err != nil {
		return Content{}, pathFault(err, it.ID)
	}
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		_ = file.Close() // it was not read
		if err == nil {
			err = fault.New(fault.NotFound, "%q is not a file any more", it.ID)
		}
		return Content{}, err
	}
	before := fileMark(info)
	return Content{Body: file, Mark: before, Still: func(context.Context) (bool, error) {
		now, err := f.root.Stat(it.ID)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil && fileMark(now) == before, err
	}}, nil
}

// Close closes the root.
func (f *Folder) Close() error { return f.root.Close() }

func pathFault(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, "there is no file or folder %q", name).Hint("relative paths begin at the project's folder")
	case errors.Is(err, fs.ErrPermission):
		return fault.New(fault.Forbidden, "%q may not be read", name)
	}
	return fault.Wrap(err, fault.Unavailable, "%q cannot be read", name)
}
