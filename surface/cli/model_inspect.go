package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/importer"
)

// inspection is what a model file shows, as --json prints it.
type inspection struct {
	Kind        string            `json:"kind"`
	Format      string            `json:"format"`
	Description model.Description `json:"description"`
	Signature   model.Signature   `json:"signature"`
	Native      []string          `json:"native_outputs,omitempty"` // what `leat model score` writes
	Files       []importer.File   `json:"files"`
	Memory      int64             `json:"memory_bytes,omitempty"`
	Notes       []string          `json:"notes,omitempty"`
}

func (c *commands) inspectCommand() *cobra.Command {
	var f modelFlags
	cmd := c.command("", "inspect FILE", "Show what a model file is", "  leat model inspect churn.onnx\n  leat model inspect mlruns/1/models/m-1/artifacts --json",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			a, err := c.openModel(cmd.Context(), args[0], f)
			if err != nil {
				return err
			}
			defer importer.Close(a.Model)
			i := inspectionOf(cmd.Context(), a)
			return c.show(i, func(w io.Writer) { printInspection(w, i) })
		})
	f.add(cmd)
	return cmd
}

func inspectionOf(ctx context.Context, a *importer.Artifact) inspection {
	i := inspection{
		Kind: a.Kind, Format: a.Format, Description: a.Description, Signature: a.Signature, Files: a.Source, Notes: a.Notes,
	}
	if s, ok := a.Model.(model.Sizer); ok {
		i.Memory = s.Size()
	}
	if native, ok := a.Model.(model.Native); ok {
		empty := emptyBatch(a.Signature.Inputs)
		defer empty.Release()
		if out, err := native.Native(ctx, empty, false); err == nil {
			for _, at := range outputOrder(out) {
				i.Native = append(i.Native, out.ColumnName(at))
			}
			out.Release()
		}
	}
	return i
}

// emptyBatch has the columns of fields and no rows.
func emptyBatch(fields []model.Field) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(fields))
	defer b.Release()
	return b.NewRecordBatch()
}

func printInspection(w io.Writer, i inspection) {
	d := i.Description
	rows := [][2]string{{"kind", i.Kind}}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, value})
		}
	}
	if !strings.HasPrefix(i.Kind, d.Kind) {
		add("holds", d.Kind)
	}
	add("library", strings.TrimSpace(d.Library+" "+d.LibraryVersion))
	add("objective", d.Objective)
	add("task", string(i.Signature.Task))
	add("format", i.Format)
	add("runtime", d.Runtime)
	if d.Trees > 0 {
		add("trees", count(int64(d.Trees)))
		add("leaves", count(int64(d.Leaves)))
	}
	add("operators", operatorText(d.Operators))
	add("classes", listWords(i.Signature.Classes))
	if i.Memory > 0 {
		add("memory", count(i.Memory)+" bytes")
	}
	for _, f := range i.Files {
		add("file", fmt.Sprintf("%s, %s bytes, sha256 %s", f.Name, count(f.Bytes), f.SHA256))
	}
	for _, name := range slices.Sorted(maps.Keys(d.Notes)) {
		add(strings.ReplaceAll(name, "_", " "), d.Notes[name])
	}
	for _, note := range i.Notes {
		add("note", note)
	}
	pairs(w, rows)
	printFields(w, "inputs", i.Signature.Inputs)
	printFields(w, "outputs", i.Signature.Outputs)
	if len(i.Native) > 0 {
		fmt.Fprintf(w, "scored as\n  %s\n", listWords(i.Native))
	}
}

func printFields(w io.Writer, title string, fields []model.Field) {
	fmt.Fprintf(w, "%s (%d)\n", title, len(fields))
	const most = 200
	var rows [][2]string
	for _, f := range fields[:min(len(fields), most)] {
		text := string(f.Type)
		if n := len(f.Categories); n > 0 {
			text += fmt.Sprintf(", %d categories", n)
		}
		if f.Required {
			text += ", required"
		}
		rows = append(rows, [2]string{"  " + f.Name, text})
	}
	if len(fields) > most {
		rows = append(rows, [2]string{"  …", fmt.Sprintf("and %d more", len(fields)-most)})
	}
	pairs(w, rows)
}

func operatorText(operators map[string]int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(operators)) {
		words = append(words, fmt.Sprintf("%s %d", name, operators[name]))
	}
	return strings.Join(words, ", ")
}

// listWords joins names, not too many of them.
func listWords(names []string) string {
	const most = 30
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(", … (%d)", len(names))
	}
	return strings.Join(names, ", ")
}
