package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/pattern/knowledge/assess"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) evalAssistantCommand() *cobra.Command {
	var gates []string
	var workers int
	var out string
	cmd := c.command("", "assistant [NAME] QUESTIONS", "Ask an assistant questions whose answers are known, and measure what it says",
		`  leat eval assistant handbook questions.jsonl`+"\n"+`  leat eval assistant handbook questions.jsonl --gate "citation_precision >= 0.9" --out cases.jsonl`,
		cobra.RangeArgs(1, 2),
		func(cmd *cobra.Command, args []string) error {
			cases, err := readCases(args[len(args)-1])
			if err != nil {
				return err
			}
			for _, text := range gates {
				if _, ok := spec.ParseAnswerGate(text); !ok {
					return fault.New(fault.Invalid, "%q is not a condition on a figure of answers", text).
						Hint("write one like citation_precision >= 0.9; there are %v", spec.AnswerMeasures())
				}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				name, err := assistantOf(ctx, cl, args[:len(args)-1])
				if err != nil {
					return err
				}
				report, err := assess.Run(ctx, asked{cl}, name, cases, assess.Options{Workers: workers, Asked: c.counted("questions")})
				if err != nil {
					return err
				}
				if out != "" {
					if err := writeCases(out, report.Cases); err != nil {
						return err
					}
				}
				if err := c.show(report, func(w io.Writer) { printReport(w, report) }); err != nil {
					return err
				}
				return missedGates(gates, report)
			})
		})
	cmd.Flags().StringSliceVar(&gates, "gate", nil, "a condition that must hold; several may be given")
	cmd.Flags().IntVar(&workers, "workers", 2, "questions asked at a time")
	cmd.Flags().StringVar(&out, "out", "", "file for what each question came to, a JSON object a line")
	return cmd
}

func readCases(name string) ([]assess.Case, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the questions cannot be read")
	}
	defer f.Close()
	return assess.ReadCases(f)
}

func writeCases(name string, cases []assess.Outcome) error {
	var text bytes.Buffer
	lines := json.NewEncoder(&text)
	for _, o := range cases {
		if err := lines.Encode(o); err != nil {
			return fault.Wrap(err, fault.Internal, "what a question came to cannot be written")
		}
	}
	err := os.WriteFile(name, text.Bytes(), 0o600)
	return fault.Wrap(err, fault.KindOf(err), "what the questions came to cannot be written to %s", name)
}

// asked is an assistant on a server.
type asked struct{ client *client.Client }

// Ask meets assess.Asker.
func (a asked) Ask(ctx context.Context, q knowledge.Question) (knowledge.Answer, error) {
	got, err := a.client.Ask(ctx, q.Assistant, api.Asked{Question: q.Text, Conversation: q.Conversation, Filter: q.Filter}, nil)
	return knowledge.Answer{
		ID: got.ID, Release: got.Release, Variant: got.Variant, ServedBy: got.ServedBy, Text: got.Answer, Sentences: got.Sentences,
		Citations: got.Citations, Passages: got.Passages, Query: got.Query, Abstained: got.Abstained, Model: got.Model,
		Input: got.Input, Output: got.Output, Cost: got.Cost,
	}, err
}

func printReport(w io.Writer, r assess.Report) {
	fmt.Fprintf(w, "%d questions to %s", r.Questions, r.Assistant)
	if r.Failed > 0 {
		fmt.Fprintf(w, ", %d without an answer because of an error", r.Failed)
	}
	fmt.Fprint(w, "\n\n")
	var rows [][]string
	for _, name := range spec.AnswerMeasures() {
		if v, ok := r.Figures[name]; ok {
			rows = append(rows, []string{name, fmt.Sprintf("%.4f", v)})
		}
	}
	table(w, []string{"figure", "value"}, rows)
	for _, o := range r.Cases {
		if o.Error != "" {
			fmt.Fprintf(w, "\n%s\n  %s\n", excerpt(o.Question), harmless(o.Error))
			break // the others are in the file of --out
		}
	}
}

// missedGates is an error for the conditions that do not hold.
func missedGates(gates []string, r assess.Report) error {
	var l fault.List
	for _, text := range gates {
		gate, _ := spec.ParseAnswerGate(text) // looked at before
		got, measured := r.Figures[gate.Measure]
		switch {
		case !measured:
			l.Add(fault.New(fault.Rejected, "no question says what %s is measured by", gate.Measure))
		case !gate.Holds(got):
			l.Add(fault.New(fault.Rejected, "%s is %.4f, and the gate asks for %s", gate.Measure, got, text))
		}
	}
	return l.Err()
}
