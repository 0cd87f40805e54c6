package app

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/surface/server"
)

// Who may read decisions sees which passages an answer was made of and what it
// quotes, whichever way it was asked for, and not the texts of documents that
// others may read.
func TestRecordOfAnAssistantHasNoTexts(t *testing.T) {
	a := startAskable(t, func(c *Config) { c.Server.Auth = server.AuthKeys })
	keyed := (&loop{T: t, App: a}).keyed
	director := keyed("director", []string{"board"}, "ask:helpdesk", "score:helpdesk")
	auditor := keyed("auditor", nil, "read:*")
	const question = "What is the salary of the director?"
	answer, err := director.Ask(t.Context(), "helpdesk", api.Asked{Question: question}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.Passages) == 0 || answer.Passages[0].Text == "" || len(answer.Citations) == 0 {
		t.Fatalf("the director is answered %+v", answer)
	}
	if _, err := director.Score(t.Context(), "helpdesk", []client.Row{{"question": question, "conversation": nil, "filter": nil}}, ""); err != nil {
		t.Fatal(err)
	}
	decisions, err := auditor.Decisions(t.Context(), "helpdesk", 10)
	if err != nil || len(decisions) != 2 {
		t.Fatalf("%d decisions, %v", len(decisions), err)
	}
	for _, d := range decisions {
		var features struct{ Query, Passages string }
		if err := json.Unmarshal(d.Features, &features); err != nil {
			t.Fatal(err)
		}
		var kept []map[string]any
		if err := json.Unmarshal([]byte(features.Passages), &kept); err != nil || len(kept) != len(answer.Passages) {
			t.Fatalf("%s: %d of %d passages are recorded, %v: %s", d.Pattern, len(kept), len(answer.Passages), err, d.Features)
		}
		for i, p := range answer.Passages {
			want := map[string]any{"id": p.ID, "knowledge": p.Knowledge, "snapshot": p.Snapshot, "source": p.Source, "version": p.Version,
				"start": float64(p.Start), "end": float64(p.End), "score": p.Score}
			if !maps.Equal(kept[i], want) {
				t.Errorf("%s: of passage %d is recorded\n%v, not\n%v", d.Pattern, i, kept[i], want)
			}
		}
		if features.Query != question || !strings.Contains(string(d.Output), "1 €") {
			t.Errorf("%s: query %q and output %s", d.Pattern, features.Query, d.Output)
		}
	}
	patterns := []string{decisions[0].Pattern, decisions[1].Pattern}
	if slices.Sort(patterns); !slices.Equal(patterns, []string{"knowledge", "realtime"}) {
		t.Errorf("recorded as %q", patterns)
	}
	r, err := auditor.SQL(t.Context(), "select features from decisions", 0)
	if err != nil || r.Count != 2 || strings.Contains(string(r.Rows), "Salaries") || strings.Contains(string(r.Rows), "Breakfast") {
		t.Errorf("%v, SQL shows %s", err, r.Rows)
	}
}
