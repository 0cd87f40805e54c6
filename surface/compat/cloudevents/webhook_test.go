package cloudevents_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/webhook"
)

// TestFromWebhooks: what streams post, in each form, is what comes in.
func TestFromWebhooks(t *testing.T) {
	s, box := world(t)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Stop(context.Background()) }()
	at := time.Date(2026, 3, 29, 1, 59, 59, 5000, time.UTC)
	sent := []bus.Event{
		{ID: "a b ü \" %", Key: []byte("ключ"), Time: at, Body: []byte(`{"n": 1}`), Headers: []bus.Header{{Name: "ce-subject", Value: `Größe "M" 100%`}}},
		{ID: "b", Body: []byte("\x00\xff"), Headers: []bus.Header{{Name: "Content-Type", Value: "image/png"}, {Name: "ce-type", Value: "picture"}}},
	}
	for _, format := range []webhook.Format{webhook.Binary, webhook.Structured, webhook.Batch} {
		b, err := webhook.Open(t.Context(), webhook.Config{Client: http.DefaultClient, Format: format, Parallel: 1})
		if err != nil {
			t.Fatal(err)
		}
		w, err := b.Writer(t.Context(), s.URL()+"/v1/streams/orders/events")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(t.Context(), sent); err != nil {
			t.Fatal(err)
		}
		got := box.take()
		if len(got) != 2 {
			t.Fatalf("%s: %d events", format, len(got))
		}
		for i, e := range got {
			if e.ID != "leat "+sent[i].ID || string(e.Key) != string(sent[i].Key) || string(e.Body) != string(sent[i].Body) || !e.Time.Equal(sent[i].Time) {
				t.Errorf("%s: %+v", format, e)
			}
		}
		if got[0].Header("ce-subject") != `Größe "M" 100%` || got[1].Header("ce-type") != "picture" || got[1].Header("content-type") != "image/png" {
			t.Errorf("%s: %+v", format, got)
		}
	}
}
