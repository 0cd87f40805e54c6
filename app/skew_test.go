package app

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/spec"
)

// TestSkew: what an endpoint was given to decide with is what the lake has, and
// when it is not (an event that came late, a view that means something else
// now), a monitor says of which features.
func TestSkew(t *testing.T) {
	l := burstsLearned(t)
	newest, err := time.Parse(time.RFC3339Nano, l.row("select max(at) from payments")[0].(string))
	if err != nil {
		t.Fatal(err)
	}
	l.materialise("card_activity", newest.Add(time.Second))
	event := func(id, card string, at time.Time, to string) {
		t.Helper()
		row := map[string]any{"payment_id": id, "card": card, "at": at, "amount": 12.5, "country": "DE", "stolen": nil}
		if code := l.postFeatures("/v1/features/card_activity/push", map[string]any{"rows": []any{row}, "ids": []string{id}, "to": to}, nil); code != http.StatusOK {
			t.Fatalf("push: %d", code)
		}
	}
	const decisions = 40
	for i := range decisions {
		at := newest.Add(time.Duration(i+1) * time.Second)
		card := fmt.Sprintf("c%03d", i%8)
		event(fmt.Sprint("new", i), card, at, "both")
		row := map[string]any{"card": card, "at": at.Add(500 * time.Millisecond), "amount": 50, "country": "DE"}
		if code := l.postFeatures("/v1/endpoints/bursts/score", map[string]any{"rows": []any{row}}, nil); code != http.StatusOK {
			t.Fatalf("score: %d", code)
		}
	}
	skew := func() map[string]monitor.Reading {
		t.Helper()
		f := monitor.Features{Served: served{l.App}, Newest: served{l.App}.newestEvent, Clock: clock.System{}}
		readings, err := f.Look(t.Context(), &spec.Monitor{Name: "m", Watch: "bursts", Window: 1000, Signals: []spec.Signal{{Skew: "*"}, {Freshness: "card_activity"}}})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]monitor.Reading{}
		for _, r := range readings {
			found[r.Name()] = r
		}
		return found
	}
	if found := skew(); !found["freshness:card_activity"].Fired || found["skew:usual"].Value != 0 {
		t.Errorf("of events of long ago: %+v", found)
	}
	event("later", "c777", newest.Add(26*time.Hour), "both")
	found := skew()
	if len(found) < 3 {
		t.Fatalf("read %+v", found)
	}
	for name, r := range found {
		if r.Signal == "skew" && (r.Value != 0 || r.Fired || r.Rows != decisions) {
			t.Errorf("nothing is planted, and %s: %+v", name, r)
		}
	}
	event("late", "c003", newest.Add(2500*time.Millisecond), "offline")
	found = skew()
	fired := 0
	for name, r := range found {
		if r.Signal != "skew" || !r.Fired {
			continue
		}
		fired++
		if want := 5. / decisions; r.Value != want { // all of the card are later
			t.Errorf("%s is %g, want %g", name, r.Value, want)
		}
	}
	if fired == 0 {
		t.Errorf("an event came late, and nothing fires: %+v", found)
	}
}
