package mlflow

import (
	"context"
	"net/http"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/guard/secret"
)

// eventMessage is an event; its parts are written in capitals on the way.
type eventMessage struct {
	Entity string `json:"entity"`
	Action string `json:"action"`
}

func (e eventMessage) event() webhook.Event {
	return webhook.Event(strings.ToLower(e.Entity + "." + e.Action))
}

// hookMessage is a webhook. Its secret is never among it.
type hookMessage struct {
	ID          string         `json:"webhook_id"`
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	URL         string         `json:"url"`
	Events      []eventMessage `json:"events"`
	Status      string         `json:"status"`
	Created     integer        `json:"creation_timestamp"`
	Updated     integer        `json:"last_updated_timestamp"`
}

const (
	hookActive   = "ACTIVE"
	hookDisabled = "DISABLED"
)

func messageOfHook(h webhook.Hook) hookMessage {
	m := hookMessage{ID: h.ID, Name: h.Name, Description: h.Description, URL: h.URL, Status: hookDisabled,
		Created: millis(h.CreatedAt), Updated: millis(h.UpdatedAt)}
	if h.Active {
		m.Status = hookActive
	}
	for _, e := range h.Events {
		entity, action, _ := strings.Cut(strings.ToUpper(string(e)), ".")
		m.Events = append(m.Events, eventMessage{entity, action})
	}
	return m
}

// changeHook is what a message says of a webhook; what it lacks stays.
type changeHook struct {
	Name        *string        `json:"name"`
	Description *string        `json:"description"`
	URL         *string        `json:"url"`
	Events      []eventMessage `json:"events"`
	Secret      *string        `json:"secret"`
	Status      *string        `json:"status"`
}

func (c changeHook) apply(n *webhook.NewHook) error {
	set := func(to *string, from *string) {
		if from != nil {
			*to = *from
		}
	}
	set(&n.Name, c.Name)
	set(&n.Description, c.Description)
	set(&n.URL, c.URL)
	if len(c.Events) > 0 {
		n.Events = nil
		for _, e := range c.Events {
			n.Events = append(n.Events, e.event())
		}
	}
	if c.Secret != nil {
		n.Secret = secret.NewValue(*c.Secret)
	}
	if c.Status != nil {
		if *c.Status != hookActive && *c.Status != hookDisabled {
			return fault.New(fault.Invalid, "Invalid webhook status: %.80s", *c.Status).Hint("use %s or %s", hookActive, hookDisabled)
		}
		n.Active = *c.Status == hookActive
	}
	return nil
}

type hookAnswer struct {
	Hook hookMessage `json:"webhook"`
}

func (m *surface) createHook(ctx context.Context, q changeHook) (hookAnswer, error) {
	n := webhook.NewHook{Active: true}
	if err := q.apply(&n); err != nil {
		return hookAnswer{}, err
	}
	h, err := m.Webhooks.Create(ctx, n)
	return hookAnswer{messageOfHook(h)}, err
}

type listHooks struct {
	Most  *integer `json:"max_results"`
	Token string   `json:"page_token"`
}

type hooksAnswer struct {
	Hooks []hookMessage `json:"webhooks,omitempty"`
	Next  string        `json:"next_page_token,omitempty"`
}

func (m *surface) listHooks(ctx context.Context, q listHooks) (hooksAnswer, error) {
	size, err := pageSize(q.Most, 100, 1000)
	if err != nil {
		return hooksAnswer{}, err
	}
	start, err := pageStart(q.Token)
	if err != nil {
		return hooksAnswer{}, err
	}
	hooks, err := m.Webhooks.List(ctx)
	if err != nil {
		return hooksAnswer{}, err
	}
	hooks = hooks[min(start, len(hooks)):]
	a := hooksAnswer{Next: pageToken(start+size, len(hooks) > size)}
	for _, h := range hooks[:min(size, len(hooks))] {
		a.Hooks = append(a.Hooks, messageOfHook(h))
	}
	return a, nil
}

// withHook makes a handler of an operation on the webhook that a path names.
func (m *surface) withHook(f func(ctx context.Context, id string, w http.ResponseWriter, r *http.Request) error) handle {
	return func(w http.ResponseWriter, r *http.Request) error {
		return f(r.Context(), r.PathValue("webhook_id"), w, r)
	}
}

func (m *surface) getHook(ctx context.Context, id string, w http.ResponseWriter, _ *http.Request) error {
	h, err := m.Webhooks.Hook(ctx, id)
	if err != nil {
		return err
	}
	return answer(w, hookAnswer{messageOfHook(h)})
}

func (m *surface) updateHook(ctx context.Context, id string, w http.ResponseWriter, r *http.Request) error {
	var q changeHook
	if err := decode(w, r, nil, &q); err != nil {
		return err
	}
	h, err := m.Webhooks.Update(ctx, id, q.apply)
	if err != nil {
		return err
	}
	return answer(w, hookAnswer{messageOfHook(h)})
}

func (m *surface) deleteHook(ctx context.Context, id string, w http.ResponseWriter, _ *http.Request) error {
	if err := m.Webhooks.Delete(ctx, id); err != nil {
		return err
	}
	return answer(w, none{})
}

type testAnswer struct {
	Result testResult `json:"result"`
}

type testResult struct {
	Success bool   `json:"success"`
	Status  int    `json:"response_status,omitempty"`
	Body    string `json:"response_body,omitempty"`
	Error   string `json:"error_message,omitempty"`
}

func (m *surface) testHook(ctx context.Context, id string, w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Event *eventMessage `json:"event"`
	}
	if err := decode(w, r, nil, &q); err != nil {
		return err
	}
	var e webhook.Event
	if q.Event != nil {
		e = q.Event.event()
	}
	a, err := m.Webhooks.Test(ctx, id, e)
	if fault.Is(err, fault.NotFound) {
		return err
	}
	result := testResult{Success: err == nil && a.Delivered(), Status: a.Status, Body: a.Body}
	if err != nil {
		result.Error = err.Error()
	}
	return answer(w, testAnswer{result})
}
