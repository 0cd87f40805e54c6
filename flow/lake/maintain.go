package lake

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// defaultRetention is how long a replaced snapshot stays readable when
// nothing else is asked for.
const defaultRetention = 7 * 24 * time.Hour

// partName names a part of a run so that names sort as parts do.
func partName(stem string, part int) string { return fmt.Sprintf("%s-%06d", stem, part) }

// CompactOptions say which files are small and how large they shall become.
type CompactOptions struct {
	SmallRows int64 // a file with fewer rows is small; 0: half a row group
	MinFiles  int   // leave fewer neighbours than this alone; 0: 4
	MaxRows   int64 // most rows of a new file; 0: 32 row groups
}

func (o CompactOptions) withDefaults() CompactOptions {
	if o.SmallRows <= 0 {
		o.SmallRows = rowGroupRows / 2
	}
	if o.MinFiles <= 1 {
		o.MinFiles = 4
	}
	if o.MaxRows <= 0 {
		o.MaxRows = targetRows
	}
	return o
}

// Compact rewrites runs of small neighbouring files into larger ones, one
// commit a run, and returns how many files went. Rows and their order stay as
// they are, and earlier snapshots keep the small files until they expire.
func (l *Lake) Compact(ctx context.Context, name string, o CompactOptions) (removed int, err error) {
	o = o.withDefaults()
	for {
		t, err := l.Table(ctx, name)
		if err != nil {
			return removed, err
		}
		files, err := t.plan(ctx)
		if err != nil {
			return removed, err
		}
		run := smallRun(files, o)
		if run == nil {
			return removed, nil
		}
		if err := t.merge(ctx, run); err != nil {
			return removed, err
		}
		removed += len(run)
	}
}

// smallRun finds the first run of neighbours that is worth a rewrite.
func smallRun(files []planned, o CompactOptions) []planned {
	start, rows := 0, int64(0)
	for i, f := range files {
		n := f.file.Count()
		if n >= o.SmallRows || rows+n > o.MaxRows {
			if i-start >= o.MinFiles {
				return files[start:i]
			}
			start, rows = i, 0
			if n >= o.SmallRows {
				start = i + 1
				continue
			}
		}
		rows += n
	}
	if len(files)-start >= o.MinFiles {
		return files[start:]
	}
	return nil
}

// merge replaces neighbouring files by one that takes the place of the first:
// its name and sequence number, by which files are ordered.
func (t *Table) merge(ctx context.Context, run []planned) error {
	w, err := t.Stage(ctx, mergedName(run[0].file.FilePath()))
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := t.copyTo(ctx, w, run); err != nil {
		return err
	}
	merged, err := w.Finish(ctx)
	if err != nil {
		return err
	}
	unlock := t.lake.lock(t.name)
	defer unlock()
	staged := stagedFiles{lake: t.lake, paths: []string{merged.Path}}
	_, err = t.lake.retry(ctx, t.name, func(now *Table) (*Table, error) {
		add, err := staged.dataFiles(ctx, now)
		if err != nil {
			return nil, err
		}
		txn := now.ice.NewTransaction()
		rewrite := txn.NewRewrite(nil).DataSequenceNumber(run[0].sequence).AddDataFile(add[0])
		for _, f := range run {
			rewrite.DeleteFile(f.file)
		}
		if err := rewrite.Commit(ctx); err != nil {
			return nil, err
		}
		return now.finish(ctx, txn)
	})
	return err
}

func (t *Table) copyTo(ctx context.Context, w *Writer, run []planned) error {
	parts := make([]Part, len(run))
	for i, f := range run {
		parts[i].Path = localPath(f.file.FilePath())
	}
	r, err := t.Scan(ctx, ScanOptions{Parts: parts})
	if err != nil {
		return err
	}
	return frame.Each(ctx, r, w.Write)
}

// mergedName is a file's name without its digest; the new one adds its own.
func mergedName(where string) string {
	stem := strings.TrimSuffix(path.Base(where), ".parquet")
	if digest := digestOf(where); digest != "" {
		stem = strings.TrimSuffix(stem, "-"+digest)
	}
	if !validName("_" + stem) {
		return "merged-" + randomID()
	}
	return stem
}

// Expire removes snapshots older than retention, and the files that only they
// had. The newest snapshot always stays. A commit's ID is forgotten with its
// snapshot, so retention must be longer than a run may be resumed. It returns
// how many snapshots went.
func (l *Lake) Expire(ctx context.Context, name string, retention time.Duration) (int, error) {
	if retention < 0 {
		return 0, fault.New(fault.Invalid, "a retention of %s", retention)
	}
	unlock := l.lock(name)
	defer unlock()
	before, after := 0, 0
	_, err := l.retry(ctx, name, func(now *Table) (*Table, error) {
		before = len(now.ice.Metadata().Snapshots())
		after = before
		if before < 2 {
			return now, nil
		}
		txn := now.ice.NewTransaction()
		if err := txn.ExpireSnapshots(table.WithOlderThan(retention), table.WithRetainLast(1)); err != nil {
			return nil, err
		}
		done, err := now.finish(ctx, txn)
		if err == nil {
			after = len(done.ice.Metadata().Snapshots())
		}
		return done, err
	})
	return before - after, err
}

// Clean removes files that no snapshot has and that are older than age: what
// killed writers left behind. The age must be longer than the longest run, or
// its staged files go before it commits them. It returns how many files went.
func (l *Lake) Clean(ctx context.Context, name string, age time.Duration) (int, error) {
	t, err := l.Table(ctx, name)
	if err != nil {
		return 0, err
	}
	unlock := l.lock(name)
	defer unlock()
	result, err := t.ice.DeleteOrphanFiles(ctx, table.WithFilesOlderThan(age))
	if err != nil {
		return 0, storeFault(err, "table %q cannot be cleaned", name)
	}
	return len(result.DeletedFiles), nil
}
