package app

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
)

// tableSink is a table that rows are put into by the ids of their events.
type tableSink interface {
	Upsert(ctx context.Context, ids []string, rows frame.Batch) error
	Close() error
}

// tableTarget is a table of a database as a stream's target.
type tableTarget struct{ sink tableSink }

func (t streamTopics) table(ctx context.Context, s spec.Stream, to string) (stream.Target, error) {
	sink, err := t.app.buses.Table(ctx, to, backends.BusOptions{Secret: s.Secret, Options: s.Options})
	if err != nil {
		return nil, err
	}
	return tableTarget{sink}, nil
}

func (t tableTarget) Publish(ctx context.Context, p stream.Publication) error {
	ids := make([]string, len(p.Events))
	for i, e := range p.Events {
		ids[i] = e.ID
		if e.ID == "" {
			ids[i] = fmt.Sprintf("%s/%d", e.Partition, e.Offset)
		}
	}
	return t.sink.Upsert(ctx, ids, p.Rows)
}

// Tabular meets stream.Tabular.
func (tableTarget) Tabular() {}

func (t tableTarget) Close() error { return t.sink.Close() }

// inbox keeps what is sent to streams over HTTP in topics of the house's bus,
// from which the streams read it.
type inbox struct {
	app *App

	mu      sync.Mutex
	closed  bool
	targets map[string]busTarget
}

// maxInboxes bounds the topics that are kept open.
const maxInboxes = 1000

func (a *App) openInbox(context.Context) (func(context.Context) error, error) {
	a.inbox = &inbox{app: a, targets: map[string]busTarget{}}
	return func(context.Context) error { return a.inbox.close() }, nil
}

// Send meets cloudevents.Inbox. What nobody reads is not taken in.
func (i *inbox) Send(ctx context.Context, name string, events []bus.Event) error {
	if !i.app.streams.Reads("webhook://" + name) {
		return fault.New(fault.NotFound, "no stream reads webhook://%.100s", name).
			Hint("a stream with from: webhook://NAME takes what is sent to /v1/streams/NAME/events")
	}
	t, err := i.target(ctx, name)
	if err != nil {
		return err
	}
	return t.writer.Write(ctx, events)
}

func (i *inbox) target(ctx context.Context, name string) (busTarget, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if t, ok := i.targets[name]; ok {
		return t, nil
	}
	if i.closed || len(i.targets) >= maxInboxes {
		return busTarget{}, fault.New(fault.Unavailable, "no more events are taken in at present")
	}
	b, topic, err := i.app.buses.Bus(ctx, inboxTopic(name), backends.BusOptions{})
	if err != nil {
		return busTarget{}, err
	}
	w, err := b.Writer(ctx, topic)
	if err != nil {
		return busTarget{}, errors.Join(err, b.Close())
	}
	i.targets[name] = busTarget{b, w}
	return i.targets[name], nil
}

func (i *inbox) close() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed = true
	var l fault.List
	for _, t := range i.targets {
		l.Add(t.Close())
	}
	i.targets = nil
	return l.Err()
}
