package train

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// Champion is the model that a candidate would replace. Run measures it on the
// candidate's test rows, because figures that were found on other rows say as
// much about those rows as about the model.
type Champion struct {
	Version   string // its id
	Number    int
	Model     model.Model // nil when there is a Why
	Threshold *float64    // of the score, for binary tasks; nil is 0.5
	// Split is in the words of Candidate.Split. Where it is the candidate's own,
	// the champion has not learned from the test rows either.
	Split string
	Why   string // it cannot be measured on rows of this training
}

// meet measures the champion on the test rows, or says why it cannot be. Only
// the end of ctx is an error: a champion that is broken does not keep a
// candidate from being judged.
func (r *run) meet(ctx context.Context, report *evaluate.Report) error {
	c := r.options.Champion
	if c == nil {
		return nil
	}
	r.tell("measuring the champion", 0, 1)
	report.Champion = &evaluate.Champion{Version: c.Version, Number: c.Number, Why: c.Why}
	if c.Why == "" {
		metrics, err := r.measureChampion(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if report.Champion.Metrics = metrics; err != nil {
			report.Champion.Why = err.Error()
		}
	}
	report.Notes = append(report.Notes, r.wordsOn(c, report.Champion))
	return nil
}

func (r *run) measureChampion(ctx context.Context, c *Champion) (map[string]float64, error) {
	signature := c.Model.Signature()
	if err := r.canRead(signature); err != nil {
		return nil, err
	}
	test, err := pickRows(ctx, r.in, r.wanted(signature), r.split.test)
	if err != nil {
		return nil, err
	}
	defer test.release()
	p, said, err := r.predict(ctx, c.Model, test)
	if err != nil {
		return nil, err
	}
	release(said)
	if p.Threshold = 0.5; c.Threshold != nil {
		p.Threshold = *c.Threshold
	}
	metrics := p.Metrics()
	if err := latency(ctx, c.Model, test.batches[0], metrics); err != nil {
		return nil, err
	}
	return metrics, nil
}

// canRead tells whether a model says the same kind of thing as the candidate,
// of columns that are there.
func (r *run) canRead(s model.Signature) error {
	if s.Task != r.label.task || !slices.Equal(s.Classes, r.label.classes) {
		return fault.New(fault.Unsupported, "it answers %s of %q, the label is %s of %q", s.Task, s.Classes, r.label.task, r.label.classes)
	}
	for _, f := range s.Inputs {
		at := frame.Index(r.in.Schema, f.Name)
		if at < 0 {
			return fault.New(fault.NotFound, "it reads the column %q, which the rows do not have", f.Name)
		}
		if t, err := frame.TypeOf(r.in.Schema.Field(at).Type); err != nil || t != f.Type {
			return fault.New(fault.Invalid, "it reads the column %q as %s, which is %s", f.Name, f.Type, r.in.Schema.Field(at).Type)
		}
	}
	return nil
}

// wordsOn is the note of what the champion was measured on.
func (r *run) wordsOn(c *Champion, measured *evaluate.Champion) string {
	switch {
	case measured.Why != "":
		return fmt.Sprintf("the champion, version %d, stands by the figures that are stored with it, of other rows: %s", c.Number, measured.Why)
	case c.Split != r.words():
		return fmt.Sprintf("the champion, version %d, was measured on the same test rows; it was trained by another split and may have learned from some of them", c.Number)
	}
	return fmt.Sprintf("the champion, version %d, was measured on the same test rows", c.Number)
}

// ChampionFigures are those that gates compare a candidate with: what the
// candidate's report has of the champion, or else what is stored with the
// champion's version. A figure that this stage does not measure, such as a
// command's own, is always the stored one.
func ChampionFigures(measured *evaluate.Champion, version string, stored map[string]float64) (figures map[string]float64, sameRows bool) {
	if measured == nil || measured.Version != version || measured.Metrics == nil {
		return stored, false
	}
	figures = maps.Clone(stored)
	maps.DeleteFunc(figures, func(name string, _ float64) bool { return slices.Contains(evaluate.Names(), name) })
	maps.Copy(figures, measured.Metrics)
	return figures, true
}
