// Package compose is the runtime of models that are made of other models: a
// sequence, a weighted average, a switch by expressions.
//
// It stands below the contract package model, beside the other runtimes. A
// Definition, compose.json, says the shape and pins each part by the id of its
// version, so that a release that has the composition has its parts. Parts may
// be compositions themselves: that is how a graph is written. New makes a
// Definition of parts that are there, or says why they do not fit; Format loads
// it, with the parts that its Config holds.
//
//	sequence   the outputs of each part are inputs of the next; what it reads
//	           besides comes from the rows; the last one answers
//	average    every part scores every row; the numbers are averaged by weight,
//	           the label is that of the average
//	switch     the first case whose expression holds for a row scores it; the
//	           last case, which has none, scores the rest
//
// A graph has no cycles, because an id is the hash of a content that is there
// before; its depth and the number of its models are bounded. Rows come back in
// their order, and a row that fails fails alone (model.Partial).
package compose

import (
	"context"
	"io/fs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// FormatName is the name of the format, as stored with a version.
const FormatName = "compose"

// Config is what joins the package to the server that it runs in.
type Config struct {
	// Hold returns a version's model until it is released.
	Hold func(ctx context.Context, r model.Reference) (m model.Model, release func(), err error)
}

// Format loads compositions. It meets model.Format. A loaded one holds its
// parts, and is an io.Closer.
type Format struct{ Config Config }

// Name returns "compose".
func (Format) Name() string { return FormatName }

// Load holds the parts and puts them together.
func (f Format) Load(ctx context.Context, files fs.FS) (model.Model, error) {
	d, err := read(files)
	if err != nil {
		return nil, err
	}
	return open(ctx, f.Config, d)
}

// Bounds of a graph.
const (
	maxDepth  = 8
	maxModels = 64 // of the whole graph, each counted as often as it is asked
	maxParts  = 32 // of one composition
)

type depthKey struct{}

// open holds the parts of a definition and puts them together.
func open(ctx context.Context, c Config, d Definition) (opened *Model, err error) {
	if c.Hold == nil {
		return nil, fault.New(fault.Unsupported, "no other model can be held here")
	}
	depth, _ := ctx.Value(depthKey{}).(int)
	if depth++; depth > maxDepth {
		return nil, fault.New(fault.TooLarge, "the graph of models is more than %d deep", maxDepth)
	}
	ctx = context.WithValue(ctx, depthKey{}, depth)
	m := &Model{definition: d}
	defer func() {
		if err != nil {
			_ = m.Close() // the first error is the one to tell
		}
	}()
	for i, p := range d.Parts {
		held, release, err := c.Hold(ctx, p.Reference)
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "part %d, %s", i+1, p.Reference)
		}
		m.releases = append(m.releases, release)
		m.parts = append(m.parts, newPart(p, held))
	}
	if m.plan, err = d.plan(m.parts); err != nil {
		return nil, err
	}
	return m, nil
}

// Model is a loaded composition. It meets model.Model, model.Describer,
// model.Sizer and io.Closer.
type Model struct {
	definition Definition
	parts      []*part
	plan       plan
	releases   []func()
}

// plan is a composition whose parts fit.
type plan interface {
	signature() model.Signature
	// predict answers rows that have exactly the columns of the signature.
	predict(ctx context.Context, rows frame.Batch) (answer, error)
}

// Signature says what the composition reads and writes.
func (m *Model) Signature() model.Signature { return m.plan.signature() }

// Models is how many models a row may meet.
func (m *Model) Models() int { return count(m.parts) }

// Size is next to nothing: the parts are counted themselves.
func (m *Model) Size() int64 { return 64 << 10 }

// Describe says what the composition is made of.
func (m *Model) Describe() model.Description {
	parts := map[string]int{}
	for _, p := range m.definition.Parts {
		parts[p.String()]++
	}
	return model.Description{Kind: m.definition.Kind + " of models", Runtime: FormatName, Operators: parts}
}

// Close lets the parts go. It is safe to call twice.
func (m *Model) Close() error {
	for _, release := range m.releases {
		release()
	}
	return nil
}

// Predict asks the parts.
func (m *Model) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the models were not asked in time")
	}
	rows, err := model.Select(in, m.Signature().Inputs)
	if err != nil {
		return nil, err
	}
	defer rows.Release()
	a, err := m.plan.predict(ctx, rows)
	if err != nil {
		return nil, err
	}
	a.rows = model.WithServedBy(a.rows, a.servedBy)
	if a.errs != nil {
		return nil, &model.Partial{Out: a.rows, Errs: a.errs}
	}
	return a.rows, nil
}
