package app

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/signature"
	"github.com/leat-ai/leat/spec"
)

// told is a webhook's receiver, which refuses the first delivery.
type told struct {
	mu     sync.Mutex
	asked  int
	bodies []string
	wrong  []string
}

func (r *told) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.asked++; r.asked == 1 {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	id, at := q.Header.Get("webhook-id"), q.Header.Get("webhook-timestamp")
	if q.Header.Get("webhook-signature") != signature.Sign([]byte("s3cret"), id, at, body) || id == "" {
		r.wrong = append(r.wrong, "the signature")
	}
	if q.Header.Get("content-type") != "application/cloudevents+json; charset=UTF-8" {
		r.wrong = append(r.wrong, q.Header.Get("content-type"))
	}
	r.bodies = append(r.bodies, string(body))
}

func (r *told) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bodies
}

const triggers = `
---
kind: Pipeline
name: take
steps:
  - ingest: {sources: [more]}
---
kind: Source
name: more
from: more/*.csv
---
kind: Trigger
name: on-landing
on: file.landed
where: source = 'more' and bytes > 0
start: {pipeline: take}
---
kind: Trigger
name: then-score
on: source.ingested
where: source = 'more' and rows = 2
start: {batch: all}
---
kind: Trigger
name: tell
on: run.finished
where: kind = 'batch' and by = 'trigger/then-score'
start: {webhook: "HOOK", secret: "env:LEAT_TEST_HOOK"}
`

// TestFromFileToWebhook: a file lands, a pipeline takes it in, a batch scores,
// and another server is told; each once.
func TestFromFileToWebhook(t *testing.T) {
	t.Setenv("LEAT_TEST_HOOK", "s3cret")
	hook := &told{}
	server := httptest.NewServer(hook)
	defer server.Close()
	l := newLoop(t, 300, func(c *Config) { c.Egress, c.WatchFiles = "127.0.0.1", 50*time.Millisecond })
	l.run(spec.KindPipeline, "learn", "first")
	if err := os.Mkdir(filepath.Join(l.dir, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	l.apply("key: id\n", "key: id\n"+strings.Replace(triggers, "HOOK", server.URL, 1))
	l.eventually("the source is watched", func() bool {
		var n int
		err := l.catalog.SQL().QueryRowContext(t.Context(), `SELECT COUNT(*) FROM watched_sources WHERE source = 'more'`).Scan(&n)
		return err == nil && n == 1
	})
	if err := os.WriteFile(filepath.Join(l.dir, "more", "a.csv"), []byte("id,x\n1,2\n3,4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.eventually("the webhook is told", func() bool { return len(hook.all()) > 0 })
	l.restart()
	time.Sleep(200 * time.Millisecond) // nothing of it happens again
	var event struct {
		Type, Subject, Source string
		Data                  struct{ Name, Run, Kind string }
	}
	if bodies := hook.all(); len(bodies) != 1 || len(hook.wrong) != 0 || json.Unmarshal([]byte(bodies[0]), &event) != nil {
		t.Fatal(bodies, hook.wrong)
	}
	if event.Type != "leat.run.finished" || event.Subject != "all" || event.Source != "/leat/default" || !strings.HasPrefix(event.Data.Run, "all-by-then-score-") {
		t.Error(event)
	}
	status, err := l.runs.Get(t.Context(), event.Data.Run)
	if err != nil || status.Err() != nil || status.By != "trigger/then-score" {
		t.Error(status, err)
	}
	list, err := l.Client().Events(t.Context(), nil, "", 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	some, err := l.Client().Events(t.Context(), []string{spec.EventFileLanded, spec.EventRelease}, "", list[len(list)-1].Seq, 10)
	if err != nil || len(some) != 2 || some[0].Type != spec.EventRelease || some[1].Subject != "more" || len(some[1].Starts) != 1 {
		t.Error(some, err)
	}
	count := map[string]int{}
	for _, e := range list {
		count[e.Type]++
	}
	// Those of learn: its run and its batch's, its source, a version, two
	// aliases (challenger by the step, and by its release) and a release.
	if count["file.landed"] != 1 || count["source.ingested"] != 2 || count["run.finished"] != 4 || count["release.live"] != 1 || count["version.registered"] != 1 {
		t.Error(count)
	}
}

// TestCircleIsRefused: applying a project whose triggers start themselves says
// why not.
func TestCircleIsRefused(t *testing.T) {
	l := newLoop(t, 10)
	list, err := files(l.dir)
	if err != nil {
		t.Fatal(err)
	}
	list["more.yaml"] = "{kind: Trigger, name: again, on: run.finished, start: {pipeline: learn}}"
	if _, err := l.Client().Apply(t.Context(), list); err == nil || !strings.Contains(err.Error(), "again and again: again → again") {
		t.Error(err)
	}
}
