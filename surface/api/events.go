package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
)

// Events shows what happened in the house: flow/retrain/trigger.
type Events interface {
	List(ctx context.Context, f trigger.Filter) ([]trigger.Listed, error)
}

// Event is something that happened, with what it started.
type Event struct {
	Seq     int64           `json:"seq"` // in the order of their transactions, from 1
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	Subject string          `json:"subject"` // what it is about
	By      string          `json:"by,omitempty"`
	At      time.Time       `json:"at"`
	Fields  json.RawMessage `json:"fields"` // what its type says besides
	Starts  []EventStart    `json:"starts,omitempty"`
}

// EventStart is what an event started.
type EventStart struct {
	Trigger string    `json:"trigger"` // its name; pipeline/NAME for a pipeline that waits for a signal
	Kind    spec.Kind `json:"kind,omitempty"`
	Target  string    `json:"target"`        // the resource, or the address of a webhook
	Run     string    `json:"run,omitempty"` // that was begun
	State   string    `json:"state"`         // waiting, started, told, failed or refused
	Reason  string    `json:"reason,omitempty"`
}

func (a *API) events() {
	type query struct {
		Type    []string `query:"type" maxItems:"50" doc:"types, such as run.finished, with commas between them; all when absent"`
		Subject string   `query:"subject" doc:"what they are about"`
		After   int64    `query:"after" minimum:"0" doc:"only those with a higher seq, the oldest first; the newest first when absent"`
		Limit   int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	}
	register(a, route{http.MethodGet, "/v1/events", "list-events", "What happened in the house, and what it started", "events", verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, in *query) ([]Event, error) {
			list, err := a.services.Events.List(ctx, trigger.Filter{Types: in.Type, Subject: in.Subject, After: in.After, Limit: in.Limit})
			if err != nil {
				return nil, err
			}
			out := make([]Event, len(list))
			for i, e := range list {
				if out[i], err = eventOf(e); err != nil {
					return nil, err
				}
			}
			return out, nil
		})
}

func eventOf(e trigger.Listed) (Event, error) {
	fields, err := e.Data()
	out := Event{Seq: e.Seq, ID: e.ID, Type: e.Type, Subject: e.Subject, By: e.By, At: e.At, Fields: fields}
	for _, s := range e.Starts {
		out.Starts = append(out.Starts, EventStart(s))
	}
	return out, err
}
