package decide

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/batching"
)

// Compile binds a release: models loaded and verified, features compiled,
// columns mapped to positions. Whatever does not fit together is found here,
// not by a request.
func Compile(ctx context.Context, r deploy.Release, deps Deps) (*Path, error) {
	if deps.Clock == nil {
		deps.Clock = clock.System{}
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	p := &Path{deps: deps, release: r}
	p.refs.Store(1)
	if err := p.compile(ctx); err != nil {
		p.leave()
		return nil, fault.Wrap(err, fault.KindOf(err), "release %d of %s cannot be served", r.Number, r.Endpoint)
	}
	return p, nil
}

func (p *Path) compile(ctx context.Context) error {
	c := p.release.Content
	load := p.loadVariants
	if c.Assistant != nil {
		load = p.loadAnswerer
	}
	if err := load(ctx); err != nil {
		return err
	}
	if err := p.compileFeatures(ctx); err != nil {
		return err
	}
	signature := p.variants[0].signature
	if err := p.mapColumns(signature); err != nil {
		return err
	}
	d, err := compileDecision(c.Decide, p.variants[0].version, signature)
	if err != nil {
		return err
	}
	p.decision = d
	outputs := columnsOf(signature.Outputs)
	if d != nil {
		outputs = append(outputs, frame.Column{Name: DecisionColumn, Type: frame.String})
	}
	p.schema = frame.SchemaOf(outputs)
	p.step = p.answer
	for _, screen := range slices.Backward(p.deps.Screens) {
		p.step = screen(p.step)
	}
	return nil
}

// compileFeatures binds what is known of a row before the model is asked:
// feature views, or the passages of a question.
func (p *Path) compileFeatures(ctx context.Context) (err error) {
	c := p.release.Content
	var set FeatureSet
	switch {
	case c.Assistant != nil:
		set, err = p.deps.Assistants.Passages(ctx, p.release.Endpoint, c.Assistant)
	case len(c.Features) == 0:
		return nil
	case p.deps.Features == nil:
		return fault.New(fault.Unsupported, "the release has feature views, and nothing here computes them")
	default:
		set, err = p.deps.Features.Compile(ctx, c)
	}
	if err != nil {
		return err
	}
	p.features, p.computed.schema = set, frame.SchemaOf(set.Outputs())
	return nil
}

// variant is one arm of the release, ready to predict.
type variant struct {
	name      string
	weight    float64
	version   registry.Version
	model     model.Model
	release   func() // the model is not used any more
	signature model.Signature
	outputs   *shape // of Predict
}

func (p *Path) loadVariants(ctx context.Context) error {
	arms := p.release.Content.Variants
	if len(arms) != 1 {
		return fault.New(fault.Unsupported, "the release has %d variants; this version serves one", len(arms))
	}
	for _, arm := range arms {
		v, err := p.deps.Models.Version(ctx, arm.Model, strconv.Itoa(arm.Version))
		if err != nil {
			return err
		}
		if v.ID != arm.ID {
			return fault.New(fault.Corrupt, "version %d of model %s is not the one that was released", arm.Version, arm.Model).
				Hint("the registry was replaced or restored from elsewhere; deploy again")
		}
		m, release, err := p.deps.Models.Hold(ctx, v)
		if err != nil {
			return err
		}
		s := m.Signature()
		p.variants = append(p.variants, variant{arm.Name, arm.Weight, v, batching.Wrap(m), release, s, &shape{schema: frame.SchemaOf(columnsOf(s.Outputs))}})
	}
	return nil
}

// loadAnswerer takes what answers questions as the one variant.
func (p *Path) loadAnswerer(ctx context.Context) error {
	if p.deps.Assistants == nil {
		return fault.New(fault.Unsupported, "the release is an assistant's, and nothing here answers questions")
	}
	m, release, err := p.deps.Assistants.Answerer(ctx, p.release.Endpoint, p.release.Content.Assistant)
	if err != nil {
		return err
	}
	version := registry.Version{Model: p.release.Content.Assistant.LLM}
	if version.Model == "" {
		version.Model = Extractive
	}
	s := m.Signature()
	p.variants = append(p.variants, variant{name: stable, weight: 1, version: version, model: m, release: release, signature: s,
		outputs: &shape{schema: frame.SchemaOf(columnsOf(s.Outputs))}})
	return nil
}

// Extractive is the model of an assistant that has no language model: it
// quotes.
const Extractive = "extractive"

// stable is the variant of a release that has no other.
const stable = "stable"

// mapColumns decides where each input of the model comes from: a feature of
// that name, or else the request itself.
func (p *Path) mapColumns(signature model.Signature) error {
	var l fault.List
	features := map[string]int{}
	var outputs []frame.Column
	inputs := newInputs()
	if p.features != nil {
		outputs = p.features.Outputs()
		for i, c := range outputs {
			features[c.Name] = i
		}
		for _, f := range p.features.Inputs() {
			l.Add(inputs.add(f))
		}
	}
	for _, in := range signature.Inputs {
		at, computed := features[in.Name]
		switch {
		case computed && outputs[at].Type != in.Type && !(outputs[at].Type == frame.Int && in.Type == frame.Double):
			l.Add(fault.New(fault.Invalid, "the model reads %q as %s, the feature is %s", in.Name, in.Type, outputs[at].Type))
		case !computed:
			l.Add(inputs.add(in))
		case inputs.has(in.Name): // taken as it is: what the model needs, the caller must send
			in.Type = outputs[at].Type
			l.Add(inputs.add(in))
		}
	}
	if err := l.Err(); err != nil {
		return err
	}
	p.inputs = newBinding(inputs.fields)
	p.model = newAssembly(signature.Inputs, p.inputs, features, outputs)
	return nil
}

// inputs gathers the columns of requests.
type inputs struct {
	fields []model.Field
	at     map[string]int
}

func newInputs() *inputs { return &inputs{at: map[string]int{}} }

func (in *inputs) has(name string) bool { _, ok := in.at[name]; return ok }

func (in *inputs) add(f model.Field) error {
	at, known := in.at[f.Name]
	if !known {
		in.at[f.Name] = len(in.fields)
		in.fields = append(in.fields, f)
		return nil
	}
	have := &in.fields[at]
	if have.Type != f.Type {
		return fault.New(fault.Invalid, "the column %q is read as %s and as %s", f.Name, have.Type, f.Type)
	}
	have.Required = have.Required || f.Required
	if len(have.Categories) == 0 {
		have.Categories = f.Categories
	}
	return nil
}

func columnsOf(fields []model.Field) []frame.Column {
	columns := make([]frame.Column, len(fields))
	for i, f := range fields {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	return columns
}
