// Package evaluate measures retrieval: how good a ranking of documents is,
// given which documents are right.
//
// It stands beside the builds of flow/knowledge, whose gates ask for a measure
// by name, and serves `leat eval retrieval`. Parse reads a name such as
// "ndcg@10"; Measure.Mean is the figure over all queries. Files that others
// have are read by ReadQrels and ReadRun and written by WriteRun.
//
// Figures are those of trec_eval 9 with its option -c, digit for digit:
//
//   - A run is put in order by score, rounded to 32 bits as trec_eval keeps it,
//     documents of equal score by falling id. The order in which they stand
//     does not count.
//   - nDCG takes the grade itself as gain and log2(rank+1) as discount; the
//     ideal ranking is that of all judged documents. A negative grade gains
//     nothing.
//   - For the other measures a document is right from grade 1 on.
//   - The mean is over all queries that have judgements: one without a ranking
//     counts as 0, and so does one without a right document.
package evaluate

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Qrels are grades by query and document: above 0 the document is right.
type Qrels map[string]map[string]int

// Run has a ranking by query.
type Run map[string][]Scored

// Scored is a document of a ranking.
type Scored struct {
	Document string
	Score    float64
}

// Measure is a measure of a ranking, with a depth where it has one.
type Measure struct {
	Name  string // "ndcg", "recall", "precision", "hit", "map", "mrr"
	Depth int    // how many documents count; 0: all
}

// formula is a measure of a ranking that was put in order and cut at depth (0:
// not cut).
type formula func(judged map[string]int, ranked []Scored, depth int) float64

var formulas = map[string]formula{"ndcg": ndcg, "recall": recall, "precision": precision, "hit": hit, "map": averagePrecision, "mrr": reciprocalRank}

// Names lists the names of measures, without depths.
func Names() []string { return slices.Sorted(maps.Keys(formulas)) }

// Parse reads a measure, such as "ndcg@10", "recall@100", "hit@3" or "map".
func Parse(text string) (Measure, error) {
	name, depth, cut := strings.Cut(text, "@")
	m := Measure{Name: name}
	if _, ok := formulas[name]; !ok {
		return m, fault.New(fault.Invalid, "no measure of retrieval is called %.100q", text).
			Hint("use %s, with a depth as in ndcg@10", strings.Join(Names(), ", "))
	}
	if cut {
		n, err := strconv.Atoi(depth)
		if err != nil || n < 1 || n > 1e6 {
			return m, fault.New(fault.Invalid, "the depth of %.100q is no number from 1 to a million", text)
		}
		m.Depth = n
	}
	if name == "precision" && m.Depth == 0 {
		return m, fault.New(fault.Invalid, "precision needs a depth").Hint("write precision@10")
	}
	return m, nil
}

// String is the name by which Parse reads a measure.
func (m Measure) String() string {
	if m.Depth == 0 {
		return m.Name
	}
	return m.Name + "@" + strconv.Itoa(m.Depth)
}

// Of is the measure of one ranking, 0 to 1.
func (m Measure) Of(judged map[string]int, ranking []Scored) float64 {
	ranked := Ranked(ranking)
	if m.Depth > 0 && len(ranked) > m.Depth {
		ranked = ranked[:m.Depth]
	}
	if f := formulas[m.Name]; f != nil {
		return f(judged, ranked, m.Depth)
	}
	return 0
}

// Mean is the mean of a measure over all queries that have judgements; 0
// without any.
func (m Measure) Mean(qrels Qrels, run Run) float64 {
	sum := 0.0
	for _, query := range slices.Sorted(maps.Keys(qrels)) { // one order: sums of doubles depend on it
		sum += m.Of(qrels[query], run[query])
	}
	return sum / math.Max(1, float64(len(qrels)))
}

// Ranked is a ranking in the order in which it counts.
func Ranked(ranking []Scored) []Scored {
	ranked := slices.Clone(ranking)
	slices.SortStableFunc(ranked, func(a, b Scored) int {
		if c := cmp.Compare(float32(b.Score), float32(a.Score)); c != 0 {
			return c
		}
		return strings.Compare(b.Document, a.Document)
	})
	return ranked
}

func ndcg(judged map[string]int, ranked []Scored, depth int) float64 {
	best := ideal(judged, depth)
	if best == 0 {
		return 0
	}
	return gain(judged, ranked) / best
}

func gain(judged map[string]int, ranked []Scored) (sum float64) {
	for i, d := range ranked {
		if grade := judged[d.Document]; grade > 0 {
			sum += float64(grade) / math.Log2(float64(i+2))
		}
	}
	return sum
}

// ideal is the gain of the best ranking, of depth documents or, with 0, all.
func ideal(judged map[string]int, depth int) (sum float64) {
	grades := slices.Sorted(maps.Values(judged))
	slices.Reverse(grades)
	for i, grade := range grades {
		if grade <= 0 || depth > 0 && i == depth {
			break
		}
		sum += float64(grade) / math.Log2(float64(i+2))
	}
	return sum
}

// right is how many documents are right.
func right(judged map[string]int) (n int) {
	for _, grade := range judged {
		if grade > 0 {
			n++
		}
	}
	return n
}

// found is how many right documents a ranking has.
func found(judged map[string]int, ranked []Scored) (n int) {
	for _, d := range ranked {
		if judged[d.Document] > 0 {
			n++
		}
	}
	return n
}

func recall(judged map[string]int, ranked []Scored, _ int) float64 {
	return float64(found(judged, ranked)) / math.Max(1, float64(right(judged)))
}

func precision(judged map[string]int, ranked []Scored, depth int) float64 {
	return float64(found(judged, ranked)) / math.Max(1, float64(depth))
}

func hit(judged map[string]int, ranked []Scored, _ int) float64 {
	return math.Min(1, float64(found(judged, ranked)))
}

func averagePrecision(judged map[string]int, ranked []Scored, _ int) (sum float64) {
	seen := 0
	for i, d := range ranked {
		if judged[d.Document] > 0 {
			seen++
			sum += float64(seen) / float64(i+1)
		}
	}
	return sum / math.Max(1, float64(right(judged)))
}

func reciprocalRank(judged map[string]int, ranked []Scored, _ int) float64 {
	for i, d := range ranked {
		if judged[d.Document] > 0 {
			return 1 / float64(i+1)
		}
	}
	return 0
}
