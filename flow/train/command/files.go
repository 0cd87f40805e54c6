package command

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/csv"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
)

// Names within LEAT_OUTPUT.
const (
	artifactDir = "artifact"
	modelFile   = "leat-model.json"
	metricsFile = "metrics.json"
)

// Bounds of what a program may leave.
const (
	maxFiles   = 64
	maxFile    = 1 << 30
	maxJSON    = 1 << 20
	maxMetrics = 1000
	// maxTextCells is how many cells are written as CSV too.
	maxTextCells = 20_000_000
)

func writeTables(ctx context.Context, dir string, t *train.Tables) error {
	for name, batches := range map[string][]frame.Batch{"train": t.Train, "test": t.Test} {
		base := filepath.Join(dir, name)
		if err := writeParquet(ctx, base+".parquet", t.Schema, batches); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "the rows for the training command cannot be written")
		}
		cells := int64(0)
		for _, b := range batches {
			cells += b.NumRows() * b.NumCols()
		}
		if cells > maxTextCells {
			continue
		}
		if err := writeCSV(ctx, base+".csv", t.Schema, batches); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "the rows for the training command cannot be written")
		}
	}
	return nil
}

// create opens a file for f to write, and reports the first mistake of both.
func create(path string, f func(io.Writer) error) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = f(file)
	if cerr := file.Close(); err == nil {
		err = cerr
	}
	return err
}

// open hides Close from the Parquet writer, which would close the file twice.
type open struct{ io.Writer }

func writeParquet(ctx context.Context, path string, schema *arrow.Schema, batches []frame.Batch) error {
	return create(path, func(w io.Writer) error {
		pw, err := pqarrow.NewFileWriter(schema, open{w}, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Snappy)),
			pqarrow.DefaultWriterProps())
		if err != nil {
			return err
		}
		for _, b := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := pw.Write(b); err != nil {
				return err
			}
		}
		return pw.Close()
	})
}

func writeCSV(ctx context.Context, path string, schema *arrow.Schema, batches []frame.Batch) error {
	return create(path, func(w io.Writer) error {
		cw := csv.NewWriter(w, schema, csv.WithHeader(true), csv.WithNullWriter(""))
		for _, b := range batches {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := cw.Write(b); err != nil {
				return err
			}
		}
		return cw.Flush()
	})
}

// described is leat-model.json.
type described struct {
	Format string             `json:"format"`
	Params map[string]float64 `json:"params"`
	Notes  []string           `json:"notes"`
}

// collect takes up what the program left. Paths are opened beneath the output
// folder, wherever links in it may point.
func (t Trainer) collect(ctx context.Context, output string) (*train.Artifact, map[string]float64, error) {
	root, err := os.OpenRoot(output)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "the training command removed its output folder")
	}
	defer root.Close()
	files := root.FS()
	var about described
	if err := readJSON(files, modelFile, &about); err != nil {
		return nil, nil, fault.New(fault.Invalid, "the training command left no model").Because(err).
			Hint("it writes $LEAT_OUTPUT/%s, such as {\"format\": \"onnx\"}, and the model's files into $LEAT_OUTPUT/%s", modelFile, artifactDir)
	}
	measured := map[string]float64{}
	if err := readJSON(files, metricsFile, &measured); err != nil && !fault.Is(err, fault.NotFound) {
		return nil, nil, err
	}
	if len(measured) > maxMetrics {
		return nil, nil, fault.New(fault.TooLarge, "%s has %d figures, more than %d", metricsFile, len(measured), maxMetrics)
	}
	a := &train.Artifact{Format: about.Format, Params: about.Params, Notes: about.Notes}
	if a.Files, err = readArtifact(files); err != nil {
		return nil, nil, err
	}
	a.Model, err = t.load(ctx, about.Format, files)
	return a, measured, err
}

func (t Trainer) load(ctx context.Context, name string, files fs.FS) (model.Model, error) {
	at := slices.IndexFunc(t.Formats, func(f model.Format) bool { return f.Name() == name })
	if at < 0 {
		var known []string
		for _, f := range t.Formats {
			known = append(known, f.Name())
		}
		return nil, fault.New(fault.Invalid, "the training command made a model of the unknown format %q", name).
			Hint("known are %s", strings.Join(known, ", "))
	}
	sub, err := fs.Sub(files, artifactDir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the artifact cannot be opened")
	}
	m, err := t.Formats[at].Load(ctx, sub)
	return m, fault.Wrap(err, fault.KindOf(err), "the model that the training command made cannot be loaded")
}

func readJSON(files fs.FS, name string, to any) error {
	data, err := readFile(files, name, maxJSON)
	if err != nil {
		return err
	}
	return fault.Wrap(json.Unmarshal(data, to), fault.Invalid, "%s of the training command", name)
}

func readFile(files fs.FS, name string, limit int64) ([]byte, error) {
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "%s of the training command", name)
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait for ever
		return nil, fault.New(fault.Invalid, "%s of the training command is not a file", name)
	}
	f, err := files.Open(name)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "%s of the training command", name)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "%s of the training command cannot be read", name)
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.TooLarge, "%s of the training command has more than %d bytes", name, limit)
	}
	return data, nil
}

// readArtifact reads the files of the artifact folder, which has no folders
// of its own.
func readArtifact(files fs.FS) (map[string][]byte, error) {
	entries, err := fs.ReadDir(files, artifactDir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the artifact of the training command cannot be read")
	}
	if len(entries) == 0 || len(entries) > maxFiles {
		return nil, fault.New(fault.Invalid, "the artifact of the training command has %d files, not 1 to %d", len(entries), maxFiles)
	}
	artifact := make(map[string][]byte, len(entries))
	for _, entry := range entries {
		data, err := readFile(files, path.Join(artifactDir, entry.Name()), maxFile)
		if err != nil {
			return nil, err
		}
		artifact[entry.Name()] = data
	}
	return artifact, nil
}
