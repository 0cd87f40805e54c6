package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// receiver is a server that keeps what it is told.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	got      []received
	statuses []int // of the next answers; 200 behind them
}

type received struct {
	header  http.Header
	payload string
}

func newReceiver(t testing.TB, statuses ...int) *receiver {
	r := &receiver{statuses: statuses}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.got = append(r.got, received{q.Header.Clone(), string(body)})
		if len(r.statuses) > 0 {
			w.WriteHeader(r.statuses[0])
			r.statuses = r.statuses[1:]
		}
		_, _ = io.WriteString(w, "thanks")
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// wait waits until n deliveries have arrived.
func (r *receiver) wait(t testing.TB, n int) []received {
	t.Helper()
	for range 1500 {
		if got := r.all(); len(got) >= n {
			return got
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d deliveries arrived, not %d", len(r.all()), n)
	return nil
}

type weights struct{}

func (weights) Name() string { return "weights" }
func (weights) Load(context.Context, fs.FS) (model.Model, error) {
	return nil, fault.New(fault.Unsupported, "not asked for")
}

// world is a registry with webhooks.
type world struct {
	*registry.Registry
	hooks *webhook.Hooks
	db    *catalog.DB
}

func newWorld(t testing.TB, db *catalog.DB, allowed string) world {
	t.Helper()
	bucket := must(file.Open(t.Context(), file.Config{Path: t.TempDir()}))(t)
	t.Cleanup(func() { _ = bucket.Close() })
	w := world{db: db}
	w.Registry = registry.New(db, blob.NewStore(bucket, t.TempDir()), []model.Format{weights{}}, clock.System{})
	w.hooks = webhook.New(webhook.Config{DB: db, Policy: must(egress.Parse(allowed))(t), Clock: clock.System{}})
	w.Announce(w.hooks)
	return w
}

func newSQLite(t testing.TB) *catalog.DB {
	db := must(sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "c.db")}))(t)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// run delivers until the test ends, or stop is called.
func (w world) run(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.hooks.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func (w world) register(t testing.TB, content string) registry.Version {
	t.Helper()
	return must(w.Register(t.Context(), registry.NewVersion{
		Model: "fraud", Format: "weights", Files: map[string][]byte{"w": []byte(content)}, By: "ada",
		Signature: model.Signature{Task: model.Regression, Outputs: []model.Field{{Name: "score", Type: frame.Double}}},
		Notes:     registry.Notes{Description: "first", Run: "r1", Tags: map[string]string{"team": "risk"}},
	}))(t)
}

func everything(url string) webhook.NewHook {
	return webhook.NewHook{Name: "all", URL: url, Events: webhook.Events(), Active: true, Secret: secret.NewValue("hush")}
}

func TestEventsAreDelivered(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { eventsAreDelivered(t, newSQLite(t)) })
	t.Run("postgres", func(t *testing.T) {
		db := must(postgres.Open(t.Context(), postgres.Config{URL: testserver.Postgres(t).URL(t)}))(t)
		t.Cleanup(func() { _ = db.Close() })
		eventsAreDelivered(t, db)
	})
}

func eventsAreDelivered(t *testing.T, db *catalog.DB) {
	r := newReceiver(t)
	w := newWorld(t, db, "127.0.0.1")
	ctx := t.Context()
	must(w.hooks.Create(ctx, everything(r.URL+"/hook?key=1")))(t)
	off := everything(r.URL)
	off.Active = false
	must(w.hooks.Create(ctx, off))(t)
	w.run(t)
	w.register(t, "a")
	for _, err := range []error{
		w.SetAlias(ctx, "fraud", "champion", 1, "ada"), w.SetVersionTag(ctx, "fraud", 1, "k", "v", "ada"),
		w.DeleteVersionTag(ctx, "fraud", 1, "k", "ada"), w.SetAlias(ctx, "fraud", "champion", 0, "ada"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, d := range r.wait(t, 6) {
		var p struct {
			Entity, Action, Timestamp string
			Data                      json.RawMessage
		}
		if err := json.Unmarshal([]byte(d.payload), &p); err != nil {
			t.Fatal(err)
		}
		if _, err := time.Parse(time.RFC3339, p.Timestamp); err != nil {
			t.Error(err)
		}
		got[p.Entity+"."+p.Action] = string(p.Data)
		id, at := d.header.Get(webhook.HeaderID), d.header.Get(webhook.HeaderTimestamp)
		if want := webhook.Sign(secret.NewValue("hush"), id, at, d.payload); d.header.Get(webhook.HeaderSignature) != want || id == "" {
			t.Errorf("signed %q, want %q", d.header.Get(webhook.HeaderSignature), want)
		}
	}
	want := map[string]string{
		"registered_model.created":    `{"name":"fraud","tags":{},"description":null}`,
		"model_version.created":       `{"name":"fraud","version":"1","source":"","run_id":"r1","tags":{"team":"risk"},"description":"first"}`,
		"model_version_alias.created": `{"name":"fraud","alias":"champion","version":"1"}`,
		"model_version_alias.deleted": `{"name":"fraud","alias":"champion"}`,
		"model_version_tag.set":       `{"name":"fraud","version":"1","key":"k","value":"v"}`,
		"model_version_tag.deleted":   `{"name":"fraud","version":"1","key":"k"}`,
	}
	for event, data := range want {
		if got[event] != data {
			t.Errorf("%s: %s\nwant %s", event, got[event], data)
		}
	}
	if n := len(r.all()); n != len(want) {
		t.Errorf("%d deliveries", n)
	}
	w.drained(t)
}

// drained waits until nothing has to be told any more.
func (w world) drained(t testing.TB) {
	t.Helper()
	for range 1000 {
		if w.waiting(t) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d deliveries stay", w.waiting(t))
}

func (w world) waiting(t testing.TB) (n int) {
	t.Helper()
	if err := w.db.Read(t.Context(), func(tx catalog.Tx) error {
		return tx.Row(t.Context(), `SELECT COUNT(*) FROM webhook_outbox`, nil, &n)
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// The vector was computed by another implementation of HMAC.
func TestSignature(t *testing.T) {
	const want = "v1,Z+vZLiaqFjMWBlY3d0vu0NYpXAviJbACVDlo5hRVmXQ="
	if got := webhook.Sign(secret.NewValue("top"), "d1", "1700000000", `{"a":1}`); got != want {
		t.Errorf("%s", got)
	}
}

func TestDeliveriesAreRepeated(t *testing.T) {
	r := newReceiver(t, http.StatusServiceUnavailable)
	w := newWorld(t, newSQLite(t), "127.0.0.1")
	n := everything(r.URL)
	n.Events = []webhook.Event{webhook.VersionCreated}
	must(w.hooks.Create(t.Context(), n))(t)
	w.run(t)
	w.register(t, "a")
	got := r.wait(t, 2)
	if got[0].header.Get(webhook.HeaderID) != got[1].header.Get(webhook.HeaderID) || got[0].payload != got[1].payload {
		t.Error("what was repeated is not the same delivery")
	}
	w.drained(t)
}

func TestRefusedDeliveriesAreGivenUp(t *testing.T) {
	r := newReceiver(t, http.StatusBadRequest, http.StatusFound)
	w := newWorld(t, newSQLite(t), "127.0.0.1")
	must(w.hooks.Create(t.Context(), everything(r.URL)))(t)
	w.run(t)
	w.register(t, "a") // two events
	w.drained(t)
	if n := len(r.all()); n != 2 {
		t.Errorf("%d deliveries", n)
	}
}

// What was to be told when a server ended is told by the next.
func TestDeliveriesSurviveARestart(t *testing.T) {
	db := newSQLite(t)
	r := newReceiver(t)
	w := newWorld(t, db, "127.0.0.1")
	must(w.hooks.Create(t.Context(), everything(r.URL)))(t)
	w.register(t, "a")
	if n := len(r.all()); n != 0 {
		t.Fatalf("%d deliveries while nothing ran", n)
	}
	again := newWorld(t, db, "127.0.0.1")
	again.run(t)
	r.wait(t, 2)
	again.drained(t)
}

// Of two replicas one delivers.
func TestReplicasShareTheWork(t *testing.T) {
	db := newSQLite(t)
	r := newReceiver(t)
	w := newWorld(t, db, "127.0.0.1")
	must(w.hooks.Create(t.Context(), everything(r.URL)))(t)
	for i := range 20 {
		w.register(t, fmt.Sprint(i))
	}
	w.run(t)
	newWorld(t, db, "127.0.0.1").run(t)
	r.wait(t, 21)
	w.drained(t)
	if n := len(r.all()); n != 21 {
		t.Errorf("%d deliveries of 21 events", n)
	}
}

func TestForbiddenAddressesAreNotTold(t *testing.T) {
	w := newWorld(t, newSQLite(t), "")
	for _, url := range []string{"http://127.0.0.1:1/", "http://example.com/", "https://user:pw@example.com/", "ftp://example.com", "file:///etc/passwd", "", "https://"} {
		if _, err := w.hooks.Create(t.Context(), everything(url)); err == nil {
			t.Errorf("%q may be told", url)
		}
	}
	// A name that turns out to be an address inside is refused when it is dialled.
	r := newReceiver(t)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(r.URL, "http://"))
	inside := newWorld(t, newSQLite(t), "")
	h := must(inside.hooks.Create(t.Context(), everything("https://localhost:"+port+"/")))(t)
	if _, err := inside.hooks.Test(t.Context(), h.ID, ""); !fault.Is(err, fault.Forbidden) {
		t.Errorf("an address inside: %v", err)
	}
	inside.run(t)
	inside.register(t, "a")
	inside.drained(t)
	if n := len(r.all()); n != 0 {
		t.Errorf("%d deliveries inside", n)
	}
}

func TestHooksAreKept(t *testing.T) {
	r := newReceiver(t)
	w := newWorld(t, newSQLite(t), "127.0.0.1")
	ctx := t.Context()
	h := must(w.hooks.Create(ctx, everything(r.URL)))(t)
	changed := must(w.hooks.Update(ctx, h.ID, func(n *webhook.NewHook) error {
		n.Name, n.Events, n.Active = "less", []webhook.Event{webhook.AliasCreated}, false
		return nil
	}))(t)
	got := must(w.hooks.Hook(ctx, h.ID))(t)
	if got.Name != "less" || got.Active || len(got.Events) != 1 || got.URL != r.URL || !got.UpdatedAt.Equal(changed.UpdatedAt) {
		t.Errorf("%+v", got)
	}
	if text := fmt.Sprintf("%+v %+v", got, changed); strings.Contains(text, "hush") {
		t.Error("the secret is told")
	}
	a := must(w.hooks.Test(ctx, h.ID, ""))(t) // also of one that is off
	if !a.Delivered() || a.Body != "thanks" || r.all()[0].header.Get(webhook.HeaderSignature) == "" {
		t.Errorf("%+v", a)
	}
	if _, err := w.hooks.Test(ctx, h.ID, "nothing.happened"); !fault.Is(err, fault.Invalid) {
		t.Errorf("%v", err)
	}
	for name, change := range map[string]func(*webhook.NewHook){
		"name":   func(n *webhook.NewHook) { n.Name = "-x" },
		"events": func(n *webhook.NewHook) { n.Events = nil },
		"event":  func(n *webhook.NewHook) { n.Events = []webhook.Event{"prompt.created"} },
		"url":    func(n *webhook.NewHook) { n.URL = "http://10.0.0.1/" },
	} {
		if _, err := w.hooks.Update(ctx, h.ID, func(n *webhook.NewHook) error { change(n); return nil }); err == nil {
			t.Errorf("a wrong %s is kept", name)
		}
	}
	if all := must(w.hooks.List(ctx))(t); len(all) != 1 {
		t.Errorf("%v", all)
	}
	if err := w.hooks.Delete(ctx, h.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.hooks.Hook(ctx, h.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("%v", err)
	}
}
