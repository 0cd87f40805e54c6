package lake

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/catalog"
)

// A file that is larger than the split size of Iceberg's readers is planned
// as several tasks. It is one file all the same: its rows count once.
func TestALargeFileCountsOnce(t *testing.T) {
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	l, err := Open(t.Context(), Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	columns := []frame.Column{{Name: "id", Type: frame.Int}}
	tbl, err := l.Create(t.Context(), "big", columns)
	if err != nil {
		t.Fatal(err)
	}
	txn := tbl.ice.NewTransaction()
	if err := txn.SetProperties(iceberg.Properties{table.ReadSplitTargetSizeKey: "1024"}); err != nil {
		t.Fatal(err)
	}
	if _, err := txn.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	const rows = 3*rowGroupRows + 1
	for i := range int64(rows) {
		b.Field(0).(*array.Int64Builder).Append(i * 7919 % 1_000_003)
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	tbl, err = tbl.Append(t.Context(), frame.FromBatches(batch.Schema(), batch), nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tbl.Files(t.Context())
	if err != nil || len(files) != 1 || files[0].Rows != rows || files[0].RowGroups != 4 {
		t.Errorf("files %+v, %v", files, err)
	}
	r, err := tbl.Scan(t.Context(), ScanOptions{Columns: []string{"id"}})
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	if err := frame.Each(t.Context(), r, func(b frame.Batch) error { read += b.NumRows(); return nil }); err != nil || read != rows {
		t.Errorf("%d rows read, %v; want %d", read, err, rows)
	}
}
