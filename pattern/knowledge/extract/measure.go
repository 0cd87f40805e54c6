package extract

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// The features of a sentence, each about 0 to 1.
const (
	covered     = iota // share of the question's weight that stands in it
	coveredNear        // the same with the sentence before, the headings and the title
	coveredText        // the same of its whole passage
	sideBySide         // share of the question's pairs that stand near each other
	named              // share of the question's names that stand in it
	rarest             // its rarest word that stands anywhere stands in it
	hasKind            // it has what the question asks for
	lacksKind          // the question asks for what it has not
	nearKind           // how near that stands to words of the question
	density            // weight of matched words against its length
	retrieved          // how well its passage was found, against the best
	isHeading          // it is a heading
	isQuestion         // it asks itself
	tooShort           // it says little beyond the question
	lengthy            // logarithm of its length
	headNear           // the word that a number is asked of stands behind one
	first              // it begins its passage
	leans              // it begins with a word that leans on what went before
	featureCount
)

type features [featureCount]float64

// candidate is a sentence with what was measured of it.
type candidate struct {
	passage    int
	start, end int
	terms      map[string]struct{}
	features   features
	score      float64
}

// measured is a question with the candidates of all passages.
type measured struct {
	question   *asked
	candidates []candidate
	passages   []Passage
	best       float64 // share of the question's weight in the best passage
	known      float64 // share of the question's weight that stands anywhere
}

func dot(w features, f features) (sum float64) {
	for i := range w {
		sum += w[i] * f[i]
	}
	return sum
}

// piecewise is a sentence before it is measured.
type piecewise struct {
	words.Unit
	passage int
	tokens  []words.Token
	at      []int // word of the question by token, -1 for none
	how     []float64
	has     []float64 // by word of the question
}

func measure(question string, passages []Passage, languageName string) *measured {
	l := words.Of(languageName, question)
	q := ask(question, l)
	m := &measured{question: q, passages: passages}
	var pieces []piecewise
	in := make([]int, len(q.terms))
	for i, p := range passages {
		for _, u := range words.Units(p.Text) {
			if len(pieces) == MaxUnits {
				break
			}
			s := piecewise{Unit: u, passage: i, tokens: l.Tokens(p.Text[u.Start:u.End])}
			s.match(q)
			if u.Header > 0 {
				s.under(pieces[len(pieces)-u.Header].has)
			}
			for t, has := range s.has {
				if has > 0 {
					in[t]++
				}
			}
			pieces = append(pieces, s)
		}
	}
	q.weigh(in, len(pieces))
	c := context{q: q, l: l, total: max(q.total(), 1e-9), pieces: pieces, passages: passages}
	c.prepare()
	for i := range pieces {
		m.candidates = append(m.candidates, c.candidate(i))
	}
	m.best = slices.Max(append(c.byPassage, 0))
	for t, n := range in {
		if n > 0 {
			m.known += q.terms[t].weight / c.total
		}
	}
	return m
}

func (s *piecewise) match(q *asked) {
	s.at = make([]int, len(s.tokens))
	s.how = make([]float64, len(s.tokens))
	s.has = make([]float64, len(q.terms))
	for i, t := range s.tokens {
		s.at[i] = -1
		if t.Term == "" {
			continue
		}
		if s.at[i], s.how[i] = q.match(t.Term); s.at[i] >= 0 {
			s.has[s.at[i]] = max(s.has[s.at[i]], s.how[i])
		}
	}
}

// under counts the words of a table's header, under which a row stands, as
// words of the row.
func (s *piecewise) under(header []float64) {
	for t, has := range header {
		s.has[t] = max(s.has[t], 0.8*has)
	}
}

// context is what the features of one sentence need of the others.
type context struct {
	q         *asked
	l         *words.Language
	total     float64
	pieces    []piecewise
	passages  []Passage
	around    [][]float64 // by passage: words of the question in its title and headings
	byPassage []float64   // share of the question's weight in each
	bestFound float64
	rarest    int // word of the question, -1
}

func (c *context) prepare() {
	c.around = make([][]float64, len(c.passages))
	whole := make([][]float64, len(c.passages))
	for i, p := range c.passages {
		head := piecewise{tokens: c.l.Tokens(clip(p.Title+" "+p.Heading+" "+p.Context, MaxQuestion))}
		head.match(c.q)
		c.around[i] = head.has
		whole[i] = slices.Clone(head.has)
		c.bestFound = max(c.bestFound, p.Score)
	}
	c.rarest = -1
	seen := make([]bool, len(c.q.terms))
	for _, s := range c.pieces {
		union(whole[s.passage], s.has)
		for t, has := range s.has {
			seen[t] = seen[t] || has > 0
		}
	}
	for t := range c.q.terms {
		if seen[t] && (c.rarest < 0 || c.q.terms[t].weight > c.q.terms[c.rarest].weight) {
			c.rarest = t
		}
	}
	for i := range whole {
		c.byPassage = append(c.byPassage, c.share(whole[i]))
	}
}

func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

func union(into, has []float64) {
	for t := range has {
		into[t] = max(into[t], has[t])
	}
}

// share is how much of the question's weight some words make.
func (c *context) share(has []float64) (sum float64) {
	for t, h := range has {
		sum += h * c.q.terms[t].weight
	}
	return sum / c.total
}

func (c *context) candidate(i int) candidate {
	s := &c.pieces[i]
	out := candidate{passage: s.passage, start: s.Start, end: s.End, terms: map[string]struct{}{}}
	fresh := 0
	for k, t := range s.tokens {
		if t.Term == "" {
			continue
		}
		if s.at[k] < 0 {
			fresh++
		}
		out.terms[t.Term] = struct{}{}
	}
	f := &out.features
	f[covered] = c.share(s.has)
	near := slices.Clone(s.has)
	if i > 0 && c.pieces[i-1].passage == s.passage {
		union(near, c.pieces[i-1].has)
	}
	union(near, c.around[s.passage])
	f[coveredNear] = c.share(near)
	f[coveredText] = c.byPassage[s.passage]
	f[sideBySide] = c.sideBySide(s)
	f[named] = c.named(s)
	f[rarest] = is(c.rarest >= 0 && s.has[max(c.rarest, 0)] > 0)
	f[density] = f[covered] / math.Sqrt(1+float64(len(out.terms))/8)
	if c.bestFound > 0 {
		f[retrieved] = c.passages[s.passage].Score / c.bestFound
	}
	f[isHeading], f[isQuestion], f[tooShort] = is(s.Heading), is(s.Question), is(fresh < 2)
	f[lengthy] = math.Log(1+float64(len(s.tokens))) / 5
	f[first] = is(i == 0 || c.pieces[i-1].passage != s.passage)
	f[leans] = is(len(s.tokens) > 0 && s.tokens[0].Term == "" && len(s.tokens[0].Word) <= 4)
	c.kinds(s, f)
	return out
}

func is(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// sideBySide is the share of pairs of the question that stand within three
// words of each other.
func (c *context) sideBySide(s *piecewise) float64 {
	if len(c.q.pairs) == 0 {
		return 0
	}
	found, all := 0.0, 0.0
	for _, p := range c.q.pairs {
		w := c.q.terms[p[0]].weight + c.q.terms[p[1]].weight
		all += w
		if s.within(p[0], p[1], 3) {
			found += w
		}
	}
	if all == 0 {
		return 0
	}
	return found / all
}

func (s *piecewise) within(a, b, distance int) bool {
	last := [2]int{-1000, -1000}
	for i, at := range s.at {
		switch at {
		case a:
			last[0] = i
		case b:
			last[1] = i
		default:
			continue
		}
		if d := last[0] - last[1]; d <= distance && d >= -distance {
			return true
		}
	}
	return false
}

func (c *context) named(s *piecewise) float64 {
	found, all := 0.0, 0.0
	for t, w := range c.q.terms {
		if w.name {
			all += w.weight
			found += w.weight * s.has[t]
		}
	}
	if all == 0 {
		return 0
	}
	return found / all
}

// kinds measures what the question asks for.
func (c *context) kinds(s *piecewise, f *features) {
	if c.q.kind == other || c.q.kind == meaning || c.q.kind == manner {
		return
	}
	there, best := false, 0.0
	for i := range s.tokens {
		if s.at[i] >= 0 && s.how[i] == 1 || !c.answers(s, i) {
			continue
		}
		there = true
		best = max(best, c.nearness(s, i))
		if c.q.kind == number && c.q.head >= 0 {
			for k := i + 1; k < len(s.tokens) && k <= i+4; k++ {
				if s.at[k] == c.q.head {
					f[headNear] = 1
				}
			}
		}
	}
	f[hasKind], f[lacksKind], f[nearKind] = is(there), is(!there), best
}

// nearness is how much of the question's weight stands near a word.
func (c *context) nearness(s *piecewise, i int) float64 {
	sum := make([]float64, len(c.q.terms))
	for k, at := range s.at {
		if at >= 0 {
			d := math.Abs(float64(k - i))
			sum[at] = max(sum[at], s.how[k]/(1+d/6))
		}
	}
	return c.share(sum)
}

// answers tells whether a word may be what the question asks for.
func (c *context) answers(s *piecewise, i int) bool {
	t := s.tokens[i]
	switch c.q.kind {
	case number:
		return t.Digit || c.l.Number(t.Word)
	case date:
		return c.l.Date(t.Word) || t.Digit && year(t.Word)
	case name, place:
		if !t.Upper {
			return wideName(t.Word)
		}
		return t.Term != "" && (i > 0 || t.End-t.Start > 3)
	case cause:
		return causes(t.Word)
	}
	return false
}

func wideName(word string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	return unicode.In(r, unicode.Han, unicode.Arabic, unicode.Hebrew, unicode.Thai)
}

// year tells whether a number can be a year, or a day with its ordinal.
func year(word string) bool {
	digits := 0
	for _, r := range word {
		if !unicode.IsDigit(r) {
			return digits == 4 || digits == 2 || digits == 3
		}
		digits++
	}
	return digits == 4 || digits == 3
}

func causes(word string) bool {
	switch word {
	case "because", "due", "since", "caused", "causes", "reason", "therefore", "order", "so", "lead", "led", "result", "resulted", "avoid", "prevent",
		"weil", "da", "aufgrund", "wegen", "grund", "deshalb", "daher", "um", "damit", "fuhrte", "durch",
		"porque", "debido", "causa", "razon", "para", "provoco", "ya", "motivo", "consecuencia",
		"car", "puisque", "cause", "raison", "afin", "pour":
		return true
	}
	return false
}
