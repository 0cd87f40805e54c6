package xgboost

import (
	"math"
	"slices"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// definition says the model in the words of package tree. named are the
// categories of features by name, where the file does not have them.
func (l *learner) definition(o objective, named map[string][]string) (*tree.Definition, error) {
	def, err := l.head(o)
	if err != nil {
		return nil, err
	}
	if l.booster != "gbtree" && l.booster != "dart" && l.booster != "gblinear" {
		return nil, fault.New(fault.Unsupported, "the booster %q of the XGBoost model is not known", shorten(l.booster))
	}
	c, err := l.columns(named)
	if err != nil {
		return nil, err
	}
	def.Encoder = &encode.Encoder{Columns: c.columns}
	if l.booster == "gblinear" {
		return def, l.linear(def)
	}
	if err := l.bind(c); err != nil {
		return nil, err
	}
	def.Trees, err = l.trees(len(def.Base))
	def.Importance = l.importance(c)
	return def, err
}

// head says everything but columns and trees.
func (l *learner) head(o objective) (*tree.Definition, error) {
	base, err := l.margins(o)
	if err != nil {
		return nil, err
	}
	def := &tree.Definition{Task: o.task, Link: o.link, Base: base, Single: true}
	switch {
	case o.task == model.Multiclass && l.classes < 2:
		return nil, invalid("the objective %s has %d classes", l.objective, l.classes)
	case o.task == model.Multiclass && l.targets > 1:
		return nil, invalid("the objective %s has %d targets", l.objective, l.targets)
	case o.task == model.Binary && len(base) > 1: // several labels at once
		def.Task = model.Custom
		return def, nil
	case o.task == model.Regression:
		return def, nil
	}
	classes := max(len(base), 2)
	for k := range classes {
		def.Classes = append(def.Classes, strconv.Itoa(k))
	}
	if classes == 2 {
		def.Task = model.Binary
		// XGBoost answers with the second class above one half, not from it on.
		def.Threshold = math.Nextafter(0.5, 1)
	}
	return def, nil
}

// columns are the columns of the encoder. number and coded say for each
// feature which of them is its number or its category code, -1 for none.
type columns struct {
	columns       []encode.Column
	number, coded []int
}

// columns makes the recipe. There is a column for each feature, in their
// order; behind them stand the numbers of features that are asked in both
// ways.
func (l *learner) columns(named map[string][]string) (*columns, error) {
	if err := l.checkFeatures(named); err != nil {
		return nil, err
	}
	numbers, codes := l.uses()
	c := &columns{columns: make([]encode.Column, 0, l.features), number: make([]int, l.features), coded: make([]int, l.features)}
	for i := range l.features {
		known := l.known(i, named)
		c.number[i], c.coded[i] = -1, -1
		column := encode.Column{Name: l.name(i), Type: frame.Double, Kind: encode.Numeric}
		switch {
		case known.texts != nil && numbers[i]:
			return nil, invalid("the feature %q has categories, but is compared with a threshold", shorten(column.Name))
		case known.texts != nil:
			column.Type, column.Kind, column.Categories = frame.String, encode.Category, known.texts
			c.coded[i] = i
		case known.values != nil && !numbers[i]:
			column.Kind, column.Values = encode.Value, known.values
			c.coded[i] = i
		case codes[i] != nil:
			column.Kind, column.Single, column.Round, column.Values = encode.Value, true, encode.Down, codes[i]
			c.coded[i] = i
		default:
			column.Single = l.booster == "gblinear"
			c.number[i] = i
		}
		c.columns = append(c.columns, column)
	}
	for i := range c.number {
		if c.number[i] < 0 && numbers[i] {
			c.number[i] = len(c.columns)
			c.columns = append(c.columns, encode.Column{Name: l.name(i), Type: frame.Double, Kind: encode.Numeric})
		}
	}
	return c, nil
}

// checkFeatures checks that what there is of features is there of all.
func (l *learner) checkFeatures(named map[string][]string) error {
	switch {
	case l.features == 0:
		return invalid("it has no features")
	case len(l.names) != 0 && len(l.names) != l.features:
		return invalid("it has %d feature names for %d features", len(l.names), l.features)
	case len(l.categories) != 0 && len(l.categories) != l.features:
		return invalid("it has the categories of %d features, of %d", len(l.categories), l.features)
	}
	if len(l.names) == 0 && len(named) == 0 { // f0, f1, … are different
		return nil
	}
	names := make(map[string]bool, l.features)
	for i := range l.features {
		if names[l.name(i)] {
			return invalid("the feature name %q stands there twice", shorten(l.name(i)))
		}
		names[l.name(i)] = true
	}
	for name := range named {
		if !names[name] {
			return fault.New(fault.Invalid, "there are categories of %q, which is no feature of the XGBoost model", shorten(name))
		}
	}
	return nil
}

// name returns the name of a feature: f0, f1, … when the file has none, as
// XGBoost calls them.
func (l *learner) name(feature int) string {
	if len(l.names) > 0 {
		return l.names[feature]
	}
	return "f" + strconv.Itoa(feature)
}

// known returns the categories of a feature as far as they are known.
func (l *learner) known(feature int, named map[string][]string) categories {
	if texts, ok := named[l.name(feature)]; ok {
		return categories{texts: texts}
	}
	if len(l.categories) > 0 {
		return l.categories[feature]
	}
	return categories{}
}

// uses returns which features are compared with thresholds, and the category
// codes that are asked of each, ascending: not nil where any split asks.
func (l *learner) uses() (numbers []bool, codes [][]float64) {
	numbers, codes = make([]bool, l.features), make([][]float64, l.features)
	asked := map[int][]int32{}
	for _, s := range l.forest.sets {
		feature := l.forest.splits[s.tree][s.split].Column
		asked[feature] = append(asked[feature], s.codes...)
	}
	for _, splits := range l.forest.splits {
		for i := range splits {
			feature := splits[i].Column
			switch {
			case feature >= l.features: // bind says so
			case splits[i].Set == nil:
				numbers[feature] = true
			case codes[feature] == nil:
				codes[feature] = wholes(asked[feature])
			}
		}
	}
	return numbers, codes
}

// wholes returns the distinct codes, ascending.
func wholes(codes []int32) []float64 {
	slices.Sort(codes)
	codes = slices.Compact(codes)
	values := make([]float64, len(codes))
	for i, code := range codes {
		values[i] = float64(code)
	}
	return values
}

// bind makes columns of the encoder of the features of splits, and sets of
// its codes of category codes.
func (l *learner) bind(c *columns) error {
	for t, splits := range l.forest.splits {
		for i := range splits {
			switch s := &splits[i]; {
			case s.Column >= l.features:
				return invalid("it asks for the feature %d of %d", s.Column, l.features).At("trees[%d], split %d", t, i)
			case s.Set == nil:
				s.Column = c.number[s.Column]
			default:
				s.Column = c.coded[s.Column]
			}
		}
	}
	for _, set := range l.forest.sets {
		s := &l.forest.splits[set.tree][set.split]
		s.Set = codeSet(&c.columns[s.Column], set.codes)
	}
	return nil
}

// codeSet returns the codes of a column as bits. Codes that no value of the column
// has are left out.
func codeSet(column *encode.Column, codes []int32) []uint64 {
	n, _ := column.Codes()
	words := make([]uint64, 0)
	for _, code := range codes {
		at := int(code)
		if column.Round == encode.Down { // the values are the codes that are asked
			at, _ = slices.BinarySearch(column.Values, float64(code))
		}
		if at >= n {
			continue
		}
		for len(words) <= at/64 {
			words = append(words, 0)
		}
		words[at/64] |= 1 << (at % 64)
	}
	return words
}

// trees returns the trees, one for each output where leaves are vectors.
func (l *learner) trees(outputs int) ([]tree.Tree, error) {
	f := &l.forest
	switch {
	case len(l.groups) != len(f.splits):
		return nil, invalid("tree_info has %d entries for %d trees", len(l.groups), len(f.splits))
	case l.booster == "dart" && len(l.drop) != len(f.splits):
		return nil, invalid("weight_drop has %d entries for %d trees", len(l.drop), len(f.splits))
	}
	trees := make([]tree.Tree, 0, len(f.splits))
	for t, splits := range f.splits {
		vector := f.leaves[t]
		if len(vector) > 1 && len(vector) != outputs {
			return nil, invalid("its leaves have %d values for %d outputs", len(vector), outputs).At("trees[%d]", t)
		}
		if len(trees)+len(vector) > tree.MaxTrees {
			return nil, invalid("it has more than %d trees", tree.MaxTrees)
		}
		for k, leaves := range vector {
			output := k
			if len(vector) == 1 {
				output = int(l.groups[t])
			}
			if l.booster == "dart" {
				for i, v := range leaves {
					leaves[i] = float64(float32(v) * l.drop[t])
				}
			}
			trees = append(trees, tree.Tree{Output: output, Splits: splits, Leaves: leaves})
		}
	}
	return trees, nil
}

// importance returns what the splits of each column gained, or nil when the
// file does not say.
func (l *learner) importance(c *columns) []float64 {
	importance, total := make([]float64, len(c.columns)), 0.0
	for feature, gain := range l.forest.gain {
		importance[feature] = gain
		total += gain
	}
	if !(total > 0) {
		return nil
	}
	return importance
}

// linear says a linear booster: a tree of one leaf, which is a linear model,
// for each weight. In this way the terms are added one by one, in the order
// and the precision of XGBoost, and a missing value adds nothing.
func (l *learner) linear(def *tree.Definition) error {
	outputs := len(def.Base)
	if len(l.weights) != (l.features+1)*outputs {
		return invalid("it has %d weights for %d features and %d outputs", len(l.weights), l.features, outputs)
	}
	for i, w := range l.weights {
		feature, output := i/outputs, i%outputs
		switch {
		case w-w != 0:
			return invalid("the weight %d is %v, not a finite number", i, w)
		case w == 0:
		case feature == l.features:
			def.Base[output] = float64(w + float32(def.Base[output]))
		case len(def.Trees) == tree.MaxTrees:
			return invalid("it has more than %d weights", tree.MaxTrees)
		default:
			def.Trees = append(def.Trees, tree.Tree{
				Output: output, Leaves: []float64{0},
				Linear: []tree.Linear{{Columns: []int{feature}, Coefficients: []float64{float64(w)}}},
			})
		}
	}
	return nil
}
