package lightgbm

import (
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Bits of decision_type, and the missing types behind the second.
const (
	categoricalBit = 1
	defaultLeftBit = 2
	missingShift   = 2

	missingNone = 0 // NaN is taken for 0
	missingZero = 1 // NaN and 0 are missing
	missingNaN  = 2 // NaN is missing
)

// rawTree is a tree as its text says it, sizes checked, indices not. It is used
// for one tree after another; only value and linear are made anew for each.
type rawTree struct {
	leaves    int
	feature   []int32
	threshold []float64
	kind      []uint8 // decision_type
	gain      []float64
	left      []int32
	right     []int32
	value     []float64 // of each leaf

	boundaries []int32  // of the sets in words
	words      []uint32 // 32 category codes each

	linear *rawLinear
}

// rawLinear is the linear models of the leaves, one behind the other.
type rawLinear struct {
	constant     []float64
	count        []int32 // features of each leaf
	feature      []int32
	coefficients []float64
}

// treeFields are the lines of a tree that matter here.
type treeFields struct {
	leaves, sets, linear                               string
	feature, gain, threshold, kind, left, right, value string
	boundaries, words                                  string
	constant, count, leafFeatures, coefficients        string
}

func splitFields(text string) *treeFields {
	f := &treeFields{}
	l := lines{text: text}
	for {
		line, ok := l.next()
		if !ok {
			return f
		}
		key, value, _ := strings.Cut(line, "=")
		if to := f.of(key); to != nil {
			*to = value
		}
	}
}

// of returns where the value of a key belongs, or nil.
func (f *treeFields) of(key string) *string {
	switch key {
	case "num_leaves":
		return &f.leaves
	case "num_cat":
		return &f.sets
	case "is_linear":
		return &f.linear
	case "split_feature":
		return &f.feature
	case "split_gain":
		return &f.gain
	case "threshold":
		return &f.threshold
	case "decision_type":
		return &f.kind
	case "left_child":
		return &f.left
	case "right_child":
		return &f.right
	case "leaf_value":
		return &f.value
	case "cat_boundaries":
		return &f.boundaries
	case "cat_threshold":
		return &f.words
	case "leaf_const":
		return &f.constant
	case "num_features":
		return &f.count
	case "leaf_features":
		return &f.leafFeatures
	case "leaf_coeff":
		return &f.coefficients
	}
	return nil
}

// parse reads the text of one tree. Memory is only taken for numbers that are
// there.
func (t *rawTree) parse(text string) *fault.Error {
	f := splitFields(text)
	var err *fault.Error
	if t.leaves, err = count("num_leaves", f.leaves, 1); err != nil {
		return err
	}
	if t.value, err = parseList(nil, "leaf_value", f.value, t.leaves, parseFloat); err != nil {
		return err
	}
	if t.leaves > 1 {
		if err = t.parseSplits(f); err != nil {
			return err
		}
	}
	t.linear = nil
	if strings.TrimSpace(f.linear) == "1" {
		t.linear, err = parseLinear(f, t.leaves)
	}
	return err
}

func (t *rawTree) parseSplits(f *treeFields) *fault.Error {
	n := t.leaves - 1
	var err *fault.Error
	if t.feature, err = parseList(t.feature, "split_feature", f.feature, n, parseInt); err != nil {
		return err
	}
	if t.threshold, err = parseList(t.threshold, "threshold", f.threshold, n, parseThreshold); err != nil {
		return err
	}
	if t.left, err = parseList(t.left, "left_child", f.left, n, parseInt); err != nil {
		return err
	}
	if t.right, err = parseList(t.right, "right_child", f.right, n, parseInt); err != nil {
		return err
	}
	if f.kind == "" { // as LightGBM: numbers without missing values
		t.kind = slices.Grow(t.kind[:0], n)[:n]
		clear(t.kind)
	} else if t.kind, err = parseList(t.kind, "decision_type", f.kind, n, parseByte); err != nil {
		return err
	}
	t.gain = t.gain[:0]
	if f.gain != "" {
		if t.gain, err = parseList(t.gain, "split_gain", f.gain, n, parseGain); err != nil {
			return err
		}
	}
	return t.parseSets(f)
}

func (t *rawTree) parseSets(f *treeFields) *fault.Error {
	t.boundaries, t.words = t.boundaries[:0], t.words[:0]
	if f.sets == "" {
		return nil
	}
	n, err := count("num_cat", f.sets, 0)
	if err != nil || n == 0 {
		return err
	}
	if t.boundaries, err = parseList(t.boundaries, "cat_boundaries", f.boundaries, n+1, parseInt); err != nil {
		return err
	}
	if t.words, err = parseList(t.words, "cat_threshold", f.words, tokens(f.words).count(), parseWord); err != nil {
		return err
	}
	before := int32(0)
	for i, b := range t.boundaries {
		if b < before || int(b) > len(t.words) {
			return invalid("cat_boundaries %d is %d, with %d before it and %d words in cat_threshold", i, b, before, len(t.words))
		}
		before = b
	}
	return nil
}

func parseLinear(f *treeFields, leaves int) (*rawLinear, *fault.Error) {
	l := &rawLinear{}
	var err *fault.Error
	if l.constant, err = parseList(nil, "leaf_const", f.constant, leaves, parseFloat); err != nil {
		return nil, err
	}
	if l.count, err = parseList(nil, "num_features", f.count, leaves, parseInt); err != nil {
		return nil, err
	}
	n := tokens(f.leafFeatures).count()
	if l.feature, err = parseList(nil, "leaf_features", f.leafFeatures, n, parseInt); err != nil {
		return nil, err
	}
	if l.coefficients, err = parseList(nil, "leaf_coeff", f.coefficients, n, parseFloat); err != nil {
		return nil, err
	}
	total := 0
	for i, c := range l.count {
		if c < 0 || int(c) > n-total {
			return nil, invalid("the linear leaf %d claims %d features, which are not there", i, c)
		}
		total += int(c)
	}
	if total != n {
		return nil, invalid("%d features belong to no linear leaf", n-total)
	}
	return l, nil
}

// count reads a size that the lists below it are then held against.
func count(key, text string, least int) (int, *fault.Error) {
	v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, corrupt("%s is %.40q, not a whole number", key, text)
	}
	if v < int64(least) {
		return 0, invalid("%s is %d", key, v)
	}
	return int(v), nil
}
