package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) streamCommand() *cobra.Command {
	cmd := c.command("run", "stream", "Show and steer streams of events", "  leat stream status\n  leat stream status fraud-live --watch\n  leat stream pause fraud-live",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return c.listStreams(cmd.Context()) })
	cmd.AddCommand(c.streamStatusCommand(),
		c.streamChangeCommand("pause", "Hold a stream; what is under way comes to its end", (*client.Client).PauseStream),
		c.streamChangeCommand("resume", "Let a paused stream go on", (*client.Client).ResumeStream),
		c.streamSeekCommand(), c.streamDeadCommand())
	return cmd
}

func (c *commands) streamStatusCommand() *cobra.Command {
	var watch bool
	var every time.Duration
	cmd := c.command("", "status [NAME]", "Show how streams are: state, rate, lag, watermark, dead letters",
		"  leat stream status\n  leat stream status fraud-live --watch", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			if watch {
				return c.watchStreams(cmd.Context(), args, every)
			}
			if len(args) == 0 {
				return c.listStreams(cmd.Context())
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				st, err := cl.Stream(ctx, args[0])
				if err != nil {
					return err
				}
				return c.show(st, func(w io.Writer) { printStream(w, st) })
			})
		})
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again and again, until interrupted")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often, with --watch")
	return cmd
}

func (c *commands) listStreams(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		list, err := cl.Streams(ctx)
		if err != nil {
			return err
		}
		return c.show(list, func(w io.Writer) { printStreams(w, list) })
	})
}

// watchStreams shows streams again and again: a line each with --json, so that
// programs can follow.
func (c *commands) watchStreams(ctx context.Context, names []string, every time.Duration) error {
	if every < 100*time.Millisecond {
		return &usageError{fault.New(fault.Invalid, "--every is %s, less than 100ms", every)}
	}
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			list, err := c.watched(ctx, cl, names)
			if err != nil {
				return err
			}
			if err := c.show(list, func(w io.Writer) {
				fmt.Fprint(w, "\x1b[H\x1b[2J") // the screen from its top
				printStreams(w, list)
			}); err != nil {
				return err
			}
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
}

func (c *commands) watched(ctx context.Context, cl *client.Client, names []string) ([]stream.Status, error) {
	if len(names) == 0 {
		return cl.Streams(ctx)
	}
	st, err := cl.Stream(ctx, names[0])
	return []stream.Status{st}, err
}

func (c *commands) streamChangeCommand(use, short string, change func(*client.Client, context.Context, string) (stream.Status, error)) *cobra.Command {
	return c.command("", use+" NAME", short, "  leat stream "+use+" fraud-live", cobra.ExactArgs(1), func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
			st, err := change(cl, ctx, args[0])
			if err != nil {
				return err
			}
			return c.show(st, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", st.Name, use+"d") })
		})
	})
}

func (c *commands) streamSeekCommand() *cobra.Command {
	return c.command("", "seek NAME PLACE", "Let a stream go on at first, latest, a time, an offset or PARTITION:OFFSET",
		"  leat stream seek fraud-live first\n  leat stream seek fraud-live 2026-01-31T08:00:00Z", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			if _, err := stream.ParsePlace(args[1]); err != nil {
				return &usageError{err}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				sought, err := cl.SeekStream(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return c.show(sought, func(w io.Writer) {
					fmt.Fprintf(w, "%s goes on at %s: %s\n", args[0], args[1], sought.Note)
				})
			})
		})
}

func printStreams(w io.Writer, list []stream.Status) {
	rows := make([][]string, len(list))
	for i, st := range list {
		rows[i] = []string{st.Name, string(st.State), fmt.Sprintf("%.0f/s", st.Rate), lagText(st.Lag), moment(st.Watermark),
			count(st.Decided), count(st.Late), count(st.DeadLetters)}
	}
	table(w, []string{"stream", "state", "rate", "lag", "watermark", "decided", "late", "dead"}, rows)
	for _, st := range list {
		if st.Why != "" {
			fmt.Fprintf(w, "%s: %s\n", st.Name, st.Why)
		}
	}
}

func lagText(lag int64) string {
	if lag < 0 {
		return "-"
	}
	return count(lag)
}

func printStream(w io.Writer, st stream.Status) {
	rows := [][2]string{{"stream", st.Name}, {"state", fmt.Sprintf("%s since %s", st.State, moment(st.Since))}}
	if st.Why != "" {
		rows = append(rows, [2]string{"why", st.Why})
	}
	if st.Hint != "" {
		rows = append(rows, [2]string{"hint", st.Hint})
	}
	rows = append(rows, [2]string{"from", st.From})
	for _, r := range [][2]string{{"score", st.Score}, {"to", st.To}} {
		if r[1] != "" {
			rows = append(rows, r)
		}
	}
	rows = append(rows, [][2]string{
		{"rate", fmt.Sprintf("%.1f events/s", st.Rate)}, {"lag", lagText(st.Lag)}, {"watermark", moment(st.Watermark)},
		{"decided", count(st.Decided)}, {"known", count(st.Known) + " delivered again"}, {"filtered", count(st.Filtered)},
		{"late", count(st.Late)}, {"dead", fmt.Sprintf("%s, of which %s (%s bytes) are kept", count(st.Dead), count(st.DeadLetters), count(st.DeadBytes))},
	}...)
	pairs(w, rows)
	if len(st.Partitions) == 0 {
		return
	}
	parts := make([][]string, len(st.Partitions))
	for i, p := range st.Partitions {
		parts[i] = []string{p.Name, p.Owner, fmt.Sprint(p.Next), moment(p.Newest), count(p.Decided), moment(p.Updated)}
	}
	fmt.Fprintln(w)
	table(w, []string{"partition", "owner", "next", "newest", "decided", "updated"}, parts)
}
