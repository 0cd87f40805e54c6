package track

import (
	"context"
	"database/sql"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
)

// Artifacts is the part of Track that keeps files by their paths: those of
// runs and logged models lie beneath their addresses (PathOf). The bytes are
// in the blob store and stay there when a path is removed, because others may
// have the same.
type Artifacts struct {
	*shared
	blobs Blobs
}

// File is an artifact, or a folder of some.
type File struct {
	Path   string
	Folder bool
	Digest blob.Digest // "" of a folder
	Size   int64       // bytes; 0 of a folder
}

// Bounds of artifacts.
const (
	maxListed = 100_000 // files of one folder and what is beneath it
	maxDepth  = 32      // elements of a path
)

// checkPath refuses what is not a path beneath the root.
func checkPath(p string) error {
	if err := blob.CheckName(p); err != nil {
		return fault.New(fault.Invalid, "Invalid path: %.200q is not one of an artifact", p).Hint("a path leads downwards: no .., no backslash, no // and no slash at an end")
	}
	if strings.Count(p, "/") >= maxDepth {
		return fault.New(fault.Invalid, "Invalid path: it has more than %d elements", maxDepth)
	}
	return nil
}

// CleanPath is a path without slashes at its ends; "" is the root.
func CleanPath(p string) (string, error) {
	p = strings.Trim(p, "/")
	if p == "" {
		return "", nil
	}
	return p, checkPath(p)
}

// Put keeps what r yields as the file of a path, in place of one that is
// there.
func (a *Artifacts) Put(ctx context.Context, p string, r io.Reader, by string) (File, error) {
	if err := checkPath(p); err != nil {
		return File{}, err
	}
	digest, size, err := a.blobs.Put(ctx, r)
	if err != nil {
		return File{}, err
	}
	f := File{Path: p, Digest: digest, Size: size}
	return f, a.db.Write(ctx, func(tx catalog.Tx) error { return a.insert(ctx, tx, f, by) })
}

func (a *Artifacts) insert(ctx context.Context, tx catalog.Tx, f File, by string) error {
	for folder := parent(f.Path); folder != ""; folder = parent(folder) {
		n, err := tx.Exec(ctx, `INSERT INTO artifacts (path, parent, digest, size, at, by) VALUES (?, ?, '', 0, ?, ?) ON CONFLICT DO NOTHING`,
			folder, parent(folder), a.now(), by)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		there, err := oneFile(ctx, tx, folder)
		if err != nil {
			return err
		}
		if !there.Folder {
			return fault.New(fault.Invalid, "%s is a file, and cannot hold %s", folder, f.Path)
		}
		break // and so are those above it
	}
	n, err := tx.Exec(ctx, `INSERT INTO artifacts (path, parent, digest, size, at, by) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET digest = excluded.digest, size = excluded.size, at = excluded.at, by = excluded.by WHERE artifacts.digest <> ''`,
		f.Path, parent(f.Path), string(f.Digest), f.Size, a.now(), by)
	if err == nil && n == 0 {
		err = fault.New(fault.Invalid, "%s is a folder, and cannot become a file", f.Path)
	}
	return err
}

func parent(p string) string {
	if dir := path.Dir(p); dir != "." {
		return dir
	}
	return ""
}

// Open reads a file. The bytes are checked on the way (see blob.Store.Open).
func (a *Artifacts) Open(ctx context.Context, p string) (File, io.ReadCloser, error) {
	f, err := a.Stat(ctx, p)
	if err != nil {
		return File{}, nil, err
	}
	if f.Folder {
		return File{}, nil, fault.New(fault.Invalid, "%s is a folder", p).Hint("list it, and ask for its files one by one")
	}
	r, err := a.blobs.Open(ctx, f.Digest)
	return f, r, err
}

// Stat tells of a file or folder.
func (a *Artifacts) Stat(ctx context.Context, p string) (f File, err error) {
	if err := checkPath(p); err != nil {
		return File{}, err
	}
	err = a.db.Read(ctx, func(tx catalog.Tx) error {
		f, err = oneFile(ctx, tx, p)
		return err
	})
	return f, err
}

func oneFile(ctx context.Context, tx catalog.Tx, p string) (File, error) {
	f := File{Path: p}
	err := tx.Row(ctx, `SELECT digest, size FROM artifacts WHERE path = ?`, []any{p}, &f.Digest, &f.Size)
	f.Folder = f.Digest == ""
	return f, gone(err, "there is no artifact %s", p)
}

// List returns what a folder holds itself, by path; "" is the root. A folder
// that is not there, or a file, holds nothing.
func (a *Artifacts) List(ctx context.Context, folder string) (files []File, err error) {
	if folder, err = CleanPath(folder); err != nil {
		return nil, err
	}
	err = a.db.Read(ctx, func(tx catalog.Tx) error {
		files, err = children(ctx, tx, folder)
		return err
	})
	return files, err
}

// children are in the order of their bytes, which is not every database's.
func children(ctx context.Context, tx catalog.Tx, folder string) ([]File, error) {
	files, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (f File, err error) {
		err = rows.Scan(&f.Path, &f.Digest, &f.Size)
		f.Folder = f.Digest == ""
		return f, err
	}, `SELECT path, digest, size FROM artifacts WHERE parent = ? LIMIT ?`, folder, maxListed+1)
	if err == nil && len(files) > maxListed {
		err = fault.New(fault.TooLarge, "%s holds more than %d files", folder, maxListed)
	}
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// Files returns every file beneath a folder, by path.
func (a *Artifacts) Files(ctx context.Context, folder string) (files []File, err error) {
	if folder, err = CleanPath(folder); err != nil {
		return nil, err
	}
	err = a.db.Read(ctx, func(tx catalog.Tx) error {
		all, err := beneathFolder(ctx, tx, folder)
		files = slices.DeleteFunc(all, func(f File) bool { return f.Folder })
		return err
	})
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
}

// beneathFolder walks a folder; paths have a bounded depth.
func beneathFolder(ctx context.Context, tx catalog.Tx, folder string) ([]File, error) {
	var all []File
	for pending := []string{folder}; len(pending) > 0; pending = pending[1:] {
		files, err := children(ctx, tx, pending[0])
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			if f.Folder {
				pending = append(pending, f.Path)
			}
		}
		if all = append(all, files...); len(all) > maxListed {
			return nil, fault.New(fault.TooLarge, "%s holds more than %d files", folder, maxListed)
		}
	}
	return all, nil
}

// Delete removes a file, or a folder with all beneath it. One that is not
// there is a NotFound fault.
func (a *Artifacts) Delete(ctx context.Context, p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	return a.db.Write(ctx, func(tx catalog.Tx) error {
		f, err := oneFile(ctx, tx, p)
		if err != nil {
			return err
		}
		doomed := []File{f}
		if f.Folder {
			more, err := beneathFolder(ctx, tx, p)
			if err != nil {
				return err
			}
			doomed = append(doomed, more...)
		}
		for _, d := range doomed {
			if _, err := tx.Exec(ctx, `DELETE FROM artifacts WHERE path = ?`, d.Path); err != nil {
				return err
			}
		}
		return a.prune(ctx, tx, parent(p))
	})
}

// prune removes folders that hold nothing any more.
func (a *Artifacts) prune(ctx context.Context, tx catalog.Tx, folder string) error {
	for ; folder != ""; folder = parent(folder) {
		var n int
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM artifacts WHERE parent = ?`, []any{folder}, &n); err != nil || n > 0 {
			return err
		}
		if _, err := tx.Exec(ctx, `DELETE FROM artifacts WHERE path = ?`, folder); err != nil {
			return err
		}
	}
	return nil
}
