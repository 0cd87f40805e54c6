package ingest_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
)

func TestObjectsOfABucket(t *testing.T) {
	h := open(t)
	h.Ledger = memoryLedger{}
	h.Scratch = t.TempDir()
	h.Openers = map[string]ingest.Opener{"test": ingest.Buckets{
		Bucket: func(ctx context.Context, address, secret string, _ map[string]string) (blob.Bucket, error) {
			if secret != "" || address != "test://sales" {
				return nil, fault.New(fault.Forbidden, "no bucket %q", address)
			}
			return file.Open(ctx, file.Config{Path: filepath.Join(h.dir, "bucket")})
		},
	}}
	bucket, err := file.Open(t.Context(), file.Config{Path: filepath.Join(h.dir, "bucket")})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"2024/01/a.csv": "n\n1\n", "2024/02/b.csv": "n\n2\n", "2024/02/c.txt": "no", "other.csv": "n\n9\n",
	} {
		if err := bucket.Put(t.Context(), name, strings.NewReader(content), true); err != nil {
			t.Fatal(err)
		}
	}
	h.ingest(t, spec.Source{Name: "t", From: "test://sales/2024/*/*.csv"})
	wantLines(t, h.table(t, "t"), "1", "2")
	if got := h.ingest(t, spec.Source{Name: "t", From: "test://sales/**/*.csv"}); got.Rows != 1 || got.Skipped != 2 {
		t.Fatalf("%+v", got)
	}
	for address, kind := range map[string]fault.Kind{
		"test://sales/absent/*.csv": fault.NotFound, "test://other/a.csv": fault.Forbidden, "nope://x/a.csv": fault.Unsupported,
	} {
		if _, err := h.Run(t.Context(), spec.Source{Name: "t", From: address}, "r", nil); !fault.Is(err, kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
