package lightgbm

import (
	"math"
	"math/bits"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

// builder turns trees into those of model/tree. Features become columns of an
// encoder, one for each way in which the splits read them: the first
// header.features columns are the features in order.
type builder struct {
	features []feature
	columns  []column
	gains    []float64 // of each feature
	trees    []tree.Tree
	extra    map[columnKey]int // columns behind the first ones
	room     int               // words that the sets of ordered categories may still take
}

// feature is an input of the model.
type feature struct {
	name       string
	categories *categories // from pandas, else nil
}

// column is a column of the encoder.
type column struct {
	feature int
	reading reading
	used    bool
	seen    []uint64 // the category codes of all sets
}

type columnKey struct {
	feature int
	reading reading
}

// reading is how a split reads a feature.
type reading uint8

const (
	asNumber    reading = iota // NaN is missing
	asNotZero                  // NaN and 0 are missing
	asCode                     // a category code: a whole number from 0 on
	asKnownCode                // the position in the categories of pandas
)

func newBuilder(h *header, lists []*categories, size int) (*builder, error) {
	b := &builder{
		room:     leastRoom + size/8,
		features: make([]feature, h.features), columns: make([]column, h.features),
		gains: make([]float64, h.features), extra: map[columnKey]int{},
	}
	names, seen := h.names, make(map[string]bool, h.features)
	for i := range b.features {
		b.features[i] = feature{name: strings.Clone(names.next()), categories: lists[i]} // the text is not kept alive
		if seen[b.features[i].name] {
			return nil, invalid("two features are called %q", b.features[i].name).At(File)
		}
		seen[b.features[i].name] = true
		b.columns[i].feature = i
		if lists[i] != nil {
			b.columns[i].reading, b.columns[i].used = asKnownCode, true
		}
	}
	return b, nil
}

// column returns the column of the encoder that reads a feature in a way.
func (b *builder) column(f int, r reading) int {
	switch c := &b.columns[f]; {
	case !c.used:
		c.reading, c.used = r, true
		return f
	case c.reading == r:
		return f
	}
	key := columnKey{f, r}
	at, known := b.extra[key]
	if !known {
		at = len(b.columns)
		b.extra[key] = at
		b.columns = append(b.columns, column{feature: f, reading: r, used: true})
	}
	return at
}

// add appends a tree. Children may stand in any order in the text.
func (b *builder) add(raw *rawTree, output int) *fault.Error {
	t := tree.Tree{Output: output, Leaves: raw.value, Splits: make([]tree.Split, raw.leaves-1)}
	order, err := raw.order()
	if err != nil {
		return err
	}
	for i := range t.Splits {
		to := i
		if order != nil {
			to = int(order[i])
		}
		s := &t.Splits[to]
		if err := b.split(raw, i, s); err != nil {
			return err
		}
		s.Left, s.Right = child(order, raw.left[i]), child(order, raw.right[i])
	}
	if raw.linear != nil {
		if t.Linear, err = b.linear(raw.linear); err != nil {
			return err
		}
	}
	b.trees = append(b.trees, t)
	return nil
}

func child(order []int32, at int32) int {
	if at >= 0 && order != nil {
		at = order[at]
	}
	return int(at)
}

// order returns where each split goes so that children stand behind their
// parents, or nil when they do, as in all that LightGBM writes. Then, whether
// the splits are a tree is left to model/tree; it is checked here otherwise.
func (t *rawTree) order() ([]int32, *fault.Error) {
	sorted := true
	for i := range t.leaves - 1 {
		sorted = sorted && (t.left[i] < 0 || int(t.left[i]) > i) && (t.right[i] < 0 || int(t.right[i]) > i)
	}
	if sorted {
		return nil, nil
	}
	order := make([]int32, t.leaves-1)
	for i := range order {
		order[i] = -1
	}
	next := int32(0)
	stack := []int32{0}
	for len(stack) > 0 {
		i := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if order[i] >= 0 {
			return nil, invalid("split %d is the child of several splits, or of itself", i)
		}
		order[i] = next
		next++
		for _, c := range [2]int32{t.right[i], t.left[i]} {
			if int(c) >= len(order) {
				return nil, invalid("split %d has the child %d, which does not exist", i, c)
			}
			if c >= 0 {
				stack = append(stack, c)
			}
		}
	}
	if int(next) < len(order) {
		return nil, invalid("%d splits have no parent", len(order)-int(next))
	}
	return order, nil
}

// split fills s with split i, but for its children.
func (b *builder) split(raw *rawTree, i int, s *tree.Split) *fault.Error {
	f, kind, threshold := int(raw.feature[i]), raw.kind[i], raw.threshold[i]
	missing := int(kind >> missingShift)
	if f < 0 || f >= len(b.features) {
		return invalid("split %d is on the feature %d, which does not exist", i, f)
	}
	if missing > missingNaN {
		return invalid("split %d has the unknown decision_type %d", i, kind)
	}
	if len(raw.gain) > 0 {
		b.gains[f] += max(0, raw.gain[i])
	}
	if kind&categoricalBit != 0 {
		set, err := raw.set(i, threshold)
		if err != nil {
			return err
		}
		b.splitBySet(f, set, s)
		return nil
	}
	s.Threshold = snap(threshold)
	s.MissingLeft = kind&defaultLeftBit != 0
	if missing == missingNone { // NaN goes where 0 goes
		s.MissingLeft = s.Threshold >= 0
	}
	switch {
	case b.features[f].categories != nil:
		if err := b.splitCodes(f, missing, s); err != nil {
			return err
		}
	case missing == missingZero:
		s.Column = b.column(f, asNotZero)
	default:
		s.Column = b.column(f, asNumber)
	}
	return nil
}

// snap returns the threshold that asks of any number what the given one asks
// of the number as LightGBM sees it: numbers within ±ZeroThreshold are 0.
func snap(threshold float64) float64 {
	const zero = encode.ZeroThreshold
	switch {
	case threshold < -zero || threshold > zero:
		return threshold
	case threshold >= 0:
		return zero
	}
	return math.Nextafter(-zero, math.Inf(-1))
}

// set returns the codes that split i sends to the left, without the zeros
// behind the last. Missing values go right in all sets of LightGBM.
func (t *rawTree) set(i int, at float64) ([]uint64, *fault.Error) {
	k := int(at)
	if !(at >= 0 && at < float64(len(t.boundaries)-1)) || float64(k) != at {
		return nil, invalid("split %d is by the set %v of %d", i, at, max(0, len(t.boundaries)-1))
	}
	words := t.words[t.boundaries[k]:t.boundaries[k+1]]
	for len(words) > 0 && words[len(words)-1] == 0 {
		words = words[:len(words)-1]
	}
	if 32*len(words) > encode.MaxCategories {
		return nil, invalid("split %d is by a set of more than %d category codes", i, encode.MaxCategories)
	}
	set := make([]uint64, (len(words)+1)/2)
	for w, word := range words {
		set[w/2] |= uint64(word) << (w % 2 * 32)
	}
	return set, nil
}

func (b *builder) splitBySet(f int, set []uint64, s *tree.Split) {
	s.Set = set
	if b.features[f].categories != nil {
		s.Column = f
		return
	}
	s.Column = b.column(f, asCode)
	c := &b.columns[s.Column]
	if len(c.seen) < len(set) { // mostly once: sets of a column are about as long
		longer := make([]uint64, max(len(set), len(c.seen)*5/4))
		copy(longer, c.seen)
		c.seen = longer
	}
	for w, word := range set {
		c.seen[w] |= word
	}
}

// leastRoom is how many words the sets of ordered categories may take in a
// file of any size. Every comparison has one of as many bits as there are
// categories, so a file could ask for the square of its size.
const leastRoom = 1 << 17

// splitCodes turns a comparison of a category's code, which an ordered
// category of pandas has, into a set.
func (b *builder) splitCodes(f, missing int, s *tree.Split) *fault.Error {
	s.Column = f
	n := b.features[f].categories.count()
	if b.room -= (n + 63) / 64; b.room < 0 {
		return fault.New(fault.TooLarge, "comparisons of the %d ordered categories of %q would take more memory than the file", n, b.features[f].name).
			Hint("train with the categories as numbers")
	}
	s.Set = make([]uint64, (n+63)/64)
	for code := range n {
		left := float64(code) <= s.Threshold
		if code == 0 && missing == missingZero {
			left = s.MissingLeft
		}
		if left {
			s.Set[code/64] |= 1 << (code % 64)
		}
	}
	s.Threshold = 0
	return nil
}

func (b *builder) linear(raw *rawLinear) ([]tree.Linear, *fault.Error) {
	leaves := make([]tree.Linear, len(raw.constant))
	columns := make([]int, len(raw.feature))
	for i, f := range raw.feature {
		switch {
		case f < 0 || int(f) >= len(b.features):
			return nil, invalid("a linear leaf has the feature %d, which does not exist", f)
		case b.features[f].categories != nil:
			return nil, fault.New(fault.Unsupported, "a linear leaf computes with the categories of %q", b.features[f].name)
		}
		columns[i] = b.column(int(f), asNumber)
	}
	at := 0
	for i := range leaves {
		end := at + int(raw.count[i])
		leaves[i] = tree.Linear{
			Constant: raw.constant[i], Columns: columns[at:end:end], Coefficients: raw.coefficients[at:end:end],
		}
		at = end
	}
	return leaves, nil
}

// encoder ends the columns: the codes of all sets are known now.
func (b *builder) encoder() *encode.Encoder {
	e := &encode.Encoder{Columns: make([]encode.Column, len(b.columns))}
	short := make([]map[int]int, len(b.columns))
	for i := range b.columns {
		c := &b.columns[i]
		f := &b.features[c.feature]
		to := &e.Columns[i]
		*to = encode.Column{Name: f.name, Type: frame.Double, Kind: encode.Numeric}
		switch c.reading {
		case asNotZero:
			to.ZeroMissing = true
		case asCode:
			to.Kind, to.Round = encode.Value, encode.Truncate
			to.Values, short[i] = numberCodes(c.seen)
		case asKnownCode:
			f.categories.describe(to)
		}
	}
	b.renumber(short)
	return e
}

// numberCodes gives codes 0, 1, 2, … to the category codes that stand in sets; all
// others go right everywhere, like those never seen. Where most codes up to
// the last are used they stay what they are, and short is nil.
func numberCodes(seen []uint64) (values []float64, short map[int]int) {
	used, last := 0, 0
	for w, word := range seen {
		used += bits.OnesCount64(word)
		if word != 0 {
			last = 64*w + bits.Len64(word)
		}
	}
	if 4*used >= last {
		values = make([]float64, last)
		for code := range values {
			values[code] = float64(code)
		}
		return values, nil
	}
	values, short = make([]float64, 0, used), make(map[int]int, used)
	for w, word := range seen {
		for ; word != 0; word &= word - 1 {
			code := 64*w + bits.TrailingZeros64(word)
			short[code] = len(values)
			values = append(values, float64(code))
		}
	}
	return values, short
}

// renumber rewrites the sets of the columns that have new codes.
func (b *builder) renumber(short []map[int]int) {
	for t := range b.trees {
		for i := range b.trees[t].Splits {
			s := &b.trees[t].Splits[i]
			if s.Set == nil || short[s.Column] == nil {
				continue
			}
			to := make([]uint64, 0, 1)
			for w, word := range s.Set {
				for ; word != 0; word &= word - 1 {
					code := short[s.Column][64*w+bits.TrailingZeros64(word)]
					for len(to) <= code/64 {
						to = append(to, 0)
					}
					to[code/64] |= 1 << (code % 64)
				}
			}
			s.Set = slices.Clip(to)
		}
	}
}
