package tree

import (
	"encoding/binary"
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
	sliceFrom  int           // rows from which they are sliced

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

// questions finds the answer of a split.
type questions struct {
	numbers []*numberColumn // by column, nil where no number is asked
	sets    []map[string]int
	cuts    [][]float64 // of numbers, ascending
	key     []byte      // room for a setKey
}

// of returns the index of the answer to a split's question.
func (q *questions) of(s *Split) int {
	if s.Set != nil {
		q.key = setKey(q.key, s)
		return q.sets[s.Column][string(q.key)]
	}
	at, _ := slices.BinarySearch(q.cuts[s.Column], s.Threshold)
	return q.numbers[s.Column].first[way(s)] + at
}

// way is the index of a split's way for missing values.
func way(s *Split) int {
	if s.MissingLeft {
		return 1
	}
	return 0
}

// setKey identifies a set and the way of missing values. It writes into the
// room that it is given: most sets are asked for, few are new.
func setKey(room []byte, s *Split) []byte {
	words := append(room[:0], byte(way(s)))
	for _, w := range s.Set {
		words = binary.LittleEndian.AppendUint64(words, w)
	}
	return words
}

// compile turns a definition, which is sound, into what the engines run on.
func compile(d *Definition) *compiled {
	c := &compiled{outputs: len(d.Base), start: d.Base, single: d.Single}
	if d.late() {
		c.start, c.behind, c.divide = make([]float64, len(d.Base)), d.Base, float64(d.Average)
	}
	q := c.ask(d)
	c.slice(d, q)
	c.descend(d, q)
	if c.linear != nil {
		c.places = c.leafPlaces(d)
	}
	return c
}

// ask collects the distinct questions. Two passes over the splits, the first
// of which counts, keep what they need small.
func (c *compiled) ask(d *Definition) *questions {
	columns := len(d.Encoder.Columns)
	q := &questions{numbers: make([]*numberColumn, columns), sets: make([]map[string]int, columns), cuts: make([][]float64, columns)}
	counts := make([]int, columns)
	each(d, func(s *Split) { counts[s.Column]++ })
	for column, n := range counts {
		if codes, coded := d.Encoder.Columns[column].Codes(); n > 0 && coded {
			q.sets[column] = map[string]int{}
			c.sets = append(c.sets, setColumn{column: column, categories: codes})
			c.members = max(c.members, codes+2)
		} else if n > 0 {
			q.cuts[column] = make([]float64, 0, n)
		}
	}
	c.askNumbers(d, q)
	c.askSets(d, q)
	return q
}

// each calls f for every split.
func each(d *Definition, f func(s *Split)) {
	for t := range d.Trees {
		for i := range d.Trees[t].Splits {
			f(&d.Trees[t].Splits[i])
		}
	}
}

func (c *compiled) askNumbers(d *Definition, q *questions) {
	asked := make([][2]bool, len(q.cuts)) // by column and way
	each(d, func(s *Split) {
		if s.Set == nil {
			q.cuts[s.Column] = append(q.cuts[s.Column], s.Threshold)
			asked[s.Column][way(s)] = true
		}
	})
	numbers := 0
	for column, cuts := range q.cuts {
		if len(cuts) > 0 {
			slices.Sort(cuts)
			q.cuts[column] = slices.Compact(cuts)
			numbers++
		}
	}
	c.numbers = make([]numberColumn, 0, numbers)
	for column, cuts := range q.cuts {
		if len(cuts) == 0 {
			continue
		}
		n := numberColumn{column: column, cuts: NewCuts(cuts), first: [2]int{-1, -1}}
		for way, yes := range asked[column] {
			if yes {
				n.first[way] = c.questions
				c.questions += len(cuts)
			}
		}
		c.gaps = max(c.gaps, len(cuts)+1)
		c.numbers = append(c.numbers, n)
		q.numbers[column] = &c.numbers[len(c.numbers)-1]
	}
}

func (c *compiled) askSets(d *Definition, q *questions) {
	at := make([]*setColumn, len(q.sets))
	for i := range c.sets {
		at[c.sets[i].column] = &c.sets[i]
	}
	each(d, func(s *Split) {
		if s.Set == nil {
			return
		}
		q.key = setKey(q.key, s)
		col := at[s.Column]
		if _, known := q.sets[s.Column][string(q.key)]; !known {
			q.sets[s.Column][string(q.key)] = len(col.questions) // in its column
			col.questions = append(col.questions, newSetQuestion(s, col.categories))
		}
	})
	for i := range c.sets { // those of a column stand together
		col := &c.sets[i]
		col.first = c.questions
		c.questions += len(col.questions)
		for k := range q.sets[col.column] {
			q.sets[col.column][k] += col.first
		}
	}
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
	q.members = make([]uint32, 0, min(size, categories-size)+2)
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
