package ingest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

type house struct {
	*ingest.Ingester
	lake *lake.Lake
	dir  string
}

func open(t testing.TB) *house {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	l, err := lake.Open(t.Context(), lake.Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db, Dialect: catalog.SQLite})
	if err != nil {
		t.Fatal(err)
	}
	return &house{lake: l, dir: dir, Ingester: &ingest.Ingester{
		Sink: l.Sink(), Root: dir, Clock: clock.Fixed(time.Unix(1_700_000_000, 0)),
	}}
}

func (h *house) write(t testing.TB, name, content string) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (h *house) ingest(t testing.TB, src spec.Source) ingest.Result {
	t.Helper()
	result, err := h.Run(t.Context(), src, fmt.Sprintf("run-%d", time.Now().UnixNano()), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// table returns the rows of a table, a line each, cells joined by "|".
func (h *house) table(t testing.TB, name string) []string {
	t.Helper()
	tbl, err := h.lake.Table(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tbl.Scan(t.Context(), lake.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		for i := range int(b.NumRows()) {
			cells := make([]string, b.NumCols())
			for c := range cells {
				cells[c] = b.Column(c).ValueStr(i)
			}
			lines = append(lines, strings.Join(cells, "|"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func (h *house) column(t testing.TB, table, name string) []string {
	t.Helper()
	tbl, err := h.lake.Table(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	r, err := tbl.Scan(t.Context(), lake.ScanOptions{Columns: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		for i := range int(b.NumRows()) {
			out = append(out, b.Column(0).ValueStr(i))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func wantLines(t testing.TB, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Fatalf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func types(columns []frame.Column) string {
	var parts []string
	for _, c := range columns {
		parts = append(parts, c.Name+":"+string(c.Type))
	}
	return strings.Join(parts, " ")
}

func TestCSVTypesAreFoundOut(t *testing.T) {
	h := open(t)
	h.write(t, "a.csv", "\xEF\xBB\xBFid,amount,at,day,ok,zip,note,us\r\n"+
		"1,1.5,2024-01-02T03:04:05Z,2024-01-02,true,01234,\"a, \"\"b\"\"\r\nc\",1/31/2011\r\n"+
		"2,2,2024-01-02 03:04:05.5,2024-02-29,FALSE,00001, x ,12/1/2011\r\n"+
		"3,,,,,,,\r\n")
	got := h.ingest(t, spec.Source{Name: "a", From: "a.csv"})
	if types(got.Columns) != "id:int amount:double at:timestamp day:date ok:bool zip:string note:string us:date" {
		t.Fatalf("columns: %s", types(got.Columns))
	}
	if got.Rows != 3 || got.Quarantined != 0 || got.Files != 1 || got.Snapshot == 0 {
		t.Fatalf("%+v", got)
	}
	wantLines(t, h.table(t, "a"),
		"1|1.5|2024-01-02T03:04:05Z|2024-01-02|true|01234|a, \"b\"\r\nc|2011-01-31",
		"2|2|2024-01-02T03:04:05.5Z|2024-02-29|false|00001|x|2011-12-01",
		"3|(null)|(null)|(null)|(null)|(null)|(null)|(null)")
}

func TestDelimitersAndHeaders(t *testing.T) {
	h := open(t)
	for name, content := range map[string]string{
		"semi": "a;b\n1,5;x\n2,5;y\n", "tab": "a\tb\n1\tx,y\n2\tz\n", "pipe": "a|b\n1|x\n2|y\n", "one": "a\n1\n\n3\n",
		"oldmac": "a,b\r1,x\r2,y\r",
	} {
		h.write(t, name+".csv", content)
		h.ingest(t, spec.Source{Name: name, From: name + ".csv"})
	}
	wantLines(t, h.table(t, "semi"), "1,5|x", "2,5|y")
	wantLines(t, h.table(t, "tab"), "1|x,y", "2|z")
	wantLines(t, h.table(t, "pipe"), "1|x", "2|y")
	wantLines(t, h.table(t, "one"), "1", "(null)", "3")
	wantLines(t, h.table(t, "oldmac"), "1|x", "2|y")

	no := false
	h.write(t, "bare.csv", "1,x\n2,y\n")
	h.ingest(t, spec.Source{Name: "bare", From: "bare.csv", Header: &no})
	wantLines(t, h.table(t, "bare"), "1|x", "2|y")
	h.write(t, "odd.csv", "a,,A,a \n1,2,3,4\n")
	if got := h.ingest(t, spec.Source{Name: "odd", From: "odd.csv"}); types(got.Columns) != "a:int column2:int A_2:int a_3:int" {
		t.Fatalf("columns: %s", types(got.Columns))
	}
}

func TestDirtyRowsAreQuarantined(t *testing.T) {
	h := open(t)
	h.write(t, "a.csv", "id,amount\n1,5\n2\n3,abc\n4,-1\n5,\n6,7,8\n7,\"x\" y\n8,9\n9,\"open\n")
	got := h.ingest(t, spec.Source{
		Name: "a", From: "a.csv", Schema: spec.Columns{{Name: "id", Type: frame.Int}, {Name: "amount", Type: frame.Double}},
		Expect: []string{"amount >= 0"},
	})
	wantLines(t, h.table(t, "a"), "1|5", "8|9")
	if got.Rows != 2 || got.Quarantined != 7 || got.Reasons["breaks amount >= 0"] != 2 {
		t.Fatalf("%+v", got)
	}
	var lines []string
	for i, l := range h.column(t, "a__quarantine", "line") {
		lines = append(lines, l+" "+h.column(t, "a__quarantine", "reason")[i]+" "+h.column(t, "a__quarantine", "row")[i])
	}
	wantLines(t, lines,
		`3 1 cells instead of 2 ["2"]`,
		`4 column "amount": not a double {"id":"3","amount":"abc"}`,
		`5 breaks amount >= 0 {"id":4,"amount":-1}`,
		`6 breaks amount >= 0 {"id":5,"amount":null}`,
		`7 3 cells instead of 2 ["6","7","8"]`,
		`8 there is text after a closing quote {"id":"7","amount":"x"}`,
		`10 a quote is not closed "9,\"open"`)
}

func TestAWiderValueStartsAnew(t *testing.T) {
	h := open(t)
	var b strings.Builder
	b.WriteString("n,d,t,mixed\n")
	for i := range 900_000 {
		fmt.Fprintf(&b, "%d,%d/%d/2011,2011-01-0%d,%d\n", i, i%12+1, i%12+1, i%9+1, i)
	}
	b.WriteString("0.5,31/1/2011,2011-01-01T12:00:00,1\n")
	h.write(t, "a.csv", b.String())
	got := h.ingest(t, spec.Source{Name: "a", From: "a.csv"})
	if types(got.Columns) != "n:double d:date t:timestamp mixed:int" || got.Rows != 900_001 || len(got.Widened) != 3 {
		t.Fatalf("%s, %d rows, widened %v", types(got.Columns), got.Rows, got.Widened)
	}
	left, err := filepath.Glob(filepath.Join(h.dir, "warehouse", "*", "a", "data", "*"))
	if err != nil || len(left) != 1 {
		t.Fatalf("the first pass left files behind: %v, %v", left, err)
	}
	if d := h.column(t, "a", "d"); d[len(d)-1] != "2011-01-31" || d[1] != "2011-02-02" {
		t.Fatalf("dates end with %s", d[len(d)-1])
	}
}

func TestFilesAreTakenOnce(t *testing.T) {
	h := open(t)
	h.Ledger = memoryLedger{}
	src := spec.Source{Name: "a", From: "in/*.csv"}
	h.write(t, "in/1.csv", "a,b\n1,x\n")
	h.write(t, "in/2.csv", "b,a\ny,2\n")
	first := h.ingest(t, src)
	again := h.ingest(t, src)
	if again.Skipped != 2 || again.Rows != 0 || again.Snapshot != first.Snapshot {
		t.Fatalf("%+v", again)
	}
	h.write(t, "in/3.csv", "a,b,c\n3,z,new\n")
	if more := h.ingest(t, src); more.Rows != 1 || more.Skipped != 2 {
		t.Fatalf("%+v", more)
	}
	wantLines(t, h.table(t, "a"), "1|x|(null)", "2|y|(null)", "3|z|new")
	h.write(t, "in/1.csv", "a,b\n7,x\n")
	if _, err := h.Run(t.Context(), src, "r", nil); !fault.Is(err, fault.Conflict) {
		t.Fatalf("a changed file: %v", err)
	}
	src.Mode = "replace"
	h.ingest(t, src)
	wantLines(t, h.table(t, "a"), "7|x|(null)", "2|y|(null)", "3|z|new")
	// Without the ledger's memory, as after a kill, files still count once.
	h.Ledger = memoryLedger{}
	src.Mode = "append"
	h.write(t, "in/4.csv", "a,b,c\n4,q,r\n")
	src.From = "in/4.csv"
	h.ingest(t, src)
	h.Ledger = memoryLedger{}
	h.ingest(t, src)
	if got := h.table(t, "a"); len(got) != 4 {
		t.Fatalf("%d rows", len(got))
	}
}

type memoryLedger map[string]ingest.Entry

func (m memoryLedger) Files(context.Context, string) (map[string]ingest.Entry, error) {
	return maps.Clone(m), nil
}

func (m memoryLedger) Begin(_ context.Context, _ string, files []ingest.Entry) error {
	maps.DeleteFunc(m, func(_ string, e ingest.Entry) bool { return e.Snapshot == 0 })
	for _, f := range files {
		m[f.Name] = f
	}
	return nil
}

func (m memoryLedger) Record(_ context.Context, _ string, files []ingest.Entry) error {
	for _, f := range files {
		m[f.Name] = f
	}
	return nil
}

// A run that is killed between its commit and the ledger, or between the
// quarantine and the table, is finished before files that came since.
func TestAnUnfinishedRunIsSettledFirst(t *testing.T) {
	h := open(t)
	ledger := memoryLedger{}
	h.Ledger = ledger
	src := spec.Source{Name: "a", From: "in/*.csv", Schema: spec.Columns{{Name: "a", Type: frame.Int}}}
	h.write(t, "in/1.csv", "a\n1\nx\n")
	h.ingest(t, src)
	entry := ledger["in/1.csv"]
	entry.Snapshot = 0 // as Begin leaves it
	ledger["in/1.csv"] = entry
	h.write(t, "in/2.csv", "a\n2\ny\n")
	if got := h.ingest(t, src); got.Rows != 1 || got.Files != 1 || got.Skipped != 1 {
		t.Fatalf("%+v", got)
	}
	wantLines(t, h.table(t, "a"), "1", "2")
	wantLines(t, h.column(t, "a__quarantine", "detail"), "x", "y")

	if err := h.lake.Drop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	delete(ledger, "in/2.csv")
	ledger["in/1.csv"] = entry // begun, in the quarantine, not in the table
	if got := h.ingest(t, src); got.Rows != 2 || got.Files != 2 {
		t.Fatalf("%+v", got)
	}
	wantLines(t, h.table(t, "a"), "1", "2")
	wantLines(t, h.column(t, "a__quarantine", "detail"), "x", "y")
}

func TestJSONLines(t *testing.T) {
	h := open(t)
	h.write(t, "a.jsonl", `{"id":1,"v":1.5,"s":"a\u00e9","nested":{"x":[1,2]},"at":"2024-01-02T03:04:05Z"}
{"id":2,"v":2,"s":"5","b":true}

not json
[1]
{"id":3,"id":4}
{"id":null,"v":null}
`)
	got := h.ingest(t, spec.Source{Name: "a", From: "a.jsonl"})
	if types(got.Columns) != "id:int v:double s:string nested:string at:timestamp b:bool" || got.Rows != 3 || got.Quarantined != 3 {
		t.Fatalf("%s %+v", types(got.Columns), got)
	}
	wantLines(t, h.table(t, "a"),
		`1|1.5|aé|{"x":[1,2]}|2024-01-02T03:04:05Z|(null)`, "2|2|5|(null)|(null)|true", "(null)|(null)|(null)|(null)|(null)|(null)")
	wantLines(t, h.column(t, "a__quarantine", "line"), "4", "5", "6")
}

func TestBrokenInputsLeaveNothing(t *testing.T) {
	h := open(t)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	for i := range 20_000 {
		fmt.Fprintf(w, "%d,%d\n", i, i*i)
	}
	_ = w.Close()
	h.write(t, "cut.csv.gz", z.String()[:z.Len()-100])
	var bomb bytes.Buffer
	w = gzip.NewWriter(&bomb)
	for range 80 {
		_, _ = w.Write(bytes.Repeat([]byte("1,2\n"), 1<<18))
	}
	_ = w.Close()
	h.write(t, "bomb.csv.gz", bomb.String())
	h.write(t, "lies.parquet", "PAR1\x15\x04garbage\x00\x00\x00\x7FPAR1")
	h.write(t, "empty.csv", "")
	h.write(t, "utf16.csv", "\xFF\xFEa\x00")
	for name, kind := range map[string]fault.Kind{
		"cut.csv.gz": fault.Corrupt, "bomb.csv.gz": fault.TooLarge, "lies.parquet": fault.Corrupt,
		"absent.csv": fault.NotFound, "empty.csv": fault.Invalid, "utf16.csv": fault.Unsupported,
	} {
		_, err := h.Run(t.Context(), spec.Source{Name: "t", From: name}, "r", nil)
		if !fault.Is(err, kind) {
			t.Errorf("%s: %v (%s), want %s", name, err, fault.KindOf(err), kind)
		}
	}
	if names, err := h.lake.Tables(t.Context()); err != nil || len(names) != 0 {
		t.Fatalf("tables %v, %v", names, err)
	}
}

func TestRealData(t *testing.T) {
	for name, want := range map[string]struct {
		rows  int64
		types string
	}{
		"tabular-bike-sharing/data.csv.gz":      {17379, "dteday:date"},
		"tabular-telco-churn/data.csv.gz":       {7043, "TotalCharges:double"},
		"tabular-electricity-drift/data.csv.gz": {0, "timestamp:timestamp"},
		"tabular-bank-marketing/data.csv.gz":    {0, "age:int"},
	} {
		h := open(t)
		src := spec.Source{Name: "t", From: realdata.Path(t, name)}
		got := h.ingest(t, src)
		if want.rows > 0 && got.Rows != want.rows || got.Quarantined != 0 || !strings.Contains(types(got.Columns), want.types) {
			t.Errorf("%s: %d rows, %d quarantined %v; %s", name, got.Rows, got.Quarantined, got.Reasons, types(got.Columns))
		}
	}
}
