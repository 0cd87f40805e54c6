package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) askCommand() *cobra.Command {
	var filter string
	var passages bool
	cmd := c.command("ask", "ask [ASSISTANT] QUESTION", "Ask an assistant a question; the answer's citations are checked",
		`  leat ask "How many days of leave are there?"`+"\n"+`  leat ask handbook "Who approves travel?"`+"\n"+`  leat ask handbook "Who approves travel?" --filter '{"eq": {"field": "team", "value": "sales"}}' --json`,
		cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, args []string) error {
			q := api.Asked{Question: args[len(args)-1], Filter: json.RawMessage(filter)}
			if filter == "" {
				q.Filter = nil
			} else if !json.Valid(q.Filter) {
				return fault.New(fault.Invalid, "the filter is not JSON")
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				name, err := assistantOf(ctx, cl, args[:len(args)-1])
				if err != nil {
					return err
				}
				if c.json {
					a, err := cl.Ask(ctx, name, q, nil)
					if err != nil {
						return err
					}
					return c.show(a, nil)
				}
				a, err := cl.Ask(ctx, name, q, func(p api.AnswerPart) { fmt.Fprint(c.Out, harmless(p.Text)) })
				fmt.Fprintln(c.Out)
				if err != nil {
					return err
				}
				printSources(c.Out, a, passages)
				return nil
			})
		})
	cmd.Flags().StringVar(&filter, "filter", "", "JSON that the passages must meet")
	cmd.Flags().BoolVar(&passages, "passages", false, "also show the passages that the answer was made from")
	return cmd
}

// assistantOf is the named assistant, or the only one there is.
func assistantOf(ctx context.Context, cl *client.Client, named []string) (string, error) {
	if len(named) > 0 {
		return named[0], nil
	}
	all, err := cl.Assistants(ctx)
	if err != nil {
		return "", err
	}
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
	}
	switch len(names) {
	case 0:
		return "", fault.New(fault.NotFound, "there is no assistant to ask").
			Hint("add a Knowledge and an Assistant to the project, `leat apply` and `leat knowledge sync` them")
	case 1:
		return names[0], nil
	}
	return "", fault.New(fault.Invalid, "there are %d assistants", len(names)).Hint("name one of %s before the question", strings.Join(names, ", "))
}

// printSources prints what an answer cites, and what speaks against it.
func printSources(w io.Writer, a api.AssistantAnswer, passages bool) {
	if len(a.Citations) > 0 {
		fmt.Fprintln(w)
	}
	for _, c := range a.Citations {
		fmt.Fprintf(w, "[%d] %s\n", c.Number, harmless(placeOf(c.Source, c.Heading, c.Page)))
		fmt.Fprintf(w, "    %s\n", excerpt(c.Quote))
	}
	if n := unsupported(a.Sentences); n > 0 {
		fmt.Fprintf(w, "\n%d of %d sentences are not supported by what they cite\n", n, len(a.Sentences))
	}
	if a.ServedBy != "" {
		fmt.Fprintf(w, "\nanswered by %s: the language model could not\n", a.ServedBy)
	}
	if !passages {
		return
	}
	rows := make([][]string, len(a.Passages))
	for i, p := range a.Passages {
		rows[i] = []string{fmt.Sprintf("%.3f", p.Score), placeOf(p.Source, p.Heading, p.Page), excerpt(p.Text)}
	}
	fmt.Fprintln(w)
	table(w, []string{"score", "source", "passage"}, rows)
}

func placeOf(source, heading string, page int) string {
	if heading != "" {
		source += " › " + heading
	}
	if page > 0 {
		source += fmt.Sprintf(", page %d", page)
	}
	return source
}

func unsupported(all []knowledge.Sentence) (n int) {
	for _, s := range all {
		if !s.Supported {
			n++
		}
	}
	return n
}

// harmless leaves out what a terminal would obey: documents are not ours.
func harmless(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// excerpt is the beginning of a text, in one line.
func excerpt(text string) string {
	const most = 160
	line := []rune(harmless(strings.Join(strings.Fields(text), " ")))
	if len(line) > most {
		return string(line[:most]) + "…"
	}
	return string(line)
}
