package retrain

import (
	"context"
	"fmt"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// Assessment is what the questions to an assistant came to.
type Assessment struct {
	Assistant string             `json:"assistant"`
	Release   string             `json:"release"` // that answered; "" where several did
	Figures   map[string]float64 `json:"figures"`
	Gates     []registry.Verdict `json:"gates,omitempty"`
	Back      bool               `json:"back,omitempty"` // the release before is live again
}

// evaluate measures an assistant. A gate that does not hold ends the run, after
// the assistant went back to the release before where the step says so; one
// that answers by another release already stays as it is.
func (p *pipeline) evaluate(i int, s *spec.EvaluateStep, out *Result) error {
	if p.Assessments == nil {
		return fault.New(fault.Unsupported, "nothing here asks assistants")
	}
	a, err := work.Step(p.run, p.name(i, "evaluate "+s.Assistant), once, func(ctx context.Context, pr *work.Progress) (a Assessment, err error) {
		a.Assistant = s.Assistant
		a.Figures, a.Release, err = p.Assessments.Assess(ctx, *s, p.run.By(), func(_, all int) {
			pr.Total(int64(all), "questions")
			pr.Add(1)
		})
		return a, err
	})
	if err != nil {
		return err
	}
	var failed error
	a.Gates, failed = answerVerdicts(s, a.Figures)
	if failed != nil && s.Rollback {
		a.Back, err = work.Step(p.run, p.name(i, "roll back "+s.Assistant), once, func(ctx context.Context, _ *work.Progress) (bool, error) {
			return p.goBack(ctx, s.Assistant, a.Release)
		})
		if err != nil {
			return err
		}
	}
	out.Answers = append(out.Answers, a)
	return failed
}

// answerVerdicts judges figures. One that was not measured fails its condition.
func answerVerdicts(s *spec.EvaluateStep, figures map[string]float64) (verdicts []registry.Verdict, failed error) {
	var l fault.List
	for _, text := range s.Gate {
		gate, ok := spec.ParseAnswerGate(text)
		if !ok {
			return verdicts, fault.New(fault.Invalid, "%q is not a condition on a figure of answers", text)
		}
		got, measured := figures[gate.Measure]
		v := registry.Verdict{Gate: text, Passed: measured && gate.Holds(got), Figures: map[string]float64{gate.Measure: got}, Reason: fmt.Sprintf("%s is %.4f", gate.Measure, got)}
		if !measured {
			v.Reason = "no question says what " + gate.Measure + " is measured by"
		}
		verdicts = append(verdicts, v)
		if !v.Passed {
			l.Add(fault.New(fault.Rejected, "the gate %q does not hold for assistant %s: %s", text, s.Assistant, v.Reason))
		}
	}
	return verdicts, l.Err()
}

// goBack makes the release live that was before the measured one.
func (p *pipeline) goBack(ctx context.Context, assistant, measured string) (bool, error) {
	live, err := p.Releases.Live(ctx, assistant)
	if err != nil || measured == "" || live.ID != measured {
		return false, err
	}
	if _, err := p.Releases.Rollback(ctx, assistant, "", p.run.By()); err != nil {
		if fault.Is(err, fault.NotFound) {
			return false, nil // the first one has nothing before it
		}
		return false, err
	}
	return true, p.Deployed(ctx, assistant)
}
