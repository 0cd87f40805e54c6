package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) featureCommand() *cobra.Command {
	cmd := c.command("ask", "feature", "List features, and read, push and materialise them",
		"  leat feature list\n  leat feature get customer_activity --entity customer_id=c1\n  leat feature status",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return c.listFeatures(cmd.Context()) })
	cmd.AddCommand(
		c.command("", "list", "List the feature views", "  leat feature list", cobra.NoArgs,
			func(cmd *cobra.Command, _ []string) error { return c.listFeatures(cmd.Context()) }),
		c.command("", "show VIEW", "Show a feature view: its features, entity and freshness", "  leat feature show customer_activity", cobra.ExactArgs(1),
			func(cmd *cobra.Command, args []string) error { return c.showFeatures(cmd.Context(), args[0]) }),
		c.featureGet(), c.featurePush(), c.featureMaterialise(), c.featureStatus(), c.featureHistoryCommand(),
	)
	return cmd
}

func (c *commands) listFeatures(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		views, err := cl.FeatureViews(ctx)
		if err != nil {
			return err
		}
		return c.show(views, func(w io.Writer) {
			rows := make([][]string, len(views))
			for i, v := range views {
				rows[i] = []string{v.Name, v.Kind, columnNames(v.Entity), fmt.Sprint(len(v.Features)), orDash(v.Source), orDash(v.TTL), orDash(v.Owner), orDash(v.Class)}
			}
			table(w, []string{"view", "kind", "entity", "features", "source", "ttl", "owner", "class"}, rows)
		})
	})
}

func (c *commands) showFeatures(ctx context.Context, name string) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		v, err := cl.FeatureView(ctx, name)
		if err != nil {
			return err
		}
		return c.show(v, func(w io.Writer) {
			pairs(w, [][2]string{{"view", v.Name}, {"kind", v.Kind}, {"entity", orDash(columnNames(v.Entity))}, {"source", orDash(v.Source)},
				{"timestamp", orDash(v.Timestamp)}, {"ttl", orDash(v.TTL)}, {"owner", orDash(v.Owner)},
				{"tags", orDash(strings.Join(v.Tags, ", "))}, {"class", orDash(v.Class)}})
			if v.Offline != "" {
				fmt.Fprintf(w, "\nIt is not read online: %s\n", v.Offline)
			}
			if v.Status != nil {
				fmt.Fprintln(w)
				printFreshness(w, []api.FeatureView{v})
			}
			rows := make([][]string, len(v.Features))
			for i, f := range v.Features {
				rows[i] = []string{f.Name, f.Type}
			}
			fmt.Fprintln(w)
			table(w, []string{"feature", "type"}, rows)
		})
	})
}

func (c *commands) featureGet() *cobra.Command {
	var entities []string
	var at string
	cmd := c.command("", "get VIEW[:FEATURE]...", "Read features of entities from the online store",
		"  leat feature get customer_activity --entity customer_id=c1 --entity customer_id=c2\n"+
			"  leat feature get customer_activity:spend_24h --entity customer_id=c1 --at 2026-01-31T08:00:00Z", cobra.MinimumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			time, err := timeFlag("at", at)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				columns, err := entityColumns(ctx, cl, args, entities)
				if err != nil {
					return err
				}
				got, err := cl.ReadFeatures(ctx, args, columns, time)
				if err != nil {
					return err
				}
				return c.show(got, func(w io.Writer) { printFeatures(w, got, columns) })
			})
		})
	cmd.Flags().StringArrayVarP(&entities, "entity", "e", nil, "COLUMN=VALUE of an entity; given again for the next entity, or for another column")
	cmd.Flags().StringVar(&at, "at", "", "time that windows are read as of, such as 2026-01-31T08:00:00Z; the present when empty")
	return cmd
}

func timeFlag(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, &usageError{fault.New(fault.Invalid, "--%s %q is no time", name, text).Hint("write it like 2026-01-31T08:00:00Z")}
}

// entityColumns makes columns of the words of the command, of the types that
// the views have.
func entityColumns(ctx context.Context, cl *client.Client, features, words []string) (map[string][]any, error) {
	types := map[string]string{}
	for _, f := range features {
		name, _, _ := strings.Cut(f, ":")
		v, err := cl.FeatureView(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, k := range v.Entity {
			types[k.Name] = k.Type
		}
	}
	columns := map[string][]any{}
	for _, word := range words {
		name, value, ok := strings.Cut(word, "=")
		if !ok {
			return nil, &usageError{fault.New(fault.Invalid, "--entity %q has no value", word).Hint("write --entity customer_id=c1")}
		}
		columns[name] = append(columns[name], typed(value, types[name]))
	}
	return columns, nil
}

// typed is the text of a value as JSON has it.
func typed(text, as string) any {
	switch as {
	case "int", "double":
		return json.Number(text)
	case "bool":
		return text == "true"
	}
	return text
}

// printFeatures prints a line for each feature, and a column for each entity.
func printFeatures(w io.Writer, got client.Features, entities map[string][]any) {
	header := []string{"VIEW", "FEATURE"}
	for row := range got.Rows {
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(entities)) {
			if values := entities[name]; row < len(values) {
				parts = append(parts, cell(values[row]))
			}
		}
		header = append(header, strings.Join(parts, "/"))
	}
	var rows [][]string
	for _, v := range got.Views {
		rows = append(rows, append([]string{v.View, "(status)"}, v.Status...))
		for _, name := range slices.Sorted(maps.Keys(v.Features)) {
			line := []string{"", name}
			for _, value := range v.Features[name] {
				line = append(line, cell(value))
			}
			rows = append(rows, line)
		}
	}
	grid(w, header, rows)
}

func (c *commands) featurePush() *cobra.Command {
	var file, to string
	cmd := c.command("", "push VIEW [JSON]", "Push rows of a feature view, from an argument, a file or standard input",
		`  leat feature push customer_activity '{"customer_id": "c1", "at": "2026-01-31T08:00:00Z", "amount": 12.5}'`+"\n  leat feature push customer_activity --file rows.jsonl --to online", cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, args []string) error {
			text, err := c.pushed(args[1:], file)
			if err != nil {
				return err
			}
			rows, err := jsonRows(text)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				done, err := cl.PushFeatures(ctx, args[0], api.FeaturePush{Rows: rows, To: to})
				if err != nil {
					return err
				}
				return c.show(done, func(w io.Writer) {
					fmt.Fprintf(w, "%d rows pushed, %d older than what there is, %d without a key or a time\n", done.Rows, done.Older, done.Nobody)
				})
			})
		})
	cmd.Flags().StringVar(&file, "file", "", "file of JSON rows, - for standard input")
	cmd.Flags().StringVar(&to, "to", "both", "online, offline or both")
	return cmd
}

// pushed is the text of the rows to push.
func (c *commands) pushed(args []string, file string) ([]byte, error) {
	switch {
	case len(args) == 1 && file == "":
		return []byte(args[0]), nil
	case len(args) == 0 && file == "-":
		return io.ReadAll(io.LimitReader(c.In, 64<<20))
	case len(args) == 0 && file != "":
		text, err := os.ReadFile(file)
		return text, fault.Wrap(err, fault.NotFound, "the rows cannot be read")
	}
	return nil, &usageError{fault.New(fault.Invalid, "there are no rows").Hint("give JSON as an argument, or --file")}
}

// jsonRows makes one list of a JSON list, of one object, or of an object a
// line.
func jsonRows(text []byte) (json.RawMessage, error) {
	if text = bytes.TrimSpace(text); len(text) > 0 && text[0] == '[' {
		return text, nil
	}
	var rows []json.RawMessage
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		var row json.RawMessage
		if err := d.Decode(&row); err == io.EOF {
			return json.Marshal(rows)
		} else if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "row %d is not JSON", len(rows)+1)
		}
		rows = append(rows, row)
	}
}

func (c *commands) featureMaterialise() *cobra.Command {
	var from, to string
	var full, detach bool
	cmd := c.command("", "materialise VIEW", "Bring a feature view from the lake to the online store",
		"  leat feature materialise customer_activity\n  leat feature materialise customer_activity --full", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			m := api.FeatureMaterialise{Full: full}
			var err error
			if m.From, err = timeFlag("from", from); err != nil {
				return err
			}
			if m.To, err = timeFlag("to", to); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				id, err := cl.MaterialiseFeatures(ctx, args[0], m)
				if err != nil {
					return err
				}
				if detach {
					return c.show(map[string]string{"run": id}, func(w io.Writer) { fmt.Fprintln(w, id) })
				}
				status, err := c.follow(ctx, cl, id)
				if err != nil {
					return err
				}
				return c.show(status, func(w io.Writer) { printRun(w, status) })
			})
		})
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "time of the first rows that are new; since the last time when empty")
	f.StringVar(&to, "to", "", "time before which rows are taken; the present when empty")
	f.BoolVar(&full, "full", false, "all entities, whatever was done before")
	f.BoolVar(&detach, "detach", false, "print the run's id and return at once; it needs a server that stays (leat up)")
	return cmd
}

func (c *commands) featureStatus() *cobra.Command {
	return c.command("", "status [VIEW]", "Show how fresh what is online of views is", "  leat feature status\n  leat feature status customer_activity --json", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				var views []api.FeatureView
				var err error
				if len(args) == 0 {
					views, err = cl.FeatureViews(ctx)
				} else {
					views = make([]api.FeatureView, 1)
					views[0], err = cl.FeatureView(ctx, args[0])
				}
				if err != nil {
					return err
				}
				return c.show(views, func(w io.Writer) { printFreshness(w, views) })
			})
		})
}

// printFreshness prints a line for each view that is kept online.
func printFreshness(w io.Writer, views []api.FeatureView) {
	var rows [][]string
	for _, v := range views {
		switch s := v.Status; {
		case s == nil && v.Offline != "":
			rows = append(rows, []string{v.Name, "not online", "-", "-", orDash(v.TTL), "-", "-"})
		case s == nil:
			rows = append(rows, []string{v.Name, "on demand", "-", "-", "-", "-", "-"})
		default:
			rows = append(rows, freshnessRow(v, s))
		}
	}
	table(w, []string{"view", "state", "newest event", "age", "ttl", "materialised", "entities"}, rows)
}

func freshnessRow(v api.FeatureView, s *api.FeatureStatus) []string {
	row := []string{v.Name, "fresh", "-", "-", orDash(v.TTL), "-", "-"}
	switch {
	case s.Newest == nil:
		row[1] = "empty"
	case s.Stale:
		row[1] = "stale"
	}
	if s.Newest != nil {
		row[2], row[3] = moment(*s.Newest), duration(time.Duration(*s.AgeSeconds*float64(time.Second)))
	}
	if s.Materialised != nil {
		row[5], row[6] = moment(s.Materialised.At), count(s.Materialised.Entities)
	}
	return row
}

// orDash is a text, or a dash where there is none.
func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func columnNames(columns []api.Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}
