package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/work"
)

func (c *commands) addRuns(root *cobra.Command) {
	root.AddCommand(
		c.startCommand("ingest SOURCE", spec.KindSource, "Ingest a source into the lake", "  leat ingest transactions"),
		c.startCommand("run PIPELINE", spec.KindPipeline, "Run a pipeline: ingest, train, gate, register, deploy", "  leat run fraud"),
		c.startCommand("batch BATCH", spec.KindBatch, "Score a table or files", "  leat batch nightly\n  leat batch nightly --json"),
		c.streamCommand(), c.knowledgeCommand(), c.askCommand(), c.llmCommand(), c.featureCommand(), c.runsCommand(), c.deployCommand(), c.rollbackCommand(), c.demoCommand(),
	)
}

func (c *commands) startCommand(use string, kind spec.Kind, short, example string) *cobra.Command {
	var detach, apply bool
	cmd := c.command("run", use, short, example, cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
			if apply {
				if err := c.applyFiles(ctx, cl); err != nil {
					return err
				}
			}
			id, err := cl.Start(ctx, kind, args[0])
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
	cmd.Flags().BoolVar(&detach, "detach", false, "print the run's id and return at once; it needs a server that stays (leat up)")
	cmd.Flags().BoolVar(&apply, "apply", false, "apply the project's files first")
	return cmd
}

func (c *commands) runsCommand() *cobra.Command {
	var kind, name, state string
	var limit int
	cmd := c.command("ask", "runs [ID]", "List durable runs, or show one with its steps", "  leat runs --state failed\n  leat runs pipeline-fraud-x7k2", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) == 1 {
					return c.showRun(ctx, cl, args[0])
				}
				runs, err := cl.Runs(ctx, kind, name, state, limit)
				if err != nil {
					return err
				}
				return c.show(runs, func(w io.Writer) { listRuns(w, runs) })
			})
		})
	f := cmd.Flags()
	f.StringVar(&kind, "kind", "", "only runs of a kind")
	f.StringVar(&name, "name", "", "only runs of a resource")
	f.StringVar(&state, "state", "", "queued, running, succeeded, failed or cancelled")
	f.IntVar(&limit, "limit", 20, "how many")
	one := func(use, short string, do func(context.Context, *client.Client, string) error) *cobra.Command {
		return c.command("", use+" ID", short, "", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error { return do(ctx, cl, args[0]) })
		})
	}
	cmd.AddCommand(
		one("cancel", "Cancel a run", func(ctx context.Context, cl *client.Client, id string) error { return cl.CancelRun(ctx, id) }),
		one("watch", "Follow a run until it has ended", func(ctx context.Context, cl *client.Client, id string) error {
			_, err := c.follow(ctx, cl, id)
			return err
		}),
		one("retry", "Go on with a failed run at the step that failed", func(ctx context.Context, cl *client.Client, id string) error {
			if err := cl.RetryRun(ctx, id); err != nil {
				return err
			}
			_, err := c.follow(ctx, cl, id)
			return err
		}),
	)
	return cmd
}

func (c *commands) showRun(ctx context.Context, cl *client.Client, id string) error {
	run, err := cl.Run(ctx, id)
	if err != nil {
		return err
	}
	return c.show(run, func(w io.Writer) { printRun(w, run) })
}

func listRuns(w io.Writer, runs []work.Status) {
	rows := make([][]string, len(runs))
	for i, r := range runs {
		rows[i] = []string{r.ID, r.Kind, r.Name, string(r.State), moment(r.Created), took(r.Started, r.Ended), r.By}
	}
	table(w, []string{"id", "kind", "name", "state", "created", "took", "by"}, rows)
}

func took(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return "-"
	}
	return duration(to.Sub(from))
}

func printRun(w io.Writer, r work.Status) {
	pairs(w, [][2]string{
		{"run", r.ID}, {"of", r.Kind + " " + r.Name}, {"state", string(r.State)},
		{"created", moment(r.Created)}, {"took", took(r.Started, r.Ended)},
	})
	if r.Error != nil {
		pairs(w, [][2]string{{"error", r.Error.What}, {"hint", r.Error.Hint}})
	}
	if len(r.Output) > 0 && string(r.Output) != "null" {
		fmt.Fprintf(w, "output\n")
		printJSON(w, r.Output)
	}
}

func (c *commands) rollbackCommand() *cobra.Command {
	var to string
	cmd := c.command("run", "rollback ENDPOINT", "Make an earlier release live again, whole", "  leat rollback fraud\n  leat rollback fraud --to 3", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				r, err := cl.Rollback(ctx, args[0], to)
				if err != nil {
					return err
				}
				return c.show(r, func(w io.Writer) {
					fmt.Fprintf(w, "%s serves release %d (%s) again\n", r.Endpoint, r.Number, short(r.ID))
				})
			})
		})
	cmd.Flags().StringVar(&to, "to", "", "number or id of the release (default: the last other one)")
	return cmd
}
