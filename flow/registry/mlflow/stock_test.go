package mlflow_test

import (
	"bytes"
	"encoding/json"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/registry/mlflow"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// stockServer starts MLflow's own server in a folder of its own.
func stockServer(t *testing.T) (python, url string) {
	t.Helper()
	python = filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow3", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("there is no stock MLflow: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close() // the server binds it itself
	dir := t.TempDir()
	host, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(python, "-m", "mlflow", "server", "--host", host, "--port", port, "--workers", "1",
		"--backend-store-uri", "sqlite:///"+dir+"/mlflow.db", "--artifacts-destination", filepath.Join(dir, "artifacts"))
	cmd.Dir, cmd.Env = dir, environment(dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // the group that it leads: its workers too
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%.3000s", log.String())
		}
	})
	url = "http://" + address
	for range 1200 {
		if answer, err := http.Get(url + "/health"); err == nil {
			_ = answer.Body.Close()
			return python, url
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("MLflow's server does not answer")
	return "", ""
}

func environment(home string) []string {
	return append(os.Environ(), "HOME="+home, "MLFLOW_DISABLE_TELEMETRY=true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false", "DO_NOT_TRACK=true", "GIT_PYTHON_REFRESH=quiet",
		"OMP_NUM_THREADS=1", "PYTHONWARNINGS=ignore", "PYTHONDONTWRITEBYTECODE=1")
}

func TestImportFromStockServer(t *testing.T) {
	python, url := stockServer(t)
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "log.py"), url)
	cmd.Env = environment(t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var known struct {
		Run    string
		Rows   [][]float64
		Scores []float64
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &known); err != nil {
		t.Fatal(err)
	}
	host := "mlflow+" + url
	in, versions := newIntake(t, "127.0.0.1")
	v := fetched(t, in, host+"/models/churn/2")
	l := v.Lineage
	if l.Run != known.Run || l.Experiment != "imports" || l.Params["rounds"] != 5 || l.Notes["param words"] != "few" ||
		l.Source != host+"/models/churn/2" || v.Metrics["auc"] != 0.9 || len(v.Metrics) != 1 || v.Manifest.Format != "lightgbm" {
		t.Errorf("%+v\n%v", l, v.Metrics)
	}
	e, err := versions.Entry(t.Context(), "churn", v.Number)
	if err != nil || e.Head.Description != "the second" || e.Head.Tags["team"] != "growth" {
		t.Errorf("%+v, %v", e.Head, err)
	}
	answersAlike(t, versions, v, known.Rows, known.Scores)
	if latest := fetched(t, in, host+"/models/churn"); latest.ID != v.ID {
		t.Error("the newest version is another one")
	}
	for _, address := range []string{"/models/churn@champion", "/models/churn/@champion", "/models/churn/1"} {
		if first := fetched(t, in, host+address); first.ID == v.ID || !strings.HasSuffix(first.Lineage.Source, "/models/churn/1") {
			t.Errorf("%s is %+v", address, first.Lineage)
		}
	}
	for address, kind := range map[string]fault.Kind{
		"/models/churn/9": fault.NotFound, "/models/churn@nobody": fault.Invalid, "/models/none": fault.NotFound, "/models/elsewhere": fault.Unsupported,
	} {
		if _, err := in.Import(t.Context(), intake.Request{Model: "x", URI: host + address}); !fault.Is(err, kind) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

func newIntake(t testing.TB, allowed string) (*intake.Intake, *registry.Registry) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "c.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	bucket, err := file.Open(t.Context(), file.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := egress.Parse(allowed)
	if err != nil {
		t.Fatal(err)
	}
	formats := []model.Format{lightgbm.Format{}}
	r := registry.New(db, blob.NewStore(bucket, t.TempDir()), formats, clock.System{})
	fetchers := map[string]intake.Fetcher{}
	for _, scheme := range mlflow.Schemes() {
		fetchers[scheme] = mlflow.New(policy)
	}
	return intake.New(intake.Config{Registry: r, Formats: formats, Fetchers: fetchers, Clock: clock.System{}, Version: "test"}), r
}

func fetched(t testing.TB, in *intake.Intake, address string) registry.Version {
	t.Helper()
	got, err := in.Import(t.Context(), intake.Request{Model: "churn", URI: address, By: "ada"})
	if err != nil {
		t.Fatalf("%s: %v", address, err)
	}
	return got.Version
}

func answersAlike(t *testing.T, r *registry.Registry, v registry.Version, rows [][]float64, scores []float64) {
	t.Helper()
	m, release, err := r.Hold(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "a", Type: frame.Double}, {Name: "b", Type: frame.Double}}))
	defer b.Release()
	for _, row := range rows {
		for i, v := range row {
			b.Field(i).(*array.Float64Builder).Append(v)
		}
	}
	in := b.NewRecordBatch()
	defer in.Release()
	out, err := m.Predict(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Release()
	got := out.Column(frame.Index(out.Schema(), model.ScoreColumn)).(*array.Float64)
	for i, want := range scores {
		if math.Abs(got.Value(i)-want) > 1e-9 {
			t.Fatalf("row %d is %v, in Python %v", i, got.Value(i), want)
		}
	}
}
