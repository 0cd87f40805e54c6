package graph

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// FormatName is the name of the artifacts that Format loads.
const FormatName = "onnx"

// The files of an artifact.
const (
	ModelFile   = "model.onnx"
	ColumnsFile = "columns.json" // optional
)

// MaxFile bounds a model file: protobuf knows none over 2 GiB.
const MaxFile = 2<<30 - 1

const maxColumnsFile = 16 << 20

// Columns is what columns.json says: what an ONNX file itself cannot. A plain
// list of names is taken for Columns alone.
type Columns struct {
	// Columns name what the graph reads, in order: one for each input of one
	// column, and one for each column of a wider input. Empty: the names of the
	// inputs are taken, and X_0, X_1, … for the columns of the wide input X.
	Columns []string `json:"columns,omitempty"`
	// Classes name the classes of a classifier in the order of their
	// probabilities, where the graph does not say.
	Classes []string `json:"classes,omitempty"`
	// Engine asks for what executes the graph: EngineGo or EngineORT. Empty:
	// Leat's own operators where they suffice, otherwise ONNX Runtime.
	Engine string `json:"engine,omitempty"`
}

// The engines.
const (
	EngineGo  = "go"
	EngineORT = "onnxruntime"
)

// Format loads ONNX files. It meets model.Format.
type Format struct {
	// Runtime executes what Leat's own operators cannot; nil: nothing does.
	Runtime Runtime
}

// Name returns "onnx".
func (Format) Name() string { return FormatName }

// Load reads, checks and compiles an artifact.
func (f Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := read(files, ModelFile, MaxFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "an ONNX model needs the file %s", ModelFile)
	}
	columns, err := readColumns(files)
	if err != nil {
		return nil, err
	}
	m, err := New(ctx, data, columns, f.Runtime)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func readColumns(files fs.FS) (Columns, error) {
	var c Columns
	if _, err := fs.Stat(files, ColumnsFile); err != nil {
		return c, nil
	}
	data, err := read(files, ColumnsFile, maxColumnsFile)
	if err != nil {
		return c, err
	}
	if json.Unmarshal(data, &c.Columns) == nil {
		return c, nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	c = Columns{}
	if err := d.Decode(&c); err != nil {
		return c, fault.Wrap(err, fault.Invalid, "%s does not name columns", ColumnsFile)
	}
	return c, nil
}

// read returns a file of a bounded size, with memory for what is there.
func read(files fs.FS, name string, most int64) ([]byte, error) {
	f, err := files.Open(name)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s cannot be opened", name)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s cannot be read", name)
	}
	if info.Size() > most {
		return nil, fault.New(fault.TooLarge, "%s has %d bytes, more than %d", name, info.Size(), most)
	}
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s cannot be read", name)
	}
	return data, nil
}
