package xgboost

import (
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/tree"
)

// objective is what is known of an objective: how a sum becomes a prediction,
// and how the base score, which the file has as a prediction, becomes a sum.
type objective struct {
	task   model.Task
	link   tree.Link
	margin func(base float32) (float32, bool) // false when base cannot be
	raw    bool                               // XGBoost predicts the sum, not the answer
	class  bool                               // XGBoost predicts the number of the class
}

func objectives() map[string]objective {
	number := objective{task: model.Regression, link: tree.Identity, margin: same}
	positive := objective{task: model.Regression, link: tree.Exp, margin: logarithm}
	return map[string]objective{
		"binary:logistic": {task: model.Binary, link: tree.Sigmoid, margin: logit},
		"binary:logitraw": {task: model.Binary, link: tree.Sigmoid, margin: same, raw: true},
		"binary:hinge":    {task: model.Binary, link: tree.Step, margin: same},
		"multi:softprob":  {task: model.Multiclass, link: tree.Softmax, margin: same},
		"multi:softmax":   {task: model.Multiclass, link: tree.Softmax, margin: same, class: true},
		"reg:logistic":    {task: model.Regression, link: tree.Sigmoid, margin: logit},

		"reg:squarederror":     number,
		"reg:linear":           number, // the name of squarederror in old files
		"reg:squaredlogerror":  number,
		"reg:pseudohubererror": number,
		"reg:absoluteerror":    number,
		"reg:quantileerror":    number,
		"rank:pairwise":        number,
		"rank:ndcg":            number,
		"rank:map":             number,

		"count:poisson": positive,
		"reg:gamma":     positive,
		"reg:tweedie":   positive,
		"survival:cox":  positive,
		"survival:aft":  positive,
	}
}

func same(base float32) (float32, bool) { return base, true }

func logit(base float32) (float32, bool) {
	if !(base > 0 && base < 1) {
		return 0, false
	}
	odds := 1/base - 1
	return float32(-math.Log(float64(odds))), true
}

func logarithm(base float32) (float32, bool) {
	return float32(math.Log(float64(base))), base > 0
}

// objectiveOf returns what is known of the objective of a model.
func (l *learner) objectiveOf() (objective, error) {
	o, ok := objectives()[l.objective]
	if !ok {
		return o, fault.New(fault.Unsupported, "the objective %q of the XGBoost model is not known", shorten(l.objective)).
			Hint("a model trained with an objective of your own: save it with one of XGBoost's that has the same link, such as reg:squarederror for none")
	}
	return o, nil
}

// outputs returns how many sums the model keeps.
func (l *learner) outputs() int { return max(l.classes, l.targets, 1) }

// margins returns what each sum starts with.
func (l *learner) margins(o objective) ([]float64, error) {
	base := l.base
	if len(base) == 0 {
		base = []float32{0.5}
	}
	n := l.outputs()
	if len(base) != 1 && len(base) != n {
		return nil, invalid("it has %d base scores for %d outputs", len(base), n)
	}
	margins := make([]float64, n)
	for k := range margins {
		b := base[k%len(base)]
		if l.booster == "gblinear" { // which takes no note of the others
			b = base[0]
		}
		m, ok := o.margin(b)
		if !ok || m-m != 0 {
			return nil, invalid("the base score %v cannot be one of %s", b, l.objective)
		}
		margins[k] = float64(m)
	}
	return margins, nil
}

// invalid is the fault of a model whose parts do not fit together.
func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the XGBoost model is not sound: "+format, args...)
}
