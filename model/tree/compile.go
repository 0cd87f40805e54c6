package tree

import (
	"math/bits"
	"slices"
)

// compiled is an ensemble in the forms that the engines run on.
//
// A question is a split without its place in a tree: column, threshold or
// set, and the way of missing values. Many splits share one.
type compiled struct {
	outputs int
	start   []float64 // of each sum
	behind  []float64 // what is added to each sum behind the trees; nil for nothing
	divide  float64   // what each sum is divided by before that; 0 for nothing
	single  bool      // sums are rounded to float32

	numbers   []numberColumn
	sets      []setColumn
	questions int // the number of answers that slice.go keeps
	gaps      int // the most that a numberColumn needs
	members   int // the most buckets that a setColumn needs

	sliced     []slicedTree
	splits     []slicedSplit // of all trees
	leaves     []float64     // of all trees, with maxPlanes bits of room behind; nil when single
	singles    []float32     // the same as float32 when single
	linear     []Linear      // of all leaves; nil when none is linear
	mostSplits int           // of one tree

	descents []descent
	nodes    []node
	places   []int32 // of leaves by node, among the leaves of their tree; nil when none is linear
	views    []view  // of numbers, for nodes to look at
	values   int     // how many values of a row nodes look at: a constant, sets, views
}

// numberColumn asks all questions of one numeric column.
type numberColumn struct {
	column int
	cuts   *Cuts
	// first is the first question with missing values going right and left,
	// or -1 when there is none.
	first [2]int
}

// setColumn asks all questions of one categorical column.
type setColumn struct {
	column     int
	categories int
	first      int // question
	questions  []setQuestion
	view       int       // where the answers go that nodes look at
	table      []float64 // those answers by bucket; nil when it would be too large
}

// setQuestion is answered by the rows of members, or by all others when the
// set is so large that its complement is shorter. When both are long every row
// is looked at instead.
type setQuestion struct {
	members     []uint32 // buckets: category codes, or categories+1 for missing
	complement  bool
	rowByRow    bool
	set         []uint64
	missingLeft bool
}

// key identifies a question.
type key struct {
	column      int
	missingLeft bool
	threshold   float64
	set         string
}

func keyOf(s *Split) key {
	k := key{column: s.Column, missingLeft: s.MissingLeft, threshold: s.Threshold}
	if s.Set != nil {
		words := make([]byte, 0, 8*len(s.Set))
		for _, w := range s.Set {
			for shift := 0; shift < 64; shift += 8 {
				words = append(words, byte(w>>shift))
			}
		}
		k.set, k.threshold = string(words), 0
	}
	return k
}

// compile turns a definition, which is sound, into what the engines run on.
func compile(d *Definition) *compiled {
	c := &compiled{outputs: len(d.Base), start: d.Base, single: d.Single}
	if d.late() {
		c.start, c.behind, c.divide = make([]float64, len(d.Base)), d.Base, float64(d.Average)
	}
	ids := c.ask(d)
	c.slice(d, ids)
	c.descend(d, ids)
	if c.linear != nil {
		c.places = c.leafPlaces(d)
	}
	return c
}

// ask collects the distinct questions and returns the index of each answer.
func (c *compiled) ask(d *Definition) map[key]int {
	byColumn := make([][]*Split, len(d.Encoder.Columns))
	for t := range d.Trees {
		for i := range d.Trees[t].Splits {
			s := &d.Trees[t].Splits[i]
			byColumn[s.Column] = append(byColumn[s.Column], s)
		}
	}
	ids := map[key]int{}
	for column, splits := range byColumn {
		if len(splits) == 0 {
			continue
		}
		if codes, coded := d.Encoder.Columns[column].Codes(); coded {
			c.askSets(column, codes, splits, ids)
		} else {
			c.askNumbers(column, splits, ids)
		}
	}
	return ids
}

func (c *compiled) askNumbers(column int, splits []*Split, ids map[key]int) {
	thresholds := make([]float64, len(splits))
	for i, s := range splits {
		thresholds[i] = s.Threshold
	}
	slices.Sort(thresholds)
	thresholds = slices.Compact(thresholds)
	n := numberColumn{column: column, cuts: NewCuts(thresholds), first: [2]int{-1, -1}}
	for _, s := range splits {
		way := 0
		if s.MissingLeft {
			way = 1
		}
		if n.first[way] < 0 {
			n.first[way] = c.questions
			c.questions += len(thresholds)
		}
		at, _ := slices.BinarySearch(thresholds, s.Threshold)
		ids[keyOf(s)] = n.first[way] + at
	}
	c.gaps = max(c.gaps, len(thresholds)+1)
	c.numbers = append(c.numbers, n)
}

func (c *compiled) askSets(column, categories int, splits []*Split, ids map[key]int) {
	col := setColumn{column: column, categories: categories, first: c.questions}
	c.members = max(c.members, categories+2)
	for _, s := range splits {
		k := keyOf(s)
		if _, known := ids[k]; known {
			continue
		}
		ids[k] = c.questions
		c.questions++
		col.questions = append(col.questions, newSetQuestion(s, categories))
	}
	c.sets = append(c.sets, col)
}

func newSetQuestion(s *Split, categories int) setQuestion {
	q := setQuestion{set: s.Set, missingLeft: s.MissingLeft}
	size := 0
	for _, w := range s.Set {
		size += bits.OnesCount64(w)
	}
	q.complement = size > categories/2
	if min(size, categories-size) > blockRows {
		q.rowByRow = true
		return q
	}
	// Few codes of a large column must not cost as much as all of them.
	codes := 64 * len(s.Set)
	if q.complement {
		codes = categories + 1 // the last one is unseen, in no set
	}
	for code := range codes {
		if q.has(code) != q.complement {
			q.members = append(q.members, uint32(code))
		}
	}
	if q.missingLeft != q.complement {
		q.members = append(q.members, uint32(categories+1))
	}
	return q
}

func (q *setQuestion) has(code int) bool {
	return code/64 < len(q.set) && q.set[code/64]>>(code%64)&1 == 1
}

// left tells whether a value goes left.
func (q *setQuestion) left(x float64) bool {
	if x != x {
		return q.missingLeft
	}
	return x >= 0 && x < float64(64*len(q.set)) && q.has(int(x))
}
