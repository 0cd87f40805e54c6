package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) addAsk(root *cobra.Command) {
	root.AddCommand(c.scoreCommand(), c.searchCommand(), c.evalCommand(), c.modelCommand(), c.modelsCommand(), c.releasesCommand(), c.decisionsCommand(), c.sqlCommand(),
		c.signalsCommand(), c.eventsCommand(), c.keysCommand(), c.doctorCommand(), c.versionCommand())
}

func (c *commands) scoreCommand() *cobra.Command {
	var key string
	cmd := c.command("ask", "score ENDPOINT [ROW | @FILE | -]", "Score rows: one JSON object, an array of them, or a file with either",
		`  leat score fraud '{"amount": 120.5, "country": "DE"}'
  leat score fraud @rows.json
  leat score fraud --key order-4711 '{"amount": 120.5, "country": "DE"}'`, cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, args []string) error {
			rows, err := c.rowsOf(args[1:])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				scored, err := cl.Score(ctx, args[0], rows, key)
				if err != nil {
					return err
				}
				return c.show(scored, func(w io.Writer) { printScored(w, scored) })
			})
		})
	cmd.Flags().StringVar(&key, "key", "", "idempotency key: asking again with it gives the same answer")
	return cmd
}

func (c *commands) rowsOf(args []string) ([]client.Row, error) {
	var text []byte
	var err error
	switch {
	case len(args) == 0 || args[0] == "-":
		text, err = io.ReadAll(io.LimitReader(c.In, 64<<20))
	case strings.HasPrefix(args[0], "@"):
		text, err = os.ReadFile(args[0][1:])
	default:
		text = []byte(args[0])
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the rows cannot be read")
	}
	var rows []client.Row
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if trimmed := bytes.TrimSpace(text); len(trimmed) > 0 && trimmed[0] == '{' {
		rows = make([]client.Row, 1)
		err = d.Decode(&rows[0])
	} else {
		err = d.Decode(&rows)
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the rows are not JSON").Because(err).Hint(`write one row like '{"column": 1}'`)
	}
	return rows, nil
}

func printScored(w io.Writer, s client.Scored) {
	for _, d := range s.Decisions {
		if d.Error != nil {
			fmt.Fprintf(w, "%s  error: %s\n", d.ID, d.Error.Message)
			continue
		}
		text := d.ID
		for _, name := range sortedNames(d.Values) {
			text += fmt.Sprintf("  %s=%s", name, cell(d.Values[name]))
		}
		fmt.Fprintln(w, text)
	}
	fmt.Fprintf(w, "by release %s of %s\n", short(s.Release), s.Endpoint)
}

func (c *commands) releasesCommand() *cobra.Command {
	var at string
	cmd := c.command("ask", "releases ENDPOINT", "List what an endpoint served since when", "  leat releases fraud\n  leat releases fraud --at 2026-11-03T12:00:00Z", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if at != "" {
					return c.releaseAt(ctx, cl, args[0], at)
				}
				history, err := cl.History(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(history, func(w io.Writer) {
					rows := make([][]string, len(history))
					for i, h := range history {
						live := ""
						if i == 0 {
							live = "live"
						}
						rows[i] = []string{fmt.Sprint(h.Number), short(h.Release), moment(h.At), h.Why, h.By, live}
					}
					table(w, []string{"number", "release", "since", "why", "by", ""}, rows)
				})
			})
		})
	cmd.Flags().StringVar(&at, "at", "", "the release that was live at a time (RFC 3339)")
	return cmd
}

func (c *commands) releaseAt(ctx context.Context, cl *client.Client, endpoint, at string) error {
	when, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return fault.New(fault.Invalid, "%q is not a time", at).Hint("write it like 2026-11-03T12:00:00Z")
	}
	r, err := cl.ReleaseAt(ctx, endpoint, when)
	if err != nil {
		return err
	}
	return c.show(r, func(w io.Writer) {
		fmt.Fprintf(w, "release %d (%s): %s\n", r.Number, short(r.ID), r.Content.Serves())
	})
}

func (c *commands) decisionsCommand() *cobra.Command {
	var endpoint string
	var limit int
	cmd := c.command("ask", "decisions [ID]", "Show the latest decisions, or one by its id", "  leat decisions --endpoint fraud\n  leat decisions 01K9Z…", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) == 1 {
					d, err := cl.Decision(ctx, args[0])
					if err != nil {
						return err
					}
					return c.show(d, func(w io.Writer) { printDecision(w, d) })
				}
				list, err := cl.Decisions(ctx, endpoint, limit)
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) { listDecisions(w, list) })
			})
		})
	cmd.Flags().StringVar(&endpoint, "endpoint", "", "only those of an endpoint")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

func listDecisions(w io.Writer, list []api.DecisionDetail) {
	rows := make([][]string, len(list))
	for i, d := range list {
		score := "-"
		if d.Score != nil {
			score = figure(*d.Score)
		}
		rows[i] = []string{d.ID, moment(d.At), d.Endpoint, d.Pattern, score, d.Decision.Decision, d.Caller, short(d.Release), fmt.Sprintf("%d µs", d.LatencyUS)}
	}
	table(w, []string{"id", "at", "endpoint", "pattern", "score", "decision", "caller", "release", "latency"}, rows)
}

func printDecision(w io.Writer, d api.DecisionDetail) {
	pairs(w, [][2]string{
		{"decision", d.ID}, {"at", moment(d.At)}, {"endpoint", d.Endpoint + " (" + d.Pattern + ")"},
		{"release", d.Release}, {"variant", d.Variant}, {"model", fmt.Sprintf("%s version %d", d.Model, d.Version)},
		{"caller", d.Caller}, {"latency", fmt.Sprintf("%d µs", d.LatencyUS)}, {"decided", d.Decision.Decision}, {"error", d.Error},
	})
	for _, part := range []struct {
		name string
		text json.RawMessage
	}{{"inputs", d.Inputs}, {"features", d.Features}, {"output", d.Output}} {
		if len(part.text) > 0 {
			fmt.Fprintln(w, part.name)
			printJSON(w, part.text)
		}
	}
}

// printJSON prints a JSON value with indents.
func printJSON(w io.Writer, text json.RawMessage) {
	var b bytes.Buffer
	if json.Indent(&b, text, "  ", "  ") != nil {
		b.Write(text)
	}
	fmt.Fprintf(w, "  %s\n", b.Bytes())
}

func (c *commands) sqlCommand() *cobra.Command {
	var limit int
	cmd := c.command("ask", "sql QUERY", "Query the lake and the decision log",
		"  leat sql \"select country, count(*) from transactions group by 1\"\n  leat sql \"select * from decisions order by at desc limit 5\"\n  leat sql \"show tables\"", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				res, err := cl.SQL(ctx, args[0], limit)
				if err != nil {
					return err
				}
				return c.show(res, func(w io.Writer) { printResult(w, res) })
			})
		})
	cmd.Flags().IntVar(&limit, "limit", 1000, "the most rows to print")
	return cmd
}

func printResult(w io.Writer, res api.Result) {
	var values [][]any
	d := json.NewDecoder(bytes.NewReader(res.Rows))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		fmt.Fprintf(w, "%s\n", res.Rows)
		return
	}
	header := make([]string, len(res.Columns))
	for i, col := range res.Columns {
		header[i] = col.Name
	}
	rows := make([][]string, len(values))
	for i, row := range values {
		for _, v := range row {
			rows[i] = append(rows[i], cell(v))
		}
	}
	grid(w, header, rows)
	if res.Truncated {
		fmt.Fprintf(w, "… more rows; --limit shows more than %d\n", res.Count)
	}
}

func (c *commands) signalsCommand() *cobra.Command {
	var fired bool
	var limit int
	cmd := c.command("ask", "signals [MONITOR]", "Show what monitors measured", "  leat signals --fired\n  leat signals fraud-drift", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				readings, err := cl.Signals(ctx, name, fired, limit)
				if err != nil {
					return err
				}
				return c.show(readings, func(w io.Writer) { listReadings(w, readings) })
			})
		})
	cmd.Flags().BoolVar(&fired, "fired", false, "only those over their threshold")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many")
	return cmd
}

func listReadings(w io.Writer, readings []monitor.Reading) {
	rows := make([][]string, len(readings))
	for i, r := range readings {
		mark := ""
		if r.Fired {
			mark = "fired"
		}
		rows[i] = []string{r.Monitor, r.Name(), r.Window, figure(r.Value), figure(r.Threshold), count(r.Rows), moment(r.End), mark}
	}
	table(w, []string{"monitor", "signal", "window", "value", "threshold", "rows", "at", ""}, rows)
}

func (c *commands) keysCommand() *cobra.Command {
	keys := c.command("ask", "keys", "List API keys", "  leat keys\n  leat keys create shop --grant score:fraud\n  leat keys revoke k7f3", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				list, err := cl.Keys(ctx)
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) {
					rows := make([][]string, len(list))
					for i, k := range list {
						rows[i] = []string{k.ID, k.Name, strings.Join(k.Grants, " "), moment(k.CreatedAt), moment(k.ExpiresAt), moment(k.RevokedAt)}
					}
					table(w, []string{"id", "name", "grants", "created", "expires", "revoked"}, rows)
				})
			})
		})
	var groups, grants []string
	var expires time.Duration
	create := c.command("", "create NAME", "Create a key; its token is shown this once", "  leat keys create shop --grant score:fraud --expires 720h", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				key, err := cl.CreateKey(ctx, args[0], groups, grants, expires)
				if err != nil {
					return err
				}
				return c.show(key, func(w io.Writer) {
					fmt.Fprintln(w, key.Token)
					fmt.Fprintln(c.Err, "keep it now: it is not stored and not shown again")
				})
			})
		})
	create.Flags().StringSliceVar(&grants, "grant", nil, "verb:name, such as score:fraud, read:* or *:*")
	create.Flags().StringSliceVar(&groups, "group", nil, "group of the caller")
	create.Flags().DurationVar(&expires, "expires", 0, "how long it is in force (default: until revoked)")
	revoke := c.command("", "revoke ID", "Revoke a key", "", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error { return cl.RevokeKey(ctx, args[0]) })
	})
	keys.AddCommand(create, revoke)
	return keys
}

func (c *commands) doctorCommand() *cobra.Command {
	return c.command("ask", "doctor", "Check the parts of the server and the project", "  leat doctor", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				checks, err := cl.Doctor(ctx)
				if err != nil {
					return err
				}
				if err := c.show(checks, func(w io.Writer) { printChecks(w, checks) }); err != nil {
					return err
				}
				for _, check := range checks {
					if !check.OK {
						return fault.New(fault.Unavailable, "%s is not well", check.Name).Hint("%s", check.Hint)
					}
				}
				return nil
			})
		})
}

func printChecks(w io.Writer, checks []api.Check) {
	rows := make([][]string, len(checks))
	for i, check := range checks {
		mark := "ok"
		if !check.OK {
			mark = "BAD"
		}
		rows[i] = []string{mark, check.Name, check.Note}
	}
	table(w, []string{"", "part", "note"}, rows)
}

func (c *commands) versionCommand() *cobra.Command {
	return c.command("ask", "version", "Print the version", "  leat version --json", cobra.NoArgs, func(*cobra.Command, []string) error {
		v := map[string]string{"leat": c.Version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
		return c.show(v, func(w io.Writer) { fmt.Fprintf(w, "leat %s (%s, %s)\n", c.Version, v["go"], v["platform"]) })
	})
}
