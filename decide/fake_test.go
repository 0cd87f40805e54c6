package decide_test

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
)

// sum is a model: the score is a squashed weighted sum of its inputs, with
// NULL as 0. An amount of 13 makes it panic, one of 14 fail, and it tells its
// tests what it was asked.
type sum struct {
	weight float64 // makes versions differ
	inputs []model.Field
	calls  atomic.Int64
	wait   chan struct{}                              // Predict waits for it; nil: it does not
	last   func(out frame.Batch) (frame.Batch, error) // has the last word; nil: out it is
}

func (m *sum) Signature() model.Signature {
	return model.Signature{
		Task: model.Binary, Classes: []string{"ok", "fraud"},
		Inputs: m.inputs, Outputs: model.Outputs(model.Binary, nil),
	}
}

func (m *sum) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	m.calls.Add(1)
	if m.wait != nil {
		select {
		case <-m.wait:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	n := int(in.NumRows())
	totals, column := make([]float64, n), make([]float64, n)
	for i, f := range m.inputs {
		if err := frame.Floats(in.Column(frame.Index(in.Schema(), f.Name)), column); err != nil {
			return nil, err
		}
		for row, v := range column {
			switch {
			case f.Name == "amount" && v == 13:
				panic("thirteen")
			case f.Name == "amount" && v == 14:
				return nil, fault.New(fault.Invalid, "fourteen")
			case !math.IsNaN(v):
				totals[row] += v * m.weight / float64(i+1)
			}
		}
	}
	out := scored(m.Signature(), totals)
	if m.last != nil {
		return m.last(out)
	}
	return out, nil
}

func scored(s model.Signature, totals []float64) frame.Batch {
	scores, labels := array.NewFloat64Builder(memory.DefaultAllocator), array.NewStringBuilder(memory.DefaultAllocator)
	defer scores.Release()
	defer labels.Release()
	for _, v := range totals {
		score := 1 / (1 + math.Exp(-v))
		scores.Append(score)
		if score >= 0.5 {
			labels.Append(s.Classes[1])
		} else {
			labels.Append(s.Classes[0])
		}
	}
	columns := []arrow.Array{scores.NewArray(), labels.NewArray()}
	defer columns[0].Release()
	defer columns[1].Release()
	return array.NewRecordBatch(outputSchema, columns, int64(len(totals)))
}

var outputSchema = frame.SchemaOf([]frame.Column{{Name: "score", Type: frame.Double}, {Name: "label", Type: frame.String}})

// world is everything around a path: releases, models, features, a log.
type world struct {
	mu       sync.Mutex
	live     map[string]deploy.Release
	releases map[string]deploy.Release
	models   map[string]*sum // by version id
	features *doubled        // nil: none are there
	records  []record.Entry
	refuse   error // of the log
	noted    []decide.Observation
	compiled int
	held     int // models
	room     int // how many of them may be held; 0 for any number
	clock    *hands
	t        testing.TB
}

func newWorld(t testing.TB) *world {
	return &world{live: map[string]deploy.Release{}, releases: map[string]deploy.Release{}, models: map[string]*sum{}, clock: &hands{}, t: t}
}

func (w *world) Live(_ context.Context, endpoint string) (deploy.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := w.live[endpoint]; ok {
		return r, nil
	}
	return deploy.Release{}, fault.New(fault.NotFound, "nothing is live")
}

func (w *world) Release(_ context.Context, id string) (deploy.Release, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r, ok := w.releases[id]; ok {
		return r, nil
	}
	return deploy.Release{}, fault.New(fault.NotFound, "no such release")
}

func (w *world) Version(_ context.Context, name, ref string) (registry.Version, error) {
	number, err := strconv.Atoi(ref)
	threshold := 0.6
	return registry.Version{Model: name, Number: number, ID: versionID(name, number), Manifest: registry.Manifest{Threshold: &threshold}}, err
}

func versionID(name string, number int) string { return fmt.Sprintf("%s-%d", name, number) }

func (w *world) Hold(_ context.Context, v registry.Version) (model.Model, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.compiled++
	if m := w.models[v.ID]; m != nil {
		w.held++
		return m, func() { w.mu.Lock(); w.held--; w.mu.Unlock() }, nil
	}
	return nil, nil, fault.New(fault.Corrupt, "version %s does not match its hash", v.ID)
}

// Full says that more models are held than there is room for.
func (w *world) Full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.room > 0 && w.held > w.room
}

func (w *world) Record(_ context.Context, e *record.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.records = append(w.records, *e)
	return w.refuse
}

func (w *world) Decided(o decide.Observation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = append(w.noted, o)
}

func (w *world) Compile(context.Context, deploy.Content) (decide.FeatureSet, error) {
	w.features = &doubled{}
	return w.features, nil
}

// doubled is a feature set: twice is 2·amount; an amount of 99 fails the row.
type doubled struct{ closed atomic.Int64 }

func (d *doubled) Inputs() []model.Field { return []model.Field{{Name: "amount", Type: frame.Double}} }
func (d *doubled) Outputs() []frame.Column {
	return []frame.Column{{Name: "twice", Type: frame.Double}}
}
func (d *doubled) Close() error { d.closed.Add(1); return nil }

func (d *doubled) Compute(_ context.Context, in frame.Batch, _ feature.Asked) (frame.Batch, []error, error) {
	b := array.NewFloat64Builder(memory.DefaultAllocator)
	defer b.Release()
	amounts := in.Column(frame.Index(in.Schema(), "amount")).(*array.Float64)
	var errs []error
	for row := range amounts.Len() {
		if amounts.IsNull(row) {
			b.AppendNull()
			continue
		}
		if amounts.Value(row) == 99 {
			if errs == nil {
				errs = make([]error, amounts.Len())
			}
			errs[row] = fault.New(fault.Invalid, "ninety-nine")
			b.AppendNull()
			continue
		}
		b.Append(2 * amounts.Value(row))
	}
	col := b.NewArray()
	defer col.Release()
	return array.NewRecordBatch(frame.SchemaOf(d.Outputs()), []arrow.Array{col}, in.NumRows()), errs, nil
}

func (w *world) deps() decide.Deps {
	return decide.Deps{Models: w, Features: w, Recorder: w, Observer: w, Clock: w.clock}
}

func fraudInputs() []model.Field {
	return []model.Field{
		{Name: "amount", Type: frame.Double, Required: true}, {Name: "age", Type: frame.Double}, {Name: "visits", Type: frame.Int},
	}
}

// deploy makes a release of a model version live.
func (w *world) deploy(number int, change func(*deploy.Content)) deploy.Release {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := versionID("m", number)
	if w.models[id] == nil {
		w.models[id] = &sum{weight: float64(number), inputs: fraudInputs()}
	}
	c := deploy.Content{Variants: []deploy.Variant{{Name: "stable", Weight: 1, Model: "m", Version: number, ID: id}}}
	if change != nil {
		change(&c)
	}
	release, _, err := deploy.Hash("fraud", c)
	if err != nil {
		w.t.Fatal(err)
	}
	r := deploy.Release{ID: release, Endpoint: "fraud", Number: number, Content: c}
	w.live["fraud"], w.releases[release] = r, r
	return r
}

// serve deploys version 1 and returns a router that has it.
func (w *world) serve(change func(*deploy.Content)) *decide.Router {
	w.t.Helper()
	w.deploy(1, change)
	r := decide.NewRouter(w, w.deps())
	if err := r.Refresh(context.Background(), "fraud"); err != nil {
		w.t.Fatal(err)
	}
	return r
}

var app = identity.Principal{Name: "app", Groups: []string{"shop"}, Grants: []string{"score:*"}}

// rows is a batch of amounts, NULL where NaN, with ages and visits beside.
func rows(amounts ...float64) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, requestSchema)
	defer b.Release()
	for i, v := range amounts {
		if math.IsNaN(v) {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.Float64Builder).Append(v)
		}
		b.Field(1).(*array.Float64Builder).Append(float64(i%50) + 0.25)
		b.Field(2).(*array.Int64Builder).Append(int64(i % 7))
	}
	return b.NewRecordBatch()
}

var requestSchema = frame.SchemaOf([]frame.Column{
	{Name: "amount", Type: frame.Double}, {Name: "age", Type: frame.Double}, {Name: "visits", Type: frame.Int}})

func request(amounts ...float64) decide.Request {
	return decide.Request{Principal: app, Pattern: decide.Realtime, Rows: rows(amounts...), Received: time.Unix(1_800_000_000, 0)}
}

func ask(t testing.TB, r *decide.Router, q decide.Request) *decide.Answer {
	t.Helper()
	a, err := r.Decide(context.Background(), "fraud", q)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a
}

func scores(a *decide.Answer) *array.Float64 { return a.Rows.Column(0).(*array.Float64) }
