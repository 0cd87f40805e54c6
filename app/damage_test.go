package app

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
)

// flip turns one bit of a file over.
func flip(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)*2/3] ^= 8
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// blobPath is where the file of a model lies.
func (l *loop) blobPath(model string) string {
	l.Helper()
	v, err := l.registry.Version(l.Context(), model, "latest")
	if err != nil {
		l.Fatal(err)
	}
	for _, digest := range v.Manifest.Files {
		return filepath.Join(l.config.Home, "blobs", "sha256", digest[:2], digest[2:])
	}
	return ""
}

// TestDamagedModel: a model with one bit turned over is not loaded, whoever
// asks is told so, and what else there is serves on. Once it is restored it
// serves, without a restart.
func TestDamagedModel(t *testing.T) {
	l := newLoop(t, 2000, listening)
	l.run(spec.KindPipeline, "learn", "first")
	l.run(spec.KindPipeline, "plain", "second")
	path := l.blobPath("risk")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, path)
	l.restart()

	row := payments(1)[0].row()
	_, err = l.Client().Score(t.Context(), "risk", []client.Row{row}, "")
	if !fault.Is(err, fault.Corrupt) || fault.HintOf(err) == "" {
		t.Errorf("the damaged endpoint answers %v (hint %q)", err, fault.HintOf(err))
	}
	if _, err := l.Client().Score(t.Context(), "line", []client.Row{row}, ""); err != nil {
		t.Errorf("the other endpoint: %v", err)
	}
	var oip struct{ Error string }
	l.must("GET", "/v2/models/risk/ready", "", http.StatusInternalServerError, &oip)
	if oip.Error == "" {
		t.Error("the Open Inference Protocol tells no reason")
	}
	l.must("GET", "/readyz", "", http.StatusOK, nil)
	if why := l.doctor("endpoint risk"); !strings.Contains(why, "not what was stored") {
		t.Errorf("the doctor says %q", why)
	}
	if why := l.doctor("endpoint line"); why != "" {
		t.Errorf("of the other endpoint the doctor says %q", why)
	}
	if _, err := l.through(t.Context(), spec.KindBatch, "all", "damaged"); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a batch of the damaged model: %v", err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	l.eventually("the restored model serves", func() bool {
		_, err := l.Client().Score(t.Context(), "risk", []client.Row{row}, "")
		return err == nil
	})
	if why := l.doctor("endpoint risk"); why != "" {
		t.Errorf("of the restored endpoint the doctor says %q", why)
	}
}

// TestDamagedProfile: without its training profile an endpoint serves; what is
// missing is the watch.
func TestDamagedProfile(t *testing.T) {
	l := newLoop(t, 2000)
	l.run(spec.KindPipeline, "learn", "first")
	v, err := l.registry.Version(t.Context(), "risk", "latest")
	if err != nil {
		t.Fatal(err)
	}
	flip(t, filepath.Join(l.config.Home, "blobs", "sha256", v.Profile[:2], v.Profile[2:]))
	l.restart()
	if _, err := l.Client().Score(t.Context(), "risk", []client.Row{payments(1)[0].row()}, ""); err != nil {
		t.Error(err)
	}
}

// TestDamagedTable: a data file with one bit turned over is found before a
// row of it is shown or scored, and nothing is committed.
func TestDamagedTable(t *testing.T) {
	l := newLoop(t, 2000)
	l.run(spec.KindPipeline, "learn", "first")
	before := l.snapshots("scores")
	table, err := l.lake.Table(t.Context(), "payments")
	if err != nil {
		t.Fatal(err)
	}
	files, err := table.Files(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flip(t, strings.TrimPrefix(files[0].Path, "file://"))
	for _, again := range []bool{false, true} { // in the process that wrote it, and in one that did not
		if again {
			l.restart()
		}
		if _, err := l.Client().SQL(t.Context(), "select sum(amount) from payments", 0); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a query: %v", err)
		}
		if _, err := l.through(t.Context(), spec.KindBatch, "all", "damaged"); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a batch: %v", err)
		}
		if _, err := l.through(t.Context(), spec.KindPipeline, "relearn", "damaged-too"); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a training: %v", err)
		}
	}
	if after := l.snapshots("scores"); after != before {
		t.Errorf("%d snapshots became %d", before, after)
	}
	if m, err := l.registry.Versions(t.Context(), "risk"); err != nil || len(m) != 1 {
		t.Errorf("%d versions, %v", len(m), err)
	}
	if _, err := l.Client().Score(t.Context(), "risk", []client.Row{payments(1)[0].row()}, ""); err != nil {
		t.Errorf("real time: %v", err)
	}
}

// TestDamagedHome: whatever one bit of whatever file of the lake and the blobs
// is turned over, no wrong row is shown.
func TestDamagedHome(t *testing.T) {
	l := newLoop(t, 400)
	l.run(spec.KindPipeline, "learn", "first")
	const sql = "select * from scores order by id"
	want, err := l.Client().SQL(t.Context(), sql, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := stopped(l.App); err != nil {
		t.Fatal(err)
	}
	defer l.start()
	for _, path := range l.stored("lake") {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		flip(t, path)
		a, err := Start(t.Context(), l.config)
		if err == nil {
			got, err := a.Client().SQL(t.Context(), sql, 0)
			if err == nil && !bytes.Equal(got.Rows, want.Rows) {
				t.Errorf("with %s damaged the rows are others", filepath.Base(path))
			}
			if err := stopped(a); err != nil {
				t.Error(err)
			}
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stored lists the files below a folder of the home.
func (l *loop) stored(folder string) (paths []string) {
	l.Helper()
	err := filepath.WalkDir(filepath.Join(l.config.Home, folder), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		l.Fatalf("%d files below %s, %v", len(paths), folder, err)
	}
	return paths
}

func (l *loop) snapshots(table string) int {
	l.Helper()
	t, err := l.lake.Table(l.Context(), table)
	if err != nil {
		l.Fatal(err)
	}
	return len(t.Snapshots())
}

// doctor returns what the doctor has to say against a part, or "".
func (l *loop) doctor(part string) string {
	l.Helper()
	checks, err := l.Client().Doctor(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == part && c.OK {
			return ""
		}
		if c.Name == part {
			return c.Note + " " + c.Hint
		}
	}
	l.Fatalf("the doctor knows no %q", part)
	return ""
}

// must sends a request over the network and checks the status.
func (l *loop) must(method, path, body string, status int, into any) {
	l.Helper()
	r, err := http.NewRequestWithContext(l.Context(), method, l.URL()+path, strings.NewReader(body))
	if err != nil {
		l.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		l.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != status {
		l.Errorf("%s %s: %s, not %d", method, path, res.Status, status)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			l.Error(err)
		}
	}
}
