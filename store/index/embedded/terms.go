package embedded

import (
	"math"
	"strings"

	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

// units are weights as whole numbers, in which segments count occurrences and
// lengths. An occurrence counts times its part's units; times scale, that is
// its weight.
type units struct {
	title, heading, context, text uint32
	scale                         float64
}

// finest is how many units the weight 1 has before common factors are taken
// out.
const finest = 64

// unitsOf brings weights to the nearest multiples of 1/finest.
func unitsOf(w index.Weights) units {
	u := [4]uint32{}
	var common uint32
	for i, weight := range []float64{w.Title, w.Heading, w.Context, w.Text} {
		u[i] = uint32(math.Round(weight * finest))
		for a, b := common, u[i]; ; a, b = b, a%b {
			if b == 0 {
				common = a
				break
			}
		}
	}
	if common == 0 {
		return units{scale: 1}
	}
	return units{u[0] / common, u[1] / common, u[2] / common, u[3] / common, float64(common) / finest}
}

// termKey is how the dictionary of a segment names a term: the analyzer, a zero
// byte and the term.
func termKey(analyzer, term string) string { return analyzer + "\x00" + term }

// cutKey is the inverse of termKey.
func cutKey(key string) (analyzer, term string) {
	analyzer, term, _ = strings.Cut(key, "\x00")
	return analyzer, term
}

// counter counts the words of passages. It is for one goroutine.
type counter struct {
	language  string // of passages that name none
	units     units
	analyzers map[string]*analysis.Analyzer // by analyzer
	tokens    []analysis.Token
}

func newCounter(s index.Settings) *counter {
	return &counter{language: s.Language, units: unitsOf(s.Weights), analyzers: make(map[string]*analysis.Analyzer)}
}

// analyzer names the analyzer of a passage.
func (c *counter) analyzer(p *index.Passage) string {
	if p.Language != "" {
		return analysis.Key(p.Language)
	}
	return analysis.Key(c.language)
}

// get is the analyzer of a name.
func (c *counter) get(name string) *analysis.Analyzer {
	a := c.analyzers[name]
	if a == nil {
		a = analysis.New(name)
		c.analyzers[name] = a
	}
	return a
}

// each calls f for every word of a passage that counts, with its units. The
// length of the passage is the sum of all units.
func (c *counter) each(p *index.Passage, f func(term string, units uint32)) {
	a := c.get(c.analyzer(p))
	for _, part := range [...]struct {
		text  string
		units uint32
	}{{p.Title, c.units.title}, {p.Heading, c.units.heading}, {p.Context, c.units.context}, {p.Text, c.units.text}} {
		if part.units == 0 || part.text == "" {
			continue
		}
		c.tokens = a.Tokens(part.text, c.tokens[:0])
		for _, t := range c.tokens {
			f(t.Term, part.units)
		}
	}
}

// addUnits adds without running over.
func addUnits(sum, units uint32) uint32 {
	return uint32(min(uint64(sum)+uint64(units), math.MaxInt32))
}
