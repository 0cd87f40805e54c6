package importer

import (
	"bytes"
	"encoding/binary"
	"path"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/leat-ai/leat/base/fault"
)

// kind is what the content of a file shows.
type kind int

const (
	xgboostJSON kind = iota + 1
	xgboostUBJSON
	lightgbmText
	onnxGraph
	leatTree
	leatLinear
	packed // gzip
	zipArchive
	tarArchive
)

// layout says how a kind of file is laid out for its runtime.
type layout struct {
	title  string // after "is an"
	format string // of the runtime
	file   string // the name that the runtime reads it by
}

var layouts = map[kind]layout{
	xgboostJSON:   {"XGBoost model (JSON)", "xgboost", "model.json"},
	xgboostUBJSON: {"XGBoost model (UBJSON)", "xgboost", "model.ubj"},
	lightgbmText:  {"LightGBM model (text)", "lightgbm", "model.txt"},
	onnxGraph:     {"ONNX graph", "onnx", "model.onnx"},
	leatTree:      {"ensemble of Leat's own", "tree", "model.json"},
	leatLinear:    {"linear model of Leat's own", "linear", "linear.json"},
}

// sniff tells what a file is, or refuses it with what it is instead.
func sniff(name string, data []byte) (kind, error) {
	if len(data) == 0 {
		return 0, fault.New(fault.Invalid, "%s is empty", name)
	}
	switch {
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return packed, nil
	case bytes.HasPrefix(data, []byte("PK\x03\x04")):
		return zipArchive, nil
	case isTar(data):
		return tarArchive, nil
	case data[0] == '{' && bytes.Contains(data, []byte("gradient_booster")) && bytes.Contains(data, []byte("learner")):
		if len(data) > 1 && strings.IndexByte("iUIlL", data[1]) >= 0 {
			return xgboostUBJSON, nil
		}
		return xgboostJSON, nil
	case isLightGBM(data):
		return lightgbmText, nil
	case isLeat(data, `"missing_left"`), isLeat(data, `"splits"`):
		return leatTree, nil
	case isLeat(data, `"weights"`):
		return leatLinear, nil
	}
	if err := foreign(name, data); err != nil {
		return 0, err
	}
	if isONNX(data) {
		return onnxGraph, nil
	}
	return 0, unknown(name, data)
}

// isLightGBM tells whether a text begins as LightGBM writes models.
func isLightGBM(data []byte) bool {
	head := bytes.TrimPrefix(data[:min(len(data), 4096)], []byte("\xEF\xBB\xBF"))
	first, rest, _ := bytes.Cut(head, []byte("\n"))
	return string(bytes.TrimRight(first, "\r ")) == "tree" && (bytes.HasPrefix(rest, []byte("version=")) || bytes.Contains(rest, []byte("\nversion=")))
}

// isLeat tells whether data is JSON of an artifact of Leat's own that has a
// member of a name.
func isLeat(data []byte, member string) bool {
	head := data[:min(len(data), 512)]
	return data[0] == '{' && bytes.Contains(head, []byte(`"version"`)) && bytes.Contains(head, []byte(`"task"`)) && bytes.Contains(data, []byte(member))
}

// isTar tells whether data begins with the header of a tar archive.
func isTar(data []byte) bool { return len(data) >= 512 && string(data[257:262]) == "ustar" }

// isONNX tells whether data is a protobuf message with the fields of an ONNX
// model, a graph among them. Only the outermost fields are looked at.
func isONNX(data []byte) bool {
	const graph, fields, most = 7, 25, 1 << 12
	wire := map[protowire.Number]protowire.Type{1: protowire.VarintType, 5: protowire.VarintType}
	seen := false
	for n := 0; len(data) > 0 && n < most; n++ {
		field, typ, size := protowire.ConsumeTag(data)
		if size < 0 || field > fields {
			return false
		}
		want, known := wire[field]
		if !known {
			want = protowire.BytesType
		}
		if typ != want {
			return false
		}
		data = data[size:]
		length := protowire.ConsumeFieldValue(field, typ, data)
		if length < 0 {
			// A graph that goes on behind the end is a truncated model, which
			// its reader explains better.
			return field == graph && n > 0
		}
		seen = seen || field == graph
		data = data[length:]
	}
	return seen
}

// Hints that several refusals share.
const (
	hintPickle = "log it with MLflow and import that folder (`leat model import FOLDER`), or convert it with skl2onnx; " +
		"of an XGBoost or LightGBM object save the booster itself: get_booster().save_model(…), booster_.save_model(…)"
	hintTorch = "export it with torch.onnx.export and import the .onnx file"
	hintKeras = "convert it with tf2onnx and import the .onnx file"
	hintKinds = "a model is a file of XGBoost (JSON or UBJSON), LightGBM (text) or ONNX, an MLflow folder, or an archive of one"
)

// signs are the first bytes of things that people try, and what to say.
var signs = []struct {
	at   int
	sign string
	what string
	hint string
}{
	{0, "\x80\x02", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "\x80\x03", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "\x80\x04", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "\x80\x05", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "(dp0", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "ccopy_reg", "a Python pickle, which can run any program when it is opened", hintPickle},
	{0, "\x78\x9c", "a compressed joblib file, which is a pickle and can run any program when it is opened", hintPickle},
	{0, "binf", "an XGBoost model in the old binary form", hintOldXGBoost},
	{0, "bs64", "an XGBoost model in the old binary form", hintOldXGBoost},
	{0, "CBM1", "a CatBoost model", `save it as ONNX: save_model("model.onnx", format="onnx")`},
	{0, "\x89HDF", "an HDF5 file, as Keras wrote them", hintKeras},
	{4, "TFL3", "a TensorFlow Lite model", hintKeras},
	{0, "GGUF", "a GGUF file, which holds a language model", "serve it with a server of language models and name that in an Assistant"},
	{0, "%PDF", "a PDF document, not a model", hintKinds},
	{0, "PAR1", "a Parquet file, which holds rows", "give it to `leat model score MODEL --in FILE`"},
	{0, "\x89PNG", "a picture", hintKinds},
	{0, "\xff\xd8\xff", "a picture", hintKinds},
	{0, "\x7fELF", "a program", hintKinds},
	{0, "MZ", "a program", hintKinds},
	{0, "<?xml", "XML; PMML is not read", hintKinds},
	{0, "<PMML", "PMML, which is not read", "convert it to ONNX"},
	{0, "<!DOCTYPE", "a web page: the download did not give the model", "fetch the file itself, with the rights that it asks for"},
	{0, "<html", "a web page: the download did not give the model", "fetch the file itself, with the rights that it asks for"},
	{0, "version https://git-lfs", "a Git LFS pointer: the model itself was not fetched", "run `git lfs pull`"},
	{0, "Rar!", "a RAR archive", "pack it as .zip or .tar.gz"},
	{0, "7z\xbc\xaf", "a 7z archive", "pack it as .zip or .tar.gz"},
	{0, "BZh", "packed with bzip2", "pack it as .zip or .tar.gz"},
	{0, "\x28\xb5\x2f\xfd", "packed with zstd", "unpack it first"},
	{0, "\xfd7zXZ", "packed with xz", "unpack it first"},
}

const hintOldXGBoost = `load it with the XGBoost that wrote it (1.x or 2.x) and save it anew: booster.save_model("model.ubj")`

// foreign refuses what is known to be something else.
func foreign(name string, data []byte) error {
	for _, s := range signs {
		if len(data) > s.at && bytes.HasPrefix(data[s.at:], []byte(s.sign)) {
			return fault.New(fault.Unsupported, "%s is %s", name, s.what).Hint("%s", s.hint)
		}
	}
	head := data[:min(len(data), 4096)]
	text := bytes.TrimLeft(head, "\xEF\xBB\xBF \t\r\n")
	switch {
	case isOldXGBoost(data):
		return fault.New(fault.Unsupported, "%s is an XGBoost model in the old binary form", name).Hint("%s", hintOldXGBoost)
	case len(text) > 0 && text[0] == '{' && bytes.Contains(data, []byte(`"tree_info"`)):
		return fault.New(fault.Unsupported, "%s is LightGBM's JSON dump, which is for people", name).
			Hint("save the model itself: booster.save_model(\"model.txt\")")
	case len(text) > 0 && text[0] == '[' && bytes.Contains(head, []byte(`"nodeid"`)), bytes.HasPrefix(text, []byte("booster[0]")):
		return fault.New(fault.Unsupported, "%s is a dump of XGBoost's trees, which lacks what turns their sums into predictions", name).
			Hint("save the model itself: booster.save_model(\"model.json\")")
	case bytes.HasPrefix(text, []byte("Tree=")):
		return fault.New(fault.Invalid, "%s is a piece of a LightGBM model: its header is missing", name).
			Hint("save the whole model: booster.save_model(\"model.txt\")")
	case isSafetensors(data):
		return fault.New(fault.Unsupported, "%s is a safetensors file: weights without the graph that uses them", name).Hint("%s", hintTorch)
	}
	return nil
}

// isOldXGBoost tells whether data is XGBoost's binary form before JSON: its
// parameters as C structures, then the names of objective and booster.
func isOldXGBoost(data []byte) bool {
	head := data[:min(len(data), 1<<12)]
	for _, booster := range []string{"gbtree", "gblinear", "dart"} {
		name := binary.LittleEndian.AppendUint64(nil, uint64(len(booster)))
		if bytes.Contains(head, append(name, booster...)) {
			return true
		}
	}
	return false
}

func isSafetensors(data []byte) bool {
	if len(data) < 9 || data[8] != '{' {
		return false
	}
	n := binary.LittleEndian.Uint64(data)
	return n > 1 && n <= uint64(len(data)-8) && bytes.Contains(data[8:8+min(n, 4096)], []byte(`"dtype"`))
}

// unknown refuses what nothing here knows.
func unknown(name string, data []byte) error {
	head := data[:min(len(data), 512)]
	what := "no model that Leat knows"
	switch {
	case head[0] == '{' || head[0] == '[':
		what = "JSON, but no model that Leat knows"
	case isText(head):
		what = "text, but no model that Leat knows"
	}
	err := fault.New(fault.Invalid, "%s is %s", name, what)
	switch ext := strings.ToLower(path.Ext(name)); {
	case head[0] == '{' && (ext == ".json" || ext == ".ubj"):
		return err.Hint("XGBoost models have a \"learner\" with a \"gradient_booster\": is the file whole?")
	case ext == ".onnx":
		return err.Hint("an ONNX file has a graph: is the file whole?")
	}
	return err.Hint("%s", hintKinds)
}

// isText tells whether the head of a file reads as UTF-8. Its last character
// may be cut.
func isText(head []byte) bool {
	for range utf8.UTFMax {
		if utf8.Valid(head) {
			break
		}
		head = head[:max(0, len(head)-1)]
	}
	return utf8.Valid(head) && bytes.IndexByte(head, 0) < 0
}
