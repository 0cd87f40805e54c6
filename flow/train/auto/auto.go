// Package auto is the trainer that finds out which model suits the data: it
// tries a few settings of linear models and of trees, keeps what does best on
// rows that were held out, and fits that again to all rows.
//
// It is the demo's default. The search is small and its size depends on the
// data only, never on the clock, so that the same rows and seed give the same
// model on any machine. Up to 20,000 rows are judged by cross-validation, more
// by the validation rows alone; rows in the order of time are always judged by
// later ones than were fitted. Very large data is searched on a sample.
//
// A linear model is preferred while trees are not better by more than two
// standard errors of the difference: what cannot be told apart is decided by
// simplicity, which also lasts longer when the world changes.
package auto

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
)

// Trainer meets train.Trainer. At least one of the families is set; it has no
// parameters of its own, and passes monotone constraints and seed on.
type Trainer struct {
	Linear train.Trainer // knows l2
	Trees  train.Trainer // knows the parameters of package gbdt, and reports progress round by round
}

// Train searches, chooses and fits. The rows for validation are used for
// choosing, and are fitted in the end.
func (t Trainer) Train(ctx context.Context, d *train.Dataset, p train.Params) (*train.Artifact, error) {
	if len(p.Values) > 0 {
		return nil, fault.New(fault.Invalid, "the trainer auto has no parameter %q", slices.Sorted(maps.Keys(p.Values))[0]).
			Hint("it chooses them; name a trainer to set its parameters")
	}
	s := newSearch(t, d, p)
	if err := s.tryAll(ctx); err != nil {
		return nil, err
	}
	best, notes := s.choose()
	a, err := s.refit(ctx, best)
	if err != nil {
		return nil, err
	}
	a.Notes = append(notes, a.Notes...)
	if d.Task == model.Binary {
		a.HeldOut = s.heldOut(best)
	}
	return a, nil
}

// refit fits the best setting to all rows, with as many rounds as did best.
func (s *search) refit(ctx context.Context, best *result) (*train.Artifact, error) {
	all := *s.data
	all.Valid = 0
	values := maps.Clone(best.values)
	if best.rounds > 0 {
		values[rounds], values[patience] = math.Round(float64(best.rounds)*s.plan.growth()), 0
	}
	p := s.params
	p.Values, p.Progress = values, nil
	return s.trainer(best.family).Train(ctx, &all, p)
}

// clearly is how many standard errors a difference must have to count.
const clearly = 2

// choose returns the result to fit and says why.
func (s *search) choose() (*result, []string) {
	linear, trees := s.best(linearFamily), s.best(treesFamily)
	notes := []string{fmt.Sprintf("auto tried %s, judged by the %s on %s", s.tried(), s.lossName(), s.plan.words)}
	for _, r := range []*result{linear, trees} {
		if r != nil {
			notes = append(notes, fmt.Sprintf("best %s: %s %.5g with %s", r.family, s.lossName(), s.shown(r.loss), r.words()))
		}
	}
	switch {
	case trees == nil:
		return linear, notes
	case linear == nil:
		return trees, notes
	}
	gain, noise := s.difference(linear, trees)
	if gain > clearly*noise {
		return trees, append(notes, fmt.Sprintf("trees won: the difference is %.1f standard errors", gain/noise))
	}
	if gain > 0 {
		return linear, append(notes, "the linear model won: trees are better by less than two standard errors, and it is simpler")
	}
	return linear, append(notes, "the linear model won")
}

func (s *search) tried() string {
	counts := map[family]int{}
	for _, r := range s.results {
		counts[r.family]++
	}
	var parts []string
	for _, f := range []family{linearFamily, treesFamily} {
		if counts[f] > 0 {
			parts = append(parts, fmt.Sprintf("%d settings of %s", counts[f], f))
		}
	}
	return strings.Join(parts, " and ")
}

// words lists the settings of a result.
func (r *result) words() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.values)) {
		if name != rounds && name != patience {
			parts = append(parts, fmt.Sprintf("%s %g", name, r.values[name]))
		}
	}
	if r.rounds > 0 {
		parts = append(parts, fmt.Sprintf("%d rounds", r.rounds))
	}
	return strings.Join(parts, ", ")
}
