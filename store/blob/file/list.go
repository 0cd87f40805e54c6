package file

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/leat-ai/leat/store/blob"
)

func (b *bucket) List(ctx context.Context, prefix string, f func(blob.Object) error) error {
	if err := blob.CheckPrefix(prefix); err != nil {
		return err
	}
	folder := "."
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		folder = prefix[:i]
	}
	return b.walk(ctx, folder, prefix, f)
}

// walk lists what lies in one folder and below it.
func (b *bucket) walk(ctx context.Context, folder, prefix string, f func(blob.Object) error) error {
	entries, err := b.entries(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := path.Join(folder, e.name)
		switch {
		case name == temporary:
		case e.folder && (strings.HasPrefix(name+"/", prefix) || strings.HasPrefix(prefix, name+"/")):
			err = b.walk(ctx, name, prefix, f)
		case !e.folder && strings.HasPrefix(name, prefix):
			err = b.object(name, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type entry struct {
	name   string
	folder bool
}

// key is what an entry's objects are ordered by: the slash after a folder's
// name counts.
func (e entry) key() string {
	if e.folder {
		return e.name + "/"
	}
	return e.name
}

// entries reads a folder; one that is not there has none.
func (b *bucket) entries(folder string) ([]entry, error) {
	read, err := fs.ReadDir(b.root.FS(), folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
			return nil, nil
		}
		return nil, wrap(err, "folder %q of the bucket cannot be read", folder)
	}
	entries := make([]entry, len(read))
	for i, e := range read {
		entries[i] = entry{e.Name(), e.IsDir()}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.key(), b.key()) })
	return entries, nil
}

// object lists one file. What is neither a file nor a link to one inside the
// bucket, and what was removed meanwhile, is no object.
func (b *bucket) object(name string, f func(blob.Object) error) error {
	info, err := b.root.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	modified := info.ModTime().UTC()
	return f(blob.Object{
		Name:     name,
		Size:     info.Size(),
		Modified: modified,
		ETag:     strconv.FormatInt(modified.UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36),
	})
}
