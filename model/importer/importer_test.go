package importer_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/corpus"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/model/xgboost"
)

func built() *importer.Importer {
	return importer.New([]model.Format{tree.Format{}, linear.Format{}, lightgbm.Format{}, xgboost.Format{}})
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(realdata.Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func iris(t *testing.T) []byte { return read(t, "model-server-examples/kserve-iris-lightgbm.txt") }

func TestFilesAreKnownByTheirContent(t *testing.T) {
	for name, want := range map[string]string{
		"model-server-examples/kserve-iris-lightgbm.txt": "lightgbm",
		"model-server-examples/kserve-iris-xgboost.json": "xgboost",
		"model-server-examples/kserve-iris-xgboost.ubj":  "xgboost",
		"model-leaves/lg_breast_cancer.txt.gz":           "lightgbm",
	} {
		data := read(t, name)
		a, err := built().Read(context.Background(), importer.Files{"some.bin": data}, "some.bin", importer.Hints{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Format != want || len(a.Signature.Inputs) == 0 || a.Model == nil || a.Source[0].Bytes != int64(len(data)) {
			t.Errorf("%s: %s from %+v", name, a.Format, a.Source)
		}
	}
}

func TestWhatIsNoModelIsRefusedWithWhatItIs(t *testing.T) {
	torch := zipped(t, map[string]string{"archive/data.pkl": "\x80\x02}", "archive/version": "3"})
	for name, c := range map[string]struct {
		data string
		says string
		hint string
	}{
		"empty":             {"", "is empty", ""},
		"a pickle":          {"\x80\x05\x95\x10\x00", "a Python pickle", "skl2onnx"},
		"joblib":            {"\x78\x9c\x01\x02", "joblib", "skl2onnx"},
		"a torch archive":   {string(torch), "PyTorch", "torch.onnx.export"},
		"old XGBoost":       {string(read(t, "model-leaves/xgagaricus.model")), "old binary form", "save_model"},
		"older XGBoost":     {string(read(t, "model-server-examples/kserve-iris-xgboost.bst")), "old binary form", "save_model"},
		"a LightGBM dump":   {string(read(t, "model-leaves/lg_dart_breast_cancer.json")), "JSON dump", "model.txt"},
		"a piece":           {string(read(t, "model-leaves/tree_3leaves.txt")), "header is missing", "model.txt"},
		"an XGBoost dump":   {`[ { "nodeid": 0, "depth": 0 } ]`, "dump of XGBoost's trees", "save_model"},
		"PDF":               {"%PDF-1.7\n", "PDF", "a model is"},
		"a web page":        {"<!DOCTYPE html><html>", "web page", "fetch"},
		"Keras":             {"\x89HDF\r\n\x1a\n", "HDF5", "tf2onnx"},
		"CatBoost":          {"CBM1\x00\x00", "CatBoost", "onnx"},
		"safetensors":       {"\x1e\x00\x00\x00\x00\x00\x00\x00{\"a\":{\"dtype\":\"F32\"}}         ", "safetensors", "onnx"},
		"an LFS pointer":    {"version https://git-lfs.github.com/spec/v1\noid", "Git LFS", "git lfs pull"},
		"rows":              {"PAR1\x15\x04", "Parquet", "model score"},
		"text":              {"hello\n", "text, but no model", "a model is"},
		"JSON":              {`{"a": 1}`, "JSON, but no model", "whole"},
		"bytes":             {"\x00\x01\x02\x03", "no model that Leat knows", "a model is"},
		"half of a model":   {string(iris(t)[:20000]), "", ""},
		"half an XGBoost":   {string(read(t, "model-server-examples/kserve-iris-xgboost.json")[:20000]), "", ""},
		"half an UBJSON":    {string(read(t, "model-server-examples/kserve-iris-xgboost.ubj")[:20000]), "", ""},
		"half a gzip":       {string(read(t, "model-leaves/lg_breast_cancer.txt.gz")[:20000]), "ends in the middle", "fetch"},
		"an archive in one": {string(gzipped(t, gzipped(t, iris(t)))), "another archive", "unpack"},
	} {
		t.Run(name, func(t *testing.T) {
			file := "model.json"
			_, err := built().Read(context.Background(), importer.Files{file: []byte(c.data)}, file, importer.Hints{})
			if err == nil || fault.Is(err, fault.Internal) {
				t.Fatalf("it answered %v", err)
			}
			if !strings.Contains(err.Error(), c.says) || !strings.Contains(fault.HintOf(err), c.hint) {
				t.Errorf("%v (hint: %s)", err, fault.HintOf(err))
			}
		})
	}
}

func TestCategoriesBesideAModelAreUsed(t *testing.T) {
	dir := "model-xgboost-trained/adult-categorical-binary"
	a, err := built().Path(context.Background(), realdata.Path(t, dir+"/model.ubj"), importer.Hints{})
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(a.Signature.Inputs, func(f model.Field) bool { return f.Name == "workclass" })
	if at < 0 || len(a.Signature.Inputs[at].Categories) != 8 || a.Files["categories.json"] == nil || len(a.Notes) == 0 {
		t.Errorf("%+v, %v", a.Signature.Inputs, a.Notes)
	}
	again, err := built().Read(context.Background(), importer.Files(a.Files), ".", importer.Hints{})
	if err != nil || !maps.EqualFunc(again.Files, a.Files, bytes.Equal) {
		t.Errorf("an artifact is not imported as itself: %v", err)
	}
}

func TestFoldersAndArchives(t *testing.T) {
	model := string(iris(t))
	good := map[string]string{"churn/model.txt": model, "churn/README.md": "hello", "churn/.DS_Store": "x"}
	for name, data := range map[string][]byte{
		"model.zip": zipped(t, good), "model.tar": tarred(t, good), "model.tar.gz": gzipped(t, tarred(t, good)),
	} {
		a, err := built().Read(context.Background(), importer.Files{name: data}, name, importer.Hints{})
		if err != nil || a.Format != "lightgbm" || a.Source[0].Name != name {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
	for name, c := range map[string]struct {
		files importer.Files
		says  string
	}{
		"two models": {importer.Files{"a.txt": iris(t), "b.txt": iris(t)}, "2 models: a.txt, b.txt"},
		"a pickle":   {importer.Files{"model.pkl": []byte("\x80\x05")}, "pickle"},
		"no model":   {importer.Files{"README.md": []byte("hello")}, "no model, but README.md"},
		"nothing":    {importer.Files{}, "no model"},
	} {
		_, err := built().Read(context.Background(), c.files, ".", importer.Hints{})
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostileArchives packs what means no good in every way that there is.
func TestHostileArchives(t *testing.T) {
	text := string(iris(t))
	header := func(name string, kind byte) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		body := ""
		if kind == tar.TypeReg {
			body = text
		}
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: kind, Size: int64(len(body)), Linkname: "/etc/passwd", Mode: 0o777}); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(body))
		_ = w.Close()
		return b.Bytes()
	}
	hostile := map[string][]byte{
		"symlink.tar": header("model.txt", tar.TypeSymlink), "hardlink.tar": header("model.txt", tar.TypeLink),
		"device.tar": header("model.txt", tar.TypeBlock), "pipe.tar": header("model.txt", tar.TypeFifo),
		"folder.tar": header("../../out", tar.TypeDir),
		"bomb.zip":   zipped(t, map[string]string{"model.txt": strings.Repeat("\x00", 80<<20)}),
		"bomb.gz":    gzipped(t, make([]byte, 80<<20)),
		"link.zip":   linkZip(t), "half.zip": zipped(t, map[string]string{"model.txt": text})[:5000],
		"half.tar": header("model.txt", tar.TypeReg)[:9000],
	}
	many := map[string]string{}
	for i := range 2000 {
		many["f"+strings.Repeat("x", i%40)+string(rune('a'+i%26))+strings.Repeat("y", i/26)] = "1"
	}
	hostile["many.zip"], hostile["many.tar"] = zipped(t, many), tarred(t, many)
	for _, name := range []string{
		"../model.txt", "/model.txt", "a/../../model.txt", "..\\model.txt", "C:\\model.txt", "a//b.txt", "a/./b.txt", "model.txt\x00.zip",
		"..", "...//../x", "~\\..\\x", "a/" + strings.Repeat("b/", 400) + "model.txt", "\\\\host\\share", "c:model.txt",
	} {
		if !strings.Contains(name, "\x00") { // which the writer refuses
			hostile["name "+name+".tar"] = header(name, tar.TypeReg)
		}
		hostile["name "+name+".zip"] = zipped(t, map[string]string{name: text})
	}
	for name, data := range hostile {
		a, err := built().Read(context.Background(), importer.Files{"model.bin": data}, "model.bin", importer.Hints{})
		if err == nil {
			t.Errorf("%q was taken: %v", name, slices.Sorted(maps.Keys(a.Files)))
		} else if fault.Is(err, fault.Internal) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestALinkInAFolderIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(realdata.Path(t, "model-server-examples/kserve-iris-lightgbm.txt"), filepath.Join(dir, "model.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := built().Path(context.Background(), dir, importer.Hints{}); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("%v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "MLmodel"), []byte("flavors: {lightgbm: {data: ../../../../etc/passwd}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "model.txt")); err != nil {
		t.Fatal(err)
	}
	if _, err := built().Path(context.Background(), dir, importer.Hints{}); err == nil || !strings.Contains(err.Error(), "which the folder lacks") {
		t.Errorf("%v", err)
	}
}

const mlmodel = `
flavors:
  lightgbm: {data: model.lgb, lgb_version: 4.5.0, model_class: lightgbm.basic.Booster}
  python_function: {loader_module: mlflow.lightgbm, python_version: 3.11.2}
mlflow_version: 3.1.0
model_id: m-1
run_id: abc
signature: {inputs: '[{"type":"double","name":"a","required":true}]'}
`

func TestMLflowFolders(t *testing.T) {
	files := importer.Files{"MLmodel": []byte(mlmodel), "model.lgb": iris(t), "conda.yaml": []byte("name: x")}
	a, err := built().Read(context.Background(), files, ".", importer.Hints{})
	if err != nil {
		t.Fatal(err)
	}
	if a.Format != "lightgbm" || a.Description.Notes["mlflow_flavor"] != "lightgbm" || a.Description.Notes["mlflow_run"] != "abc" || len(a.Source) != 3 {
		t.Errorf("%+v", a)
	}
	for name, c := range map[string]struct{ text, says string }{
		"scikit-learn alone": {"flavors: {sklearn: {pickled_model: model.pkl}}", "only the flavors sklearn"},
		"Python":             {"flavors: {sklearn: {pickled_model: model.pkl}, python_function: {loader_module: mlflow.sklearn}}", "needs Python"},
		"no flavor":          {"run_id: x", "no flavors"},
		"no YAML":            {"a: b: c: d", "not what MLflow writes"},
		"a bomb":             {bomb(), ""},
		"a pickle":           {"flavors: {lightgbm: {data: model.pkl}}", "pickle"},
	} {
		files := importer.Files{"MLmodel": []byte(c.text), "model.pkl": []byte("\x80\x05\x95")}
		_, err := built().Read(context.Background(), files, ".", importer.Hints{})
		if err == nil || fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := built().Read(context.Background(), files, ".", importer.Hints{Flavor: "onnx"}); err == nil || !strings.Contains(err.Error(), `no flavor "onnx"`) {
		t.Errorf("%v", err)
	}
}

// bomb is YAML whose aliases grow to more than a machine has.
func bomb() string {
	text := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		text += string(c) + ": &" + string(c) + " [*" + strings.TrimSuffix(strings.Repeat(p+",*", 9), ",*") + "]\n"
	}
	return text + "flavors: {a: {data: *j}}\n"
}

func TestWhatIsPackedIsWhatIsUnpacked(t *testing.T) {
	files, name, err := importer.Gather(realdata.Path(t, "model-xgboost-trained/adult-categorical-binary/model.ubj"))
	if err != nil || name != "model.ubj" || files["manifest.json"] == nil || len(files) != 2 {
		t.Fatalf("%v %s %v", files.List(), name, err)
	}
	var b bytes.Buffer
	if err := importer.Pack(&b, files); err != nil {
		t.Fatal(err)
	}
	back, err := importer.Unpack(&b)
	if err != nil || !maps.EqualFunc(files, back, bytes.Equal) || back.Only() != "model.ubj" {
		t.Errorf("%v, %v", back.List(), err)
	}
}

func zipped(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = f.Write([]byte(files[name]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func linkZip(t *testing.T) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	h := &zip.FileHeader{Name: "model.txt"}
	h.SetMode(fs.ModeSymlink | 0o777)
	f, err := w.CreateHeader(h)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write([]byte("/etc/passwd"))
	_ = w.Close()
	return b.Bytes()
}

func tarred(t testing.TB, files map[string]string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(files[name]))
	}
	_ = w.Close()
	return b.Bytes()
}

func gzipped(t testing.TB, data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	return b.Bytes()
}

// FuzzRead imports anything: no input may break it, or make it take long.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"model-server-examples/mlserver-mushroom-xgboost.json", "model-leaves/model_simple.txt", "model-leaves/xgagaricus.model"} {
		if data, err := os.ReadFile(filepath.Join(realdata.Root(), name)); err == nil {
			f.Add(data)
			f.Add(zipped(f, map[string]string{"model": string(data)}))
			f.Add(gzipped(f, tarred(f, map[string]string{"m/model": string(data), "MLmodel": mlmodel})))
		}
	}
	f.Add(zipped(f, map[string]string{"MLmodel": mlmodel, "model.lgb": "tree\nversion=v4\n"}))
	im := built()
	corpus.Add(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := im.Read(context.Background(), importer.Files{"model": data}, "model", importer.Hints{})
		if err != nil {
			if fault.Is(err, fault.Internal) {
				t.Fatal(err)
			}
			return
		}
		if _, err := json.Marshal(a.Signature); err != nil {
			t.Fatal(err)
		}
	})
}
