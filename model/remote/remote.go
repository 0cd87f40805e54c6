// Package remote is the runtime of models that other servers execute: the Open
// Inference Protocol v2, MLflow's scoring server, Azure ML's /score, and
// embeddings in the style of OpenAI.
//
// It stands below the contract package model, beside the other runtimes. Format
// loads an artifact: remote.json, the Manifest, which says whom to ask and how.
// Complete fills in what a server says of itself. What the package may not know
// (addresses that are allowed, secrets, tokens of Entra, other models) comes as
// functions in its Config.
//
// What is promised:
//
//   - A server that is slow, down or lying holds up nobody for longer than the
//     timeouts say, and is asked no more than its limits say: attempts within a
//     budget, waits as its Retry-After asks, a breaker, a bound of calls at
//     once and of bytes of an answer. No redirect is followed.
//   - An answer has the rows that were asked and the columns of the signature,
//     or it is an error: what does not fit is never filled up or cut off.
//   - Where a fallback is named it answers what the server cannot, and the
//     result says so (model.ServedBy). What is wrong with the rows themselves
//     is the caller's to know, and no reason to ask another model.
//   - A secret is resolved for each call, and stands in no error.
package remote

import (
	"context"
	"io/fs"
	"net/http"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/model"
)

// FormatName is the name of the format, as stored with a version.
const FormatName = "remote"

// Config is what joins the package to the server that it runs in.
type Config struct {
	// Client returns an HTTP client that dials only what may be dialled,
	// follows no redirect and reads at most so many bytes of an answer.
	Client func(maxBody int64) *http.Client
	// Secret resolves a reference to a secret; nil: there are none.
	Secret func(ctx context.Context, reference string) (string, error)
	// Token gets an access token of Entra; nil: there are none.
	Token func(ctx context.Context, id Identity, scope string) (string, error)
	// Hold returns another version's model until it is released; nil: there
	// are no fallbacks.
	Hold func(ctx context.Context, r model.Reference) (m model.Model, release func(), err error)
	// First is the wait before a first retry; 100 ms when 0.
	First time.Duration
}

// Identity says as whom a token is asked for. Without a secret it is the
// identity of the machine; then Client chooses among several.
type Identity struct {
	Tenant string
	Client string
	Secret string // of the client; "" for a managed identity
}

// Format loads remote models. It meets model.Format. A loaded model has
// connections, and is an io.Closer.
type Format struct{ Config Config }

// Name returns "remote".
func (Format) Name() string { return FormatName }

// Load reads the manifest. It asks nobody: a server that is down is no reason
// not to start.
func (f Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	m, err := readManifest(files)
	if err != nil {
		return nil, err
	}
	return open(ctx, f.Config, m)
}

func open(ctx context.Context, c Config, m Manifest) (*Model, error) {
	s, err := newServer(c, m)
	if err != nil {
		return nil, err
	}
	name := "the model server " + s.host()
	r := &Model{manifest: m, server: s, protocol: m.protocol()}
	if r.caller, err = resilience.NewCaller(name, resilience.Config{Attempts: m.Attempts, First: c.First}); err != nil {
		return nil, err
	}
	if r.limit, err = resilience.NewLimiter(name, m.Concurrency, 4*m.Concurrency, m.Timeout.Std()); err != nil {
		return nil, err
	}
	if m.Fallback == nil {
		return r, nil
	}
	if c.Hold == nil {
		return nil, fault.New(fault.Unsupported, "a fallback is named, and no other model can be held here")
	}
	if r.fallback, r.release, err = c.Hold(ctx, *m.Fallback); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the fallback %s", m.Fallback)
	}
	if err := CanStandIn(m.Signature, r.fallback.Signature()); err != nil {
		r.release()
		return nil, fault.Wrap(err, fault.Invalid, "the fallback %s", m.Fallback)
	}
	return r, nil
}

// CanStandIn tells whether a model of one signature can answer for one of
// another: it reads nothing else, and answers the same columns.
func CanStandIn(asked, fallback model.Signature) error {
	var l fault.List
	for _, pair := range []struct {
		need, have []model.Field
		what       string
	}{{fallback.Inputs, asked.Inputs, "reads"}, {asked.Outputs, fallback.Outputs, "does not answer"}} {
		have := map[string]frame.Type{}
		for _, f := range pair.have {
			have[f.Name] = f.Type
		}
		for _, f := range pair.need {
			if have[f.Name] != f.Type {
				l.Add(fault.New(fault.Invalid, "it %s the column %q as %s", pair.what, f.Name, f.Type))
			}
		}
	}
	return l.Err()
}

// Model is a model on another server. It meets model.Model, model.Describer,
// model.Sizer and io.Closer.
type Model struct {
	manifest Manifest
	server   *server
	protocol protocol
	caller   *resilience.Caller
	limit    *resilience.Limiter
	fallback model.Model // nil: none
	release  func()      // of the fallback
}

// Signature says what the model reads and writes.
func (m *Model) Signature() model.Signature { return m.manifest.Signature }

// Size is next to nothing: what takes memory is elsewhere.
func (m *Model) Size() int64 { return 1 << 20 }

// Batching lets requests that come while all connections are busy go together.
func (m *Model) Batching() model.Batching {
	return model.Batching{Calls: m.manifest.Concurrency, Rows: m.manifest.MaxRows}
}

// Describe says where the model is.
func (m *Model) Describe() model.Description {
	notes := map[string]string{"protocol": m.manifest.Protocol, "host": m.server.host()}
	if m.manifest.Fallback != nil {
		notes["fallback"] = m.manifest.Fallback.String()
	}
	return model.Description{Kind: "model on another server", Runtime: "remote", Notes: notes}
}

// Close ends the connections and lets the fallback go. It is safe to call
// twice.
func (m *Model) Close() error {
	m.server.client.CloseIdleConnections()
	if m.release != nil {
		m.release()
	}
	return nil
}

// Predict asks the server, and the fallback where the server cannot answer.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the model server was not asked in time")
	}
	rows, err := model.Select(in, m.manifest.Signature.Inputs)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	if rows.NumRows() == 0 {
		b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(m.manifest.Signature.Outputs))
		defer b.Release()
		return b.NewRecordBatch(), nil
	}
	asking, cancel := m.reserve(ctx)
	defer cancel()
	out, err := m.ask(asking, rows)
	if err == nil || m.fallback == nil || !standsIn(err) || ctx.Err() != nil {
		return out, err
	}
	out, second := m.fallback.Predict(ctx, rows)
	if second != nil {
		return nil, fault.New(fault.KindOf(err), "neither the model server nor the fallback %s answered", m.manifest.Fallback).Because(err).
			Hint("the fallback said: %s", second)
	}
	if out, err = inOrder(out, m.manifest.Signature.Outputs); err != nil {
		return nil, err
	}
	return model.WithServedBy(out, m.manifest.Fallback.String()), nil
}

// reserve keeps a fifth of the time that is left for the fallback.
func (m *Model) reserve(ctx context.Context) (context.Context, context.CancelFunc) {
	at, ok := ctx.Deadline()
	if !ok || m.fallback == nil {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, at.Add(-time.Until(at)/5))
}

// standsIn tells whether a fallback helps against an error: not where the rows
// are wrong, or nobody waits any more.
func standsIn(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.TooLarge, fault.Canceled:
		return false
	}
	return true
}

// inOrder takes a fallback's answer over as the columns of a signature.
func inOrder(out frame.Batch, fields []model.Field) (frame.Batch, error) {
	defer out.Release()
	ordered, err := model.Select(out, fields)
	return ordered, fault.Wrap(err, fault.Internal, "the fallback answered other columns than its signature says")
}
