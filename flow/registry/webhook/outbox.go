package webhook

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/store/catalog"
)

// payload is what a delivery carries.
type payload struct {
	Entity    string `json:"entity"`
	Action    string `json:"action"`
	Timestamp string `json:"timestamp"` // RFC 3339
	Data      any    `json:"data"`      // one of the types below
}

// created is the data of a model or version that was created.
type created struct {
	Name        string            `json:"name"`
	Version     string            `json:"version,omitempty"`
	Source      *string           `json:"source,omitempty"` // of a version
	Run         *string           `json:"run_id,omitempty"` // of a version
	Tags        map[string]string `json:"tags"`
	Description *string           `json:"description"`
}

// tagged is the data of a tag.
type tagged struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Key     string  `json:"key"`
	Value   *string `json:"value,omitempty"`
}

// aliased is the data of an alias.
type aliased struct {
	Name    string `json:"name"`
	Alias   string `json:"alias"`
	Version string `json:"version,omitempty"` // that it points at
}

// payloadOf says what an event is in JSON.
func payloadOf(e Event, of registry.Event) (string, error) {
	entity, action, _ := strings.Cut(string(e), ".")
	text, err := json.Marshal(payload{entity, action, of.At.UTC().Format(time.RFC3339Nano), dataOf(e, of)})
	if err == nil && len(text) > maxPayload {
		err = fault.New(fault.TooLarge, "the event has %d bytes", len(text))
	}
	return string(text), err
}

func dataOf(e Event, of registry.Event) any {
	version := ""
	if of.Version != 0 {
		version = strconv.Itoa(of.Version)
	}
	switch e {
	case ModelCreated, VersionCreated:
		d := created{Name: of.Model, Version: version, Tags: of.Tags, Description: orNull(of.Description)}
		if d.Tags == nil {
			d.Tags = map[string]string{}
		}
		if e == VersionCreated {
			d.Source, d.Run = &of.Source, &of.Run
		}
		return d
	case TagSet:
		return tagged{of.Model, version, of.Key, &of.Value}
	case TagDeleted:
		return tagged{of.Model, version, of.Key, nil}
	}
	return aliased{of.Model, of.Key, version}
}

func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// Happened writes down what the hooks are to be told of a change: it is
// registry's Listener.
func (h *Hooks) Happened(ctx context.Context, tx catalog.Tx, of registry.Event) error {
	e, known := events[of.Kind]
	if !known {
		return nil
	}
	hooks, err := catalog.Collect(ctx, tx, scanHook, selectHook+`WHERE status = ?`, active)
	if err != nil {
		return err
	}
	text := ""
	for _, k := range hooks {
		if !slices.Contains(k.Events, e) {
			continue
		}
		if text == "" {
			if text, err = payloadOf(e, of); err != nil {
				return err
			}
		}
		if err := h.post(ctx, tx, k.ID, text); err != nil {
			return err
		}
	}
	return nil
}

// ofTrigger begins the name under which the outbox has the webhook of a
// trigger.
const ofTrigger = "trigger/"

// Post writes down, in a transaction, what the webhook of a trigger is to be
// told under an id. The same id again changes nothing.
func (h *Hooks) Post(ctx context.Context, tx catalog.Tx, trigger, id, payload string) error {
	if len(payload) > maxPayload {
		return fault.New(fault.TooLarge, "the event has %d bytes", len(payload))
	}
	return h.put(ctx, tx, ofTrigger+trigger, id, payload)
}

// post puts a delivery into the outbox of a hook that is not full.
func (h *Hooks) post(ctx context.Context, tx catalog.Tx, hook, text string) error {
	return h.put(ctx, tx, hook, newID(), text)
}

func (h *Hooks) put(ctx context.Context, tx catalog.Tx, hook, id, text string) error {
	var waiting int
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM webhook_outbox WHERE webhook = ?`, []any{hook}, &waiting); err != nil {
		return err
	}
	if waiting >= maxWaiting {
		h.Deliveries.Add(1, "dropped")
		h.Log.Warn("a webhook is not told of a change: too many deliveries wait", "webhook", hook, "waiting", waiting)
		return nil
	}
	now := catalog.Micros(h.Clock.Now())
	_, err := tx.Exec(ctx, `INSERT INTO webhook_outbox (id, webhook, payload, made_at, due_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (id) DO NOTHING`, id, hook, text, now, now)
	return err
}
