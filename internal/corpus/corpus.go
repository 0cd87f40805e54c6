// Package corpus keeps what long fuzzing found worth trying, a small archive
// for each target: testdata/corpus/FuzzName.zip of the package under test. A
// target adds it to its seeds with Add, so that every run of the tests tries
// all of it, and the next fuzzing begins where the last one ended. pack/ writes
// such an archive from the cache of the go command.
package corpus

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Add adds the archive of a target to its seeds: arguments of one text, or of
// one list of bytes.
func Add(f *testing.F) {
	f.Helper()
	path := filepath.Join("testdata", "corpus", f.Name()+".zip")
	archive, err := zip.OpenReader(path)
	if err != nil {
		f.Fatalf("the corpus cannot be read: %v", err)
	}
	defer archive.Close()
	for _, entry := range archive.File {
		argument, err := read(entry)
		if err != nil {
			f.Fatalf("%s: %s: %v", path, entry.Name, err)
		}
		f.Add(argument)
	}
}

func read(entry *zip.File) (any, error) {
	r, err := entry.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return Argument(text)
}

// Argument reads a file as the go command writes them for targets of one
// argument: a line with the version, and a Go expression.
func Argument(file []byte) (any, error) {
	version, line, ok := strings.Cut(string(bytes.TrimSpace(file)), "\n")
	if !ok || version != "go test fuzz v1" {
		return nil, fmt.Errorf("this is no input of a fuzz target")
	}
	kind, rest, _ := strings.Cut(line, "(")
	value, err := strconv.Unquote(strings.TrimSuffix(rest, ")"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%.40q is not an argument: %w", line, err)
	case kind == "string":
		return value, nil
	case kind == "[]byte":
		return []byte(value), nil
	}
	return nil, fmt.Errorf("%.40q is neither text nor bytes", line)
}

// Pack adds the inputs of a folder to an archive, whatever it holds, in the
// order of their names and without times, so that the same inputs are the same
// file. It returns how many there are then.
func Pack(folder, archive string) (inputs int, err error) {
	all, err := held(archive)
	if err != nil {
		return 0, err
	}
	names, err := filepath.Glob(filepath.Join(folder, "*"))
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("%s has no inputs: %w", folder, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return 0, err
		}
		if _, err := Argument(data); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		all[filepath.Base(name)] = data
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			return 0, err
		}
		if _, err := entry.Write(all[name]); err != nil {
			return 0, err
		}
	}
	if err := w.Close(); err != nil {
		return 0, err
	}
	if err := os.MkdirAll(filepath.Dir(archive), 0o755); err != nil {
		return 0, err
	}
	return len(all), os.WriteFile(archive, b.Bytes(), 0o644)
}

// held is what an archive has by name; one that is not there has nothing.
func held(archive string) (map[string][]byte, error) {
	all := map[string][]byte{}
	r, err := zip.OpenReader(archive)
	if errors.Is(err, os.ErrNotExist) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for _, entry := range r.File {
		from, err := entry.Open()
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(from)
		if err := errors.Join(err, from.Close()); err != nil {
			return nil, err
		}
		all[entry.Name] = data
	}
	return all, nil
}
