package trigger

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// Filter selects events. Empty fields select all.
type Filter struct {
	Types   []string
	Subject string
	After   int64 // events with a higher Seq, oldest first; 0: the newest first
	Limit   int   // 100 when 0, at most 1000
}

// Start is what an event started.
type Start struct {
	Trigger string // its name; pipeline/NAME for one that waits for a signal
	Kind    spec.Kind
	Target  string // the resource, or the address of a webhook
	Run     string // "" for a webhook
	State   string // waiting, started, told, failed or refused
	Reason  string // why it failed or waits
}

// Listed is an event with what it started.
type Listed struct {
	Event
	Starts []Start
}

// List returns events.
func (t *Triggers) List(ctx context.Context, f Filter) (out []Listed, err error) {
	for _, typ := range f.Types {
		if _, ok := spec.FindEventType(typ); !ok {
			return nil, fault.New(fault.Invalid, "no event is called %.80q", typ).Hint("see docs/guides/triggers.md for those there are")
		}
	}
	if f.Limit <= 0 {
		f.Limit = 100
	}
	f.Limit = min(f.Limit, 1000)
	where, args := `WHERE seq > ?`, []any{f.After}
	for i, typ := range f.Types {
		word := ` OR `
		if i == 0 {
			word = ` AND (`
		}
		where, args = where+word+`type = ?`, append(args, typ)
	}
	if len(f.Types) > 0 {
		where += `)`
	}
	if f.Subject != "" {
		where, args = where+` AND subject = ?`, append(args, f.Subject)
	}
	order := ` ORDER BY seq`
	if f.After == 0 {
		order = ` ORDER BY seq DESC`
	}
	err = t.DB.Read(ctx, func(tx catalog.Tx) error {
		events, err := catalog.Collect(ctx, tx, scanEvent, selectEvent+where+order+` LIMIT ?`, append(slices.Clone(args), f.Limit)...)
		out = make([]Listed, len(events))
		for i, e := range events {
			out[i].Event = e
			if out[i].Starts, err = starts(ctx, tx, e.ID); err != nil {
				return err
			}
		}
		return err
	})
	return out, err
}

func starts(ctx context.Context, tx catalog.Tx, event string) ([]Start, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (s Start, err error) {
		var kind string
		err = rows.Scan(&s.Trigger, &kind, &s.Target, &s.Run, &s.State, &s.Reason)
		s.Kind = spec.Kind(kind)
		return s, err
	}, `SELECT name, kind, target, run, state, reason FROM trigger_starts WHERE event = ? ORDER BY name`, event)
}

// Data are the fields of an event as a JSON object.
func (e Event) Data() (json.RawMessage, error) {
	text, err := fieldsText(e.Fields)
	return json.RawMessage(text), err
}
