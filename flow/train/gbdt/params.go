package gbdt

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model/encode"
)

// Parameter documents one setting of the trainer.
type Parameter struct {
	Name     string
	Default  float64
	Min, Max float64 // inclusive
	Whole    bool    // only whole numbers
	Doc      string

	number func(*settings) *float64
	whole  func(*settings) *int
}

// settings are the parameters, typed. Names and meanings follow LightGBM's,
// which people know.
type settings struct {
	trees, leaves, maxDepth, maxBin int
	rate, l1, l2, minGain           float64
	minData                         int
	minHessian                      float64
	featureFraction                 float64
	baggingFraction                 float64
	baggingFreq                     int
	earlyStopping                   int
	catSmooth, catL2                float64
	maxCatThreshold, maxCatToOneHot int
	minDataPerGroup                 int

	monotone []int8 // by column, nil when there are none
	seed     uint64
	threads  int
}

// Parameters lists the settings that Train knows, for documentation and forms.
func Parameters() []Parameter {
	number := func(name string, def, low, high float64, at func(*settings) *float64, doc string) Parameter {
		return Parameter{Name: name, Default: def, Min: low, Max: high, Doc: doc, number: at}
	}
	whole := func(name string, def, low, high float64, at func(*settings) *int, doc string) Parameter {
		return Parameter{Name: name, Default: def, Min: low, Max: high, Whole: true, Doc: doc, whole: at}
	}
	const large = 1e9
	return []Parameter{
		whole("trees", 100, 1, 100_000, func(s *settings) *int { return &s.trees }, "rounds of boosting; a multi-class round makes one tree for each class"),
		whole("num_leaves", 31, 2, 4096, func(s *settings) *int { return &s.leaves }, "most leaves of a tree; it grows where the loss falls most"),
		whole("max_depth", 0, 0, 4096, func(s *settings) *int { return &s.maxDepth }, "most questions on a path; 0 is no bound"),
		number("learning_rate", 0.1, 1e-6, 10, func(s *settings) *float64 { return &s.rate }, "how much of each tree is added"),
		whole("max_bin", 255, 4, 255, func(s *settings) *int { return &s.maxBin }, "most bins of a column, that of missing values included"),
		whole("min_data_in_leaf", 20, 1, large, func(s *settings) *int { return &s.minData }, "fewest rows of a leaf, estimated from its share of the hessian"),
		number("min_sum_hessian", 1e-3, 0, large, func(s *settings) *float64 { return &s.minHessian }, "smallest sum of second derivatives of a leaf"),
		number("min_gain_to_split", 0, 0, large, func(s *settings) *float64 { return &s.minGain }, "smallest gain that is worth a split"),
		number("lambda_l1", 0, 0, large, func(s *settings) *float64 { return &s.l1 }, "L1 penalty on leaf values"),
		number("lambda_l2", 0, 0, large, func(s *settings) *float64 { return &s.l2 }, "L2 penalty on leaf values"),
		number("feature_fraction", 1, 1e-3, 1, func(s *settings) *float64 { return &s.featureFraction }, "share of the columns that a tree may ask about, drawn for each tree"),
		number("bagging_fraction", 1, 1e-3, 1, func(s *settings) *float64 { return &s.baggingFraction }, "share of the rows that a tree is fitted to"),
		whole("bagging_freq", 1, 1, large, func(s *settings) *int { return &s.baggingFreq }, "rounds after which rows are drawn anew"),
		whole("early_stopping_rounds", 50, 0, large, func(s *settings) *int { return &s.earlyStopping }, "rounds without a better loss on the validation rows before training stops and goes back to the best; 0 is never; without validation rows it does nothing"),
		number("cat_smooth", 10, 0, large, func(s *settings) *float64 { return &s.catSmooth }, "smooths the order of categories; rarer ones in a leaf are not asked about"),
		number("cat_l2", 10, 0, large, func(s *settings) *float64 { return &s.catL2 }, "further L2 penalty of splits by sets of categories"),
		whole("max_cat_threshold", 32, 1, 255, func(s *settings) *int { return &s.maxCatThreshold }, "most categories in the set of a split"),
		whole("max_cat_to_onehot", 4, 1, 255, func(s *settings) *int { return &s.maxCatToOneHot }, "columns with no more categories are split one against the rest"),
		whole("min_data_per_group", 100, 1, large, func(s *settings) *int { return &s.minDataPerGroup }, "fewest rows by which a set of categories grows"),
	}
}

// parse turns params into settings and reports every mistake. used is what
// the settings are, defaults filled in.
func parse(p train.Params, enc *encode.Encoder) (s *settings, used map[string]float64, err error) {
	s, used = &settings{seed: uint64(p.Seed), threads: p.Threads}, map[string]float64{}
	var mistakes fault.List
	known := Parameters()
	for i := range known {
		mistakes.Add(known[i].apply(s, p.Values, used))
	}
	names := slices.Collect(maps.Keys(used))
	for _, name := range slices.Sorted(maps.Keys(p.Values)) {
		if _, ok := used[name]; !ok {
			mistakes.Add(unknown("parameter", name, names))
		}
	}
	mistakes.Add(s.constrain(p.Monotone, enc))
	if err := mistakes.Err(); err != nil {
		return nil, nil, fault.Wrap(err, fault.Invalid, "gbdt cannot be set like this")
	}
	return s, used, nil
}

// apply sets one parameter from values, or to its default.
func (p *Parameter) apply(s *settings, values, used map[string]float64) error {
	v, set := values[p.Name]
	if !set {
		v = p.Default
	}
	used[p.Name] = v
	if !(v >= p.Min && v <= p.Max) {
		return fault.New(fault.Invalid, "%s is %v, not within %v and %v", p.Name, v, p.Min, p.Max)
	}
	if p.Whole {
		if v != math.Trunc(v) {
			return fault.New(fault.Invalid, "%s is %v, not a whole number", p.Name, v)
		}
		*p.whole(s) = int(v)
		return nil
	}
	*p.number(s) = v
	return nil
}

// constrain resolves monotone constraints to columns.
func (s *settings) constrain(monotone map[string]int, enc *encode.Encoder) error {
	if len(monotone) == 0 {
		return nil
	}
	s.monotone = make([]int8, len(enc.Columns))
	var mistakes fault.List
	columns := make(map[string]int, len(enc.Columns))
	for i := range enc.Columns {
		columns[enc.Columns[i].Name] = i
	}
	for _, name := range slices.Sorted(maps.Keys(monotone)) {
		way := monotone[name]
		at, ok := columns[name]
		switch {
		case !ok:
			mistakes.Add(unknown("monotone column", name, slices.Collect(maps.Keys(columns))))
		case way < -1 || way > 1:
			mistakes.Add(fault.New(fault.Invalid, "the monotone constraint of column %q is %d, not -1, 0 or 1", name, way))
		case way != 0 && enc.Columns[at].Kind != encode.Numeric:
			mistakes.Add(fault.New(fault.Invalid, "column %q has categories, which have no order to be monotone in", name))
		default:
			s.monotone[at] = int8(way)
		}
	}
	return mistakes.Err()
}

// unknown is the fault for a name that is not among known, with the nearest
// of them as the hint.
func unknown(what, name string, known []string) error {
	slices.Sort(known)
	err := fault.New(fault.Invalid, "there is no %s %q", what, name)
	if best := fault.Nearest(name, known); best != "" {
		return err.Hint("did you mean %q?", best)
	}
	return err.Hint("known are %s", strings.Join(known, ", "))
}
