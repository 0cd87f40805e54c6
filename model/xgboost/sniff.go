package xgboost

import (
	"bytes"

	"github.com/leat-ai/leat/base/fault"
)

// Sniff tells by the first bytes of a file, some hundred at least, whether it
// is an XGBoost model, and returns the name that it has in an artifact,
// JSONFile or UBJSONFile. A model in the old binary format is an Unsupported
// fault, anything else Invalid.
//
// JSON is told from other JSON by its outermost key, which is "learner" or
// "version", in files of Booster.save_model always the former.
func Sniff(head []byte) (name string, err error) {
	if isUBJSON(head) {
		return UBJSONFile, nil
	}
	if rest, ok := bytes.CutPrefix(bytes.TrimLeft(head, " \t\r\n"), []byte{'{'}); ok {
		rest = bytes.TrimLeft(rest, " \t\r\n")
		for _, first := range []string{`"learner"`, `"version"`, `"Config"`, `"Model"`} {
			if bytes.HasPrefix(rest, []byte(first)) {
				return JSONFile, nil
			}
		}
	}
	return "", unknown(head)
}

// lexerOf returns the lexer for the form of a file.
func lexerOf(data []byte) (lexer, error) {
	if isUBJSON(data) {
		return &ubjLexer{data: data}, nil
	}
	if bytes.HasPrefix(bytes.TrimLeft(data[:min(64, len(data))], " \t\r\n"), []byte{'{'}) {
		return &jsonLexer{data: data}, nil
	}
	return nil, unknown(data)
}

// isUBJSON tells the two forms apart: behind the first brace JSON has a quote
// or space, UBJSON the type of a key's length.
func isUBJSON(data []byte) bool {
	return len(data) > 1 && data[0] == '{' && bytes.IndexByte([]byte("iUIlL#$"), data[1]) >= 0
}

// unknown says why bytes are not a model that is read here.
func unknown(head []byte) error {
	head = head[:min(4096, len(head))]
	switch {
	case bytes.HasPrefix(head, []byte("binf")), bytes.HasPrefix(head, []byte("bs64")), isBinary(head):
		return fault.New(fault.Unsupported, "this is an XGBoost model in the old binary format, which XGBoost itself no longer reads since 3.1").
			Hint(`load it with the xgboost that wrote it, up to 3.0, and save it as JSON: xgboost.Booster(model_file=FILE).save_model("model.json")`)
	case bytes.HasPrefix(head, []byte{0x80}):
		return fault.New(fault.Unsupported, "this is a Python pickle, which is a program and is not run here").
			Hint(`load it in Python and save the model in it as JSON: booster.save_model("model.json")`)
	}
	return fault.New(fault.Invalid, "this is not an XGBoost model: neither JSON nor UBJSON")
}

// isBinary tells whether bytes begin with the parameters of a learner, mostly
// zeroes, and have the names of an objective or a booster behind them.
func isBinary(head []byte) bool {
	if len(head) < 128 || bytes.Count(head[:128], []byte{0}) < 64 {
		return false
	}
	for _, name := range []string{"gbtree", "gblinear", "dart"} {
		if bytes.Contains(head, []byte(name)) {
			return true
		}
	}
	return false
}
