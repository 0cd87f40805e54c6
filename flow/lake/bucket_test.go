package lake_test

import (
	"path/filepath"
	"testing"

	_ "github.com/apache/iceberg-go/io/gocloud/s3"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/catalog"
)

// The same tables in a bucket: only the configuration differs.
func TestWarehouseInABucket(t *testing.T) {
	server := testserver.S3(t)
	server.Bucket(t, "warehouse")
	dir := t.TempDir()
	l, err := lake.Open(t.Context(), lake.Config{
		Warehouse: "s3://warehouse/lake", DB: openDB(t, filepath.Join(dir, "catalog.db")), Dialect: catalog.SQLite, Scratch: t.TempDir(),
		Properties: map[string]string{
			"s3.endpoint": server.Endpoint, "s3.region": server.Region, "s3.access-key-id": server.AccessKey,
			"s3.secret-access-key": server.SecretKey, "s3.force-virtual-addressing": "false",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	tbl := must(l.Draft(t.Context(), "events", columns))(t)
	for n := range 5 {
		tbl = must(tbl.Append(t.Context(), reader(rows(n*10, n*10+10)), nil))(t)
	}
	wantIDs(t, ids(t, tbl, lake.ScanOptions{}), 0, 50)
	if removed := must(l.Compact(t.Context(), "events", lake.CompactOptions{}))(t); removed != 5 {
		t.Fatalf("%d files were compacted", removed)
	}
	wantIDs(t, ids(t, must(l.Table(t.Context(), "events"))(t), lake.ScanOptions{}), 0, 50)
	if _, err := tbl.Relation(t.Context()); !fault.Is(err, fault.Unsupported) {
		t.Fatalf("SQL over a bucket: %v", err)
	}
	if err := l.Drop(t.Context(), "events"); err != nil {
		t.Fatal(err)
	}
}
