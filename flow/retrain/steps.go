package retrain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/work"
)

// champion is the alias of the version that a candidate is compared with.
const champion = "champion"

// maxCandidate bounds the bytes of a kept candidate.
const maxCandidate = 1 << 30

// errNoCandidate answers a step that comes before the training.
var errNoCandidate = fault.New(fault.Invalid, "there is no candidate yet").
	Hint("put a train step before gate, register and deploy")

func (p *pipeline) train(i int, s *spec.TrainStep) (err error) {
	p.model = s.Model
	p.candidate, err = work.Step(p.run, p.name(i, "train "+s.Model), once, func(ctx context.Context, pr *work.Progress) (string, error) {
		began := time.Now()
		v, err := p.fit(ctx, s, pr)
		if err != nil {
			return "", err
		}
		if p.Trained != nil {
			v.Notes.Run, err = p.Trained(ctx, Training{ID: p.trainingID(i), Pipeline: p.run.Name(), By: p.run.By(), Took: time.Since(began), Candidate: v})
		}
		if err != nil {
			return "", err
		}
		return p.keep(ctx, v)
	})
	return err
}

// trainingID names the training of a step.
func (p *pipeline) trainingID(i int) string {
	first := slices.IndexFunc(p.in.Pipeline.Steps, func(s spec.Step) bool { return s.Train != nil })
	if i == first {
		return p.run.ID()
	}
	return fmt.Sprintf("%s-%d", p.run.ID(), i+1)
}

// keep stores a candidate under its content, until it is registered.
func (p *pipeline) keep(ctx context.Context, v registry.NewVersion) (digest string, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the candidate cannot be written")
	}
	d, err := p.Blobs.PutBytes(ctx, text)
	return string(d), err
}

func (p *pipeline) kept(ctx context.Context) (v registry.NewVersion, err error) {
	if p.candidate == "" {
		return v, errNoCandidate
	}
	text, err := p.Blobs.ReadAll(ctx, blob.Digest(p.candidate), maxCandidate)
	if err != nil {
		return v, err
	}
	return v, fault.Wrap(json.Unmarshal(text, &v), fault.Corrupt, "the candidate cannot be read")
}

func (p *pipeline) gate(i int, gates []string, out *Result) error {
	verdicts, err := work.Step(p.run, p.name(i, "gate"), once, func(ctx context.Context, pr *work.Progress) ([]registry.Verdict, error) {
		v, err := p.kept(ctx)
		if err != nil {
			return nil, err
		}
		verdicts, basis, err := judge(ctx, p.Registry, p.model, gates, v)
		pr.Note(strings.TrimSuffix(fmt.Sprintf("%d of %d passed; %s", passed(verdicts), len(verdicts), basis), "; "))
		return verdicts, err
	})
	if err != nil {
		return err
	}
	p.verdicts = append(p.verdicts, verdicts...)
	out.Gates = p.verdicts
	return refusal(verdicts)
}

func passed(verdicts []registry.Verdict) (n int) {
	for _, v := range verdicts {
		if v.Passed {
			n++
		}
	}
	return n
}

// refusal is nil when every gate passed.
func refusal(verdicts []registry.Verdict) error {
	var no []string
	for _, v := range verdicts {
		if !v.Passed {
			text := v.Gate
			if v.Reason != "" {
				text += " (" + v.Reason + ")"
			}
			no = append(no, text)
		}
	}
	if len(no) == 0 {
		return nil
	}
	return fault.New(fault.Rejected, "the candidate does not pass: %s", strings.Join(no, "; ")).
		Hint("nothing was registered or deployed; improve the data or the features, or change the gate")
}

func (p *pipeline) register(i int, s *spec.RegisterStep, out *Result) (err error) {
	p.version, err = work.Step(p.run, p.name(i, "register"), once, func(ctx context.Context, pr *work.Progress) (registry.Version, error) {
		n, err := p.kept(ctx)
		if err != nil {
			return registry.Version{}, err
		}
		n.Gates, n.By = p.verdicts, p.run.By()
		v, err := p.measured(ctx, n)
		if err != nil {
			return v, err
		}
		pr.Note(fmt.Sprintf("%s version %d", v.Model, v.Number))
		return v, p.Registry.SetAlias(ctx, v.Model, s.Alias, v.Number, p.run.By())
	})
	out.Model, out.Version, out.ID, out.Metrics = p.version.Model, p.version.Number, p.version.ID, p.version.Metrics
	return err
}

// measured registers a candidate. Where the same model was imported before and
// nobody had measured it, the candidate becomes a version of its own, so that
// its figures are kept; doing it again finds that one.
func (p *pipeline) measured(ctx context.Context, n registry.NewVersion) (registry.Version, error) {
	v, err := p.Registry.Register(ctx, n)
	if err != nil || v.Report != "" || len(n.Report) == 0 {
		return v, err
	}
	all, err := p.Registry.Versions(ctx, n.Model)
	if err != nil {
		return v, err
	}
	for _, other := range all {
		if other.Report != "" && other.Manifest.Format == v.Manifest.Format && maps.Equal(other.Manifest.Files, v.Manifest.Files) {
			return other, nil
		}
	}
	n.Distinct = true
	return p.Registry.Register(ctx, n)
}

func (p *pipeline) deploy(i int, s *spec.DeployStep, out *Result) error {
	if p.version.Number == 0 {
		return fault.New(fault.Invalid, "there is no version to deploy yet").Hint("put a register step before deploy")
	}
	r, err := work.Step(p.run, p.name(i, "deploy "+s.Endpoint), once, func(ctx context.Context, pr *work.Progress) (deploy.Release, error) {
		r, err := p.release(ctx, s)
		if err == nil {
			pr.Note(fmt.Sprintf("release %d is live", r.Number))
		}
		return r, err
	})
	out.Endpoint, out.Release, out.Number = s.Endpoint, r.ID, r.Number
	return err
}

// release makes the version live and moves the alias once it is. A release
// that cannot be served is taken back.
func (p *pipeline) release(ctx context.Context, s *spec.DeployStep) (deploy.Release, error) {
	e, ok := spec.Find[*spec.Endpoint](p.in.Resources, s.Endpoint)
	if !ok {
		return deploy.Release{}, fault.New(fault.NotFound, "no endpoint is called %q", s.Endpoint)
	}
	content, err := resources.Compose(ctx, e, p.version, p.in.Resources, p.Features)
	if err != nil {
		return deploy.Release{}, err
	}
	r, err := p.Releases.Deploy(ctx, e.Name, content, p.run.By(), "deploy by run "+p.run.ID())
	if err != nil {
		return r, err
	}
	if err := p.Deployed(ctx, e.Name); err != nil {
		_, back := p.Releases.Rollback(ctx, e.Name, "", p.run.By())
		return r, errors.Join(err, back)
	}
	return r, p.Registry.SetAlias(ctx, p.version.Model, s.Alias, p.version.Number, p.run.By())
}
