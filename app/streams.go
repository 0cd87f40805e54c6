package app

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/flow/lake/topic"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/pattern/stream/function"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
)

// openStreams makes the set of streams; converge starts them.
func (a *App) openStreams(context.Context) (func(context.Context) error, error) {
	a.streams = stream.New(stream.Deps{
		DB: a.catalog, Topics: streamTopics{a}, Decider: a.router, Codec: a.streamCodec, Function: a.streamFunction,
		Views: a.streamViews, Answered: decide.NewLedger(a.catalog, a.clock, 0), Clock: a.clock, Log: a.log, Telemetry: a.tel,
		Online: a.streamOnline, Happened: a.happened, Owner: a.config.Executor, Shared: isPostgres(a.config.Catalog), Idle: a.config.Silent,
	})
	return a.streams.Close, nil
}

// streamTopics joins streams to buses and to the lake.
type streamTopics struct{ app *App }

// inboxTopic is the topic of the house's bus that has what was sent to a
// stream over HTTP.
func inboxTopic(name string) string { return "nats://leat.inbox." + name }

// Source meets stream.Topics.
func (t streamTopics) Source(ctx context.Context, s spec.Stream, from string) (stream.Source, error) {
	if strings.HasPrefix(from, topic.Scheme) {
		return lakeSource{t.app.lake, from}, nil
	}
	if name, ok := strings.CutPrefix(from, "webhook://"); ok {
		from = inboxTopic(name)
	}
	b, name, err := t.app.buses.Bus(ctx, from, backends.BusOptions{Secret: s.Secret, Options: s.Options})
	if err != nil {
		return nil, err
	}
	return busSource{b, name}, nil
}

// Target meets stream.Topics.
func (t streamTopics) Target(ctx context.Context, s spec.Stream, to string) (stream.Target, error) {
	if strings.HasPrefix(to, topic.Scheme) {
		return &lakeTarget{lake: t.app.lake, table: strings.TrimPrefix(to, topic.Scheme)}, nil
	}
	if strings.HasPrefix(to, "postgres://") || strings.HasPrefix(to, "postgresql://") {
		return t.table(ctx, s, to)
	}
	b, name, err := t.app.buses.Bus(ctx, to, backends.BusOptions{Secret: s.Secret, Options: s.Options})
	if err != nil {
		return nil, err
	}
	w, err := b.Writer(ctx, name)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return busTarget{b, w}, nil
}

// busSource is one topic of a bus that is the stream's alone.
type busSource struct {
	bus.Bus
	topic string
}

func (s busSource) Reader(ctx context.Context, o bus.ReadOptions) (bus.Reader, error) {
	return s.Bus.Reader(ctx, s.topic, o)
}

func (s busSource) Partitions(ctx context.Context) ([]string, error) {
	if d, ok := s.Bus.(bus.Divider); ok {
		return d.Partitions(ctx, s.topic)
	}
	return nil, nil
}

type busTarget struct {
	bus    bus.Bus
	writer bus.Writer
}

func (t busTarget) Publish(ctx context.Context, p stream.Publication) error {
	return t.writer.Write(ctx, p.Events)
}

func (t busTarget) Close() error { return errors.Join(t.writer.Close(), t.bus.Close()) }

// lakeTarget appends to a table, each publication once.
type lakeTarget struct {
	lake  *lake.Lake
	table string
	sink  *topic.Sink
	has   string // its columns
}

// Exact meets stream.Exact.
func (t *lakeTarget) Exact() {}

func (t *lakeTarget) Publish(ctx context.Context, p stream.Publication) error {
	columns, err := frame.ColumnsOf(p.Rows.Schema())
	if err != nil {
		return err
	}
	if has := p.Rows.Schema().Fingerprint(); t.sink == nil || t.has != has {
		if t.sink, err = topic.NewSink(t.lake, t.table, columns); err != nil {
			return err
		}
		t.has = has
	}
	_, err = t.sink.Append(ctx, p.Name, p.Rows)
	return err
}

func (t *lakeTarget) Close() error { return nil }

// lakeSource reads a table as a topic: its rows become events with JSON
// bodies, so that what a stream does with them is what it does with those of a
// broker.
type lakeSource struct {
	lake    *lake.Lake
	address string
}

func (lakeSource) Positioned() bool                             { return true }
func (lakeSource) Partitions(context.Context) ([]string, error) { return nil, nil }
func (lakeSource) Close() error                                 { return nil }

// Reader follows the table from where the stream has come to.
func (s lakeSource) Reader(ctx context.Context, o bus.ReadOptions) (bus.Reader, error) {
	probe, err := topic.Read(ctx, s.lake, s.address, topic.ReadOptions{})
	if err != nil {
		return nil, err
	}
	part := probe.Partition()
	if err := probe.Close(); err != nil {
		return nil, err
	}
	from := int64(0)
	if o.Assigned != nil {
		offsets, err := o.Assigned(ctx, []string{part})
		if err != nil {
			return nil, err
		}
		from = max(0, offsets[part])
	}
	name, err := topic.Parse(s.address)
	if err != nil {
		return nil, err
	}
	rows, err := topic.Read(ctx, s.lake, s.address, topic.ReadOptions{From: from, Follow: name.Snapshot == 0})
	if err != nil {
		return nil, err
	}
	json, err := codec.New(codec.Config{Format: "json", Columns: codec.Columns(rows.Columns(), nil)})
	return &lakeReader{rows: rows, json: json, part: part}, err
}

type lakeReader struct {
	mu   sync.Mutex // of rows
	rows *topic.Source
	json codec.Codec
	part string
}

func (r *lakeReader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rows, err := r.rows.Next(ctx, most)
	if err != nil {
		return nil, err
	}
	defer rows.Batch.Release()
	bodies, err := r.json.Encode(ctx, rows.Batch)
	if err != nil {
		return nil, err
	}
	events := make([]bus.Event, len(bodies))
	for i, body := range bodies {
		events[i] = bus.Event{Body: body, Partition: r.part, Offset: rows.First + int64(i)}
	}
	return events, nil
}

func (r *lakeReader) Ack(context.Context, []bus.Event) error { return nil }

func (r *lakeReader) Lag(context.Context) (int64, error) {
	if !r.mu.TryLock() { // it waits for rows
		return 0, nil
	}
	defer r.mu.Unlock()
	return r.rows.Lag(), nil
}

func (r *lakeReader) Close() error { return r.rows.Close() }

// streamFunction opens a function of the project.
func (a *App) streamFunction(ctx context.Context, f spec.StreamFunction, in []frame.Column) (stream.Transform, error) {
	module, err := a.projectFile(f.Module, function.MaxModule)
	if err != nil {
		return nil, err
	}
	outputs := []frame.Column(f.Outputs)
	if len(outputs) == 0 {
		outputs = in
	}
	return function.Open(ctx, module, function.Config{Outputs: outputs, Memory: int64(f.Memory), Timeout: f.Timeout.Std()})
}

// projectFile reads a file beneath the project's folder.
func (a *App) projectFile(name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(a.ingester.Root)
	if err != nil {
		return nil, fault.Wrap(err, fault.NotFound, "the project's folder cannot be opened")
	}
	defer root.Close()
	return readFile(root, filepath.ToSlash(name), limit)
}

// streamViews finds the feature views that a stream updates.
func (a *App) streamViews(ctx context.Context, names []string) ([]spec.FeatureView, error) {
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return nil, err
	}
	views := make([]spec.FeatureView, len(names))
	for i, name := range names {
		v, ok := spec.Find[*spec.FeatureView](list, name)
		if !ok {
			return nil, fault.New(fault.NotFound, "no feature view is called %q", name)
		}
		views[i] = *v
	}
	return views, nil
}

// streamOnline writes what a stream feeds into windows to the online store.
func (a *App) streamOnline(ctx context.Context, names []string, rows frame.Batch, ids []string) error {
	entries, err := a.views.All(ctx)
	if err != nil {
		return err
	}
	for _, name := range names {
		at := slices.IndexFunc(entries, func(e online.Entry) bool { return e.Spec.Name == name })
		switch {
		case at < 0, fault.Is(entries[at].Err, fault.Unsupported): // nothing of it is kept online
			continue
		case entries[at].Err != nil:
			return entries[at].Err
		}
		filled, err := online.Fill(rows, entries[at].View.Rows())
		if err != nil {
			return err
		}
		_, err = a.online.Push(ctx, entries[at].View, filled, ids)
		filled.Release()
		if err != nil {
			return err
		}
	}
	return nil
}
