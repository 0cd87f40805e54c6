package batch_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// expected is what scoring payments with a release of a factor must give.
func expected(run string, n int, bad bool, factor float64) (good, failed string) {
	var g, f strings.Builder
	for i := range n {
		rows := payments(i, i+1, bad)
		amount := rows.Column(1).ValueStr(0)
		rows.Release()
		if amount == "-1" {
			fmt.Fprintf(&f, "%d|%d|invalid|column \"amount\" is negative|%v|%s\n", i, i, factor, run)
			continue
		}
		var v float64
		fmt.Sscan(amount, &v)
		action := "pass"
		if v > 100 {
			action = "review"
		}
		fmt.Fprintf(&g, "%d|%s/%d|%v|%s|%v\n", i, run, i, v*factor, action, factor)
	}
	return g.String(), f.String()
}

func TestTableToTable(t *testing.T) {
	h := newHome(t, t.TempDir(), 3)
	if err := h.fill(t.Context(), 4, 500, true); err != nil {
		t.Fatal(err)
	}
	job := spec.Batch{From: "lake://payments", To: "lake://scores", Key: "id"}
	report, err := h.run(t.Context(), job, work.ID("run-1"))
	if err != nil {
		t.Fatal(err)
	}
	good, failed := expected("run-1", 2000, true, 1)
	if report.Rows != 1714 || report.Failed != 286 || report.Release != "1" || report.FailedOutput != "lake://scores__failed" ||
		report.InputSnapshot == 0 || report.OutputSnapshot == 0 {
		t.Errorf("report %+v", report)
	}
	compare(t, h, "scores", good)
	compare(t, h, "scores__failed", failed)

	// A later run replaces what the first one left, with its own release; the
	// first one's rows stay readable at their snapshot.
	h.fake.live.Store(1)
	if _, err := h.run(t.Context(), job, work.ID("run-2")); err != nil {
		t.Fatal(err)
	}
	again, _ := expected("run-2", 2000, true, 2)
	compare(t, h, "scores", again)
	table, err := h.lake.Table(t.Context(), "scores")
	if err == nil {
		table, err = table.At(report.OutputSnapshot)
	}
	if err != nil {
		t.Fatal(err)
	}
	r, err := table.Scan(t.Context(), lake.ScanOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := text(t.Context(), r); err != nil || got != good {
		t.Errorf("the first run's snapshot changed: %v", err)
	}
}

func compare(t *testing.T, h *home, table, want string) {
	t.Helper()
	got, err := h.table(t.Context(), table)
	if err != nil {
		t.Error(err)
	} else if got != want {
		t.Errorf("table %s has %d bytes of rows, want %d; it begins\n%.300s\nwant\n%.300s", table, len(got), len(want), got, want)
	}
}

// TestEveryTargetHasTheSameRows scores the same rows from a table and from
// Parquet files into every kind of target.
func TestEveryTargetHasTheSameRows(t *testing.T) {
	h := newHome(t, t.TempDir(), 2)
	if err := h.fill(t.Context(), 3, 400, true); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		rows := payments(i*400, (i+1)*400, true)
		err := writeParquet(filepath.Join(h.dir, fmt.Sprintf("in%d.parquet", i)), rows, 64)
		rows.Release()
		if err != nil {
			t.Fatal(err)
		}
	}
	for i, from := range []string{"lake://payments", "in*.parquet"} {
		for j, to := range []string{"lake://t", "out.parquet", "out.csv", "folder"} {
			run := fmt.Sprintf("r-%d-%d", i, j)
			t.Run(run, func(t *testing.T) {
				dir := t.TempDir()
				if !strings.HasPrefix(to, "lake:") {
					to = filepath.Join(dir, to)
				}
				report, err := h.run(t.Context(), spec.Batch{From: from, To: to, Key: "id", Chunk: 100}, work.ID(run))
				if err == nil && report.Rows+report.Failed != 1200 {
					err = fmt.Errorf("report %+v", report)
				}
				if err != nil {
					t.Fatal(err)
				}
				good, failed := expected(run, 1200, true, 1)
				if got := contents(t, h, to); got != good {
					t.Errorf("rows differ: %.300s", got)
				}
				if got := contents(t, h, report.FailedOutput); got != failed {
					t.Errorf("failed rows differ: %.300s", got)
				}
				left, err := filepath.Glob(filepath.Join(dir, ".*"))
				if err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		}
	}
}

// contents reads any kind of target.
func contents(t *testing.T, h *home, to string) string {
	t.Helper()
	if name, ok := strings.CutPrefix(to, "lake://"); ok {
		got, err := h.table(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if strings.HasSuffix(to, ".csv") {
		f, err := os.Open(to)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, row := range rows[1:] {
			b.WriteString(strings.Join(row, "|") + "\n")
		}
		return b.String()
	}
	files := []string{to}
	if !strings.HasSuffix(to, ".parquet") {
		var err error
		if files, err = filepath.Glob(filepath.Join(to, "*.parquet")); err != nil {
			t.Fatal(err)
		}
	}
	var b strings.Builder
	for _, path := range files {
		b.WriteString(parquetText(t, path))
	}
	return b.String()
}

func TestRowNumbersStandInWhereNothingIsKept(t *testing.T) {
	h := newHome(t, t.TempDir(), 2)
	if err := h.fill(t.Context(), 2, 300, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "lake://plain"}, work.ID("r")); err != nil {
		t.Fatal(err)
	}
	good, _ := expected("r", 600, false, 1)
	compare(t, h, "plain", good) // ids and positions are the same numbers here
	if _, err := h.lake.Table(t.Context(), "plain__failed"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a side table was made for nothing: %v", err)
	}
}

func TestKeepPassesColumnsThrough(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	if err := h.fill(t.Context(), 1, 10, false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "out.csv", Keep: []string{"at", "country", "noise"}, Key: "id"}, work.ID("r")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(h.dir, "out.csv"))
	if err != nil {
		t.Fatal(err)
	}
	want := "at,country,noise,decision_id,score,decision,release\n" +
		"2023-11-14T22:13:20Z,,0,r/0,0,pass,1\n" +
		"2023-11-14T22:13:21Z,DE,0.3333333333333333,r/1,119.25,review,1\n" +
		"2023-11-14T22:13:22Z,\"\"\"x, y\"\"\",0.6666666666666666,r/2,38.5,pass,1\n"
	if !strings.HasPrefix(string(got), want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestMistakesAreFoundBeforeARowIsScored(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	if err := h.fill(t.Context(), 1, 10, false); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(h.dir, "mine", "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(h.dir, "broken.parquet"), []byte("PAR1 nothing PAR1"), 0o644); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name string
		job  spec.Batch
		kind fault.Kind
		says string
	}{
		{"no table", spec.Batch{From: "lake://nothing", To: "lake://t"}, fault.NotFound, "nothing"},
		{"no snapshot", spec.Batch{From: "lake://payments@12", To: "lake://t"}, fault.NotFound, "12"},
		{"no endpoint", spec.Batch{From: "lake://payments", Score: "other", To: "lake://t"}, fault.NotFound, "other"},
		{"no column", spec.Batch{From: "lake://payments", To: "lake://t", Keep: []string{"nobody", "ghost"}}, fault.Invalid, "ghost"},
		{"two of a name", spec.Batch{From: "lake://payments", To: "lake://t", Keep: []string{"id", "ID", "id"}}, fault.Invalid, "ID"},
		{"no file", spec.Batch{From: "none*.parquet", To: "lake://t"}, fault.NotFound, "none"},
		{"broken file", spec.Batch{From: "broken.parquet", To: "lake://t"}, fault.Corrupt, "broken"},
		{"a bucket", spec.Batch{From: "s3://b/x.parquet", To: "lake://t"}, fault.Unsupported, "s3"},
		{"somebody's folder", spec.Batch{From: "lake://payments", To: "mine"}, fault.Conflict, "mine"},
		{"a folder as file", spec.Batch{From: "lake://payments", To: "dir.csv"}, fault.Conflict, "dir.csv"},
		{"negative chunk", spec.Batch{From: "lake://payments", To: "lake://t", Chunk: -1}, fault.Invalid, "-1"},
	}
	if err := os.Mkdir(filepath.Join(h.dir, "dir.csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := h.run(t.Context(), c.job)
			if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("kind %q, %v", fault.KindOf(err), err)
			}
		})
	}
	if _, err := h.lake.Table(t.Context(), "t"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a target was made by a run that could not begin: %v", err)
	}
}

func TestEmptySourceEmptiesTheTarget(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	if err := h.fill(t.Context(), 1, 10, true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "lake://t"}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.lake.Create(t.Context(), "empty", columns); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"lake://t", "empty.csv", "empty.parquet", "emptydir"} {
		report, err := h.run(t.Context(), spec.Batch{From: "lake://empty", To: to})
		if err != nil || report.Rows != 0 {
			t.Errorf("%s: %+v, %v", to, report, err)
		}
	}
	compare(t, h, "t", "")
	compare(t, h, "t__failed", "")
}

func TestAChangedFileEndsTheRun(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	path := filepath.Join(h.dir, "in.parquet")
	rows := payments(0, 100, false)
	defer rows.Release()
	if err := writeParquet(path, rows, 10); err != nil {
		t.Fatal(err)
	}
	h.fake.hook = func() error { return os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)) }
	_, err := h.run(t.Context(), spec.Batch{From: "in.parquet", To: "out.csv", Chunk: 10})
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(filepath.Join(h.dir, "out.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a run that failed left something visible: %v", err)
	}
}

func TestADeployWhileARunWorksChangesNothing(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	if err := h.fill(t.Context(), 5, 100, true); err != nil {
		t.Fatal(err)
	}
	h.fake.hook = func() error { h.fake.live.Add(1); return nil }
	if _, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "lake://t", Key: "id", Chunk: 100}, work.ID("r")); err != nil {
		t.Fatal(err)
	}
	good, failed := expected("r", 500, true, 1)
	compare(t, h, "t", good)
	compare(t, h, "t__failed", failed)
}

func TestARunThatFailedGoesOn(t *testing.T) {
	h := newHome(t, t.TempDir(), 1)
	if err := h.fill(t.Context(), 6, 100, true); err != nil {
		t.Fatal(err)
	}
	calls := 0
	h.fake.hook = func() error {
		switch calls++; calls {
		case 2:
			return fault.New(fault.Overloaded, "not now") // passes by itself
		case 5:
			return fault.New(fault.Full, "the disk is full")
		}
		return nil
	}
	_, err := h.run(t.Context(), spec.Batch{From: "lake://payments", To: "lake://t", Key: "id", Chunk: 100}, work.ID("r"))
	if !fault.Is(err, fault.Full) {
		t.Fatalf("%v", err)
	}
	if _, err := h.lake.Table(t.Context(), "t"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a run that failed left its target visible: %v", err)
	}
	h.fake.live.Store(5)
	if err := h.engine.Retry(t.Context(), "r"); err != nil {
		t.Fatal(err)
	}
	st, err := h.engine.Wait(t.Context(), "r")
	if err != nil || st.Err() != nil {
		t.Fatal(errors.Join(err, st.Err()))
	}
	good, failed := expected("r", 600, true, 1)
	compare(t, h, "t", good)
	compare(t, h, "t__failed", failed)
	if calls != 8 { // six chunks, and the two that failed
		t.Errorf("%d calls of the path", calls)
	}
}

func TestTextFilesAreIngestedFirst(t *testing.T) {
	h := newHome(t, t.TempDir(), 2)
	var b strings.Builder
	b.WriteString("id,amount,country\n")
	for i := range 3000 {
		switch {
		case i == 1500:
			b.WriteString("1500,\n") // a cell is missing
		case i%100 == 7:
			fmt.Fprintf(&b, "%d,-1,DE\n", i)
		default:
			fmt.Fprintf(&b, "%d,%d,CH\n", i, i%200)
		}
	}
	if err := os.WriteFile(filepath.Join(h.dir, "in.csv"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	report, err := h.run(t.Context(), spec.Batch{From: "in.csv", To: "out.csv", Key: "id"}, work.ID("r"))
	if err != nil {
		t.Fatal(err)
	}
	if report.Rows != 2969 || report.Failed != 31 {
		t.Errorf("%+v", report)
	}
	if got := contents(t, h, filepath.Join(h.dir, "out.csv")); !strings.HasPrefix(got, "0|r/0|0|pass|1\n1|r/1|1|pass|1\n") {
		t.Errorf("rows: %.200s", got)
	}
	failed := contents(t, h, filepath.Join(h.dir, report.FailedOutput))
	lines := strings.Split(strings.TrimSpace(failed), "\n")
	if last := lines[len(lines)-1]; len(lines) != 31 || !strings.HasPrefix(last, "|") || !strings.Contains(last, "in.csv:1502") {
		t.Errorf("failed rows: %s", failed)
	}
	left, err := os.ReadDir(h.deps.Scratch)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the scratch folder: %v, %v", left, err)
	}
}

func TestRunsOfOneContentAreTheSameBytes(t *testing.T) {
	var first string
	for i, workers := range []int{1, 3} {
		h := newHome(t, t.TempDir(), workers)
		rows := payments(0, 5000, true)
		err := writeParquet(filepath.Join(h.dir, "in.parquet"), rows, 300)
		rows.Release()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.run(t.Context(), spec.Batch{From: "in.parquet", To: "out", Key: "id", Chunk: 1000}, work.ID("r")); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(h.dir, "out", "_leat.json"))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = string(text)
		} else if string(text) != first {
			t.Errorf("with %d workers\n%s\nwith one\n%s", workers, text, first)
		}
	}
}
