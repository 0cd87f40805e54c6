package auto

import (
	"context"
	"maps"
	"math"

	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// family is a kind of model.
type family string

const (
	linearFamily family = "linear model"
	treesFamily  family = "trees"
)

// Parameters of the families, by their trainers' names.
const (
	l2         = "l2"
	rounds     = "trees"
	patience   = "early_stopping_rounds"
	rate       = "learning_rate"
	leaves     = "num_leaves"
	minData    = "min_data_in_leaf"
	treeL2     = "lambda_l2"
	columnPart = "feature_fraction"
	rowPart    = "bagging_fraction"
)

// search is one training on its way.
type search struct {
	trainer func(family) train.Trainer
	data    *train.Dataset
	params  train.Params
	plan    *plan
	results []*result
	weight  []float64 // of the judged rows, nil for equal ones
	label   []float64 // of the judged rows
	steps   int       // settings to try, for progress
}

// result is what one setting did on the judged rows.
type result struct {
	family family
	values map[string]float64
	rounds int // that did best, 0 for a model without rounds
	loss   float64
	losses []float64 // of each judged row
	scores []float64 // of each judged row, of a binary task
}

func newSearch(t Trainer, d *train.Dataset, p train.Params) *search {
	s := &search{
		data: d, params: p, plan: newPlan(d, p.Seed),
		trainer: func(f family) train.Trainer {
			if f == linearFamily {
				return t.Linear
			}
			return t.Trees
		},
	}
	for _, f := range s.plan.folds {
		for _, row := range f.judge {
			s.label = append(s.label, d.Label[row])
			if d.Weight != nil {
				s.weight = append(s.weight, d.Weight[row])
			}
		}
	}
	if t.Linear != nil {
		s.steps += len(linearGrid)
	}
	if t.Trees != nil {
		s.steps += len(treesGrid) + refinements
	}
	return s
}

// linearGrid is how strongly weights are held back.
var linearGrid = []float64{0.3, 3, 30, 300}

// treesGrid is where the search for trees begins: from few to many leaves,
// the larger ones held back by fitting parts of the columns and rows.
var treesGrid = []map[string]float64{
	{leaves: 6, minData: 20},
	{leaves: 15, minData: 20, columnPart: 0.7, rowPart: 0.8, treeL2: 2},
	{leaves: 31, minData: 20},
	{leaves: 63, minData: 10, columnPart: 0.6, rowPart: 0.8, treeL2: 5},
}

// refinements is how many settings refine tries.
const refinements = 5

func (s *search) tryAll(ctx context.Context) error {
	if s.trainer(linearFamily) != nil {
		for _, strength := range linearGrid {
			if _, err := s.try(ctx, linearFamily, map[string]float64{l2: strength}); err != nil {
				return err
			}
		}
	}
	if s.trainer(treesFamily) == nil {
		return nil
	}
	for _, values := range treesGrid {
		if _, err := s.try(ctx, treesFamily, quick(values)); err != nil {
			return err
		}
	}
	return s.refine(ctx)
}

// quick adds a large rate, with which settings are compared in few rounds.
func quick(values map[string]float64) map[string]float64 {
	return with(values, map[string]float64{rate: 0.1, rounds: 250, patience: 20})
}

func with(values, changes map[string]float64) map[string]float64 {
	values = maps.Clone(values)
	maps.Copy(values, changes)
	return values
}

// refine changes one thing at a time about the best trees, keeps what helps,
// and ends with a small rate.
func (s *search) refine(ctx context.Context) error {
	for _, change := range []func(now map[string]float64) map[string]float64{
		func(now map[string]float64) map[string]float64 {
			return map[string]float64{columnPart: now[columnPart] / 2, rowPart: 0.8}
		},
		func(now map[string]float64) map[string]float64 {
			return map[string]float64{minData: now[minData] * 4, treeL2: 4*now[treeL2] + 5}
		},
		func(now map[string]float64) map[string]float64 {
			return map[string]float64{minData: max(2, math.Floor(now[minData]/4))}
		},
		func(now map[string]float64) map[string]float64 {
			return map[string]float64{leaves: math.Ceil(now[leaves] * 1.6)}
		},
		func(map[string]float64) map[string]float64 {
			return map[string]float64{rate: 0.05, rounds: 800, patience: 40}
		},
	} {
		now := with(map[string]float64{columnPart: 1}, s.best(treesFamily).values)
		if _, err := s.try(ctx, treesFamily, with(now, change(now))); err != nil {
			return err
		}
	}
	return nil
}

// try fits a setting on each fold and judges it by the rows that the fold
// holds out.
func (s *search) try(ctx context.Context, f family, values map[string]float64) (*result, error) {
	r := &result{family: f, values: values}
	total := 0
	for i := range s.plan.folds {
		n, err := s.tryFold(ctx, r, &s.plan.folds[i])
		if err != nil {
			return nil, err
		}
		total += n
	}
	r.rounds = (total + len(s.plan.folds)/2) / len(s.plan.folds)
	r.loss = s.mean(r.losses)
	s.results = append(s.results, r)
	if s.params.Progress != nil {
		s.params.Progress(len(s.results), s.steps, s.shown(s.bestOf().loss))
	}
	return r, nil
}

// tryFold adds the losses of one fold and returns how many rounds did best.
func (s *search) tryFold(ctx context.Context, r *result, f *fold) (best int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	least := math.Inf(1)
	p := s.params
	p.Values = r.values
	p.Progress = func(done, _ int, loss float64) {
		if loss < least {
			least, best = loss, done
		}
	}
	d := f.dataset(s.data)
	a, err := s.trainer(r.family).Train(ctx, d, p)
	if err != nil {
		return 0, err
	}
	rows := f.rows(s.data)
	defer rows.Release()
	out, err := a.Model.Predict(ctx, rows)
	if err != nil {
		return 0, err
	}
	defer out.Release()
	predictions := &evaluate.Predictions{Task: d.Task, Classes: d.Classes, Label: d.Label[d.Rows()-d.Valid:]}
	if predictions.Scores, err = train.Scores(nil, out, d.Task, d.Classes); err != nil {
		return 0, err
	}
	r.losses = append(r.losses, predictions.Losses()...)
	if d.Task == model.Binary {
		r.scores = append(r.scores, predictions.Scores[0]...)
	}
	return best, nil
}

func (s *search) mean(losses []float64) float64 {
	var sum, total float64
	for i, loss := range losses {
		w := s.weightOf(i)
		sum, total = sum+w*loss, total+w
	}
	return sum / total
}

func (s *search) weightOf(i int) float64 {
	if s.weight == nil {
		return 1
	}
	return s.weight[i]
}

// difference returns by how much b is better than a, and the standard error
// of that: rows are judged by both, so it is taken of the rows' differences.
// Rows in the order of time resemble their neighbours: there it is taken of
// whole stretches, which are what is independent, if anything is.
func (s *search) difference(a, b *result) (gain, noise float64) {
	gain = a.loss - b.loss
	block := 1
	if s.data.Ordered {
		block = max(1, len(a.losses)/stretches)
	}
	var square, total, sum float64
	for i := range a.losses {
		w := s.weightOf(i)
		sum += w * (a.losses[i] - b.losses[i] - gain)
		total += w
		if (i+1)%block == 0 || i == len(a.losses)-1 {
			square, sum = square+sum*sum, 0
		}
	}
	return gain, math.Sqrt(square) / total
}

// stretches is into how many parts judged rows in the order of time are cut.
const stretches = 30

// best returns the best result of a family, or nil.
func (s *search) best(f family) *result {
	var best *result
	for _, r := range s.results {
		if r.family == f && (best == nil || r.loss < best.loss) {
			best = r
		}
	}
	return best
}

func (s *search) bestOf() *result {
	best := s.results[0]
	for _, r := range s.results {
		if r.loss < best.loss {
			best = r
		}
	}
	return best
}

func (s *search) lossName() string {
	if s.data.Task == model.Regression {
		return "RMSE"
	}
	return "log loss"
}

// shown returns a mean loss as people know it.
func (s *search) shown(loss float64) float64 {
	if s.data.Task == model.Regression {
		return math.Sqrt(loss)
	}
	return loss
}

// heldOut returns the scores of the last rows of the data set as models gave
// them that had not seen these rows, or nil when not all of them were judged.
func (s *search) heldOut(r *result) []float64 {
	score := make(map[int]float64, len(r.scores))
	i := 0
	for _, f := range s.plan.folds {
		for _, row := range f.judge {
			score[row] = r.scores[i]
			i++
		}
	}
	n := s.data.Rows()
	from := n
	for ; from > 0; from-- {
		if _, ok := score[from-1]; !ok {
			break
		}
	}
	out := make([]float64, n-from)
	for i := range out {
		out[i] = score[from+i]
	}
	return out
}
