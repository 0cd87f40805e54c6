package cli

import (
	"context"
	"encoding/csv"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/model/importer"
)

// modelCommand has the commands on model files; those on models of the
// registry are below models.
func (c *commands) modelCommand() *cobra.Command {
	model := c.command("ask", "model", "Score, inspect and import model files",
		"  leat model inspect churn.onnx\n  leat model score churn.ubj --in customers.csv --out scores.csv\n  leat model import churn.ubj --name churn --alias champion",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() })
	model.AddCommand(c.scoreFileCommand(), c.inspectCommand(), c.importCommand())
	return model
}

// modelFlags are what a user can say about a model file.
type modelFlags struct {
	columns string
	flavor  string
}

func (f *modelFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.columns, "columns", "", "names of the columns of a model that has none: a,b,c or a file with such a header")
	cmd.Flags().StringVar(&f.flavor, "flavor", "", "flavor of an MLflow folder: xgboost, lightgbm, onnx or python_function")
}

func (f *modelFlags) hints(ctx context.Context) (importer.Hints, error) {
	h := importer.Hints{Flavor: f.flavor, Programs: true} // a file that a user names on the user's own machine
	if f.columns == "" {
		return h, nil
	}
	if _, err := os.Stat(f.columns); err == nil {
		rows, err := ingest.OpenRows(ctx, f.columns, ingest.RowsOptions{})
		if err != nil {
			return h, err
		}
		h.Columns = rows.Names()
		if len(h.Columns) == 0 {
			err = fault.New(fault.Invalid, "the first row of %s has no names", f.columns)
		}
		_ = rows.Close() // it was only read
		return h, err
	}
	names, err := csv.NewReader(strings.NewReader(f.columns)).Read()
	if err != nil {
		return h, fault.Wrap(err, fault.Invalid, "--columns is neither a file nor a list of names")
	}
	h.Columns = names
	return h, nil
}

// openModel loads a model file or folder with the runtimes that are built in.
// Whoever calls it closes the model.
func (c *commands) openModel(ctx context.Context, path string, f modelFlags) (*importer.Artifact, error) {
	hints, err := f.hints(ctx)
	if err != nil {
		return nil, err
	}
	return importer.New(c.Formats()).Path(ctx, path, hints)
}
