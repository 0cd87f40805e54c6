package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/client"
)

// historyFlags say which rows are given features of the past.
type historyFlags struct {
	rows, out, time string
}

func (c *commands) featureHistoryCommand() *cobra.Command {
	var f historyFlags
	cmd := c.command("", "history VIEW… --rows FILE", "Give rows the features that they had at their times",
		"  leat feature history customer_activity --rows labels.csv --time at --out labelled.csv\n"+
			"  leat feature history card_activity customer --rows cases.parquet --time opened_at", cobra.MinimumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if f.rows == "" || f.time == "" {
				return &usageError{fault.New(fault.Invalid, "the rows or the column with their times are not named").Hint("add --rows FILE --time COLUMN")}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error { return c.featureHistory(ctx, cl, args, f) })
		})
	cmd.Long = "Reads a CSV, TSV or Parquet file of entities and times, packed or not, and writes CSV: its columns and rows in their order, " +
		"with the features of the views behind them. Each row sees what happened before its time, and of that what was known by then."
	flags := cmd.Flags()
	flags.StringVar(&f.rows, "rows", "", "file with the columns of the views' entities and a time")
	flags.StringVar(&f.time, "time", "", "column with the times of the rows")
	flags.StringVar(&f.out, "out", "", "file to write (default standard output)")
	return cmd
}

// foundHistory is what the command came to, as --json prints it.
type foundHistory struct {
	Rows    int64   `json:"rows"`
	Seconds float64 `json:"seconds"`
}

func (c *commands) featureHistory(ctx context.Context, cl *client.Client, views []string, f historyFlags) error {
	began := time.Now()
	rows, err := os.Open(f.rows)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot read %s", f.rows)
	}
	defer func() { _ = rows.Close() }() // it was only read
	answer, err := cl.FeatureHistory(ctx, views, f.time, rows)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // it was only read
	n, err := c.writeScores(f.out, func(w io.Writer) (int64, error) { return writeArrowRows(answer, w) })
	if err != nil || !c.json {
		return err
	}
	return json.NewEncoder(c.Out).Encode(foundHistory{Rows: n, Seconds: time.Since(began).Seconds()})
}

// writeArrowRows writes an Arrow stream as CSV with a header, and counts its
// rows. One that breaks off is an error.
func writeArrowRows(r io.Reader, w io.Writer) (n int64, err error) {
	rows, err := ipc.NewReader(bufio.NewReaderSize(r, 1<<20))
	if err != nil {
		return 0, fault.Wrap(err, fault.Unavailable, "the server's answer is not understood")
	}
	defer rows.Release()
	line, all := headerOf(rows.Schema())
	if _, err := w.Write(line); err != nil {
		return 0, fault.Wrap(err, fault.Full, "the rows cannot be written")
	}
	for rows.Next() {
		b := rows.RecordBatch()
		lines, err := appendRows(line[:0], b, all)
		if err != nil {
			return n, err
		}
		if _, err := w.Write(lines); err != nil {
			return n, fault.Wrap(err, fault.Full, "the rows cannot be written")
		}
		line, n = lines, n+b.NumRows()
	}
	if err := rows.Err(); err != nil && err != io.EOF {
		return n, fault.Wrap(err, fault.Unavailable, "the server's answer broke off after %s rows", fmt.Sprint(n))
	}
	return n, nil
}

func headerOf(schema *arrow.Schema) (line []byte, all []int) {
	for i, f := range schema.Fields() {
		if i > 0 {
			line = append(line, ',')
		}
		line = appendText(line, f.Name)
		all = append(all, i)
	}
	return append(line, '\n'), all
}
