package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// mlmodelFile is the file at the root of an MLflow model.
const mlmodelFile = "MLmodel"

// maxMLmodel bounds it, in bytes: signatures of wide tables are long.
const maxMLmodel = 4 << 20

// mlmodel is what is read of an MLmodel file; it has much more.
type mlmodel struct {
	Flavors   map[string]flavor `yaml:"flavors"`
	Signature struct {
		Inputs string `yaml:"inputs"` // JSON
	} `yaml:"signature"`
	Version string `yaml:"mlflow_version"`
	Run     string `yaml:"run_id"`
	Model   string `yaml:"model_id"`
}

// flavor is one way to load an MLflow model.
type flavor struct {
	Data           string `yaml:"data"`         // the model's file or folder, below the root
	Format         string `yaml:"model_format"` // of xgboost: json, ubj, xgb
	Class          string `yaml:"model_class"`
	LightGBM       string `yaml:"lgb_version"`
	XGBoost        string `yaml:"xgb_version"`
	ONNX           string `yaml:"onnx_version"`
	Sklearn        string `yaml:"sklearn_version"`
	PickledModel   string `yaml:"pickled_model"`
	LoaderModule   string `yaml:"loader_module"`
	PythonVersion  string `yaml:"python_version"`
	Serialization  string `yaml:"serialization_format"`
	ExternalFormat string `yaml:"format"`
}

// Flavors that Leat knows, in the order of preference: what runs in its own
// process comes before what needs a worker.
const (
	flavorXGBoost  = "xgboost"
	flavorLightGBM = "lightgbm"
	flavorONNX     = "onnx"
	flavorPython   = "python_function"
)

func knownFlavors() []string {
	return []string{flavorXGBoost, flavorLightGBM, flavorONNX, flavorPython}
}

// processFormat is the runtime that serves a folder with a worker process.
const processFormat = "process"

// processFile is the file of an artifact of that runtime which says what to
// run.
const processFile = "process.json"

// mlflow imports the folder of an MLflow model by the first flavor that loads.
func (im *Importer) mlflow(ctx context.Context, all Files, h Hints) (*Artifact, error) {
	m, err := readMLmodel(all[mlmodelFile])
	if err != nil {
		return nil, err
	}
	if h.Flavor != "" {
		if _, ok := m.Flavors[h.Flavor]; !ok {
			return nil, fault.New(fault.Invalid, "the MLflow model has no flavor %q", h.Flavor).Hint("it has %s", listed(flavorNames(m)))
		}
	}
	if len(h.Columns) == 0 {
		h.Columns = m.columns()
	}
	var refused error = fault.New(fault.Unsupported, "the MLflow model has only the flavors %s", listed(flavorNames(m))).
		Hint("log it with a flavor of XGBoost, LightGBM or ONNX, or as a python_function")
	for _, name := range knownFlavors() {
		f, ok := m.Flavors[name]
		if !ok || h.Flavor != "" && h.Flavor != name {
			continue
		}
		a, err := im.flavor(ctx, all, name, f, h)
		if err == nil {
			a.describe(m, name)
			a.Source = all.sources()
			return a, nil
		}
		// What a flavor cannot be executed by, the next one may be; a model
		// that is broken is broken in each.
		if refused = err; !fault.Is(err, fault.Unsupported) {
			break
		}
	}
	return nil, refused
}

// readMLmodel reads the file. Aliases in YAML could grow without a bound; the
// library refuses those that do.
func readMLmodel(data []byte) (*mlmodel, error) {
	if len(data) > maxMLmodel {
		return nil, fault.New(fault.TooLarge, "%s is larger than %d MiB", mlmodelFile, maxMLmodel>>20)
	}
	var m mlmodel
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&m); err != nil {
		return nil, fault.New(fault.Invalid, "the file is not what MLflow writes").At(mlmodelFile).Because(err)
	}
	if len(m.Flavors) == 0 {
		return nil, fault.New(fault.Invalid, "the MLflow model has no flavors").At(mlmodelFile)
	}
	return &m, nil
}

func flavorNames(m *mlmodel) []string { return slices.Sorted(maps.Keys(m.Flavors)) }

// flavor imports the folder by one of its flavors.
func (im *Importer) flavor(ctx context.Context, all Files, name string, f flavor, h Hints) (*Artifact, error) {
	if name == flavorPython {
		return im.pythonFunction(ctx, all, f, h)
	}
	file := path.Clean(f.Data)
	data, ok := all[file]
	if f.Data == "" || !ok {
		return nil, fault.New(fault.Invalid, "the flavor %s names the file %q, which the folder lacks", name, shorten(f.Data)).At(mlmodelFile)
	}
	return im.file(ctx, found{name: file, data: data, beside: all}, h)
}

// packer is a Format that makes its artifact of an MLflow folder, because it
// has the folder itself executed.
type packer interface {
	PackMLflow(ctx context.Context, files map[string][]byte) (map[string][]byte, error)
}

// pythonFunction imports the folder as it is, for a worker that loads it.
func (im *Importer) pythonFunction(ctx context.Context, all Files, f flavor, h Hints) (*Artifact, error) {
	at := slices.IndexFunc(im.formats, func(f model.Format) bool { return f.Name() == processFormat })
	if at < 0 {
		return nil, fault.New(fault.Unsupported, "the MLflow model needs Python, and no runtime for programs is built in").
			Hint("log it with a flavor of XGBoost, LightGBM or ONNX")
	}
	p, ok := im.formats[at].(packer)
	if !ok {
		return nil, fault.New(fault.Unsupported, "the runtime for programs does not take MLflow folders")
	}
	if err := mayRun(h); err != nil {
		return nil, err
	}
	files, err := p.PackMLflow(ctx, all)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the MLflow model needs Python")
	}
	a := &Artifact{Kind: "Python function", Format: processFormat, Files: files}
	a.note("a Python worker serves it, which loads it by %s", f.LoaderModule)
	return a, im.load(ctx, a, "the MLflow model")
}

// program imports an artifact of the runtime for programs.
func (im *Importer) program(ctx context.Context, all Files, h Hints) (*Artifact, error) {
	if err := mayRun(h); err != nil {
		return nil, err
	}
	a := &Artifact{Kind: "program", Format: processFormat, Files: all, Source: all.sources()}
	return a, im.load(ctx, a, processFile)
}

func mayRun(h Hints) error {
	if h.Programs {
		return nil
	}
	return fault.New(fault.Forbidden, "the model is a program, and who imports it may not run programs here").
		Hint("a key with the grant admin:* is needed; models of XGBoost, LightGBM and ONNX need none")
}

// describe adds what MLmodel says to what the model says of itself.
func (a *Artifact) describe(m *mlmodel, name string) {
	f := m.Flavors[name]
	d := &a.Description
	if d.LibraryVersion == "" {
		d.LibraryVersion = f.XGBoost + f.LightGBM + f.ONNX
	}
	notes := maps.Clone(d.Notes)
	if notes == nil {
		notes = map[string]string{}
	}
	notes["mlflow_flavor"] = name
	for key, value := range map[string]string{"mlflow_version": m.Version, "mlflow_run": m.Run, "mlflow_model": m.Model} {
		if value != "" {
			notes[key] = value
		}
	}
	d.Notes = notes
	a.Kind = "MLflow model, flavor " + name + ": " + a.Kind
}

// columns are the names of the inputs where the signature has names for all.
func (m *mlmodel) columns() []string {
	var fields []struct {
		Name string `json:"name"`
		Type string `json:"type"`
	}
	if m.Signature.Inputs == "" || json.Unmarshal([]byte(m.Signature.Inputs), &fields) != nil {
		return nil
	}
	var names []string
	for _, f := range fields {
		if f.Name == "" || f.Type == "tensor" {
			return nil
		}
		names = append(names, f.Name)
	}
	return names
}

// sources describes every file of a folder.
func (m Files) sources() []File {
	var all []File
	for _, name := range m.List() {
		all = append(all, fileOf(name, m[name]))
	}
	return all
}
