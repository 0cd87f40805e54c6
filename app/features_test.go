package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/online"
)

const cards = `
kind: Source
name: payments
from: payments.csv
schema: {payment_id: string, card: string, at: timestamp, amount: double, country: string}
---
kind: FeatureView
name: card_activity
entity: card
source: payments
timestamp: at
lateness: 1h
features:
  paid: {count: "*", window: [10m, 24h]}
  spend: {sum: amount, window: 24h}
  countries: {distinct: country, window: 7d}
---
kind: FeatureView
name: card_latest
entity: card
source: payments
timestamp: at
ttl: 1d
columns: [amount, country]
features: {cents: amount * 100}
---
kind: FeatureView
name: card_total
entity: card
source: payments
sql: select card, sum(amount) as total, count(*) as n from payments group by card
---
kind: FeatureView
name: beside
inputs: {asked: double}
features: {share: asked / spend, twice: asked / spend * 2}
`

// cardShop is a server with payments in its lake.
func cardShop(t *testing.T, change ...func(*Config)) *loop {
	t.Helper()
	l := &loop{T: t, dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(l.dir, "leat.yaml"), []byte(cards), 0o600); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	rows.WriteString("payment_id,card,at,amount,country\n")
	for i := range 2000 {
		at := noon.Add(-time.Duration(i) * 3 * time.Minute)
		fmt.Fprintf(&rows, "p%d,c%d,%s,%d.25,%s\n", i, i%40, at.Format(time.RFC3339), i%7, []string{"DE", "FR", "PL"}[i%3])
	}
	if err := os.WriteFile(filepath.Join(l.dir, "payments.csv"), []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	l.config = Config{Project: l.dir, Home: filepath.Join(l.dir, "home"), Silent: true}
	for _, f := range change {
		f(&l.config)
	}
	l.start()
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Error(err)
		}
	})
	l.run(spec.KindSource, "payments", "read")
	return l
}

// noon is the time of the newest payment.
var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// postFeatures asks the API of the server.
func (l *loop) postFeatures(path string, body any, into any) int {
	l.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		l.Fatal(err)
	}
	r := httptest.NewRequestWithContext(l.Context(), http.MethodPost, path, bytes.NewReader(text))
	r.Host = "localhost"
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	l.server.Handler().ServeHTTP(w, r)
	if w.Code == http.StatusOK && into != nil {
		if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
			l.Fatalf("%s: %v\n%.500s", path, err, w.Body)
		}
	} else if w.Code != http.StatusOK {
		l.Logf("%s: %d %.300s", path, w.Code, w.Body)
	}
	return w.Code
}

// materialise brings a view up to a time online.
func (l *loop) materialise(view string, to time.Time) {
	l.Helper()
	var started struct{ Run string }
	if code := l.postFeatures("/v1/features/"+view+"/materialise", map[string]any{"to": to}, &started); code != http.StatusOK {
		l.Fatalf("materialise %s: %d", view, code)
	}
	status, err := l.runs.Wait(l.Context(), started.Run)
	if err == nil {
		err = status.Err()
	}
	if err != nil {
		l.Fatalf("materialise %s: %v (%s)", view, err, fault.HintOf(err))
	}
}

// answered is what POST /v1/features/read says.
type answered struct {
	Rows  int
	Views []struct {
		View     string
		Status   []string
		Time     []*time.Time
		Features map[string][]any
	}
}

func (l *loop) features(at time.Time, features []string, entities map[string]any) answered {
	l.Helper()
	var a answered
	if code := l.postFeatures("/v1/features/read", map[string]any{"features": features, "entities": entities, "at": at}, &a); code != http.StatusOK {
		l.Fatalf("features %v: %d", features, code)
	}
	return a
}

func TestFeaturesOnline(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"local": func(*Config) {},
		"redis": func(c *Config) { c.Online = testserver.Redis(t).URL(0) },
	} {
		t.Run(name, func(t *testing.T) { featuresOnline(cardShop(t, change)) })
	}
}

func featuresOnline(l *loop) {
	to := noon.Add(time.Second)
	for _, view := range []string{"card_activity", "card_latest", "card_total"} {
		l.materialise(view, to)
	}
	a := l.features(to, []string{"card_activity", "card_latest:cents", "card_latest:country", "card_total:n", "beside"},
		map[string]any{"card": []string{"c0", "c3", "nobody"}, "asked": []float64{10, 20, 30}})
	if a.Rows != 3 || len(a.Views) != 4 {
		l.Fatalf("got %+v", a)
	}
	// The offline answer of the same, in SQL.
	for row, card := range []string{"c0", "c3"} {
		want := l.row(fmt.Sprintf(`select count(*) filter (at >= timestamp '%[1]s' - interval 24 hours), sum(amount) filter (at >= timestamp '%[1]s' - interval 24 hours),
			count(distinct country), count(*), arg_max(amount, at) * 100, arg_max(country, at) from payments where card = '%[2]s' and at < timestamp '%[1]s'`,
			to.Format("2006-01-02 15:04:05"), card))
		activity, latest, total, beside := a.Views[0].Features, a.Views[1].Features, a.Views[2].Features, a.Views[3].Features
		got := []any{activity["paid_24h"][row], activity["spend"][row], activity["countries"][row], total["n"][row], latest["cents"][row], latest["country"][row]}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			l.Errorf("%s: %v, want %v", card, got, want)
		}
		asked := float64(10 * (row + 1))
		if share := asked / activity["spend"][row].(float64); beside["share"][row] != share || beside["twice"][row] != share*2 {
			l.Errorf("%s on demand: %v, want %v", card, beside, share)
		}
		if s := a.Views[0].Status[row]; s != "present" {
			l.Errorf("%s is %s", card, s)
		}
	}
	if a.Views[0].Status[2] != "not_found" || a.Views[0].Features["paid_10m"][2] != 0.0 || a.Views[1].Features["cents"][2] != nil || a.Views[0].Time[2] != nil {
		l.Errorf("somebody unknown: %+v", a)
	}
	if s := l.features(to.Add(25*time.Hour), []string{"card_latest"}, map[string]any{"card": []string{"c0"}}); s.Views[0].Status[0] != "stale" {
		l.Errorf("a day later: %+v", s)
	}
	l.pushed(to)
}

// row is the first row of a query.
func (l *loop) row(sql string) []any {
	l.Helper()
	var r struct{ Rows [][]any }
	if code := l.postFeatures("/v1/sql", map[string]any{"sql": sql}, &r); code != http.StatusOK {
		l.Fatalf("%s: %d", sql, code)
	}
	return r.Rows[0]
}

// pushed pushes to both, and finds the same online, in the lake, and after the
// windows were made anew.
func (l *loop) pushed(to time.Time) {
	before := l.features(to, []string{"card_activity"}, map[string]any{"card": []string{"c0"}}).Views[0].Features
	event := map[string]any{"payment_id": "new", "card": "c0", "at": to, "amount": 0.5, "country": "XX"}
	for range 2 { // an event is taken once, by its id
		if code := l.postFeatures("/v1/features/card_activity/push", map[string]any{"rows": []any{event}, "ids": []string{"new"}, "to": "online"}, nil); code != http.StatusOK {
			l.Fatalf("push: %d", code)
		}
	}
	if code := l.postFeatures("/v1/features/card_activity/push", map[string]any{"rows": []any{event}, "to": "offline"}, nil); code != http.StatusOK {
		l.Fatalf("push to the lake: %d", code)
	}
	later := to.Add(time.Minute)
	check := func(when string) {
		l.Helper()
		after := l.features(later, []string{"card_activity"}, map[string]any{"card": []string{"c0"}}).Views[0].Features
		if after["spend"][0] != before["spend"][0].(float64)+0.5 || after["countries"][0] != before["countries"][0].(float64)+1 {
			l.Errorf("%s: %v, before %v", when, after, before)
		}
	}
	check("pushed")
	l.materialise("card_activity", later)
	check("made anew")
	if got := l.row("select count(*) from payments where payment_id = 'new'"); got[0] != 1.0 {
		l.Errorf("the lake has it %v times", got[0])
	}
	if code := l.postFeatures("/v1/features/card_activity/push", map[string]any{"rows": []any{map[string]any{"cart": "c0"}}}, nil); code != http.StatusBadRequest {
		l.Errorf("a column that is not there: %d", code)
	}
	if code := l.postFeatures("/v1/features/read", map[string]any{"features": []string{"card_activty"}, "entities": map[string]any{}}, nil); code != http.StatusNotFound {
		l.Errorf("a view that is not there: %d", code)
	}
}

// TestRealTimeReadsWindows runs the example of windows: an endpoint answers for
// the present with what the store has, as a batch does with the lake, and says
// so when the store is away.
func TestRealTimeReadsWindows(t *testing.T) {
	l := burstsLearned(t)
	newest := l.row("select max(at) from payments")[0].(string)
	at, err := time.Parse(time.RFC3339Nano, newest)
	if err != nil {
		t.Fatal(err)
	}
	score := func() (map[string]any, int) {
		var reply struct{ Decisions []map[string]any }
		code := l.postFeatures("/v1/endpoints/bursts/score", map[string]any{"rows": []any{
			map[string]any{"card": "c001", "at": at.Add(time.Minute), "amount": 50, "country": "DE"}}}, &reply)
		if len(reply.Decisions) == 0 {
			return nil, code
		}
		return reply.Decisions[0], code
	}
	quiet, code := score()
	if code != http.StatusOK {
		t.Fatalf("before anything is online: %d", code)
	}
	l.materialise("card_activity", at.Add(time.Second))
	for i := range 5 {
		event := map[string]any{"payment_id": fmt.Sprint("x", i), "card": "c001", "at": at.Add(time.Duration(i+1) * 5 * time.Second), "amount": 50, "country": "DE", "stolen": nil}
		if code := l.postFeatures("/v1/features/card_activity/push", map[string]any{"rows": []any{event}, "to": "online"}, nil); code != http.StatusOK {
			t.Fatalf("push: %d", code)
		}
	}
	burst, code := score()
	if code != http.StatusOK {
		t.Fatalf("with windows: %d", code)
	}
	was, is := quiet["score"].(float64), burst["score"].(float64)
	if math.IsNaN(is) || is < 0.5 || is <= was {
		t.Errorf("a burst is scored %v, without it %v", is, was)
	}
	l.onlineStore.mu.Lock()
	l.onlineStore.store = awayStore{l.onlineStore.store}
	l.onlineStore.mu.Unlock()
	if answer, code := score(); code != http.StatusServiceUnavailable && (answer == nil || answer["error"] == nil) {
		t.Errorf("with the store away: %d %v", code, answer)
	}
}

// burstsLearned is a server that has learned the example of windows.
func burstsLearned(t *testing.T) *loop {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := bursts(filepath.Join(dir, "data", "payments.csv")); err != nil {
		t.Fatal(err)
	}
	var project []string
	for _, name := range []string{"features.yaml", "model.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "examples", "card-bursts", name))
		if err != nil {
			t.Fatal(err)
		}
		project = append(project, string(text))
	}
	if err := os.WriteFile(filepath.Join(dir, "leat.yaml"), []byte(strings.Join(project, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &loop{T: t, dir: dir, config: Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true}}
	l.start()
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Error(err)
		}
	})
	l.run(spec.KindPipeline, "bursts", "learn")
	return l
}

// awayStore is a store whose server is gone.
type awayStore struct{ online.Store }

func (awayStore) Get(context.Context, []online.Key, []online.Found) ([]online.Found, error) {
	return nil, fault.New(fault.Unavailable, "the store is gone")
}
