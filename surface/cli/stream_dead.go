package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/surface/client"
)

// maxEdited bounds the body that an edit may bring.
const maxEdited = 16 << 20

func (c *commands) streamDeadCommand() *cobra.Command {
	var limit int
	var after int64
	list := func(cmd *cobra.Command, args []string) error {
		return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
			letters, err := cl.DeadLetters(ctx, args[0], after, limit)
			if err != nil {
				return err
			}
			return c.show(letters, func(w io.Writer) { printLetters(w, letters) })
		})
	}
	cmd := c.command("", "dead NAME", "List the events that a stream could not deal with; show, edit, replay and drop them",
		"  leat stream dead fraud-live\n  leat stream dead show fraud-live 7\n  leat stream dead replay fraud-live 7 8", cobra.ExactArgs(1), list)
	listing := c.command("", "list NAME", "List dead letters, oldest first", "  leat stream dead list fraud-live", cobra.ExactArgs(1), list)
	for _, l := range []*cobra.Command{cmd, listing} {
		l.Flags().IntVar(&limit, "limit", 100, "how many")
		l.Flags().Int64Var(&after, "after", 0, "only those after the one of this number")
	}
	cmd.AddCommand(listing, c.deadShowCommand(), c.deadEditCommand(),
		c.deadSomeCommand("replay", "Try dead letters again", "%d dead letters are tried again\n", (*client.Client).ReplayDeadLetters),
		c.deadSomeCommand("drop", "Delete dead letters", "%d dead letters were deleted\n", (*client.Client).DropDeadLetters))
	return cmd
}

func printLetters(w io.Writer, letters []stream.Letter) {
	rows := make([][]string, len(letters))
	for i, d := range letters {
		rows[i] = []string{fmt.Sprint(d.ID), d.Event, fmt.Sprintf("%s:%d", d.Partition, d.Offset), d.Stage, fmt.Sprint(d.Attempts),
			moment(d.FailedAt), clipped(d.Reason, 80)}
	}
	table(w, []string{"letter", "event", "place", "stage", "attempts", "failed", "reason"}, rows)
}

// clipped is the beginning of a text.
func clipped(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n]) + "…"
}

func letterNumber(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		return 0, &usageError{fault.New(fault.Invalid, "%q is not the number of a dead letter", text).Hint("`leat stream dead NAME` lists them")}
	}
	return n, nil
}

func (c *commands) deadShowCommand() *cobra.Command {
	return c.command("", "show NAME LETTER", "Show a dead letter with its body", "  leat stream dead show fraud-live 7", cobra.ExactArgs(2),
		func(cmd *cobra.Command, args []string) error {
			n, err := letterNumber(args[1])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				d, err := cl.DeadLetter(ctx, args[0], n)
				if err != nil {
					return err
				}
				return c.show(d, func(w io.Writer) { printLetter(w, d) })
			})
		})
}

func printLetter(w io.Writer, d stream.Letter) {
	rows := [][2]string{
		{"letter", fmt.Sprint(d.ID)}, {"event", d.Event}, {"place", fmt.Sprintf("%s:%d", d.Partition, d.Offset)},
		{"failed at", fmt.Sprintf("%s, %s, attempt %d", d.Stage, moment(d.FailedAt), d.Attempts)}, {"kind", string(d.Kind)}, {"reason", d.Reason},
		{"time", moment(d.Time)}, {"key", printable(d.Key)},
	}
	for _, h := range d.Headers {
		rows = append(rows, [2]string{"header", h.Name + ": " + h.Value})
	}
	pairs(w, rows)
	fmt.Fprintf(w, "\n%s\n", printable(d.Body))
}

// printable is text as it is, and bytes that are none as numbers.
func printable(b []byte) string {
	if utf8.Valid(b) && !bytes.ContainsRune(b, 0) && !bytes.ContainsRune(b, '\x1b') {
		return string(b)
	}
	return fmt.Sprintf("%d bytes: %x", len(b), b[:min(len(b), 256)])
}

func (c *commands) deadEditCommand() *cobra.Command {
	return c.command("", "edit NAME LETTER FILE", "Replace the body of a dead letter by a file, - for standard input", "  leat stream dead edit fraud-live 7 better.json",
		cobra.ExactArgs(3), func(cmd *cobra.Command, args []string) error {
			n, err := letterNumber(args[1])
			if err != nil {
				return err
			}
			body, err := c.edited(args[2])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				d, err := cl.EditDeadLetter(ctx, args[0], n, body)
				if err != nil {
					return err
				}
				return c.show(d, func(w io.Writer) {
					fmt.Fprintf(w, "dead letter %d has %d bytes now; `leat stream dead replay %s %d` tries it again\n", n, len(body), args[0], n)
				})
			})
		})
}

func (c *commands) edited(file string) ([]byte, error) {
	in := c.In
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fault.Wrap(err, fault.NotFound, "%s cannot be read", file)
		}
		defer f.Close()
		in = f
	}
	body, err := io.ReadAll(io.LimitReader(in, maxEdited+1))
	if err == nil && len(body) > maxEdited {
		err = fault.New(fault.TooLarge, "the body has more than %d bytes", maxEdited)
	}
	return body, fault.Wrap(err, fault.KindOf(err), "%s cannot be read", file)
}

func (c *commands) deadSomeCommand(use, short, said string, do func(*client.Client, context.Context, string, []int64) (int64, error)) *cobra.Command {
	var all bool
	cmd := c.command("", use+" NAME [LETTER...]", short, "  leat stream dead "+use+" fraud-live 7 8\n  leat stream dead "+use+" fraud-live --all",
		cobra.MinimumNArgs(1), func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 1) {
				return &usageError{fault.New(fault.Invalid, "say which dead letters, or --all")}
			}
			var numbers []int64
			for _, text := range args[1:] {
				n, err := letterNumber(text)
				if err != nil {
					return err
				}
				numbers = append(numbers, n)
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				n, err := do(cl, ctx, args[0], numbers)
				if err != nil {
					return err
				}
				return c.show(map[string]int64{"letters": n}, func(w io.Writer) { fmt.Fprintf(w, said, n) })
			})
		})
	cmd.Flags().BoolVar(&all, "all", false, "every one that there is")
	return cmd
}
