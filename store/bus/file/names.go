package file

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// maxFiles bounds how many files a topic has.
const maxFiles = 100_000

func isGlob(topic string) bool { return strings.ContainsAny(topic, `*?[`) }

// list returns the files of a topic in the order in which they are read, each
// relative to the root where it stands in it.
func (b *Bus) list(topic string) ([]string, error) {
	path := b.path(topic)
	var found []string
	var err error
	if isGlob(topic) {
		if found, err = filepath.Glob(path); err != nil {
			return nil, fault.New(fault.Invalid, "%.200q is not a pattern of files", topic).Hint("* is any part of a name, ? one letter")
		}
	} else if found, err = numbered(path); err != nil {
		return nil, err
	}
	if len(found) > maxFiles {
		return nil, fault.New(fault.TooLarge, "%d files are meant by %s, and %d are the most", len(found), topic, maxFiles)
	}
	files := found[:0]
	for _, name := range found {
		if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && !strings.HasPrefix(filepath.Base(name), ".") {
			files = append(files, b.partition(name))
		}
	}
	return files, nil
}

// partition is the name of a file by which offsets are kept: the same when
// the project's folder stands elsewhere.
func (b *Bus) partition(path string) string {
	if relative, err := filepath.Rel(b.config.Root, path); err == nil && filepath.IsLocal(relative) {
		return filepath.ToSlash(relative)
	}
	return filepath.ToSlash(path)
}

// numbered returns a file and those that followed it when it was full.
func numbered(base string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(base))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of %s cannot be read", filepath.Base(base))
	}
	byNumber := map[int]string{}
	for _, e := range entries {
		if n := numberOf(filepath.Base(base), e.Name()); n > 0 {
			byNumber[n] = filepath.Join(filepath.Dir(base), e.Name())
		}
	}
	var numbers []int
	for n := range byNumber {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	var files []string
	for _, n := range numbers {
		files = append(files, byNumber[n])
	}
	return files, nil
}

// numberOf is 1 for the base itself, n for base-00000n, and 0 for others.
func numberOf(base, name string) int {
	if name == base {
		return 1
	}
	stem, suffix := split(base)
	digits, ok := strings.CutPrefix(name, stem+"-")
	if !ok {
		return 0
	}
	digits, ok = strings.CutSuffix(digits, suffix)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 2 || fmt.Sprintf("%06d", n) != digits {
		return 0
	}
	return n
}

// nameOf is the name that numberOf has the number of.
func nameOf(base string, n int) string {
	if n <= 1 {
		return base
	}
	stem, suffix := split(base)
	return fmt.Sprintf("%s-%06d%s", stem, n, suffix)
}

// split cuts a path before its suffix, which may be a double one such as
// .events.jsonl.
func split(path string) (stem, suffix string) {
	folder, name := filepath.Split(path)
	at := strings.IndexByte(name[min(1, len(name)):], '.')
	if at < 0 {
		return path, ""
	}
	return folder + name[:at+1], name[at+1:]
}
