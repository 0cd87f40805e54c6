// Package trigger is the event backbone of the house: what happened is written
// down, and starts what waits for it.
//
// It stands in flow/retrain, where the loop closes. Whoever brings something
// about has its event published: Publish in the transaction of the change
// where that is one of the catalog, Tell otherwise. An event has an id that is
// made of what happened, so that telling it again, after a kill for example,
// changes nothing. Run sees to it that every Trigger in force looks at every
// event, and that what matches starts.
//
// # Once
//
// That a trigger looked at an event and what it is going to start is one
// transaction; there is one start for each trigger and event. A start is tried
// until it succeeds, at most Attempts times, and the run that it begins has an
// id made of trigger and event: a run that exists already is left as it is. So
// each event starts each trigger's run once, whatever is killed in between, and
// however many replicas work on one catalog. Webhooks are told at least once,
// with the same id every time.
//
// # Circles
//
// A project whose triggers start themselves is refused when it is applied (see
// package spec). What that cannot see is bounded: an event that came about
// through MaxDepth triggers one after the other starts nothing.
package trigger

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// Bounds.
const (
	Attempts = 8                   // of one start; with the pauses between them about six minutes
	MaxDepth = 8                   // triggers that led to an event
	Keep     = 30 * 24 * time.Hour // of events and of what they started
	maxText  = 1000                // bytes of a field
)

// Event is something that happened in the house.
type Event struct {
	// ID is made of what happened: the same thing has the same id.
	ID      string
	Type    string // see spec.EventTypes
	Subject string // the name of what it is about
	By      string // who brought it about, or ""
	At      time.Time
	// Fields are what its type says besides.
	Fields map[string]expr.Value
	// Seq numbers events in the order of their transactions, from 1; it is
	// given when the event is published.
	Seq   int64
	depth int64
}

// Starter begins runs.
type Starter interface {
	// Start begins a run of a resource in force under an id, which may exist
	// already: then it changes nothing.
	Start(ctx context.Context, kind spec.Kind, name, id, by string) error
}

// Outbox has webhooks told.
type Outbox interface {
	// Post writes down, in a transaction, what the webhook of a trigger is to
	// be told under an id. The same id again changes nothing.
	Post(ctx context.Context, tx catalog.Tx, trigger, id, payload string) error
}

// Config is what Triggers work with.
type Config struct {
	DB      catalog.Database
	Starter Starter
	Outbox  Outbox
	// Resources are those in force.
	Resources func(ctx context.Context) ([]spec.Resource, error)
	// Source names this server in CloudEvents, as a URI reference.
	Source string
	Clock  clock.Clock
	Log    *slog.Logger
	// Events counts events by type; Starts what became of starts: started,
	// told, retried, failed, refused. The zero values count nothing.
	Events, Starts telemetry.Counter
}

// Triggers keeps events and starts what waits for them. It is safe for many
// goroutines.
type Triggers struct {
	Config
	wake chan struct{}
}

// New returns the triggers of a catalog. Nothing starts before Run.
func New(c Config) *Triggers {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Triggers{Config: c, wake: make(chan struct{}, 1)}
}

// Tell publishes an event in a transaction of its own.
func (t *Triggers) Tell(ctx context.Context, e Event) error {
	err := t.DB.Write(ctx, func(tx catalog.Tx) error { return t.Publish(ctx, tx, e) })
	if err == nil {
		t.Wake()
	}
	return err
}

// Wake has Run look for events at once.
func (t *Triggers) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Publish writes an event down in the transaction of what it tells. One that
// is known already changes nothing.
func (t *Triggers) Publish(ctx context.Context, tx catalog.Tx, e Event) error {
	if _, ok := spec.FindEventType(e.Type); !ok {
		return fault.New(fault.Internal, "no event is called %q", e.Type)
	}
	var known int
	if err := tx.Row(ctx, `SELECT COUNT(*) FROM events WHERE id = ?`, []any{e.ID}, &known); err != nil || known > 0 {
		return err
	}
	depth, err := depthOf(ctx, tx, e)
	if err != nil {
		return err
	}
	fields, err := fieldsText(e.Fields)
	if err != nil {
		return err
	}
	if e.At.IsZero() {
		e.At = t.Clock.Now()
	}
	seq, err := catalog.Next(ctx, tx, "events")
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO events (seq, id, type, subject, by, at, depth, fields) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		seq, e.ID, e.Type, e.Subject, e.By, catalog.Micros(e.At), depth, fields)
	if err == nil {
		t.Events.Add(1, e.Type)
	}
	return err
}

// byTrigger begins who a trigger's runs are begun by.
const byTrigger = "trigger/"

// depthOf counts the triggers that led to an event: those of the run that
// brought it about, or of the latest run that its trigger started.
func depthOf(ctx context.Context, tx catalog.Tx, e Event) (int64, error) {
	run := e.Fields["run"].S
	if run == "" && !strings.HasPrefix(e.By, byTrigger) {
		return 0, nil
	}
	var depth int64
	if run != "" {
		err := tx.Row(ctx, `SELECT COALESCE(MAX(depth), 0) FROM trigger_starts WHERE run = ? OR run = ?`,
			[]any{run, parent(run)}, &depth)
		if err != nil || depth > 0 {
			return depth, err
		}
	}
	err := tx.Row(ctx, `SELECT COALESCE(MAX(depth), 0) FROM trigger_starts WHERE name = ? AND made_at > ?`,
		[]any{strings.TrimPrefix(e.By, byTrigger), catalog.Micros(e.At.Add(-time.Hour))}, &depth)
	return depth, err
}

// parent is the run whose step a run is: its name goes on with the number of
// the step.
func parent(run string) string {
	i := strings.LastIndexByte(run, '-')
	if i < 0 {
		return run
	}
	if _, err := strconv.Atoi(run[i+1:]); err != nil {
		return run
	}
	return run[:i]
}

// fieldsText writes fields as a JSON object.
func fieldsText(fields map[string]expr.Value) (string, error) {
	out := make(map[string]json.RawMessage, len(fields))
	for name, v := range fields {
		if v.S = clip(v.S); !v.Valid {
			continue
		}
		var err error
		switch v.Type {
		case frame.Int:
			out[name], err = json.Marshal(v.I)
		case frame.Double:
			out[name], err = json.Marshal(v.F)
		case frame.Bool:
			out[name], err = json.Marshal(v.B)
		default:
			out[name], err = json.Marshal(v.S)
		}
		if err != nil {
			return "", fault.Wrap(err, fault.Invalid, "the field %q of an event", name)
		}
	}
	text, err := json.Marshal(out)
	return string(text), fault.Wrap(err, fault.Internal, "the fields of an event")
}

func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// fieldsOf reads what fieldsText wrote, by the types that the event's type
// gives its fields.
func fieldsOf(typ, text string) (map[string]expr.Value, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the fields of an event cannot be read")
	}
	of, _ := spec.FindEventType(typ)
	out := map[string]expr.Value{}
	for _, f := range of.Fields {
		value, ok := raw[f.Name]
		if !ok {
			continue
		}
		v := expr.Value{Type: f.Type, Valid: true}
		var err error
		switch f.Type {
		case frame.Int:
			err = json.Unmarshal(value, &v.I)
		case frame.Double:
			err = json.Unmarshal(value, &v.F)
		case frame.Bool:
			err = json.Unmarshal(value, &v.B)
		default:
			err = json.Unmarshal(value, &v.S)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "the field %q of an event cannot be read", f.Name)
		}
		out[f.Name] = v
	}
	return out, nil
}

// Texts makes fields of an event's type of texts, for those who have only
// texts. What is no number where one is wanted is left out.
func Texts(typ string, texts map[string]string) map[string]expr.Value {
	of, _ := spec.FindEventType(typ)
	out := map[string]expr.Value{}
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		i := slices.IndexFunc(of.Fields, func(c frame.Column) bool { return c.Name == name })
		if i < 0 {
			continue
		}
		switch of.Fields[i].Type {
		case frame.Int:
			if n, err := strconv.ParseInt(texts[name], 10, 64); err == nil {
				out[name] = expr.Int(n)
			}
		case frame.Double:
			if x, err := strconv.ParseFloat(texts[name], 64); err == nil {
				out[name] = expr.Double(x)
			}
		default:
			out[name] = expr.String(texts[name])
		}
	}
	return out
}
