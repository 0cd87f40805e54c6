package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/cli"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

// house is an app without any project yet.
func house(t *testing.T, change ...func(*Config)) *loop {
	t.Helper()
	l := &loop{T: t, dir: t.TempDir()}
	l.config = Config{Project: l.dir, Home: filepath.Join(l.dir, "home"), Silent: true}
	for _, f := range change {
		f(&l.config)
	}
	a, err := Start(l.Context(), l.config)
	if err != nil {
		t.Fatal(err)
	}
	l.App = a
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	return l
}

// upload imports a model of the data.
func (l *loop) upload(path, name string, o api.ImportOptions) intake.Imported {
	l.Helper()
	files, file, err := importer.Gather(realdata.Path(l.T, path))
	if err != nil {
		l.Fatal(err)
	}
	o.File = file
	imported, err := l.Client().Upload(l.Context(), name, files, o)
	if err != nil {
		l.Fatalf("%v (hint: %s)", err, fault.HintOf(err))
	}
	return imported
}

func endpoint(name, more string) map[string]string {
	return map[string]string{"leat.yaml": fmt.Sprintf("kind: Model\nname: %s\n---\nkind: Endpoint\nname: %s\nmodel: %s\n%s", name, name, name, more)}
}

// scoreFile is what the command line gives for a model and rows, by column.
func scoreFile(t *testing.T, model, rows string) (header []string, cells [][]string) {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(context.Background(), cli.Program{
		Args: []string{"model", "score", realdata.Path(t, model), "--in", rows}, Out: &out, Err: &errs, Formats: backends.Formats,
	})
	if code != 0 {
		t.Fatal(errs.String())
	}
	all, err := csv.NewReader(&out).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return all[0], all[1:]
}

// TestImportedModelsAnswerAsTheirFiles: what an endpoint says over HTTP about
// a row is what `leat model score` says of it.
func TestImportedModelsAnswerAsTheirFiles(t *testing.T) {
	l := house(t)
	for _, c := range []struct {
		name, model, rows string
		outputs           map[string]string // of the endpoint, by column of the file's scores
		tolerance         float64
	}{
		{"income", "model-xgboost-trained/adult-categorical-binary/model.ubj", "model-xgboost-trained/adult-categorical-binary/features.csv.gz",
			map[string]string{"prediction0": "score"}, 1e-6},
		{"wine", "model-xgboost-trained/wine-multiclass/model.json", "model-xgboost-trained/wine-multiclass/features.csv.gz",
			map[string]string{"prediction0": "score_0", "prediction6": "score_6"}, 1e-6},
		{"bikes", "model-xgboost-trained/bike-poisson/model.ubj", "model-xgboost-trained/bike-poisson/features.csv.gz",
			map[string]string{"prediction0": "score"}, 1e-6},
		{"iris", "model-server-examples/mlserver-iris-lightgbm.txt", "model-server-examples/iris.csv",
			map[string]string{"prediction0": "score_0", "prediction2": "score_2"}, 1e-12},
	} {
		t.Run(c.name, func(t *testing.T) {
			imported := l.upload(c.model, c.name, api.ImportOptions{Alias: "champion", Source: c.model})
			if _, err := l.Client().Apply(t.Context(), endpoint(c.name, "")); err != nil {
				t.Fatal(err)
			}
			header, want := scoreFile(t, c.model, realdata.Path(t, c.rows))
			rows := rowsOf(t, realdata.Path(t, c.rows), imported)
			answer, err := l.Client().Score(t.Context(), c.name, rows, "")
			if err != nil {
				t.Fatal(err)
			}
			if len(answer.Decisions) != len(rows) {
				t.Fatalf("%d decisions for %d rows", len(answer.Decisions), len(rows))
			}
			for i, d := range answer.Decisions {
				if d.Error != nil {
					t.Fatalf("row %d: %+v", i, d.Error)
				}
				for k, column := range header {
					output, asked := c.outputs[column]
					if !asked {
						continue
					}
					w, err := strconv.ParseFloat(want[i][k], 64)
					if err != nil {
						t.Fatal(err)
					}
					if got := d.Values[output].(float64); math.Abs(got-w) > c.tolerance*math.Abs(w) {
						t.Fatalf("row %d: %s is %v over HTTP and %v of the file", i, output, got, w)
					}
				}
			}
		})
	}
}

// rowsOf reads rows as a client would send them: numbers and texts by the
// model's names.
func rowsOf(t *testing.T, path string, imported intake.Imported) []client.Row {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if data, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	all, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	inputs := imported.Version.Manifest.Signature.Inputs
	at := make([]int, len(inputs))
	for i, in := range inputs {
		at[i] = i // where the model has no names
		for k, name := range all[0] {
			if name == in.Name {
				at[i] = k
			}
		}
	}
	var rows []client.Row
	for _, cells := range all[1:min(len(all), 301)] {
		row := client.Row{}
		for i, in := range inputs {
			cell := cells[at[i]]
			switch {
			case cell == "":
				row[in.Name] = nil
			case in.Type == "string":
				row[in.Name] = cell
			default:
				v, err := strconv.ParseFloat(cell, 64)
				if err != nil {
					t.Fatal(err)
				}
				row[in.Name] = v
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// TestImportingTwiceIsOneVersion, and what it was made of is told.
func TestImportingTwiceIsOneVersion(t *testing.T) {
	l := house(t)
	file := "model-xgboost-trained/bike-regression/model.ubj"
	first := l.upload(file, "bikes", api.ImportOptions{Source: "here/model.ubj", Tags: map[string]string{"team": "city"}, Label: "cnt"})
	again := l.upload(file, "bikes", api.ImportOptions{Source: "there/model.ubj"})
	if first.Existing || !again.Existing || again.Version.Number != 1 || again.Version.ID != first.Version.ID {
		t.Fatalf("%+v, then %+v", first, again)
	}
	lineage := again.Version.Lineage
	if lineage.Source != "here/model.ubj" || lineage.Label != "cnt" || lineage.Notes["library"] != "xgboost 1.7.4" || len(lineage.Notes["sha256 of model.ubj"]) != 64 {
		t.Errorf("the lineage is %+v", lineage)
	}
	entry, err := l.registry.Entry(t.Context(), "bikes", 1)
	if err != nil || entry.Head.Tags["team"] != "city" {
		t.Errorf("%+v, %v", entry.Head, err)
	}
	other := l.upload("model-xgboost-trained/bike-poisson/model.ubj", "bikes", api.ImportOptions{})
	if other.Existing || other.Version.Number != 2 {
		t.Errorf("another model is %+v", other.Version)
	}
}

// TestAThresholdNeedsAScore: an endpoint that decides by what its model does
// not say is refused when it is applied, with its place.
func TestAThresholdNeedsAScore(t *testing.T) {
	l := house(t)
	l.upload("model-xgboost-trained/wine-multiclass/model.json", "wine", api.ImportOptions{Alias: "champion"})
	_, err := l.Client().Apply(t.Context(), endpoint("wine", "decide: {threshold: 0.5}\n"))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `no output "score"`) {
		t.Fatalf("%v", err)
	}
	if list, err := l.Client().Resources(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("%d resources are in force, %v", len(list), err)
	}
}

// TestAMonitorWithoutAProfileSaysSo: an imported model has no training to
// compare with, which is a state and no error.
func TestAMonitorWithoutAProfileSaysSo(t *testing.T) {
	l := house(t)
	l.upload("model-xgboost-trained/bike-regression/model.ubj", "bikes", api.ImportOptions{Alias: "champion"})
	files := endpoint("bikes", "---\nkind: Monitor\nname: bikes-drift\nwatch: bikes\n")
	if _, err := l.Client().Apply(t.Context(), files); err != nil {
		t.Fatal(err)
	}
	checks, err := l.Client().Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checks {
		if c.Name == "monitor bikes-drift" {
			if !c.OK || !strings.Contains(c.Note, "no training profile") {
				t.Errorf("%+v", c)
			}
			return
		}
	}
	t.Errorf("the monitor is not among %+v", checks)
}

// TestWhoMayImport: uploads are read only for who may change things, and
// programs run only for who may run them.
func TestWhoMayImport(t *testing.T) {
	l := house(t, func(c *Config) { c.Server.Auth = server.AuthKeys }, listening)
	for i, c := range []struct {
		grant string
		kind  string
		body  string
		want  int
	}{
		{"read:*", "application/octet-stream", "x", http.StatusForbidden},
		{"apply:other", "application/octet-stream", "x", http.StatusForbidden},
		{"apply:bikes", "application/octet-stream", "x", http.StatusBadRequest},
		{"apply:bikes", "text/plain", "x", http.StatusNotImplemented},
		{"apply:bikes", "application/json", `{"uri": "file:///etc/passwd"}`, http.StatusNotImplemented},
		{"apply:bikes", "application/json", `{"uri": "/etc/passwd"}`, http.StatusBadRequest},
		{"apply:bikes", "application/json", `{"uri": "http://127.0.0.1:1/model.ubj"}`, http.StatusForbidden},
		{"apply:bikes", "application/json", `{}`, http.StatusBadRequest},
		{"apply:bikes", "application/json", `{"uri": "s3://x/y", "surprise": 1}`, http.StatusBadRequest},
		{"apply:bikes", "application/x-tar", "not a tar", http.StatusBadRequest},
	} {
		key, err := l.Client().CreateKey(t.Context(), fmt.Sprint("k", i), nil, []string{c.grant}, 0)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, l.URL()+"/v1/models/bikes/versions", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+key.Token)
		req.Header.Set("Content-Type", c.kind)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != c.want {
			t.Errorf("%s %s %s: status %d, not %d", c.grant, c.kind, c.body, res.StatusCode, c.want)
		}
	}
}
