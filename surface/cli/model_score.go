package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// scoreFlags say what to score and how its file is written.
type scoreFlags struct {
	modelFlags
	in, out   string
	raw       bool
	noHeader  bool
	delimiter string
	format    string
	indexBase int
	drop      []string
}

func (c *commands) scoreFileCommand() *cobra.Command {
	var f scoreFlags
	cmd := c.command("", "score FILE --in ROWS", "Score rows with a model file, without a server",
		"  leat model score churn.ubj --in customers.csv.gz --out scores.csv\n"+
			"  leat model score iris.txt --in iris.parquet --raw\n"+
			"  leat model score ranker.txt --in rows.tsv --no-header --drop 0", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if f.in == "" {
				return &usageError{fault.New(fault.Invalid, "the rows to score are not named").Hint("give them with --in FILE")}
			}
			if !cmd.Flags().Changed("index-base") {
				f.indexBase = -1
			}
			return c.scoreFile(cmd.Context(), args[0], f)
		})
	cmd.Long = "Scores the rows of a CSV, TSV, Parquet or LIBSVM file, packed or not, and writes CSV: one line per row, in their order, " +
		"with the outputs that the model's own library has (prediction0, prediction1, … where it has no names), labels first. " +
		"Columns are found by name; where the model has no names, or the file has none of them, by position. " +
		"An empty cell is missing; in a categorical column text is the category."
	f.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.in, "in", "", "file of rows")
	flags.StringVar(&f.out, "out", "", "file to write (default standard output)")
	flags.BoolVar(&f.raw, "raw", false, "write the sums before the link function: margin0, margin1, …")
	flags.BoolVar(&f.noHeader, "no-header", false, "the first row of the file has no names")
	flags.StringVar(&f.delimiter, "delimiter", "", "character between cells (default found out)")
	flags.StringVar(&f.format, "format", "", "csv, parquet or libsvm (default by the file's name and content)")
	flags.IntVar(&f.indexBase, "index-base", 0, "index of the first column of a LIBSVM file, 0 or 1 (default found out)")
	flags.StringSliceVar(&f.drop, "drop", nil, "columns to leave out when they are taken by position: names, or positions from 0")
	return cmd
}

func (f *scoreFlags) rows() ingest.RowsOptions {
	o := ingest.RowsOptions{Format: f.format, Delimiter: f.delimiter}
	if f.noHeader {
		o.Header = new(bool)
	}
	if f.indexBase >= 0 {
		o.IndexBase = &f.indexBase
	}
	return o
}

// Scored is what scoring a file came to, as --json prints it.
type scoredFile struct {
	Rows    int64   `json:"rows"`
	Seconds float64 `json:"seconds"` // of reading, scoring and writing
	Rate    float64 `json:"rows_per_s"`
	Load    float64 `json:"load_seconds"` // of the model
}

func (c *commands) scoreFile(ctx context.Context, path string, f scoreFlags) error {
	began := time.Now()
	a, err := c.openModel(ctx, path, f.modelFlags)
	if err != nil {
		return err
	}
	defer importer.Close(a.Model)
	loaded := time.Now()
	rows, err := ingest.OpenRows(ctx, f.in, f.rows())
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // it was only read
	picks, note, err := pickInputs(a.Signature.Inputs, rows, f.drop)
	if err != nil {
		return fault.Wrap(err, fault.KindOf(err), "%s", f.in)
	}
	if note != "" {
		fmt.Fprintf(c.Err, "note: %s\n", note)
	}
	n, err := c.writeScores(f.out, func(w io.Writer) (int64, error) { return scoreRows(ctx, a.Model, rows, picks, f.raw, w) })
	if err != nil {
		return err
	}
	if c.json {
		s := scoredFile{Rows: n, Seconds: time.Since(loaded).Seconds(), Load: loaded.Sub(began).Seconds()}
		s.Rate = float64(n) / max(s.Seconds, 1e-9)
		return json.NewEncoder(c.Out).Encode(s)
	}
	return nil
}

// writeScores opens what is written to. A file that is not finished is
// removed.
func (c *commands) writeScores(path string, score func(w io.Writer) (int64, error)) (n int64, err error) {
	out := c.Out
	if path != "" {
		file, cerr := os.Create(path)
		if cerr != nil {
			return 0, fault.Wrap(cerr, fault.Invalid, "cannot write %s", path)
		}
		defer func() {
			if cerr := file.Close(); err == nil {
				err = fault.Wrap(cerr, fault.Full, "cannot write %s", path)
			}
			if err != nil {
				err = errors.Join(err, os.Remove(path))
			}
		}()
		out = file
	}
	buffered := bufio.NewWriterSize(out, 1<<20)
	if n, err = score(buffered); err != nil {
		return n, err
	}
	return n, fault.Wrap(buffered.Flush(), fault.Full, "the scores cannot be written")
}

// scorer scores batches into lines of CSV.
type scorer struct {
	model model.Model
	raw   bool
}

// scoreRows scores every row of a file and writes the lines, a header first.
func scoreRows(ctx context.Context, m model.Model, rows *ingest.Rows, picks []ingest.Pick, raw bool, w io.Writer) (int64, error) {
	s := scorer{m, raw}
	header, err := s.header(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(header); err != nil {
		return 0, fault.Wrap(err, fault.Full, "the scores cannot be written")
	}
	return ingest.EachRows(ctx, rows, picks,
		func(batch frame.Batch) ([]byte, error) { return s.lines(ctx, batch) },
		func(lines []byte) error {
			_, err := w.Write(lines)
			return fault.Wrap(err, fault.Full, "the scores cannot be written")
		})
}

// header is the first line: the names of the outputs. A batch without rows
// has them all.
func (s scorer) header(ctx context.Context) ([]byte, error) {
	fields := s.model.Signature().Inputs
	empty := emptyBatch(fields)
	defer empty.Release()
	out, err := s.score(ctx, empty)
	if err != nil {
		return nil, err
	}
	defer out.Release()
	var line []byte
	for i, at := range outputOrder(out) {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendText(line, out.ColumnName(at))
	}
	return append(line, '\n'), nil
}

func (s scorer) lines(ctx context.Context, batch frame.Batch) ([]byte, error) {
	out, err := s.score(ctx, batch)
	if err != nil {
		return nil, err
	}
	defer out.Release()
	const usual = 20 // bytes of a number with its comma
	return appendRows(make([]byte, 0, usual*int(out.NumRows()*out.NumCols())), out, outputOrder(out))
}

// score asks for the outputs of the model's own library where it has them.
func (s scorer) score(ctx context.Context, batch frame.Batch) (out frame.Batch, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fault.New(fault.Internal, "the model broke on rows").Hint("please report it with the file")
		}
	}()
	if native, ok := s.model.(model.Native); ok {
		return native.Native(ctx, batch, s.raw)
	}
	if s.raw {
		return nil, fault.New(fault.Unsupported, "the model has no sums before a link function").Hint("leave out --raw")
	}
	return s.model.Predict(ctx, batch)
}

// outputOrder lists the columns of an answer: labels before the numbers that
// they were chosen by.
func outputOrder(out frame.Batch) []int {
	at := make([]int, out.NumCols())
	for i := range at {
		at[i] = i
	}
	slices.SortStableFunc(at, func(a, b int) int { return isLabel(out, b) - isLabel(out, a) })
	return at
}

func isLabel(out frame.Batch, column int) int {
	if bytes.EqualFold([]byte(out.ColumnName(column)), []byte(model.LabelColumn)) {
		return 1
	}
	return 0
}
