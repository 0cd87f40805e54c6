package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) knowledgeCommand() *cobra.Command {
	cmd := c.command("run", "knowledge", "Show and keep what assistants answer from", "  leat knowledge status\n  leat knowledge sync handbook\n  leat knowledge errors handbook",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return c.listKnowledge(cmd.Context()) })
	cmd.AddCommand(c.knowledgeListCommand(), c.knowledgeStatusCommand(), c.knowledgeSyncCommand(), c.knowledgeDocumentsCommand(),
		c.knowledgeErrorsCommand(), c.knowledgeVersionsCommand(), c.knowledgeHistoryCommand(), c.knowledgeRollbackCommand(),
		c.knowledgePutCommand(), c.knowledgeDeleteCommand())
	return cmd
}

func (c *commands) knowledgeListCommand() *cobra.Command {
	return c.command("", "list", "List what is known, and how current it is", "  leat knowledge list", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error { return c.listKnowledge(cmd.Context()) })
}

func (c *commands) knowledgeStatusCommand() *cobra.Command {
	return c.command("", "status [NAME]", "Show snapshot, documents, passages, errors and age", "  leat knowledge status\n  leat knowledge status handbook",
		cobra.MaximumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.listKnowledge(cmd.Context())
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				st, err := cl.Knowledge(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(st, func(w io.Writer) { printKnowledge(w, st) })
			})
		})
}

func (c *commands) listKnowledge(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		list, err := cl.KnowledgeList(ctx)
		if err != nil {
			return err
		}
		return c.show(list, func(w io.Writer) {
			rows := make([][]string, len(list))
			for i, st := range list {
				rows[i] = []string{st.Name, snapshotText(st), count(int64(st.Documents)), count(int64(st.Passages)), count(int64(st.Errors)),
					moment(st.Live), age(st.Checked)}
			}
			table(w, []string{"knowledge", "snapshot", "documents", "passages", "errors", "live since", "checked"}, rows)
			for _, st := range list {
				if st.Rejected != "" {
					fmt.Fprintf(w, "%s: the newest snapshot did not pass the gate: %s\n", st.Name, st.Rejected)
				}
			}
		})
	})
}

func snapshotText(st knowledge.Status) string {
	switch {
	case st.Snapshot == "":
		return "-"
	case st.Held:
		return short(st.Snapshot) + " (held)"
	}
	return short(st.Snapshot)
}

// age says how long ago something was.
func age(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return duration(max(0, time.Since(t)).Round(time.Second)) + " ago"
}

func printKnowledge(w io.Writer, st knowledge.Status) {
	rows := [][2]string{{"knowledge", st.Name}, {"snapshot", snapshotText(st)}}
	if st.Newest != "" {
		rows = append(rows, [2]string{"newest", short(st.Newest) + ", not live"})
	}
	if st.Rejected != "" {
		rows = append(rows, [2]string{"rejected", st.Rejected})
	}
	rows = append(rows, [2]string{"live since", moment(st.Live)}, [2]string{"checked", age(st.Checked)})
	if st.Every != "" {
		rows = append(rows, [2]string{"every", st.Every})
	}
	rows = append(rows, [2]string{"documents", count(int64(st.Documents))}, [2]string{"passages", count(int64(st.Passages))}, [2]string{"errors", count(int64(st.Errors))})
	if st.Embedder != "" {
		rows = append(rows, [2]string{"embedder", st.Embedder})
	}
	if len(st.Measures) > 0 {
		rows = append(rows, [2]string{"measures", measuresText(st.Measures)})
	}
	pairs(w, rows)
	fmt.Fprintln(w)
	sources := make([][]string, len(st.Sources))
	for i, s := range st.Sources {
		sources[i] = []string{s.From, count(int64(s.Documents)), count(int64(s.Errors)), size(s.Bytes), age(s.Checked), s.Reason}
	}
	table(w, []string{"source", "documents", "errors", "size", "checked", ""}, sources)
}

func measuresText(m map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%s %.4f", name, m[name]))
	}
	return strings.Join(parts, "  ")
}

// size writes a number of bytes for people.
func size(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d B", n)
	case n < 10_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

func (c *commands) knowledgeSyncCommand() *cobra.Command {
	var detach, apply bool
	cmd := c.command("", "sync NAME", "Read what changed in the sources and build a new snapshot", "  leat knowledge sync handbook\n  leat knowledge sync handbook --apply",
		cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if apply {
					if err := c.applyFiles(ctx, cl); err != nil {
						return err
					}
				}
				id, err := cl.SyncKnowledge(ctx, args[0])
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
				report, err := knowledge.ReportOf(status)
				if err != nil {
					return err
				}
				return c.show(report, func(w io.Writer) { printSynced(w, report) })
			})
		})
	cmd.Flags().BoolVar(&detach, "detach", false, "print the run's id and return at once; it needs a server that stays (leat up)")
	cmd.Flags().BoolVar(&apply, "apply", false, "apply the project's files first")
	return cmd
}

func printSynced(w io.Writer, r knowledge.Report) {
	what := fmt.Sprintf("%s documents read, %s changed, %s removed", count(int64(r.Read)), count(int64(r.Changed)), count(int64(r.Removed)))
	switch {
	case r.Unchanged:
		fmt.Fprintf(w, "%s is current: %s documents, nothing changed\n", r.Knowledge, count(int64(r.Listed)))
	case r.Held:
		fmt.Fprintf(w, "%s has a new snapshot %s, which is not live because of a rollback: %s\n", r.Knowledge, short(r.Snapshot), what)
	default:
		fmt.Fprintf(w, "%s is live as snapshot %s: %s\n", r.Knowledge, short(r.Snapshot), what)
	}
	rows := [][2]string{{"documents", count(int64(r.Documents))}, {"passages", count(int64(r.Passages))}, {"read", size(r.Bytes)}}
	if r.Embedded > 0 {
		rows = append(rows, [2]string{"embedded", count(int64(r.Embedded))})
	}
	if len(r.Measures) > 0 {
		rows = append(rows, [2]string{"measures", measuresText(r.Measures)})
	}
	rows = append(rows, [2]string{"errors", count(int64(r.Errors))}, [2]string{"took", duration(time.Duration(r.Seconds * float64(time.Second)))})
	pairs(w, rows)
	const shown = 5
	for i, p := range r.Problems {
		if i == shown {
			fmt.Fprintf(w, "… `leat knowledge errors %s` lists all\n", r.Knowledge)
			break
		}
		fmt.Fprintf(w, "%s: %s\n", strings.TrimSpace(p.Document+p.SourceIfAlone()), p.Reason)
		if p.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", p.Hint)
		}
	}
}

func (c *commands) knowledgeDocumentsCommand() *cobra.Command {
	return c.documentsCommand("documents NAME", "List the documents that you may read", (*client.Client).KnowledgeDocuments, func(w io.Writer, list []knowledge.Document) {
		rows := make([][]string, len(list))
		for i, d := range list {
			rows[i] = []string{d.ID, d.State, short(d.Version), count(int64(d.Passages)), size(d.Bytes), strings.Join(d.Readers, " "), moment(d.Changed)}
		}
		table(w, []string{"document", "state", "version", "passages", "size", "readers", "changed"}, rows)
	})
}

func (c *commands) knowledgeErrorsCommand() *cobra.Command {
	return c.documentsCommand("errors NAME", "List the documents that could not be read, and why", (*client.Client).KnowledgeErrors, func(w io.Writer, list []knowledge.Document) {
		if len(list) == 0 {
			fmt.Fprintln(w, "every document could be read")
			return
		}
		for _, d := range list {
			fmt.Fprintf(w, "%s: %s\n", d.ID, d.Reason)
			if d.Hint != "" {
				fmt.Fprintf(w, "  hint: %s\n", d.Hint)
			}
			if d.Version != "" {
				fmt.Fprintf(w, "  its version %s stays in the index\n", short(d.Version))
			}
		}
	})
}

func (c *commands) documentsCommand(use, short string, list func(*client.Client, context.Context, string, string, int) ([]knowledge.Document, error), people func(io.Writer, []knowledge.Document)) *cobra.Command {
	var after string
	var limit int
	name, _, _ := strings.Cut(use, " ")
	cmd := c.command("", use, short, "  leat knowledge "+name+" handbook", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
			found, err := list(cl, ctx, args[0], after, limit)
			if err != nil {
				return err
			}
			return c.show(found, func(w io.Writer) { people(w, found) })
		})
	})
	cmd.Flags().StringVar(&after, "after", "", "only those whose id comes after this one")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many")
	return cmd
}

func (c *commands) knowledgeVersionsCommand() *cobra.Command {
	return c.command("", "versions NAME DOCUMENT", "List the versions of a document that were read", "  leat knowledge versions handbook docs/travel.md", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				list, err := cl.DocumentVersions(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) {
					rows := make([][]string, len(list))
					for i, v := range list {
						current := ""
						if v.Current {
							current = "current"
						}
						rows[i] = []string{short(v.Version), moment(v.Seen), v.Format, size(v.Bytes), current}
					}
					table(w, []string{"version", "read", "format", "size", ""}, rows)
				})
			})
		})
}

func (c *commands) knowledgeHistoryCommand() *cobra.Command {
	return c.command("", "history NAME", "List snapshots, and which was live when", "  leat knowledge history handbook", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				h, err := cl.KnowledgeHistory(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(h, func(w io.Writer) { printKnowledgeHistory(w, h) })
			})
		})
}

func printKnowledgeHistory(w io.Writer, h knowledge.History) {
	rows := make([][]string, len(h.Snapshots))
	for i, s := range h.Snapshots {
		state := s.State
		if s.Live {
			state = "live"
		}
		rows[i] = []string{short(s.Name), state, count(int64(s.Documents)), count(int64(s.Passages)), count(int64(s.Changed)), count(int64(s.Removed)),
			count(int64(s.Errors)), measuresText(s.Measures), moment(s.Made)}
	}
	table(w, []string{"snapshot", "state", "documents", "passages", "changed", "removed", "errors", "measures", "made"}, rows)
	fmt.Fprintln(w)
	changes := make([][]string, len(h.Changes))
	for i, ch := range h.Changes {
		changes[i] = []string{moment(ch.At), short(ch.Snapshot), ch.Why, ch.By}
	}
	table(w, []string{"live since", "snapshot", "why", "by"}, changes)
}

func (c *commands) knowledgeRollbackCommand() *cobra.Command {
	var to string
	cmd := c.command("", "rollback NAME", "Make an earlier snapshot live; --to latest goes on with the newest",
		"  leat knowledge rollback handbook\n  leat knowledge rollback handbook --to latest", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				made, err := cl.RollbackKnowledge(ctx, args[0], to)
				if err != nil {
					return err
				}
				return c.show(made, func(w io.Writer) {
					fmt.Fprintf(w, "%s answers from snapshot %s", args[0], short(made.Snapshot))
					if made.Held {
						fmt.Fprintf(w, "; new ones wait until `leat knowledge rollback %s --to latest`", args[0])
					}
					fmt.Fprintln(w)
				})
			})
		})
	cmd.Flags().StringVar(&to, "to", "", "the snapshot; the one before the live one when absent")
	return cmd
}

func (c *commands) knowledgePutCommand() *cobra.Command {
	var doc knowledge.Pushed
	var fields []string
	cmd := c.command("", "put NAME FILE", "Send a document to a knowledge with a source push://",
		"  leat knowledge put handbook travel.md --readers group:staff\n  leat knowledge put handbook report.pdf --id reports/2026.pdf --field year=2026", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			if doc.ID == "" {
				doc.ID = filepath.ToSlash(args[1])
			}
			if !cmd.Flags().Changed("readers") {
				doc.Readers = nil
			}
			for _, f := range fields {
				name, value, ok := strings.Cut(f, "=")
				if !ok {
					return &usageError{fault.New(fault.Invalid, "--field %s has no value", f).Hint("write --field year=2026")}
				}
				if doc.Fields == nil {
					doc.Fields = map[string]string{}
				}
				doc.Fields[name] = value
			}
			file, err := os.Open(args[1])
			if err != nil {
				return fault.Wrap(err, fault.NotFound, "the document cannot be read")
			}
			defer file.Close()
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				out, err := cl.PutDocument(ctx, args[0], doc, file)
				if err != nil {
					return err
				}
				return c.show(out, func(w io.Writer) {
					if out.Same {
						fmt.Fprintf(w, "%s was there just like that\n", out.ID)
						return
					}
					fmt.Fprintf(w, "%s is kept as version %s; it is found once the index is built\n", out.ID, short(out.Version))
				})
			})
		})
	f := cmd.Flags()
	f.StringVar(&doc.ID, "id", "", "id of the document; the file's path when absent")
	f.StringVar(&doc.Title, "title", "", "title; found in the document when absent")
	f.StringVar(&doc.URL, "url", "", "where a reader is sent to")
	f.StringVar(&doc.MIME, "type", "", "media type; found out when absent")
	f.StringSliceVar(&doc.Readers, "readers", nil, "who may read it: *, user:NAME, group:NAME; those of the source when absent")
	f.StringArrayVar(&fields, "field", nil, "NAME=VALUE of a field; may be given several times")
	return cmd
}

func (c *commands) knowledgeDeleteCommand() *cobra.Command {
	return c.command("", "delete NAME DOCUMENT", "Take a document that was sent out of every answer, at once", "  leat knowledge delete handbook reports/2026.pdf",
		cobra.ExactArgs(2), func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if err := cl.RemoveDocument(ctx, args[0], args[1]); err != nil {
					return err
				}
				return c.show(map[string]string{"removed": args[1]}, func(w io.Writer) { fmt.Fprintf(w, "%s is in no answer any more\n", args[1]) })
			})
		})
}
