package ingest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

func (h *house) count(t testing.TB, table string) int64 {
	t.Helper()
	tbl, err := h.lake.Table(t.Context(), table)
	if fault.Is(err, fault.NotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := tbl.Scan(t.Context(), lake.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	if err := frame.Each(t.Context(), r, func(b frame.Batch) error { n += b.NumRows(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Whatever the cells, a file that a CSV writer wrote comes in row by row.
func TestEveryWrittenRowArrives(t *testing.T) {
	h := open(t)
	var number atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		width := rapid.IntRange(1, 4).Draw(rt, "width")
		cell := rapid.OneOf(rapid.StringN(0, 8, -1), rapid.Just("12"), rapid.Just("x\"y"), rapid.Just("a\nb"), rapid.Just("1/2/2011"), rapid.Just(","))
		rows := rapid.SliceOfN(rapid.SliceOfN(cell, width, width), 1, 30).Draw(rt, "rows")
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		header := make([]string, width)
		for i := range header {
			header[i] = fmt.Sprintf("c%d", i)
		}
		_ = w.Write(header)
		sent := int64(0)
		for _, r := range rows {
			if width == 1 && strings.Trim(r[0], "\r\n") == "" {
				continue // csv writes a lone empty cell as an empty line
			}
			sent++
			_ = w.Write(r)
		}
		w.Flush()
		name := fmt.Sprintf("t%d", number.Add(1))
		h.write(t, name+".csv", b.String())
		src := spec.Source{Name: name, From: name + ".csv", Delimiter: ","}
		got, err := h.Run(t.Context(), src, name, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if got.Rows+got.Quarantined != sent || h.count(t, name) != got.Rows || h.count(t, name+"__quarantine") != got.Quarantined {
			rt.Fatalf("%d rows sent, %+v", sent, got)
		}
		if got.Quarantined > sent/100 {
			rt.Fatalf("%d of %d well-formed rows were quarantined: %v\n%q", got.Quarantined, sent, got.Reasons, b.String())
		}
	})
}

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

func fuzz(t *testing.T, name, content string, limits ingest.Limits) {
	h := open(t)
	h.Limits = limits
	h.write(t, name, content)
	got, err := h.Run(t.Context(), spec.Source{Name: "t", From: name}, "run", nil)
	if err != nil {
		if k := fault.KindOf(err); k == fault.Internal {
			t.Fatalf("%q: %v", content, err)
		}
		return
	}
	if h.count(t, "t") != got.Rows || h.count(t, "t__quarantine") != got.Quarantined {
		t.Fatalf("%q: %+v", content, got)
	}
	if strings.HasSuffix(name, ".jsonl") {
		want := int64(0)
		for line := range strings.Lines(content) {
			if strings.Trim(line, " \t\r\n") != "" {
				want++
			}
		}
		if strings.HasPrefix(content, "\xEF\xBB\xBF") || strings.HasPrefix(content, "\x1F\x8B") || strings.HasPrefix(content, "\x28\xB5\x2F\xFD") {
			return
		}
		if got.Rows+got.Quarantined != want {
			t.Fatalf("%q has %d lines: %+v", content, want, got)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, s := range []string{
		"a,b\n1,2\n", "a;b\r\n\"x\";\"y\"\"z\"\r\n", "a\n\"open", "a,b\n1,\"2\"x\n\"\n", "\xEF\xBB\xBFa\n1", "a,a\n,\n\n", "\"a\n\"\n1\n", "a|b\r1|2\r", "a,b\n1/2/2011,2011-01-01T00:00:00+25:00\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzz(t, "in.csv", s, ingest.Limits{MaxRow: 64}) })
}

func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, "{\"a\":\"\\u00e9\",\"b\":[1,{}]}\n{}\n", "[1]\nnull\n{", `{"a":1,"a":2}`, `{"":1}`, "{\"a\":\"\xff\"}", `{"a":1e400,"b":-0}`, "{\"A\":1}\n{\"a\":2}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzz(t, "in.jsonl", s, ingest.Limits{}) })
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
