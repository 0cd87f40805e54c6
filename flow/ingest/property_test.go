package ingest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/leat-ai/leat/spec"
)

// Chunks and workers must not show: the same bytes give the same table.
func TestResultDoesNotDependOnWorkers(t *testing.T) {
	var files [][]string
	for _, workers := range []int{1, 4} {
		h := open(t)
		h.Limits.Workers = workers
		transactions(t, filepath.Join(h.dir, "t.csv"), 60_000)
		if _, err := h.Run(t.Context(), spec.Source{Name: "t", From: "t.csv"}, "run", nil); err != nil {
			t.Fatal(err)
		}
		tbl, err := h.lake.Table(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		listed, err := tbl.Files(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range listed {
			names = append(names, filepath.Base(f.Path)[17:]) // behind the part that depends on the folder
		}
		files = append(files, names)
	}
	if fmt.Sprint(files[0]) != fmt.Sprint(files[1]) {
		t.Fatalf("%v\n%v", files[0], files[1])
	}
}

func TestCompressedFilesAreKnownByTheirBytes(t *testing.T) {
	h := open(t)
	const content = "a,b\n1,x\n2,y\n"
	var gz, zs bytes.Buffer
	w := gzip.NewWriter(&gz)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = z.Write([]byte(content))
	_ = z.Close()
	h.write(t, "in/a.csv", content)
	h.write(t, "in/b.csv", gz.String())
	h.write(t, "in/c.csv.zst", zs.String())
	if got := h.ingest(t, spec.Source{Name: "t", From: "in/*"}); got.Rows != 6 || got.Files != 3 {
		t.Fatalf("%+v", got)
	}
}

func TestDeepJSONIsQuarantined(t *testing.T) {
	h := open(t)
	h.write(t, "a.jsonl", "{\"a\":1}\n{\"a\":"+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}\n{\"a\":2}\n")
	got := h.ingest(t, spec.Source{Name: "t", From: "a.jsonl"})
	if got.Rows != 2 || got.Quarantined != 1 {
		t.Fatalf("%+v", got)
	}
	row := h.column(t, "t__quarantine", "row")[0]
	if !json.Valid([]byte(row)) {
		t.Fatalf("the quarantined row is no JSON: %.50q", row)
	}
}
