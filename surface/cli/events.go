package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) eventsCommand() *cobra.Command {
	var types []string
	var subject string
	var limit int
	var watch bool
	var every time.Duration
	cmd := c.command("ask", "events", "Show what happened in the house, and what it started",
		"  leat events\n  leat events --type run.failed,stream.dead\n  leat events --watch", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				list, err := cl.Events(ctx, types, subject, 0, limit)
				if err != nil {
					return err
				}
				slices.Reverse(list) // the newest last, as in a log
				if !watch {
					return c.show(list, func(w io.Writer) { listEvents(w, list) })
				}
				return c.watchEvents(ctx, cl, list, types, subject, every)
			})
		})
	cmd.Flags().StringSliceVar(&types, "type", nil, "only these types")
	cmd.Flags().StringVar(&subject, "subject", "", "only those about this")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many")
	cmd.Flags().BoolVar(&watch, "watch", false, "go on with those to come, until interrupted")
	cmd.Flags().DurationVar(&every, "every", time.Second, "how often to look, with --watch")
	return cmd
}

// watchEvents writes events as they come: a line each.
func (c *commands) watchEvents(ctx context.Context, cl *client.Client, list []api.Event, types []string, subject string, every time.Duration) error {
	last := int64(0)
	for {
		for _, e := range list {
			last = max(last, e.Seq)
			err := c.show(e, func(w io.Writer) {
				fmt.Fprintf(w, "%s  %-18s  %-20s  %s%s\n", moment(e.At), e.Type, e.Subject, eventFields(e), eventStarts(e))
			})
			if err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(every, 10*time.Millisecond)):
		}
		var err error
		if last == 0 { // there was none yet: then the oldest is new
			list, err = cl.Events(ctx, types, subject, 0, 1000)
			slices.Reverse(list)
		} else {
			list, err = cl.Events(ctx, types, subject, last, 1000)
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func listEvents(w io.Writer, list []api.Event) {
	rows := make([][]string, len(list))
	for i, e := range list {
		rows[i] = []string{moment(e.At), e.Type, e.Subject, eventFields(e), strings.TrimPrefix(eventStarts(e), "  → ")}
	}
	table(w, []string{"at", "type", "subject", "fields", "started"}, rows)
}

// eventFields writes the fields of an event in one line.
func eventFields(e api.Event) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(e.Fields, &fields) != nil {
		return ""
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if text := strings.Trim(string(fields[name]), `"`); text != e.Subject {
			parts = append(parts, name+"="+text)
		}
	}
	return strings.Join(parts, " ")
}

func eventStarts(e api.Event) string {
	var parts []string
	for _, s := range e.Starts {
		part := s.Run
		if part == "" {
			part = s.Target
		}
		if s.State != "started" && s.State != "told" {
			part += " (" + strings.TrimSuffix(s.State+": "+s.Reason, ": ") + ")"
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  → " + strings.Join(parts, ", ")
}
