package lake

import (
	"context"
	crand "crypto/rand"
	"encoding/hex"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// CommitKey is the key of a snapshot's summary under which the ID of its
// commit stands.
const CommitKey = "leat.commit"

const (
	maxAttempts = 12
	firstWait   = 10 * time.Millisecond
	longestWait = time.Second
)

// Commit says how files become part of a table.
type Commit struct {
	// ID names the commit, such as a run's id: a second commit of the same ID
	// is recognised by the first one's snapshot and does nothing. Empty: a
	// new one.
	ID string
	// Replace makes the files the whole content of the table.
	Replace bool
	// Summary is stored with the snapshot.
	Summary map[string]string
}

// CommitFiles makes staged files part of the table, all in one snapshot, and
// returns the table at it. Without files, and with nothing to replace, no
// snapshot is made. A commit that loses against another process is tried
// again on the newer table; after maxAttempts it is a Conflict fault.
func (t *Table) CommitFiles(ctx context.Context, paths []string, c Commit) (*Table, error) {
	if c.ID == "" {
		c.ID = randomID()
	}
	if t.draft {
		if err := t.realize(ctx); err != nil {
			return nil, err
		}
	}
	files := stagedFiles{lake: t.lake, paths: paths}
	unlock := t.lake.lock(t.name)
	defer unlock()
	return t.lake.retry(ctx, t.name, func(now *Table) (*Table, error) {
		if done := now.committed(c.ID); done != nil {
			return done, nil
		}
		return now.commitOnce(ctx, &files, c)
	})
}

// committed returns the table at the snapshot that the commit made, or nil.
func (t *Table) committed(id string) *Table {
	for _, s := range t.ice.Metadata().Snapshots() {
		if s.Summary != nil && s.Summary.Properties[CommitKey] == id {
			if done, err := t.At(s.SnapshotID); err == nil {
				return done
			}
		}
	}
	return nil
}

func (t *Table) commitOnce(ctx context.Context, staged *stagedFiles, c Commit) (*Table, error) {
	add, err := staged.dataFiles(ctx, t)
	if err != nil {
		return nil, err
	}
	var remove []iceberg.DataFile
	if c.Replace {
		if remove, err = t.dataFiles(ctx); err != nil {
			return nil, err
		}
		add, remove = withoutCommon(add, remove)
	}
	if len(add)+len(remove) == 0 {
		return t, nil
	}
	summary := iceberg.Properties{}
	maps.Copy(summary, c.Summary)
	summary[CommitKey] = c.ID
	txn := t.ice.NewTransaction()
	// Files carry field ids, so readers need no mapping of names.
	if err := txn.ReplaceDataFilesWithDataFiles(ctx, remove, add, summary, table.WithoutAutoNameMapping()); err != nil {
		return nil, err
	}
	return t.finish(ctx, txn)
}

func (t *Table) finish(ctx context.Context, txn *table.Transaction) (*Table, error) {
	ice, err := txn.Commit(ctx)
	if err != nil {
		return nil, err
	}
	return t.lake.tableOf(t.name, ice)
}

func (t *Table) dataFiles(ctx context.Context) ([]iceberg.DataFile, error) {
	planned, err := t.plan(ctx)
	if err != nil {
		return nil, err
	}
	files := make([]iceberg.DataFile, len(planned))
	for i, p := range planned {
		files[i] = p.file
	}
	return files, nil
}

// withoutCommon drops the files that are in both lists: they stay.
func withoutCommon(add, remove []iceberg.DataFile) (_, _ []iceberg.DataFile) {
	have := map[string]bool{}
	for _, f := range remove {
		have[f.FilePath()] = true
	}
	stay := map[string]bool{}
	var fresh, gone []iceberg.DataFile
	for _, f := range add {
		if have[f.FilePath()] {
			stay[f.FilePath()] = true
			continue
		}
		fresh = append(fresh, f)
	}
	for _, f := range remove {
		if !stay[f.FilePath()] {
			gone = append(gone, f)
		}
	}
	return fresh, gone
}

// stagedFiles reads the footers of staged files, once for all attempts.
type stagedFiles struct {
	lake  *Lake
	paths []string
	read  []iceberg.DataFile
}

func (s *stagedFiles) dataFiles(ctx context.Context, t *Table) ([]iceberg.DataFile, error) {
	if s.read != nil || len(s.paths) == 0 {
		return s.read, nil
	}
	fs, err := t.fs(ctx)
	if err != nil {
		return nil, err
	}
	home := t.location + "/data/"
	files := make([]iceberg.DataFile, len(s.paths))
	errs := make([]error, len(s.paths))
	var work sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, where := range s.paths {
		where = s.lake.urlOf(where)
		if name, inside := strings.CutPrefix(where, home); !inside || strings.Contains(name, "/") || strings.HasPrefix(name, staging) {
			return nil, fault.New(fault.Invalid, "%q is not a staged file of table %q", path.Base(where), t.name)
		}
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			files[i], errs[i] = table.FileToDataFile(ctx, fs, where, t.ice.Schema(), t.ice.Spec(), 0, t.ice.Properties())
		})
	}
	work.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, storeFault(err, "the staged file %q cannot be read", path.Base(s.paths[i]))
		}
	}
	s.read = files
	return files, nil
}

// retry loads a table and runs attempt on it, again on a newer one as long as
// other processes commit in between. The caller holds the table's lock.
func (l *Lake) retry(ctx context.Context, name string, attempt func(*Table) (*Table, error)) (*Table, error) {
	wait := firstWait
	for try := 1; ; try++ {
		now, err := l.Table(ctx, name)
		if err != nil {
			return nil, err
		}
		after, err := attempt(now)
		switch {
		case err == nil:
			return after, nil
		case !l.moved(ctx, now, err):
			return nil, storeFault(err, "table %q cannot be committed to", name)
		case try == maxAttempts:
			return nil, fault.Wrap(err, fault.Conflict, "table %q changed %d times while it was being committed to", name, try)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait/2 + rand.N(wait)):
		}
		wait = min(2*wait, longestWait)
	}
}

// moved tells whether an attempt failed because another process committed.
// Iceberg marks only some of these failures, so the rest are known by the
// table being another one now.
func (l *Lake) moved(ctx context.Context, was *Table, err error) bool {
	if isAny(err, table.ErrCommitFailed) {
		return true
	}
	if fault.KindOf(err) != fault.Internal {
		return false
	}
	now, err := l.Table(ctx, was.name)
	return err == nil && now.ice.MetadataLocation() != was.ice.MetadataLocation()
}

// Append adds all rows of r as one snapshot and returns the table at it. New
// columns are added to the table first. Without rows nothing is committed. It
// closes r.
func (t *Table) Append(ctx context.Context, r frame.Reader, summary map[string]string) (*Table, error) {
	return t.write(ctx, r, Commit{ID: randomID(), Summary: summary})
}

// Overwrite makes the rows of r the whole content of the table, as one
// snapshot; the rows there were stay readable at earlier ones. It closes r.
func (t *Table) Overwrite(ctx context.Context, r frame.Reader, summary map[string]string) (*Table, error) {
	return t.write(ctx, r, Commit{ID: randomID(), Replace: true, Summary: summary})
}

func (t *Table) write(ctx context.Context, r frame.Reader, c Commit) (_ *Table, err error) {
	defer func() {
		if cerr := r.Close(); err == nil && cerr != nil {
			err = cerr
		}
	}()
	columns, err := frame.ColumnsOf(r.Schema())
	if err != nil {
		return nil, err
	}
	fresh, err := missing(t.name, t.fields, columns)
	if err != nil {
		return nil, err
	}
	now, err := t.lake.Draft(ctx, t.name, append(t.Columns(), fresh...))
	if err != nil {
		return nil, err
	}
	paths, err := now.stageAll(ctx, r, c.ID)
	if err != nil {
		return nil, err
	}
	return now.CommitFiles(ctx, paths, c)
}

// targetRows bounds a file that Append or Compact writes.
const targetRows = 32 * rowGroupRows

// stageAll writes the rows of r into as few files as targetRows allows.
func (t *Table) stageAll(ctx context.Context, r frame.Reader, stem string) (paths []string, err error) {
	var w *Writer
	defer func() {
		if w != nil {
			w.Abort()
		}
	}()
	finish := func() error {
		f, err := w.Finish(ctx)
		paths = append(paths, f.Path)
		w = nil
		return err
	}
	for {
		batch, err := r.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if w == nil {
			if w, err = t.Stage(ctx, partName(stem, len(paths))); err != nil {
				batch.Release()
				return nil, err
			}
		}
		err = w.Write(batch)
		batch.Release()
		if err == nil && w.Rows() >= targetRows {
			err = finish()
		}
		if err != nil {
			return nil, err
		}
	}
	if w != nil {
		err = finish()
	}
	return paths, err
}

func randomID() string {
	var b [12]byte
	_, _ = crand.Read(b[:]) // never fails since Go 1.24
	return hex.EncodeToString(b[:])
}
