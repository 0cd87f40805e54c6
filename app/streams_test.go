package app

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/surface/client"
)

const paymentStream = `
---
kind: Stream
name: live
from: nats://payments
schema: {id: int, amount: double, age: int, country: string, online: bool, at: timestamp}
id: id
key: country
timestamp: at
score: risk
to: nats://payments.scored
keep: lake://kept
`

// publish sends events to a topic of the app.
func (l *loop) publish(topic string, events ...bus.Event) {
	l.Helper()
	b, name, err := l.buses.Bus(l.Context(), topic, backends.BusOptions{})
	if err != nil {
		l.Fatal(err)
	}
	defer b.Close()
	w, err := b.Writer(l.Context(), name)
	if err != nil {
		l.Fatal(err)
	}
	defer w.Close()
	if err := w.Write(l.Context(), events); err != nil {
		l.Fatal(err)
	}
}

// take reads n events of a topic.
func (l *loop) take(topic string, n int) (all []bus.Event) {
	l.Helper()
	b, name, err := l.buses.Bus(l.Context(), topic, backends.BusOptions{})
	if err != nil {
		l.Fatal(err)
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(l.Context(), patience)
	defer cancel()
	r, err := b.Reader(ctx, name, bus.ReadOptions{})
	if err != nil {
		l.Fatal(err)
	}
	defer r.Close()
	for len(all) < n {
		events, err := r.Next(ctx, n)
		if err != nil {
			st, _ := l.Client().Streams(l.Context())
			l.Fatalf("%d of %d events came to %s: %v; %+v", len(all), n, topic, err, st)
		}
		all = append(all, events...)
	}
	return all
}

// What a stream publishes is what real time answers for the same row, under a
// decision that is in the log.
func TestStreamDecidesAsRealTimeDoes(t *testing.T) {
	l := newLoop(t, 2000, listening)
	l.run(spec.KindPipeline, "learn", "p1")
	l.apply("\n---\nkind: Endpoint", paymentStream+"---\nkind: Endpoint")
	rows := payments(300)
	for _, p := range rows {
		body, err := json.Marshal(p.row())
		if err != nil {
			t.Fatal(err)
		}
		fields := map[string]any{}
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		fields["id"], fields["at"] = p.id, p.at
		if body, err = json.Marshal(fields); err != nil {
			t.Fatal(err)
		}
		l.publish("nats://payments", bus.Event{Body: body})
	}
	published := map[string]map[string]any{}
	for _, e := range l.take("nats://payments.scored", len(rows)) {
		fields := map[string]any{}
		if err := json.Unmarshal(e.Body, &fields); err != nil {
			t.Fatal(err)
		}
		published[e.ID] = fields
	}
	for _, p := range rows[:50] {
		got := published[fmt.Sprint(p.id)]
		want, err := l.Client().Score(t.Context(), "risk", []client.Row{p.row()}, "")
		if err != nil || want.Decisions[0].Error != nil {
			t.Fatalf("%v, %+v", err, want)
		}
		for name, value := range want.Decisions[0].Values {
			if fmt.Sprint(got[name]) != fmt.Sprint(value) {
				t.Errorf("payment %d: %s is %v on the stream and %v in real time", p.id, name, got[name], value)
			}
		}
	}
	id := published["7"]["decision_id"].(string)
	l.eventually("the decision is in the log", func() bool {
		d, err := l.Client().Decision(t.Context(), id)
		return err == nil && d.Pattern == "stream" && d.Endpoint == "risk"
	})
	l.eventually("all is counted and kept", func() bool {
		st, err := l.Client().Stream(t.Context(), "live")
		if err != nil || st.State != stream.Running || st.Decided != int64(len(rows)) {
			return false
		}
		kept, err := l.Client().SQL(t.Context(), "select count(*), count(distinct id) from kept", 1)
		return err == nil && string(kept.Rows) == fmt.Sprintf("[[%d,%d]]", len(rows), len(rows))
	})
	l.restart()
	l.publish("nats://payments", bus.Event{ID: "again", Body: []byte(`{"id":7,"amount":1,"at":"2026-01-01T00:00:00Z"}`)})
	l.eventually("an id is known after a restart", func() bool {
		st, err := l.Client().Stream(t.Context(), "live")
		return err == nil && st.Known == 1
	})
}
