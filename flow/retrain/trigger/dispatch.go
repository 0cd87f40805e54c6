package trigger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

const (
	poll         = time.Second
	together     = 50              // events, and starts, of one round
	lease        = 6 * time.Second // a process that died is waited for so long
	renewal      = lease / 3
	firstPause   = 2 * time.Second
	longestPause = 5 * time.Minute
	prune        = time.Hour
	startTimeout = 30 * time.Second
)

// States of a start.
const (
	waiting = "waiting"
	started = "started"
	told    = "told"
	failed  = "failed"
	refused = "refused"
)

// Run starts what waits for events until ctx ends, and returns its error.
func (t *Triggers) Run(ctx context.Context) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var pruned time.Time
	for {
		more, err := t.round(ctx)
		if err != nil && ctx.Err() == nil {
			t.Log.Warn("events start nothing for now", "error", err)
		}
		if more && err == nil {
			continue
		}
		if now := t.Clock.Now(); now.Sub(pruned).Abs() > prune {
			pruned = now
			if err := t.forget(ctx, now.Add(-Keep)); err != nil && ctx.Err() == nil {
				t.Log.Warn("old events stay", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		case <-t.wake:
		}
	}
}

// round shows untold events to the triggers, then tries the starts that are
// due, and tells whether there may be more.
func (t *Triggers) round(ctx context.Context) (more bool, err error) {
	events, err := t.dispatch(ctx)
	if err != nil {
		return false, err
	}
	starts, until, err := t.take(ctx)
	if err != nil || len(starts) == 0 {
		return events == together, err
	}
	release := t.hold(ctx, starts, until)
	defer release()
	for _, s := range starts {
		if err := t.start(ctx, s); err != nil {
			return false, err
		}
	}
	return events == together || len(starts) == together, nil
}

// rule is a trigger in force, or a pipeline that waits for a signal.
type rule struct {
	name  string // of the trigger, and of its starts
	by    string
	start spec.TriggerStart
	on    func(e Event) (bool, error)
	runID func(e Event) string
}

// rules are those of the resources in force. A pipeline's on.signal is a
// trigger too.
func (t *Triggers) rules(ctx context.Context) ([]rule, error) {
	list, err := t.Resources(ctx)
	if err != nil {
		return nil, err
	}
	var out []rule
	for _, tr := range spec.All[*spec.Trigger](list) {
		out = append(out, rule{name: tr.Name, by: byTrigger + tr.Name, start: tr.Start,
			on:    func(e Event) (bool, error) { return matches(tr, e) },
			runID: func(e Event) string { return RunID(tr, e.ID) }})
	}
	for _, p := range spec.All[*spec.Pipeline](list) {
		for _, monitor := range p.On.Signal {
			out = append(out, rule{name: "pipeline/" + p.Name, by: "monitor/" + monitor, start: spec.TriggerStart{Pipeline: p.Name},
				on: func(e Event) (bool, error) {
					return e.Type == spec.EventSignal && e.Fields["monitor"].S == monitor, nil
				},
				// Readings of one look have one time, so they start it once.
				runID: func(e Event) string { return fmt.Sprintf("%s-on-%s-%d", p.Name, monitor, e.At.UnixMicro()) }})
		}
	}
	return out, nil
}

// RunID is the id of the run that a trigger starts because of an event.
func RunID(t *spec.Trigger, event string) string {
	_, name := t.Start.Target()
	sum := sha256.Sum256([]byte(t.Name + "\x00" + event))
	return name + "-by-" + t.Name + "-" + hex.EncodeToString(sum[:8])
}

// matches tells whether an event is one that a trigger waits for.
func matches(tr *spec.Trigger, e Event) (bool, error) {
	if !slices.Contains(tr.On, e.Type) {
		return false, nil
	}
	if tr.Where == "" {
		return true, nil
	}
	x, err := expr.Parse(tr.Where)
	if err != nil {
		return false, err
	}
	env := map[string]expr.Value{}
	for _, f := range tr.Fields() {
		env[f.Name] = expr.Null(f.Type)
		if v, ok := e.Fields[f.Name]; ok && v.Type == f.Type {
			env[f.Name] = v
		}
	}
	env["id"], env["type"], env["subject"], env["by"] = expr.String(e.ID), expr.String(e.Type), expr.String(e.Subject), expr.String(e.By)
	at := env["at"]
	at.Valid, at.I = true, catalog.Micros(e.At)
	env["at"] = at
	v, err := x.EvalScalar(env)
	return err == nil && v.Valid && v.B, err
}

const selectEvent = `SELECT seq, id, type, subject, by, at, depth, fields FROM events `

func scanEvent(rows *sql.Rows) (e Event, err error) {
	var at int64
	var fields string
	if err := rows.Scan(&e.Seq, &e.ID, &e.Type, &e.Subject, &e.By, &at, &e.depth, &fields); err != nil {
		return e, err
	}
	e.At = catalog.Time(at)
	e.Fields, err = fieldsOf(e.Type, fields)
	return e, err
}

// dispatch shows untold events to the triggers and writes down what they are
// to start.
func (t *Triggers) dispatch(ctx context.Context) (int, error) {
	const untold = selectEvent + `WHERE told = FALSE ORDER BY seq LIMIT ?`
	var events []Event
	read := func(tx catalog.Tx) (err error) {
		events, err = catalog.Collect(ctx, tx, scanEvent, untold, together)
		return err
	}
	if err := t.DB.Read(ctx, read); err != nil || len(events) == 0 {
		return 0, err // mostly there is nothing, and nothing is written
	}
	rules, err := t.rules(ctx)
	if err != nil {
		return 0, err
	}
	err = t.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := read(tx); err != nil {
			return err
		}
		for _, e := range events {
			for _, r := range rules {
				if err := t.look(ctx, tx, r, e); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, `UPDATE events SET told = TRUE WHERE seq = ?`, e.Seq); err != nil {
				return err
			}
		}
		return nil
	})
	return len(events), err
}

// look writes down what one trigger starts because of one event.
func (t *Triggers) look(ctx context.Context, tx catalog.Tx, r rule, e Event) error {
	yes, err := r.on(e)
	if err != nil { // it was checked when it was applied
		t.Log.Error("the condition of a trigger cannot be evaluated", "trigger", r.name, "event", e.ID, "error", err)
		return nil
	}
	if !yes {
		return nil
	}
	s := start{name: r.name, event: e.ID, by: r.by, depth: e.depth + 1, state: waiting}
	var kind spec.Kind
	kind, s.target = r.start.Target()
	s.kind, s.run = string(kind), r.runID(e)
	now := catalog.Micros(t.Clock.Now())
	switch {
	case s.depth > MaxDepth:
		s.state, s.reason = refused, fmt.Sprintf("%d triggers led to it one after the other", e.depth)
		t.Log.Warn("an event starts nothing: too many triggers led to it", "trigger", r.name, "event", e.ID, "triggers", e.depth)
		t.Starts.Add(1, refused)
	case r.start.Webhook != "":
		s.kind, s.target, s.run, s.state = "", r.start.Webhook, "", told
		payload, err := t.cloudEvent(e)
		if err != nil {
			return err
		}
		if err := t.Outbox.Post(ctx, tx, r.name, deliveryID(r.name, e.ID), payload); err != nil {
			return err
		}
		t.Starts.Add(1, told)
	}
	_, err = tx.Exec(ctx, `INSERT INTO trigger_starts (name, event, kind, target, run, by, depth, state, reason, due_at, made_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name, event) DO NOTHING`,
		s.name, s.event, s.kind, s.target, s.run, s.by, s.depth, s.state, s.reason, now, now)
	return err
}

func deliveryID(trigger, event string) string {
	sum := sha256.Sum256([]byte(trigger + "\x00" + event))
	return hex.EncodeToString(sum[:16])
}

// cloudEvent is an event as webhooks are told of it.
func (t *Triggers) cloudEvent(e Event) (string, error) {
	fields, err := fieldsText(e.Fields)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(struct {
		Version string          `json:"specversion"`
		ID      string          `json:"id"`
		Source  string          `json:"source"`
		Type    string          `json:"type"`
		Subject string          `json:"subject,omitempty"`
		Time    string          `json:"time"`
		Content string          `json:"datacontenttype"`
		Data    json.RawMessage `json:"data"`
	}{"1.0", e.ID, t.Source, "leat." + e.Type, e.Subject, e.At.UTC().Format(time.RFC3339Nano), "application/json", json.RawMessage(fields)})
	return string(text), fault.Wrap(err, fault.Internal, "an event cannot be written")
}

// start is a row of trigger_starts.
type start struct {
	name, event, kind, target, run, by string
	depth                              int64
	state, reason                      string
	attempts                           int
}

// take takes on starts that are due: nobody else does until the lease ends.
func (t *Triggers) take(ctx context.Context) (due []start, until int64, err error) {
	now := t.Clock.Now()
	query := func(tx catalog.Tx) (err error) {
		due, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (s start, err error) {
			err = rows.Scan(&s.name, &s.event, &s.kind, &s.target, &s.run, &s.by, &s.attempts)
			s.attempts++
			return s, err
		}, `SELECT name, event, kind, target, run, by, attempts FROM trigger_starts
			WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at, event, name LIMIT ?`, catalog.Micros(now), together)
		return err
	}
	if err := t.DB.Read(ctx, query); err != nil || len(due) == 0 {
		return nil, 0, err
	}
	until = catalog.Micros(now.Add(lease))
	err = t.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := query(tx); err != nil {
			return err
		}
		for _, s := range due {
			_, err := tx.Exec(ctx, `UPDATE trigger_starts SET due_at = ?, attempts = ? WHERE name = ? AND event = ?`,
				until, s.attempts, s.name, s.event)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return due, until, err
}

// hold renews the leases of starts, which end at until, while they are tried:
// so a lease may be short, and what a killed process had taken on is soon taken
// up by another, although one start may last. The function ends it.
func (t *Triggers) hold(ctx context.Context, starts []start, until int64) func() {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(renewal)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			next := catalog.Micros(t.Clock.Now().Add(lease))
			err := t.renew(ctx, starts, until, next)
			if err == nil {
				until = next
			} else if ctx.Err() == nil { // who takes one on besides begins the same run
				t.Log.Warn("the lease of starts could not be renewed", "error", err)
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// renew moves the end of leases. What has been settled, or was taken on by
// somebody else, ends at another time and is left as it is.
func (t *Triggers) renew(ctx context.Context, starts []start, until, next int64) error {
	return t.DB.Write(ctx, func(tx catalog.Tx) error {
		for _, s := range starts {
			_, err := tx.Exec(ctx, `UPDATE trigger_starts SET due_at = ? WHERE name = ? AND event = ? AND state = 'waiting' AND due_at = ?`,
				next, s.name, s.event, until)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// start begins a run and keeps what became of it.
func (t *Triggers) start(ctx context.Context, s start) error {
	limited, cancel := context.WithTimeout(ctx, startTimeout)
	err := t.Starter.Start(limited, spec.Kind(s.kind), s.target, s.run, s.by)
	cancel()
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // the lease ends, and somebody tries again
	case err == nil:
		t.Starts.Add(1, started)
		return t.settle(ctx, s, started, "", time.Time{})
	case s.attempts >= Attempts || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid):
		t.Log.Error("an event could not start what it should", "trigger", s.name, "event", s.event, "attempts", s.attempts, "error", err)
		t.Starts.Add(1, failed)
		return t.settle(ctx, s, failed, err.Error(), time.Time{})
	}
	t.Starts.Add(1, "retried")
	p := min(longestPause, firstPause<<min(s.attempts-1, 20))
	return t.settle(ctx, s, waiting, err.Error(), t.Clock.Now().Add(p+rand.N(p/2)))
}

func (t *Triggers) settle(ctx context.Context, s start, state, reason string, due time.Time) error {
	return t.DB.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE trigger_starts SET state = ?, reason = ?, due_at = ? WHERE name = ? AND event = ?`,
			state, clip(reason), catalog.Micros(due), s.name, s.event)
		return err
	})
}

// forget removes events that every trigger has seen, and starts that are over.
func (t *Triggers) forget(ctx context.Context, before time.Time) error {
	return t.DB.Write(ctx, func(tx catalog.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM events WHERE at < ? AND told = TRUE`, catalog.Micros(before)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM trigger_starts WHERE made_at < ? AND state <> 'waiting'`, catalog.Micros(before))
		return err
	})
}
