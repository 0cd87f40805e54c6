package ingest

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// tally is a Sink that only counts rows: these tests are about parsing.
type tally struct {
	columns map[string][]frame.Column
	rows    map[string]int64
}

func newTally() *tally {
	return &tally{columns: map[string][]frame.Column{}, rows: map[string]int64{}}
}

func (s *tally) Columns(_ context.Context, table string) ([]frame.Column, error) {
	return s.columns[table], nil
}

func (s *tally) Snapshot(context.Context, string) (int64, error) { return 0, nil }

func (s *tally) Draft(_ context.Context, table string, columns []frame.Column) (Target, error) {
	return &tallyTable{sink: s, name: table, columns: columns}, nil
}

type tallyTable struct {
	sink    *tally
	name    string
	columns []frame.Column
	staged  int64
}

func (t *tallyTable) Stage(context.Context, string) (Part, error) { return &tallyPart{table: t}, nil }

func (t *tallyTable) Commit(context.Context, []string, Commit) (int64, error) {
	t.sink.columns[t.name] = t.columns
	t.sink.rows[t.name] += t.staged
	return 1, nil
}

func (t *tallyTable) Discard() { t.staged = 0 }

type tallyPart struct {
	table *tallyTable
	rows  int64
}

func (p *tallyPart) Write(b frame.Batch) error {
	for i, c := range b.Columns() { // touch every value: a lying array panics
		for r := range c.Len() {
			_ = c.ValueStr(r)
		}
		if got := b.Schema().Field(i).Name; got != p.table.columns[i].Name {
			return fault.New(fault.Internal, "column %q where %q should be", got, p.table.columns[i].Name)
		}
	}
	p.rows += b.NumRows()
	return nil
}

func (p *tallyPart) Rows() int64 { return p.rows }

func (p *tallyPart) Finish(context.Context) (string, error) {
	p.table.staged += p.rows
	return "part", nil
}

func (p *tallyPart) Abort() {}

// ingestText ingests a text as a file of its own.
func ingestText(t testing.TB, name, content string, limits Limits, src spec.Source) (*tally, Result, error) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	sink := newTally()
	in := Ingester{Sink: sink, Root: dir, Limits: limits}
	src.Name, src.From = "t", name
	got, err := in.Run(t.Context(), src, "run", nil)
	return sink, got, err
}

// Whatever the cells, a file that a CSV writer wrote comes in row by row.
func TestEveryWrittenRowArrives(t *testing.T) {
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
		sink, got, err := ingestText(t, "in.csv", b.String(), Limits{}, spec.Source{Delimiter: ","})
		if err != nil {
			rt.Fatal(err)
		}
		if got.Rows+got.Quarantined != sent || sink.rows["t"] != got.Rows || sink.rows["t__quarantine"] != got.Quarantined {
			rt.Fatalf("%d rows sent, %+v", sent, got)
		}
		if got.Quarantined > sent/100 {
			rt.Fatalf("%d of %d well-formed rows were quarantined: %v\n%q", got.Quarantined, sent, got.Reasons, b.String())
		}
	})
}

func fuzz(t *testing.T, name, content string, limits Limits) {
	sink, got, err := ingestText(t, name, content, limits, spec.Source{})
	if err != nil {
		if k := fault.KindOf(err); k == fault.Internal {
			t.Fatalf("%q: %v", content, err)
		}
		return
	}
	if sink.rows["t"] != got.Rows || sink.rows["t__quarantine"] != got.Quarantined {
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
	f.Fuzz(func(t *testing.T, s string) { fuzz(t, "in.csv", s, Limits{MaxRow: 64}) })
}

func FuzzJSONLines(f *testing.F) {
	for _, s := range []string{
		`{"a":1}`, "{\"a\":\"\\u00e9\",\"b\":[1,{}]}\n{}\n", "[1]\nnull\n{", `{"a":1,"a":2}`, `{"":1}`, "{\"a\":\"\xff\"}", `{"a":1e400,"b":-0}`, "{\"A\":1}\n{\"a\":2}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) { fuzz(t, "in.jsonl", s, Limits{}) })
}
