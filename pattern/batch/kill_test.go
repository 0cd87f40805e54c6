package batch_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) {
	killtest.Main(m, killtest.Jobs{
		"lake":   killable("lake://scores"),
		"folder": killable("folder"),
		"csv":    killable("out.csv"),
	})
}

// killable scores a table of twelve files into a target.
func killable(to string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		h, err := open(ctx, dir, &releases{slow: 2 * time.Millisecond}, 2)
		if err != nil {
			return err
		}
		defer h.engine.Close(ctx)
		_, err = h.run(ctx, spec.Batch{From: "lake://payments", To: to, Key: "id", Chunk: 300}, work.ID("r"))
		return err
	}
}

// prepare fills the table.
func prepare(dir string) error {
	h, err := open(context.Background(), dir, &releases{}, 1)
	if err != nil {
		return err
	}
	return errors.Join(h.fill(context.Background(), 12, 300, true), h.engine.Close(context.Background()))
}

func TestLakeBatchSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "lake", Prepare: prepare, Kills: 4, Outcome: func(dir string) (string, error) {
		h, err := open(t.Context(), dir, &releases{}, 1)
		if err != nil {
			return "", err
		}
		defer h.engine.Close(t.Context())
		var b strings.Builder
		for _, name := range []string{"scores", "scores__failed"} {
			table, err := h.lake.Table(t.Context(), name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&b, "%s: %d snapshots, %d rows\n", name, len(table.Snapshots()), table.Rows())
			files, err := table.Files(t.Context())
			if err != nil {
				return "", err
			}
			for _, f := range files { // their names hold the hash of their bytes
				fmt.Fprintf(&b, "%s %d\n", filepath.Base(f.Path), f.Size)
			}
			rows, err := h.table(t.Context(), name)
			if err != nil {
				return "", err
			}
			b.WriteString(rows)
		}
		return b.String(), nil
	}})
}

func TestFolderBatchSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "folder", Prepare: prepare, Kills: 3, Outcome: func(dir string) (string, error) {
		good, err := killtest.Tree("folder")(dir)
		if err != nil {
			return "", err
		}
		failed, err := killtest.Tree("folder__failed")(dir)
		return good + failed, errors.Join(err, nothingHidden(dir))
	}})
}

func TestFileBatchSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "csv", Prepare: prepare, Kills: 3, Outcome: func(dir string) (string, error) {
		good, err := os.ReadFile(filepath.Join(dir, "out.csv"))
		if err != nil {
			return "", err
		}
		failed, err := os.ReadFile(filepath.Join(dir, "out__failed.csv"))
		return string(good) + string(failed), errors.Join(err, nothingHidden(dir))
	}})
}

// nothingHidden checks that no staging folder is left.
func nothingHidden(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	if len(left) > 0 {
		err = fmt.Errorf("left behind: %v", left)
	}
	return err
}

// parquetText reads a Parquet file as lines.
func parquetText(t *testing.T, path string) string {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1000}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	records, err := r.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer records.Release()
	var b strings.Builder
	for records.Next() {
		rows := records.RecordBatch()
		for i := range int(rows.NumRows()) {
			for c := range int(rows.NumCols()) {
				if c > 0 {
					b.WriteByte('|')
				}
				b.WriteString(rows.Column(c).ValueStr(i))
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
