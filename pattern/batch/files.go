package batch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// staging is the hidden folder beside a target in which the files of a run
// wait: on the same file system, so that a rename shows them.
type staging struct {
	target string
	run    string
	schema *arrow.Schema
}

func (s staging) dir() string {
	return filepath.Join(filepath.Dir(s.target), "."+filepath.Base(s.target)+"."+s.run)
}

func (s staging) prepare() error {
	return writeFault(os.MkdirAll(s.dir(), 0o755), s.target)
}

// Clean removes the folder with all that is still in it.
func (s staging) Clean() error { return os.RemoveAll(s.dir()) }

// temporary marks files that are being written.
const temporary = ".temp-"

func (s staging) stage(ctx context.Context, stem string, f format) (*stagedPart, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.prepare(); err != nil {
		return nil, err
	}
	file, err := os.CreateTemp(s.dir(), temporary+"*")
	if err != nil {
		return nil, writeFault(err, s.target)
	}
	w := &stagedPart{staging: s, stem: stem, ext: f.ext(), file: file, digest: sha256.New()}
	if w.rows, err = f.open(io.MultiWriter(file, w.digest), s.schema); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

func partName(index int) string { return fmt.Sprintf("part-%06d", index) }

// stagedPart writes one file, named at the end by its content.
type stagedPart struct {
	staging staging
	stem    string
	ext     string
	file    *os.File
	digest  hash.Hash
	rows    rowWriter
	count   int64
	done    bool
}

func (p *stagedPart) Write(rows frame.Batch) error {
	p.count += rows.NumRows()
	return writeFault(p.rows.write(rows), p.staging.target)
}

func (p *stagedPart) Finish(context.Context) (string, int64, error) {
	defer p.Abort()
	if err := p.rows.close(); err != nil {
		return "", 0, writeFault(err, p.staging.target)
	}
	if err := p.file.Sync(); err != nil {
		return "", 0, writeFault(err, p.staging.target)
	}
	name := p.stem + "-" + hex.EncodeToString(p.digest.Sum(nil)) + p.ext
	err := os.Rename(p.file.Name(), filepath.Join(p.staging.dir(), name))
	p.done = err == nil
	if err == nil {
		err = errors.Join(p.file.Close(), syncDir(p.staging.dir()))
	}
	return name, p.count, writeFault(err, p.staging.target)
}

func (p *stagedPart) Abort() {
	if p.done {
		return
	}
	p.done = true
	// Of no use to anybody; what fails here goes with the folder.
	_ = p.file.Close()
	_ = os.Remove(p.file.Name())
}

// fileSink writes one file.
type fileSink struct {
	staging
	format format
}

func (s *fileSink) Prepare(context.Context) error {
	if info, err := os.Stat(s.target); err == nil && info.IsDir() {
		return fault.New(fault.Conflict, "%q is a folder", s.target).Hint("name a file, or a folder that does not end in %s", s.format.ext())
	}
	return s.prepare()
}

func (s *fileSink) Stage(ctx context.Context, index int) (PartWriter, error) {
	return s.stage(ctx, partName(index), s.format)
}

// Commit puts the parts together and renames the result onto the target. Done
// twice it makes the same bytes twice. Without parts a target that never was
// stays so, unless it is the main one.
func (s *fileSink) Commit(ctx context.Context, parts []string) (int64, error) {
	if len(parts) == 0 && isFailed(s.target) {
		return 0, writeFault(removeIfThere(s.target), s.target)
	}
	if err := s.prepare(); err != nil {
		return 0, err
	}
	temp, err := os.CreateTemp(s.dir(), temporary+"*")
	if err != nil {
		return 0, writeFault(err, s.target)
	}
	defer os.Remove(temp.Name()) // fails once it was renamed
	defer temp.Close()
	paths := make([]string, len(parts))
	for i, name := range parts {
		paths[i] = filepath.Join(s.dir(), name)
	}
	if err := s.format.join(ctx, temp, s.schema, paths); err != nil {
		return 0, writeFault(err, s.target)
	}
	err = errors.Join(temp.Chmod(0o644), temp.Sync())
	if err == nil {
		err = os.Rename(temp.Name(), s.target)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.target))
	}
	return 0, writeFault(err, s.target)
}

// isFailed tells whether a target is a side table.
func isFailed(target string) bool {
	return strings.HasSuffix(strings.TrimSuffix(target, filepath.Ext(target)), "__failed")
}

// folderSink writes a folder of Parquet files with a manifest.
type folderSink struct{ staging }

// manifestName is the file that says what a folder holds. It also says that
// the folder is Leat's to replace.
const manifestName = "_leat.json"

type manifest struct {
	Run   string   `json:"run"`
	Files []string `json:"files"`
}

func (s *folderSink) Prepare(context.Context) error {
	if _, err := s.owner(); err != nil {
		return err
	}
	return s.prepare()
}

// owner returns the run that wrote the target, or "" where there is none.
func (s *folderSink) owner() (string, error) {
	text, err := os.ReadFile(filepath.Join(s.target, manifestName))
	if errors.Is(err, os.ErrNotExist) {
		entries, err := os.ReadDir(s.target)
		if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
			return "", nil
		}
		return "", fault.New(fault.Conflict, "%q exists and was not written by Leat", s.target).
			Hint("name another folder, or move that one away")
	}
	var m manifest
	if err != nil || json.Unmarshal(text, &m) != nil || m.Run == "" {
		return "", fault.New(fault.Conflict, "%q has no readable %s", s.target, manifestName).Because(err).
			Hint("name another folder, or move that one away")
	}
	return m.Run, nil
}

func (s *folderSink) Stage(ctx context.Context, index int) (PartWriter, error) {
	return s.stage(ctx, partName(index), parquetFormat{})
}

// Commit writes the manifest into the staging folder and puts that in the
// place of the target. Between the two renames of a replacement the target is
// absent; a run killed there puts it in place when it goes on.
func (s *folderSink) Commit(ctx context.Context, parts []string) (int64, error) {
	owner, err := s.owner()
	if err != nil || owner == s.run {
		return 0, err
	}
	old := s.dir() + ".old"
	if len(parts) == 0 && isFailed(s.target) {
		return 0, writeFault(os.RemoveAll(s.target), s.target)
	}
	if err := s.complete(parts); err != nil {
		return 0, err
	}
	if owner != "" {
		err = errors.Join(os.RemoveAll(old), os.Rename(s.target, old))
	} else {
		err = removeIfThere(s.target) // an empty folder
	}
	if err == nil {
		err = os.Rename(s.dir(), s.target)
	}
	if err == nil {
		err = errors.Join(syncDir(filepath.Dir(s.target)), os.RemoveAll(old), ctx.Err())
	}
	return 0, writeFault(err, s.target)
}

// complete leaves in the staging folder the parts and their manifest, and
// nothing else.
func (s *folderSink) complete(parts []string) error {
	if err := s.prepare(); err != nil {
		return err
	}
	entries, err := os.ReadDir(s.dir())
	if err != nil {
		return writeFault(err, s.target)
	}
	for _, e := range entries {
		if !slices.Contains(parts, e.Name()) {
			if err := os.Remove(filepath.Join(s.dir(), e.Name())); err != nil {
				return writeFault(err, s.target)
			}
		}
	}
	text, err := json.MarshalIndent(manifest{Run: s.run, Files: append([]string{}, parts...)}, "", "  ")
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the manifest of %q", s.target)
	}
	f, err := os.Create(filepath.Join(s.dir(), manifestName))
	if err != nil {
		return writeFault(err, s.target)
	}
	defer f.Close()
	_, err = f.Write(append(text, '\n'))
	return writeFault(errors.Join(err, f.Sync(), syncDir(s.dir())), s.target)
}

// Clean removes the folders that a kill between two renames may have left.
func (s *folderSink) Clean() error {
	return errors.Join(s.staging.Clean(), os.RemoveAll(s.dir()+".old"))
}

// clean removes what only the run needed; what cannot be removed is in
// nobody's way.
func (j *job) clean() {
	_ = j.sink.Clean()
	_ = j.failures.Clean()
	if j.scratch != "" {
		_ = os.RemoveAll(j.scratch)
	}
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFault gives an error of writing its kind.
func writeFault(err error, target string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Full, "no space is left for %q", target).Because(err).
			Hint("make room, then retry the run")
	case errors.Is(err, os.ErrPermission):
		return fault.New(fault.Forbidden, "%q may not be written", target).Because(err)
	}
	if kind := fault.KindOf(err); kind != fault.Internal {
		return err
	}
	return fault.Wrap(err, fault.Unavailable, "%q cannot be written", target)
}
