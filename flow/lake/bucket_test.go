package lake_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/azure"
	"github.com/leat-ai/leat/store/blob/s3"
	"github.com/leat-ai/leat/store/catalog"
)

// place is a warehouse in a bucket.
type place struct {
	address string
	bucket  blob.Bucket
	// path is where the server keeps an object, or nil.
	path func(name string) string
}

func onS3(t testing.TB) place {
	t.Helper()
	server := testserver.S3(t)
	server.Bucket(t, "warehouse")
	b, err := s3.Open(t.Context(), s3.Config{
		Bucket: "warehouse", Prefix: "lake", Region: server.Region, Endpoint: server.Endpoint, PathStyle: true,
		Keys: func(context.Context) (string, string, error) { return server.AccessKey, server.SecretKey, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return place{"s3://warehouse/lake", b, func(name string) string { return server.Path("warehouse", "lake/"+name) }}
}

func onAzure(t testing.TB) place {
	t.Helper()
	server := testserver.Azurite(t)
	server.Container(t, "warehouse")
	b, err := azure.Open(t.Context(), azure.Config{
		Account: server.Account, Container: "warehouse", Prefix: "lake", Endpoint: server.Endpoint,
		Key: func(context.Context) (string, error) { return server.Key, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return place{"abfss://warehouse@" + server.Account + ".dfs.core.windows.net/lake", b, nil}
}

// lake opens the warehouse with its catalog and copies in a folder.
func (p place) lake(t testing.TB, dir string, cache int64) *lake.Lake {
	t.Helper()
	l, err := lake.Open(t.Context(), lake.Config{
		Warehouse: p.address, Bucket: p.bucket, Cache: cache, Scratch: filepath.Join(dir, "scratch"),
		DB: openDB(t, filepath.Join(dir, "catalog.db")), Dialect: catalog.SQLite,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func (p place) objects(t testing.TB) (names []string) {
	t.Helper()
	err := p.bucket.List(t.Context(), "", func(o blob.Object) error {
		names = append(names, o.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// The same tables in a bucket: only the configuration differs.
func TestWarehouseInABucket(t *testing.T) {
	for name, open := range map[string]func(testing.TB) place{"s3": onS3, "azure": onAzure} {
		t.Run(name, func(t *testing.T) {
			p, dir := open(t), t.TempDir()
			l := p.lake(t, dir, 0)
			tbl := must(l.Draft(t.Context(), "events", columns))(t)
			for n := range 5 {
				tbl = must(tbl.Append(t.Context(), reader(rows(n*10, n*10+10)), nil))(t)
			}
			before := tbl.Snapshot()
			wantIDs(t, ids(t, tbl, lake.ScanOptions{}), 0, 50)
			if removed := must(l.Compact(t.Context(), "events", lake.CompactOptions{}))(t); removed != 5 {
				t.Fatalf("%d files were compacted", removed)
			}
			tbl = must(l.Table(t.Context(), "events"))(t)
			wantIDs(t, ids(t, tbl, lake.ScanOptions{}), 0, 50)
			wantIDs(t, ids(t, must(tbl.At(before))(t), lake.ScanOptions{}), 0, 50)

			// What nobody commits is cleaned away, what expires goes too.
			w := must(tbl.Stage(t.Context(), "orphan"))(t)
			if err := w.Write(rows(0, 3)); err != nil {
				t.Fatal(err)
			}
			must(w.Finish(t.Context()))(t)
			if n := must(l.Clean(t.Context(), "events", 0))(t); n == 0 {
				t.Error("nothing was cleaned")
			}
			if n := must(l.Expire(t.Context(), "events", 0))(t); n != 5 {
				t.Errorf("%d snapshots expired", n)
			}
			data := 0
			for _, name := range p.objects(t) {
				if strings.HasSuffix(name, ".parquet") {
					data++
				}
			}
			if data != 1 {
				t.Errorf("%d data files are left", data)
			}

			// Another process finds it as it was left.
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = p.lake(t, dir, 0)
			wantIDs(t, ids(t, must(l.Table(t.Context(), "events"))(t), lake.ScanOptions{}), 0, 50)
			if err := l.Drop(t.Context(), "events"); err != nil {
				t.Fatal(err)
			}
			if left := p.objects(t); len(left) != 0 {
				t.Errorf("dropping leaves %v", left)
			}
		})
	}
}

// Files that are larger than the room for copies are read where they are.
func TestScansNeedNoRoomForCopies(t *testing.T) {
	p, dir := onS3(t), t.TempDir()
	l := p.lake(t, dir, 1)
	tbl := must(l.Draft(t.Context(), "events", columns))(t)
	tbl = must(tbl.Append(t.Context(), reader(rows(0, 1000)), nil))(t)
	wantIDs(t, ids(t, tbl, lake.ScanOptions{BatchRows: 100}), 0, 1000)
	if _, _, err := tbl.Relation(t.Context()); !fault.Is(err, fault.TooLarge) {
		t.Fatalf("%v", err)
	}
}

func TestFlippedBitsInABucket(t *testing.T) {
	p := onS3(t)
	for _, cache := range []int64{0, 1} {
		l := p.lake(t, t.TempDir(), cache)
		tbl := must(l.Draft(t.Context(), "events", columns))(t)
		tbl = must(tbl.Append(t.Context(), reader(rows(0, 1000)), nil))(t)
		file := p.path(strings.TrimPrefix(must(tbl.Files(t.Context()))(t)[0].Path, p.address+"/"))
		content := must(os.ReadFile(file))(t)
		content[len(content)/2] ^= 4
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r := must(tbl.Scan(t.Context(), lake.ScanOptions{}))(t)
		if _, err := r.Next(t.Context()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a scan: %v", err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if _, _, err := tbl.Relation(t.Context()); cache == 0 && !fault.Is(err, fault.Corrupt) {
			t.Errorf("for SQL: %v", err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		if _, err := must(tbl.Scan(t.Context(), lake.ScanOptions{}))(t).Next(t.Context()); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a missing file: %v", err)
		}
	}
}

func TestWarehousesThatAreRefused(t *testing.T) {
	db := openDB(t, filepath.Join(t.TempDir(), "catalog.db"))
	for address, kind := range map[string]fault.Kind{"s3://bucket/x": fault.Invalid, "gs://bucket/x": fault.Unsupported, "": fault.Invalid} {
		if _, err := lake.Open(t.Context(), lake.Config{Warehouse: address, DB: db, Dialect: catalog.SQLite}); !fault.Is(err, kind) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
