package app

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
)

// TestModelsOfMLflowAreServed: what a stock client logs, registers and calls
// champion is served by the endpoints that waited for it, and answers as it
// does in Python; and what Leat trained loads there.
func TestModelsOfMLflowAreServed(t *testing.T) {
	for _, version := range []string{"3", "2"} {
		t.Run(version, func(t *testing.T) {
			python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv-mlflow"+version, "bin", "python")
			if _, err := os.Stat(python); err != nil {
				t.Fatalf("there is no stock client of MLflow %s: set LEAT_TOOLS and run internal/tools/install.sh test: %v", version, err)
			}
			t.Setenv("LEAT_WORKER_PYTHON", python)
			l := newLoop(t, 500, listening)
			l.run(spec.KindPipeline, "learn", "the-learn")
			resources, err := files(l.dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"trees", "boosted", "sklearn"} {
				resources[name+".yaml"] = endpoint(name, "")["leat.yaml"]
			}
			if _, err := l.Client().Apply(t.Context(), resources); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "mlflow", "serve.py"), l.URL())
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "MLFLOW_DISABLE_TELEMETRY=true", "DO_NOT_TRACK=true", "PYTHONWARNINGS=ignore",
				"GIT_PYTHON_REFRESH=quiet", "OMP_NUM_THREADS=1", "PYTHONDONTWRITEBYTECODE=1")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			if err != nil || strings.Count(string(out), "ok ") != 4 {
				t.Errorf("%v\n%s\n%s", err, out, stderr.String())
			}
			v, err := l.registry.Version(t.Context(), "trees", "champion")
			if err != nil || v.Metrics["auc"] != 0.93 || v.Lineage.Experiment != "Default" || v.Lineage.Run == "" {
				t.Errorf("the run is not its lineage: %+v, %v, %v", v.Lineage, v.Metrics, err)
			}
		})
	}
}

// TestRegisteredVersionsAreJudged: a version of the registry is measured,
// gated and registered with its figures like one that was trained here.
func TestRegisteredVersionsAreJudged(t *testing.T) {
	l := newLoop(t, 1000)
	l.run(spec.KindPipeline, "learn", "the-learn")
	from, err := l.registry.Version(t.Context(), "risk", "champion")
	if err != nil {
		t.Fatal(err)
	}
	// As a client of MLflow registers it: without a report.
	copied, err := l.registry.Copy(t.Context(), from, "judged", "models:/risk/1", registry.Notes{}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.registry.SetAlias(t.Context(), "judged", "challenger", copied.Number, "ada"); err != nil {
		t.Fatal(err)
	}
	resources, err := files(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	resources["judge.yaml"] = `kind: Pipeline
name: judge
steps:
  - train: {model: judged, label: bad, features: [payment], trainer: import, from: "models:/judged@challenger", seed: 3}
  - gate: [auc >= 0.7]
  - register: {alias: champion}
---
kind: Pipeline
name: strict
steps:
  - train: {model: judged, label: bad, features: [payment], trainer: import, from: "models:/judged/1", seed: 3}
  - gate: [auc >= 0.9999]
  - register: {alias: best}
`
	if _, err := l.Client().Apply(t.Context(), resources); err != nil {
		t.Fatal(err)
	}
	l.run(spec.KindPipeline, "judge", "the-judge")
	v, err := l.registry.Version(t.Context(), "judged", "champion")
	if err != nil || v.Report == "" || len(v.Gates) != 1 || !v.Gates[0].Passed || !maps.Equal(v.Manifest.Files, from.Manifest.Files) {
		t.Errorf("%+v, %v", v, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := l.through(ctx, spec.KindPipeline, "strict", "the-strict"); !fault.Is(err, fault.Rejected) {
		t.Errorf("a gate that says no: %v", err)
	}
}
