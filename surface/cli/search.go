package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

func (c *commands) searchCommand() *cobra.Command {
	var q api.Searched
	var filters []string
	var asOf string
	cmd := c.command("ask", "search KNOWLEDGE QUESTION", "Find the passages that answer best",
		`  leat search handbook "how do I book a hotel"
  leat search handbook "parental leave" --filter team=hr --filter year>=2024 --explain
  leat search handbook "parental leave" --as-of 2026-01-31`, cobra.MinimumNArgs(2),
		func(cmd *cobra.Command, args []string) error {
			q.Query = strings.Join(args[1:], " ")
			var err error
			if q.Filter, err = filterOf(filters); err != nil {
				return &usageError{err}
			}
			if q.AsOf, err = timeOf(asOf); err != nil {
				return &usageError{err}
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				found, err := cl.SearchKnowledge(ctx, args[0], q)
				if err != nil {
					return err
				}
				return c.show(found, func(w io.Writer) { printFound(w, found) })
			})
		})
	f := cmd.Flags()
	f.IntVarP(&q.K, "limit", "k", 5, "how many passages")
	f.StringArrayVar(&filters, "filter", nil, "condition on a field: team=sales, year>=2024, or a filter as JSON; several must all hold")
	f.BoolVar(&q.Explain, "explain", false, "show the scores of each stage")
	f.StringVar(&asOf, "as-of", "", "ask the snapshot that was live at a time (RFC 3339, or a day)")
	f.StringVar(&q.Snapshot, "snapshot", "", "ask a snapshot by its name")
	f.IntVar(&q.Neighbours, "neighbours", 0, "also show so many passages before and after each")
	return cmd
}

// timeOf reads a time, or the end of a day; "" is the zero time.
func timeOf(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, time.Local)
	if err != nil {
		return day, fault.New(fault.Invalid, "%q is no time", text).Hint("write 2026-01-31 or 2026-01-31T08:00:00Z")
	}
	return day.AddDate(0, 0, 1).Add(-time.Microsecond), nil
}

var condition = regexp.MustCompile(`^([A-Za-z_][A-Za-z0-9_.-]*)\s*(>=|<=|!=|=|>|<)\s*(.*)$`)

// filterOf writes conditions as a filter of the API.
func filterOf(conditions []string) (json.RawMessage, error) {
	type object = map[string]any
	var all []any
	for _, text := range conditions {
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			all = append(all, json.RawMessage(text))
			continue
		}
		m := condition.FindStringSubmatch(text)
		if m == nil {
			return nil, fault.New(fault.Invalid, "%q is no condition", text).Hint("write NAME=VALUE, NAME>=VALUE, or a filter as JSON")
		}
		v := literal(m[3])
		switch m[2] {
		case "=":
			all = append(all, object{"field": m[1], "eq": v})
		case "!=":
			all = append(all, object{"not": object{"field": m[1], "eq": v}})
		default:
			name := map[string]string{">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}[m[2]]
			all = append(all, object{"field": m[1], name: v})
		}
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return json.Marshal(all[0])
	}
	return json.Marshal(object{"and": all})
}

// literal reads a value as it is meant: a number, true or false, a day, a text
// in quotes or without.
func literal(text string) any {
	text = strings.TrimSpace(text)
	if len(text) > 1 && (text[0] == '\'' || text[0] == '"') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	if text == "true" || text == "false" {
		return text == "true"
	}
	if _, err := strconv.ParseFloat(text, 64); err == nil && json.Valid([]byte(text)) {
		return json.Number(text)
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return map[string]string{"time": at.Format(time.RFC3339)}
		}
	}
	return text
}

func printFound(w io.Writer, found api.SearchFound) {
	for i, p := range found.Passages {
		place := p.Source
		if p.Page > 0 {
			place += fmt.Sprintf(" page %d", p.Page)
		}
		fmt.Fprintf(w, "%d. %s  (%s, %.3f)\n", i+1, passageHead(p), place, p.Score)
		printExplained(w, p.Explain)
		for _, b := range p.Before {
			fmt.Fprint(w, indented(b.Text, "   · "))
		}
		fmt.Fprint(w, indented(p.Text, "   "))
		for _, a := range p.After {
			fmt.Fprint(w, indented(a.Text, "   · "))
		}
		if p.URL != "" {
			fmt.Fprintf(w, "   %s\n", p.URL)
		}
		fmt.Fprintln(w)
	}
	for _, note := range found.Notes {
		fmt.Fprintf(w, "note: %s\n", note)
	}
	if len(found.Passages) == 0 {
		fmt.Fprintln(w, "nothing is found that you may read")
	}
	fmt.Fprintf(w, "%d passages of %s, snapshot %s, in %.1f ms\n", len(found.Passages), found.Knowledge, short(found.Snapshot), found.Millis)
}

// passageHead is the title of a passage with the headings it stands under.
func passageHead(p api.SearchPassage) string {
	switch {
	case p.Heading == "" || p.Heading == p.Title:
		return p.Title
	case p.Title == "":
		return p.Heading
	}
	return p.Title + " > " + p.Heading
}

const shownText = 500

// indented is the beginning of a text, each line behind a prefix.
func indented(text, prefix string) string {
	runes := []rune(strings.TrimSpace(text))
	if len(runes) > shownText {
		runes = append(runes[:shownText], '…')
	}
	var b strings.Builder
	for line := range strings.SplitSeq(onScreen(string(runes)), "\n") {
		if strings.TrimSpace(line) != "" {
			b.WriteString(prefix + strings.TrimRight(line, " \r") + "\n")
		}
	}
	return b.String()
}

// onScreen takes out what a terminal would obey.
func onScreen(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

func printExplained(w io.Writer, e *api.SearchExplain) {
	if e == nil {
		return
	}
	if e.Text != nil {
		var terms []string
		for _, t := range e.Text.Terms {
			terms = append(terms, fmt.Sprintf("%s %.2f", t.Term, t.Score))
		}
		fmt.Fprintf(w, "   words: rank %d, %.3f (%s)\n", e.Text.Rank, e.Text.Score, strings.Join(terms, ", "))
	}
	if e.Vector != nil {
		fmt.Fprintf(w, "   meaning: rank %d, %.3f\n", e.Vector.Rank, e.Vector.Score)
	}
	if e.Fused != 0 {
		fmt.Fprintf(w, "   together: %.3f\n", e.Fused)
	}
	if e.Reranked != nil {
		fmt.Fprintf(w, "   reranked: %.3f, from place %d\n", *e.Reranked, e.Place)
	}
}
