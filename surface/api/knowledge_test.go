package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/server"
)

// explained finds one passage with its scores, of which the counts are those
// of the whole snapshot.
type explained struct{ api.Knowledge }

func (explained) Search(_ context.Context, q knowledge.Search) (knowledge.Found, error) {
	return knowledge.Found{Knowledge: q.Knowledge, Snapshot: "s1", Passages: []knowledge.Scored{{
		Passage: index.Passage{ID: "a.md#0", Document: "a.md", Text: "hotels"}, Score: 1.5,
		Explain: &knowledge.Explain{Place: 1, Explain: index.Explain{
			Text: &index.TextScore{Rank: 1, Score: 1.5, Terms: []index.TermScore{{Term: "hotel", Passages: 41, IDF: 2.25, Score: 1.5}}},
		}},
	}}}, nil
}

// How many passages of a snapshot have a word says what is in passages that
// the caller may not read.
func TestCountsOfTheWholeSnapshotTakeAGrant(t *testing.T) {
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{}, nil, tel)
	if err != nil {
		t.Fatal(err)
	}
	api.New(s, api.Services{Version: "test", Knowledge: explained{}})
	for grants, told := range map[[2]string]bool{
		{"search:handbook"}:                       false,
		{"search:handbook", "read:other"}:         false,
		{"search:handbook", "knowledge:other"}:    false,
		{"search:handbook", "ask:handbook"}:       false,
		{"search:handbook", "read:handbook"}:      true,
		{"search:handbook", "knowledge:handbook"}: true,
		{"search:handbook", "read:*"}:             true,
		{"*:*"}:                                   true,
	} {
		w, _ := ask(t, s, identity.Principal{Name: "ann", Grants: grants[:]}, "POST", "/v1/knowledge/handbook/search", `{"query":"hotels","explain":true}`)
		var found struct {
			Passages []struct {
				Explain struct {
					Text struct {
						Rank  int
						Score float64
						Terms []map[string]any
					}
				}
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &found); w.Code != http.StatusOK || err != nil || len(found.Passages) != 1 || len(found.Passages[0].Explain.Text.Terms) != 1 {
			t.Fatalf("%q: %d %s, %v", grants, w.Code, w.Body, err)
		}
		stage := found.Passages[0].Explain.Text
		term := stage.Terms[0]
		if stage.Rank != 1 || stage.Score != 1.5 || term["term"] != "hotel" || term["score"] != 1.5 {
			t.Errorf("%q: the scores of the stage are %s", grants, w.Body)
		}
		passages, idf := term["passages"], term["idf"]
		if told && (passages != 41.0 || idf != 2.25) || !told && (passages != nil || idf != nil) {
			t.Errorf("%q: %v passages, IDF %v", grants, passages, idf)
		}
	}
}
