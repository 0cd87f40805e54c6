package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) llmCommand() *cobra.Command {
	cmd := c.command("ask", "llm", "Show language models, how they do and what they cost", "  leat llm status\n  leat llm spend --by caller\n  leat llm calls",
		cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return c.listLLMs(cmd.Context()) })
	cmd.AddCommand(
		c.command("", "list", "List language models", "  leat llm list", cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return c.listLLMs(cmd.Context()) }),
		c.llmStatusCommand(), c.llmSpendCommand(), c.llmCallsCommand())
	return cmd
}

func (c *commands) listLLMs(ctx context.Context) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		list, err := cl.LLMs(ctx)
		if err != nil {
			return err
		}
		return c.show(list, func(w io.Writer) {
			rows := make([][]string, len(list))
			for i, l := range list {
				ready := 0
				for _, d := range l.Deployments {
					if d.State == "ready" {
						ready++
					}
				}
				rows[i] = []string{l.Name, fmt.Sprintf("%d of %d", ready, len(l.Deployments)), orDash(strings.Join(l.Fallback, ", ")), budgetText(l.Budget), l.Description}
			}
			table(w, []string{"llm", "ready", "fallback", "budget", "description"}, rows)
		})
	})
}

func (c *commands) llmStatusCommand() *cobra.Command {
	return c.command("", "status [NAME]", "Show how deployments do and what is left of budgets", "  leat llm status\n  leat llm status gpt", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				list, err := cl.LLMs(ctx)
				if err != nil {
					return err
				}
				if len(args) > 0 {
					names := make([]string, len(list))
					for i, l := range list {
						names[i] = l.Name
					}
					list = slices.DeleteFunc(list, func(l api.LLM) bool { return l.Name != args[0] })
					if len(list) == 0 {
						err := fault.New(fault.NotFound, "no LLM is called %q", args[0])
						if near := fault.Nearest(args[0], names); near != "" {
							return err.Hint("did you mean %s?", near)
						}
						return err.Hint("`leat llm list` lists them")
					}
				}
				return c.show(list, func(w io.Writer) { printLLMs(w, list) })
			})
		})
}

func printLLMs(w io.Writer, list []api.LLM) {
	var rows [][]string
	for _, l := range list {
		for _, d := range l.Deployments {
			state := d.State
			if d.Until != nil {
				state += " until " + d.Until.Local().Format(time.TimeOnly)
			}
			if d.LastFailed != "" {
				state += " (" + d.LastFailed + ")"
			}
			first := "-"
			if d.FirstMS > 0 {
				first = fmt.Sprintf("%.0f ms", d.FirstMS)
			}
			rows = append(rows, []string{l.Name, d.At, strconv.Itoa(d.Weight), state, strconv.Itoa(d.Running), first, fmt.Sprintf("%.0f %%", 100*d.Errors)})
		}
	}
	table(w, []string{"llm", "deployment", "weight", "state", "running", "first token", "errors"}, rows)
	rows = nil
	for _, l := range list {
		if l.Budget == nil {
			continue
		}
		for _, s := range l.Budget.Callers {
			rows = append(rows, []string{l.Name, orDash(s.Caller), dollars(s.Spent), dollars(s.Reserved), budgetText(l.Budget)})
		}
		if l.Budget.Unpriced {
			fmt.Fprintf(w, "%s: calls are refused, because no price is known for every deployment\n", l.Name)
		}
	}
	if len(rows) > 0 {
		fmt.Fprintln(w)
		table(w, []string{"llm", "caller", "spent", "reserved", "of"}, rows)
	}
}

func budgetText(b *api.LLMBudget) string {
	if b == nil {
		return "-"
	}
	text := dollars(b.USD) + " every " + strings.TrimSuffix(strings.TrimSuffix((time.Duration(b.EverySeconds)*time.Second).String(), "0s"), "0m")
	if b.Per == "caller" {
		text += ", each caller"
	}
	return text
}

// dollars writes an amount to a hundredth of a cent.
func dollars(usd float64) string {
	if usd != 0 && usd < 0.0001 {
		return "<$0.0001"
	}
	return "$" + strconv.FormatFloat(usd, 'f', 4, 64)
}

func (c *commands) llmSpendCommand() *cobra.Command {
	var days int
	var by []string
	cmd := c.command("", "spend", "Show what calls of language models cost", "  leat llm spend\n  leat llm spend --days 7 --by day,caller", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			for _, name := range by {
				if !slices.Contains([]string{"day", "llm", "caller", "deployment"}, name) {
					return &usageError{fault.New(fault.Invalid, "--by has no value %q", name).Hint("it can be day, llm, caller and deployment, with commas between")}
				}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				list, err := cl.LLMSpend(ctx, days, by...)
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) { printSpend(w, list, by) })
			})
		})
	cmd.Flags().IntVar(&days, "days", 30, "how many days, today included")
	cmd.Flags().StringSliceVar(&by, "by", []string{"llm"}, "day, llm, caller or deployment; several with commas")
	return cmd
}

func printSpend(w io.Writer, list []api.LLMSpent, by []string) {
	rows := make([][]string, len(list))
	for i, s := range list {
		for _, name := range by {
			rows[i] = append(rows[i], orDash(map[string]string{"day": s.Day, "llm": s.LLM, "caller": s.Caller, "deployment": s.Deployment}[name]))
		}
		rows[i] = append(rows[i], count(s.Calls), count(s.Failed), count(s.Input), count(s.Output), dollars(s.Cost.USD()))
	}
	table(w, append(slices.Clone(by), "calls", "failed", "tokens in", "tokens out", "cost"), rows)
}

func (c *commands) llmCallsCommand() *cobra.Command {
	var name, caller, before string
	var limit int
	cmd := c.command("", "calls [ID]", "List calls of language models, or show one", "  leat llm calls --llm gpt --limit 10\n  leat llm calls 06cd3nt0q3…", cobra.MaximumNArgs(1),
		func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) > 0 {
					one, err := cl.LLMCall(ctx, args[0])
					if err != nil {
						return err
					}
					return c.show(one, func(w io.Writer) { printCall(w, one) })
				}
				list, err := cl.LLMCalls(ctx, name, caller, before, limit)
				if err != nil {
					return err
				}
				return c.show(list, func(w io.Writer) { printCalls(w, list) })
			})
		})
	cmd.Flags().StringVar(&name, "llm", "", "only those of this LLM")
	cmd.Flags().StringVar(&caller, "caller", "", "only those of this caller")
	cmd.Flags().StringVar(&before, "before", "", "only those before this id")
	cmd.Flags().IntVar(&limit, "limit", 20, "how many")
	return cmd
}

func printCalls(w io.Writer, list []api.LLMCall) {
	rows := make([][]string, len(list))
	for i, k := range list {
		outcome := k.Finish
		if k.Error != "" {
			outcome = k.Error
		}
		rows[i] = []string{k.ID, k.At.Local().Format(time.DateTime), k.LLM, orDash(k.Caller), count(int64(k.Input)), count(int64(k.Output)),
			dollars(k.Cost.USD()), (time.Duration(k.DurationUS) * time.Microsecond).Round(time.Millisecond).String(), orDash(outcome)}
	}
	table(w, []string{"id", "at", "llm", "caller", "in", "out", "cost", "took", "outcome"}, rows)
}

func printCall(w io.Writer, k api.LLMCall) {
	rows := [][2]string{
		{"id", k.ID}, {"at", k.At.Local().Format(time.RFC3339)}, {"operation", k.Operation}, {"llm", k.LLM}, {"served by", orDash(k.Served)},
		{"deployment", orDash(k.Deployment)}, {"model", orDash(k.Model)}, {"caller", orDash(k.Caller)}, {"via", orDash(k.Via)},
		{"tokens in", count(int64(k.Input)) + " (" + count(int64(k.CachedInput)) + " cached)"}, {"tokens out", count(int64(k.Output))},
		{"cost", "$" + k.Cost.String()}, {"attempts", strconv.Itoa(k.Attempts)}, {"first token", (time.Duration(k.FirstUS) * time.Microsecond).String()},
		{"took", (time.Duration(k.DurationUS) * time.Microsecond).String()}, {"finish", orDash(k.Finish)}, {"error", orDash(k.Error)},
	}
	for _, note := range [...]struct {
		on         bool
		name, text string
	}{{k.Fallback != "", "fallback", k.Fallback}, {k.Estimated, "tokens", "estimated"}, {k.Unpriced, "price", "not known"}, {k.Cached, "answer", "from the cache"}} {
		if note.on {
			rows = append(rows, [2]string{note.name, note.text})
		}
	}
	pairs(w, rows)
}
