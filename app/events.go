package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/webhook"
	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/work"
)

// watchFiles is how often sources are looked at for files that landed, where a
// trigger waits for them, unless Config.WatchFiles says otherwise.
const watchFiles = 5 * time.Second

// openEvents joins who brings something about with who is to hear of it.
// Starting begins with the work in the background.
func (a *App) openEvents() {
	a.events = trigger.New(trigger.Config{
		DB: a.catalog, Starter: triggered{a}, Outbox: a.webhooks, Source: "/leat/" + a.config.Env, Clock: a.clock, Log: a.log,
		Resources: func(ctx context.Context) ([]spec.Resource, error) { return a.resources.List(ctx, a.config.Env) },
		Events:    a.tel.Counter("leat_events_total", "Events of the house, by type.", "type"),
		Starts:    a.tel.Counter("leat_trigger_starts_total", "What became of what events start.", "outcome"),
	})
	a.registry.Announce(listeners{a.webhooks, registered{a}})
	a.releases.Announce(released{a})
}

// runEvents has events start what waits for them until the app ends.
func (a *App) runEvents() {
	a.loops.Go(func() {
		if err := a.events.Run(a.life); err != nil && a.life.Err() == nil {
			a.log.Error("events start nothing any more", "error", err)
		}
	})
	interval := a.config.WatchFiles
	if interval <= 0 {
		interval = watchFiles
	}
	a.every(interval, a.lookForFiles)
}

// lookForFiles looks at every source, if anything waits for files.
func (a *App) lookForFiles(ctx context.Context) error {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil || !trigger.Watched(list) {
		return err
	}
	var mistakes fault.List
	for _, s := range spec.All[*spec.Source](list) {
		mistakes.Add(a.events.LookAt(ctx, a.ingester, *s))
	}
	return mistakes.Err()
}

// triggered begins runs for triggers.
type triggered struct{ app *App }

func (t triggered) Start(ctx context.Context, kind spec.Kind, name, id, by string) error {
	_, err := t.app.start(ctx, kind, name, work.ID(id), work.By(by))
	return err
}

// triggerWebhook finds whom a trigger in force tells.
func (a *App) triggerWebhook(ctx context.Context, name string) (webhook.Receiver, error) {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return webhook.Receiver{}, err
	}
	t, ok := spec.Find[*spec.Trigger](list, name)
	if !ok || t.Start.Webhook == "" {
		return webhook.Receiver{}, fault.New(fault.NotFound, "no trigger %q tells a webhook", name)
	}
	r := webhook.Receiver{URL: t.Start.Webhook}
	if t.Start.Secret == "" {
		return r, nil
	}
	text, err := resolveSecret(secret.NewResolver(nil))(ctx, t.Start.Secret)
	r.Secret = secret.NewValue(text)
	// A secret that is not there yet is no reason to give up what waits for it.
	return r, fault.Wrap(err, fault.Unavailable, "the secret of trigger %q", name)
}

// listeners are all told of changes of the registry.
type listeners []registry.Listener

func (l listeners) Happened(ctx context.Context, tx catalog.Tx, e registry.Event) error {
	for _, each := range l {
		if err := each.Happened(ctx, tx, e); err != nil {
			return err
		}
	}
	return nil
}

// registered publishes changes of the registry.
type registered struct{ app *App }

func (r registered) Happened(ctx context.Context, tx catalog.Tx, of registry.Event) error {
	e := trigger.Event{Subject: of.Model, By: of.By, At: of.At, Fields: map[string]expr.Value{"model": expr.String(of.Model)}}
	if of.Version != 0 {
		e.Fields["version"] = expr.Int(int64(of.Version))
	}
	switch of.Kind {
	case registry.VersionCreated:
		e.Type, e.ID = spec.EventVersion, fmt.Sprintf("%s/%s/%d", spec.EventVersion, of.Model, of.Version)
		if of.Run != "" {
			e.Fields["run"] = expr.String(of.Run)
		}
	case registry.AliasSet, registry.AliasDeleted:
		e.Type, e.ID = spec.EventAlias, fmt.Sprintf("%s/%s/%s/%d", spec.EventAlias, of.Model, of.Key, of.At.UnixMicro())
		e.Fields["alias"] = expr.String(of.Key)
	default:
		return nil
	}
	return r.app.events.Publish(ctx, tx, e)
}

// released publishes changes of what is live.
type released struct{ app *App }

func (r released) Live(ctx context.Context, tx catalog.Tx, seq int64, c deploy.Change) error {
	return r.app.events.Publish(ctx, tx, trigger.Event{
		ID: fmt.Sprintf("%s/%s/%d", spec.EventRelease, c.Endpoint, seq), Type: spec.EventRelease, Subject: c.Endpoint, By: c.By, At: c.At,
		Fields: map[string]expr.Value{"endpoint": expr.String(c.Endpoint), "release": expr.String(c.Release),
			"number": expr.Int(int64(c.Number)), "why": expr.String(c.Why)},
	})
}

// runEnded publishes the end of a run. A run that failed, was tried again and
// failed again is told once.
func (a *App) runEnded(ctx context.Context, r work.Ended) error {
	e := trigger.Event{Type: spec.EventRunFinished, Subject: r.Name, By: r.By, Fields: map[string]expr.Value{"run": expr.String(r.ID),
		"kind": expr.String(r.Kind), "name": expr.String(r.Name), "seconds": expr.Double(r.Took.Seconds())}}
	if r.Err != nil {
		e.Type = spec.EventRunFailed
		e.Fields["reason"] = expr.String(r.Err.Error())
	}
	e.ID = e.Type + "/" + r.ID
	return a.events.Tell(ctx, e)
}

// ingests are the ingester as runs see it: what it brings is told.
type ingests struct{ app *App }

func (i ingests) Run(ctx context.Context, src spec.Source, run string, progress func(ingest.Progress)) (ingest.Result, error) {
	r, err := i.app.ingester.Run(ctx, src, run, progress)
	if err != nil {
		return r, err
	}
	return r, i.app.events.Ingested(ctx, src.Name, run, "", r)
}

// fired is called with each reading that is over its threshold: it is counted,
// logged, and told, which starts the pipelines that wait for it.
func (a *App) fired(r monitor.Reading) {
	a.watch.fired.Add(1, r.Monitor, r.Name())
	a.log.Warn("a signal fired", "monitor", r.Monitor, "signal", r.Name(), "value", r.Value, "threshold", r.Threshold, "rows", r.Rows, "window", r.Window)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	e := trigger.Event{ID: fmt.Sprintf("%s/%s/%s/%s/%d", spec.EventSignal, r.Monitor, r.Name(), r.Window, r.End.UnixMicro()), Type: spec.EventSignal,
		Subject: r.Monitor, At: r.End, Fields: map[string]expr.Value{"monitor": expr.String(r.Monitor), "signal": expr.String(r.Name()),
			"value": expr.Double(r.Value), "threshold": expr.Double(r.Threshold)}}
	if list, err := a.resources.List(ctx, a.config.Env); err == nil {
		if m, ok := spec.Find[*spec.Monitor](list, r.Monitor); ok {
			e.Fields["endpoint"] = expr.String(m.Watch)
		}
	}
	if err := a.events.Tell(ctx, e); err != nil {
		a.log.Error("a signal could not be told", "monitor", r.Monitor, "error", err)
	}
}

// happened tells of what has no id of its own, such as stream.dead.
func (a *App) happened(ctx context.Context, typ, subject string, fields map[string]string) {
	var unique [8]byte
	_, _ = rand.Read(unique[:]) // never fails: see crypto/rand
	e := trigger.Event{ID: typ + "/" + subject + "/" + hex.EncodeToString(unique[:]), Type: typ, Subject: subject, Fields: trigger.Texts(typ, fields)}
	if err := a.events.Tell(ctx, e); err != nil && ctx.Err() == nil {
		a.log.Error("an event could not be told", "type", typ, "subject", subject, "error", err)
	}
}
