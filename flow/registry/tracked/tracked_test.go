package tracked_test

import (
	"context"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/flow/registry/tracked"
	"github.com/leat-ai/leat/flow/track"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// world has a run with a model among its artifacts, and a registered model.
type world struct {
	tracked.Versions
	run track.Run
}

func newWorld(t testing.TB) world {
	t.Helper()
	ctx := t.Context()
	db := must(sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "c.db")}))(t)
	t.Cleanup(func() { _ = db.Close() })
	blobs := blob.NewStore(must(file.Open(ctx, file.Config{Path: t.TempDir()}))(t), t.TempDir())
	formats := []model.Format{lightgbm.Format{}}
	w := world{}
	w.Track = must(track.Open(ctx, db, blobs, clock.System{}, track.Config{}))(t)
	w.Registry = registry.New(db, blobs, formats, clock.System{})
	w.Importer = intake.New(intake.Config{Registry: w.Registry, Formats: formats, Clock: clock.System{}, Version: "test"})
	w.run = must(w.Track.Runs.Create(ctx, track.NewRun{}))(t)
	files, _, err := importer.Gather(realdata.Path(t, "model-server-examples/mlserver-iris-lightgbm.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range files {
		w.put(t, "model/model.txt", string(text))
	}
	w.put(t, "notes/notes.txt", "no model")
	must(w.Registry.CreateModel(ctx, registry.Model{Name: "iris"}, "ada"))(t)
	return w
}

func (w world) put(t testing.TB, name, text string) {
	t.Helper()
	root, _ := track.PathOf(w.run.Artifacts)
	must(w.Track.Artifacts.Put(t.Context(), root+"/"+name, strings.NewReader(text), "ada"))(t)
}

func (w world) register(t testing.TB, source string) registry.Version {
	t.Helper()
	return must(w.Register(t.Context(), tracked.Request{Model: "iris", Source: source, By: "ada"}))(t)
}

func TestRunsBecomeLineage(t *testing.T) {
	w := newWorld(t)
	must(0, w.Track.Runs.Log(t.Context(), w.run.ID, track.Batch{
		Params:  []track.Pair{{Key: "rounds", Value: "7"}, {Key: "kind", Value: "gbdt"}, {Key: "odd", Value: "NaN"}},
		Metrics: []track.Metric{{Key: "auc", Value: 0.8}, {Key: "auc", Value: 0.9, Step: 1}, {Key: "odd", Value: math.NaN()}},
	}))(t)
	v := w.register(t, "runs:/"+w.run.ID+"/model")
	l := v.Lineage
	if l.Run != w.run.ID || l.Experiment != "Default" || l.Params["rounds"] != 7 || len(l.Params) != 1 || l.Notes["param kind"] != "gbdt" {
		t.Errorf("%+v", l)
	}
	if len(v.Metrics) != 1 || v.Metrics["auc"] != 0.9 || v.Manifest.Format != "lightgbm" || v.CreatedBy != "ada" {
		t.Errorf("%+v", v)
	}
	folder := must(w.Registry.Folder(t.Context(), v))(t)
	if _, ok := folder["model.txt"]; !ok || len(folder) != 1 {
		t.Errorf("%v", folder)
	}
	if again := w.register(t, "runs:/"+w.run.ID+"/model"); again.Number != v.Number+1 || again.ID == v.ID {
		t.Errorf("the same again is version %d", again.Number)
	}
}

func TestVersionsOutliveTheirRun(t *testing.T) {
	w := newWorld(t)
	v := w.register(t, "runs:/"+w.run.ID+"/model")
	root, _ := track.PathOf(w.run.Artifacts)
	must(0, w.Track.Artifacts.Delete(t.Context(), root+"/model"))(t)
	for _, f := range must(w.Registry.Folder(t.Context(), v))(t) {
		r := must(w.Registry.Open(t.Context(), f))(t)
		_ = r.Close()
	}
	_, release, err := w.Registry.Hold(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if gone := w.register(t, "runs:/"+w.run.ID+"/model"); gone.Unservable == "" {
		t.Error("a version without files can be served")
	}
}

func TestOtherThingsAreKept(t *testing.T) {
	w := newWorld(t)
	for source, why := range map[string]string{
		"runs:/" + w.run.ID + "/notes":   "",
		"s3://bucket/key?token=secret":   "s3://bucket/key",
		"https://example.com/model.zip":  "https://example.com/model.zip",
		"dbfs:/databricks/tracking/1/m1": "dbfs:/databricks/tracking/1/m1",
	} {
		v := w.register(t, source)
		if v.Manifest.Format != registry.Reference || v.Unservable == "" || !strings.Contains(v.Unservable, why) || strings.Contains(v.Unservable+v.Lineage.Source, "secret") {
			t.Errorf("%s: %+v", source, v)
		}
	}
	prompt := must(w.Register(t.Context(), tracked.Request{Model: "iris", Source: "prompt-template", Prompt: true}))(t)
	if !strings.Contains(prompt.Unservable, "prompt") {
		t.Errorf("%+v", prompt)
	}
}

func TestSourcesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	other := must(w.Track.Runs.Create(t.Context(), track.NewRun{}))(t)
	root := w.run.Artifacts
	for _, r := range []tracked.Request{
		{Source: "/etc"}, {Source: "file:/etc"}, {Source: `C:\x`}, {Source: "etc"}, {Source: ""},
		{Source: "runs:/" + w.run.ID + "/../.."}, {Source: "runs:/" + w.run.ID + "/../../" + other.ID + "/artifacts"},
		{Source: "runs:/" + w.run.ID + "/model", Run: other.ID}, {Source: "runs:/nobody/model"}, {Source: "runs:/"},
		{Source: root + "/model"}, {Source: root + "/model", Run: other.ID}, {Source: root + "/../../x", Run: w.run.ID},
		{Source: root + "/%2e%2e/x", Run: w.run.ID}, {Source: root + "-else/model", Run: w.run.ID}, {Source: "mlflow-artifacts://host/x", Run: w.run.ID},
		{Source: "models:/m-nobody"}, {Source: root + "/model", Logged: "m-nobody"},
	} {
		r.Model = "iris"
		if v, err := w.Register(t.Context(), r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v, %v", r, v.Lineage.Source, err)
		}
	}
	if _, err := w.Register(t.Context(), tracked.Request{Model: "nobody", Source: root, Run: w.run.ID}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a model that is not there: %v", err)
	}
	for _, source := range []string{"models:/iris/9", "models:/iris@nobody", "models:/nobody/1"} {
		if _, err := w.Register(t.Context(), tracked.Request{Model: "iris", Source: source}); !fault.Is(err, fault.NotFound) {
			t.Errorf("%s: %v", source, err)
		}
	}
}

// program is a format that says what it was asked for.
type program struct{ loaded *int }

func (program) Name() string { return "process" }

func (p program) Load(context.Context, fs.FS) (model.Model, error) {
	*p.loaded++
	return nil, fault.New(fault.Unsupported, "there is no Python")
}

func (program) PackMLflow(_ context.Context, files map[string][]byte) (map[string][]byte, error) {
	return files, nil
}

func TestProgramsAreForThoseWhoMay(t *testing.T) {
	w := newWorld(t)
	loaded := 0
	w.Importer = intake.New(intake.Config{Registry: w.Registry, Formats: []model.Format{program{&loaded}}, Clock: clock.System{}})
	w.put(t, "python/MLmodel", "flavors: {python_function: {loader_module: mlflow.sklearn}}\n")
	r := tracked.Request{Model: "iris", Source: "runs:/" + w.run.ID + "/python"}
	v := must(w.Register(t.Context(), r))(t)
	if loaded != 0 || !strings.Contains(v.Unservable, "admin") {
		t.Errorf("loaded %d times: %q", loaded, v.Unservable)
	}
	r.Programs = true
	if v = must(w.Register(t.Context(), r))(t); loaded != 1 || v.Unservable == "" {
		t.Errorf("loaded %d times: %q", loaded, v.Unservable)
	}
}
