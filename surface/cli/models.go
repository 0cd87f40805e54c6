package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train/card"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) modelsCommand() *cobra.Command {
	models := c.command("ask", "models [NAME]", "List models, or the versions of one", "  leat models\n  leat models fraud", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) == 1 {
					return c.listVersions(ctx, cl, args[0])
				}
				list, err := cl.Models(ctx)
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) {
					rows := make([][]string, len(list))
					for i, m := range list {
						rows[i] = []string{m.Name, fmt.Sprint(m.Latest), aliasText(m.Aliases, 0)}
					}
					table(w, []string{"model", "latest", "aliases"}, rows)
				})
			})
		})
	models.AddCommand(c.showModelCommand(), c.exportModelCommand(), c.aliasCommand())
	return models
}

// aliasText lists aliases: those of a version, or for 0 all with the version
// that each points at.
func aliasText(aliases map[string]int, version int) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(aliases)) {
		if version == 0 {
			words = append(words, fmt.Sprintf("%s=%d", name, aliases[name]))
		} else if aliases[name] == version {
			words = append(words, name)
		}
	}
	return strings.Join(words, " ")
}

func (c *commands) listVersions(ctx context.Context, cl *client.Client, name string) error {
	m, err := cl.Model(ctx, name)
	if err != nil {
		return err
	}
	return c.show(m, func(w io.Writer) {
		rows := make([][]string, len(m.Versions))
		for i, v := range m.Versions {
			rows[i] = []string{fmt.Sprint(v.Number), short(v.ID), v.Manifest.Format, string(v.Manifest.Signature.Task),
				headline(v), gateText(v.Gates), moment(v.CreatedAt), aliasText(m.Aliases, v.Number)}
		}
		table(w, []string{"version", "id", "format", "task", "quality", "gates", "created", "aliases"}, rows)
	})
}

// headline is the one or two metrics that say how good a version is.
func headline(v registry.Version) string {
	var words []string
	for _, name := range []string{"auc", "rmse", "r2", "macro_f1", "accuracy"} {
		if value, ok := v.Metrics[name]; ok && len(words) < 2 {
			words = append(words, fmt.Sprintf("%s %s", name, figure(value)))
		}
	}
	return strings.Join(words, ", ")
}

func gateText(gates []registry.Verdict) string {
	passed := 0
	for _, g := range gates {
		if g.Passed {
			passed++
		}
	}
	if len(gates) == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d passed", passed, len(gates))
}

func (c *commands) showModelCommand() *cobra.Command {
	var html string
	cmd := c.command("", "show NAME[@VERSION]", "Show a version; --html writes its model card",
		"  leat models show fraud@champion\n  leat models show fraud@3 --html card.html", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			name, ref := resources.ModelRef(args[0])
			if !strings.Contains(args[0], "@") {
				ref = "latest"
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.Version(ctx, name, ref)
				if err != nil {
					return err
				}
				if html != "" {
					return c.writeCard(ctx, cl, v, html)
				}
				return c.show(v, func(w io.Writer) { printVersion(w, v) })
			})
		})
	cmd.Flags().StringVar(&html, "html", "", "write a self-contained model card to this file")
	return cmd
}

func (c *commands) writeCard(ctx context.Context, cl *client.Client, v registry.Version, path string) error {
	text, err := cl.Report(ctx, v.Model, fmt.Sprint(v.Number))
	if err != nil {
		return err
	}
	var report evaluate.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fault.Wrap(err, fault.Corrupt, "the evaluation report of %s version %d cannot be read", v.Model, v.Number)
	}
	f, err := os.Create(path)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "cannot write %s", path)
	}
	if err := card.Write(f, cardOf(v, &report)); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return fault.Wrap(err, fault.Full, "cannot write %s", path)
	}
	return c.show(map[string]string{"written": path}, func(w io.Writer) { fmt.Fprintf(w, "wrote %s; open it in a browser\n", path) })
}

// cardOf is the model card of a version.
func cardOf(v registry.Version, report *evaluate.Report) card.Card {
	l := v.Lineage
	c := card.Card{
		Model: v.Model, Version: v.Number, ID: v.ID, CreatedAt: v.CreatedAt, CreatedBy: v.CreatedBy,
		Format: v.Manifest.Format, Signature: v.Manifest.Signature, Report: report, Params: l.Params,
		Lineage: []card.Entry{
			{Name: "table", Value: fmt.Sprintf("%s, snapshot %d", l.Table, l.Snapshot)}, {Name: "rows", Value: count(l.Rows)},
			{Name: "features", Value: strings.Join(l.Features, " ")}, {Name: "label", Value: l.Label}, {Name: "split", Value: l.Split},
			{Name: "trainer", Value: l.Trainer}, {Name: "seed", Value: fmt.Sprint(l.Seed)}, {Name: "run", Value: l.Run},
			{Name: "code", Value: l.Code}, {Name: "leat", Value: l.Leat},
		},
	}
	for _, g := range v.Gates {
		c.Gates = append(c.Gates, card.Gate{Gate: g.Gate, Passed: g.Passed, Reason: g.Reason, Figures: g.Figures})
	}
	return c
}

func printVersion(w io.Writer, v registry.Version) {
	l := v.Lineage
	rows := [][2]string{
		{"model", v.Model}, {"version", fmt.Sprint(v.Number)}, {"id", v.ID}, {"format", v.Manifest.Format},
		{"task", string(v.Manifest.Signature.Task)}, {"created", moment(v.CreatedAt) + " by " + v.CreatedBy},
	}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, [2]string{name, value})
		}
	}
	if l.Table != "" {
		add("trained on", fmt.Sprintf("%s@%d, %s rows", l.Table, l.Snapshot, count(l.Rows)))
	}
	add("came from", l.Source)
	for _, name := range slices.Sorted(maps.Keys(l.Notes)) {
		add(noteName(name), l.Notes[name])
	}
	add("features", strings.Join(l.Features, " "))
	add("label", l.Label)
	add("trainer", l.Trainer)
	add("split", l.Split)
	add("run", l.Run)
	pairs(w, rows)
	if v.Unservable != "" {
		fmt.Fprintf(w, "cannot be served: %s\n", v.Unservable)
	}
	if len(v.Metrics) == 0 {
		fmt.Fprintln(w, "metrics\n  none: it was not measured here")
	} else {
		fmt.Fprintln(w, "metrics")
	}
	for _, name := range slices.Sorted(maps.Keys(v.Metrics)) {
		fmt.Fprintf(w, "  %-24s %s\n", name, figure(v.Metrics[name]))
	}
	if len(v.Gates) > 0 {
		fmt.Fprintln(w, "gates")
	}
	for _, g := range v.Gates {
		fmt.Fprintf(w, "  %s\n", verdictText(g))
	}
}

func verdictText(g registry.Verdict) string {
	mark := "passed"
	if !g.Passed {
		mark = "FAILED"
	}
	text := fmt.Sprintf("%s  %s", mark, g.Gate)
	for _, name := range slices.Sorted(maps.Keys(g.Figures)) {
		text += fmt.Sprintf("  %s=%s", name, figure(g.Figures[name]))
	}
	if g.Reason != "" {
		text += "  (" + g.Reason + ")"
	}
	return text
}

func (c *commands) exportModelCommand() *cobra.Command {
	var out string
	cmd := c.command("", "export NAME[@VERSION]", "Write a version as an ONNX model", "  leat models export fraud@champion --onnx fraud.onnx", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			name, ref := resources.ModelRef(args[0])
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				data, err := cl.ONNX(ctx, name, ref)
				if err != nil {
					return err
				}
				if err := os.WriteFile(out, data, 0o644); err != nil {
					return fault.Wrap(err, fault.Invalid, "cannot write %s", out)
				}
				return c.show(map[string]any{"written": out, "bytes": len(data)}, func(w io.Writer) {
					fmt.Fprintf(w, "wrote %s (%s bytes)\n", out, count(int64(len(data))))
				})
			})
		})
	cmd.Flags().StringVar(&out, "onnx", "model.onnx", "file to write")
	return cmd
}

func (c *commands) aliasCommand() *cobra.Command {
	return c.command("", "alias NAME@VERSION ALIAS", "Point an alias at a version", "  leat models alias fraud@3 champion", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			name, ref := resources.ModelRef(args[0])
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.Version(ctx, name, ref)
				if err != nil {
					return err
				}
				if err := cl.SetAlias(ctx, name, args[1], v.Number); err != nil {
					return err
				}
				m, err := cl.Model(ctx, name)
				if err != nil {
					return err
				}
				return c.showAliases(m)
			})
		})
}

func (c *commands) showAliases(m api.ModelDetail) error {
	return c.show(m.Aliases, func(w io.Writer) { fmt.Fprintln(w, aliasText(m.Aliases, 0)) })
}

func sortedNames(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// noteName is the name of a note for people; that of a file stays as it is.
func noteName(name string) string {
	if strings.HasPrefix(name, "sha256 of ") {
		return name
	}
	return strings.ReplaceAll(name, "_", " ")
}
