package xgboost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// Files of an artifact: the model as XGBoost saved it, under the name of its
// form, and where it is needed the categories of its features, as JSON:
// {"column": ["of code 0", "of code 1"]}.
const (
	JSONFile       = "model.json"
	UBJSONFile     = "model.ubj"
	CategoriesFile = "categories.json"
)

// Bounds of files.
const (
	maxFile       = 1 << 30
	maxCategories = 64 << 20
)

// Format loads XGBoost models. It meets model.Format.
type Format struct{}

var _ model.Format = Format{}

// Name returns "xgboost".
func (Format) Name() string { return FormatName }

// Load reads and checks an artifact. A file that cannot be read as JSON or
// UBJSON is a Corrupt fault, one that is no sound model is Invalid, and what
// is sound but not known here Unsupported.
func (Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the XGBoost model was not loaded")
	}
	data, err := readBounded(files, JSONFile, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = readBounded(files, UBJSONFile, maxFile)
	}
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.New(fault.Invalid, "the artifact has neither %s nor %s", JSONFile, UBJSONFile)
		}
		return nil, err
	}
	categories, err := readCategories(files)
	if err != nil {
		return nil, err
	}
	m, err := Parse(data, categories)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func readCategories(files fs.FS) (map[string][]string, error) {
	data, err := readBounded(files, CategoriesFile, maxCategories)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var categories map[string][]string
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&categories); err != nil {
		return nil, fault.New(fault.Invalid, "it is not an object of lists of categories").At(CategoriesFile).Because(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fault.New(fault.Invalid, "it goes on after the categories").At(CategoriesFile)
	}
	return categories, nil
}

// readBounded reads a file into as many bytes as it has.
func readBounded(files fs.FS, name string, most int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be opened", name)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be read", name)
	}
	if info.Size() > most {
		return nil, fault.New(fault.TooLarge, "%s is larger than %d MiB", name, most>>20)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be read", name)
	}
	return data, nil
}
