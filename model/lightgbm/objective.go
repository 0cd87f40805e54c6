package lightgbm

import (
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/tree"
)

// meaning is what an objective makes of the sums of the trees.
type meaning struct {
	task  model.Task
	link  tree.Link
	scale float64 // of the sums, before the link
}

// objectives are LightGBM's, by the name that it writes. Names of one line
// mean the same; the second ones are of older versions.
var objectives = map[string]meaning{
	"binary":               {task: model.Binary, link: tree.Sigmoid},
	"multiclass":           {task: model.Multiclass, link: tree.Softmax},
	"multiclassova":        {task: model.Multiclass, link: tree.Sigmoid},
	"regression":           {task: model.Regression, link: tree.Identity},
	"regression_l2":        {task: model.Regression, link: tree.Identity},
	"regression_l1":        {task: model.Regression, link: tree.Identity},
	"huber":                {task: model.Regression, link: tree.Identity},
	"fair":                 {task: model.Regression, link: tree.Identity},
	"quantile":             {task: model.Regression, link: tree.Identity},
	"mape":                 {task: model.Regression, link: tree.Identity},
	"poisson":              {task: model.Regression, link: tree.Exp},
	"gamma":                {task: model.Regression, link: tree.Exp},
	"tweedie":              {task: model.Regression, link: tree.Exp},
	"cross_entropy":        {task: model.Regression, link: tree.Sigmoid},
	"xentropy":             {task: model.Regression, link: tree.Sigmoid},
	"cross_entropy_lambda": {task: model.Regression, link: tree.Softplus},
	"xentlambda":           {task: model.Regression, link: tree.Softplus},
	"lambdarank":           {task: model.Regression, link: tree.Identity},
	"rank_xendcg":          {task: model.Regression, link: tree.Identity},
	"custom":               {task: model.Regression, link: tree.Identity},
	"none":                 {task: model.Regression, link: tree.Identity},
	"":                     {task: model.Regression, link: tree.Identity},
}

// understand reads an objective and its parameters, such as "binary
// sigmoid:1" or "regression sqrt", for a model of so many outputs.
func understand(objective string, outputs int) (*meaning, error) {
	rest := tokens(objective)
	name := rest.next()
	m, known := objectives[name]
	if !known {
		return nil, fault.New(fault.Unsupported, "the objective %.40q is not known", name).At(File)
	}
	for word := rest.next(); word != ""; word = rest.next() {
		key, value, _ := strings.Cut(word, ":")
		switch {
		case key == "sigmoid" && m.link == tree.Sigmoid:
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || !(v > 0) || math.IsInf(v, 0) {
				return nil, invalid("the objective %.60q has no positive sigmoid", objective).At(File)
			}
			m.scale = v
		case key == "sqrt" && m.link == tree.Identity:
			m.link = tree.SignSquare
		case key == "num_class":
			if n, err := strconv.Atoi(value); err != nil || n != outputs {
				return nil, invalid("the objective %.60q does not have the %d outputs of the trees", objective, outputs).At(File)
			}
		}
	}
	switch {
	case m.task == model.Multiclass && outputs < 2:
		return nil, invalid("the objective %s has %d classes", name, outputs).At(File)
	case m.task == model.Regression && outputs > 1 && m.link == tree.Identity:
		m.task = model.Custom // an objective of its own that has several outputs
	case m.task != model.Multiclass && outputs > 1:
		return nil, invalid("the objective %s has %d outputs", name, outputs).At(File)
	}
	return &m, nil
}

// squashed tells whether all leaves already are what the link would make of
// them. Forests of LightGBM before 2.2.3 have probabilities in their leaves,
// and the mean of these is the answer; the leaves of later ones are like those
// of any other model. Both call themselves v2, so the leaves themselves must
// tell. Only those of a model that finds nothing below one half could be taken
// for the other.
func squashed(h *header, m *meaning, trees []tree.Tree) bool {
	if h.version != "v2" || !h.average || m.link != tree.Sigmoid && m.link != tree.Softmax {
		return false
	}
	for i := range trees {
		for _, v := range trees[i].Leaves {
			if v < 0 || v > 1 {
				return false
			}
		}
	}
	return true
}
