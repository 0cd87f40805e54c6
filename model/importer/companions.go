package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// Files that an artifact has beside its model, and that are looked for beside
// the model that is imported.
const (
	categoriesFile = "categories.json" // {"column": ["text of code 0", …]}
	columnsFile    = "columns.json"    // ["name of the matrix's first column", …]
	manifestFile   = "manifest.json"   // people's own: its "categories" are used
)

// maxCompanion bounds a file beside a model, in bytes.
const maxCompanion = 16 << 20

// categories adds the texts of categorical inputs, which XGBoost's files have
// only as codes: those of the hints, or of a file beside the model.
func (a *Artifact) categories(f found, h Hints) error {
	if a.Format != "xgboost" {
		return nil
	}
	if len(h.Categories) > 0 {
		return a.addJSON(categoriesFile, h.Categories)
	}
	if data, err := f.companion(categoriesFile); err != nil || data != nil {
		var all map[string][]string
		if err == nil {
			err = decode(categoriesFile, data, &all)
		}
		if err != nil {
			return err
		}
		a.note("the categories of %s", categoriesFile)
		return a.addJSON(categoriesFile, all)
	}
	data, err := f.companion(manifestFile)
	if err != nil || data == nil {
		return err
	}
	var manifest struct {
		Categories map[string][]string `json:"categories"`
	}
	// A manifest is its writer's own: one of another shape says nothing here.
	if json.Unmarshal(data, &manifest) != nil || len(manifest.Categories) == 0 {
		return nil
	}
	a.note("the categories of %s", manifestFile)
	return a.addJSON(categoriesFile, manifest.Categories)
}

// columns names the columns of the matrix that an ONNX graph reads, by the
// hints or a file beside the model, and tells whether there are any. A graph
// that has names of its own keeps them.
func (a *Artifact) columns(f found, h Hints) (named bool, err error) {
	if a.Format != "onnx" || !Positional(a.Signature.Inputs) {
		return false, nil
	}
	names := h.Columns
	if len(names) == 0 {
		data, err := f.companion(columnsFile)
		if err != nil || data == nil {
			return false, err
		}
		if err := decode(columnsFile, data, &names); err != nil {
			return false, err
		}
		a.note("the names of columns of %s", columnsFile)
	}
	if len(names) != len(a.Signature.Inputs) {
		return false, fault.New(fault.Invalid, "the model reads %d columns, and %d names are given", len(a.Signature.Inputs), len(names)).
			Hint("name every column that the model reads, in its order")
	}
	return true, a.addJSON(columnsFile, names)
}

// Positional tells whether inputs have no names but those made of their
// positions, such as f0, f1, … or Column_0, Column_1, …: rows are then given
// to the model by the order of their columns.
func Positional(inputs []model.Field) bool {
	if len(inputs) == 0 {
		return false
	}
	stem, ok := strings.CutSuffix(inputs[0].Name, "0")
	if !ok {
		return false
	}
	for i, in := range inputs {
		if in.Name != stem+strconv.Itoa(i) {
			return false
		}
	}
	return true
}

// companion reads a file beside the model, or returns nil when there is none.
func (f found) companion(name string) ([]byte, error) {
	if f.beside == nil {
		return nil, nil
	}
	at := path.Join(path.Dir(f.name), name)
	if !fs.ValidPath(at) {
		return nil, nil
	}
	data, err := read(f.beside, at, maxCompanion)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return data, err
}

func decode(name string, data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(into); err != nil {
		return fault.New(fault.Invalid, "the file is not of the known form").At("%s", name).Because(err)
	}
	return nil
}

func (a *Artifact) addJSON(name string, v any) error {
	text, err := json.Marshal(v)
	a.Files[name] = text
	return fault.Wrap(err, fault.Internal, "%s cannot be written", name)
}

func (a *Artifact) note(format string, args ...any) {
	a.Notes = append(a.Notes, fmt.Sprintf(format, args...))
}
