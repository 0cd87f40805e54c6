package cite

import (
	"maps"
	"strings"

	"github.com/leat-ai/leat/flow/knowledge/sentence"
	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// facts are what is compared of a text.
type facts struct {
	content map[string]bool // terms, without numbers and names
	numbers map[string]bool // as digits
	names   map[string]bool // folded words that begin with a capital, not first in the text
	terms   map[string]bool // every term, and every folded word
	denials int             // words that deny
	signs   signs           // words that say which way something goes
}

func (c *Checker) factsOf(text string) facts {
	f := facts{content: map[string]bool{}, numbers: map[string]bool{}, names: map[string]bool{}, terms: map[string]bool{}}
	tokens, begin := c.language.Tokens(text), starts(text)
	for i, t := range tokens {
		f.terms[t.Word] = true
		f.signs.add(t.Word)
		if denies(t.Word) || t.Word == "t" && i > 0 && strings.HasSuffix(tokens[i-1].Word, "n") {
			f.denials++
		}
		if digits, ok := digitsOf(t); ok {
			f.numbers[digits] = true
			f.terms[digits] = true
			continue
		}
		if t.Term == "" {
			continue
		}
		f.terms[t.Term] = true
		// German writes every noun with a capital, so there a name is a word
		// like the others.
		if t.Upper && i > 0 && c.language.Name != "de" && !begin[t.Start] {
			f.names[t.Word] = true
			continue
		}
		f.content[t.Term] = true
	}
	return f
}

// starts are the places at which the sentences of a text begin, and what
// stands in quotation marks in it.
func starts(text string) map[int]bool {
	at := map[int]bool{}
	for _, s := range sentence.Split(text) {
		body := text[s.Start:s.End]
		at[s.Start+len(body)-len(strings.TrimLeft(body, "*_-“\"(„«'‘ "))] = true
	}
	for _, q := range quotations(text) {
		at[q.start] = true
	}
	return at
}

// digitsOf is a number as digits without separators of thousands.
func digitsOf(t words.Token) (string, bool) {
	if t.Digit {
		return plainNumber(t.Word), true
	}
	n, ok := smallNumbers[t.Word]
	return n, ok
}

// plainNumber takes separators of thousands away, and writes one digit as two
// so that words and digits compare.
func plainNumber(word string) string {
	if i := strings.LastIndexAny(word, ".,"); i >= 0 && len(word)-i-1 == 3 {
		word = strings.NewReplacer(",", "", ".", "").Replace(word)
	}
	word = strings.ReplaceAll(word, ",", ".")
	if len(word) == 1 {
		return "0" + word
	}
	return word
}

// smallNumbers are the numbers that sentences write out, by their words; "one"
// and its like are articles too and left out.
var smallNumbers = map[string]string{
	"two": "02", "zwei": "02", "dos": "02", "deux": "02", "three": "03", "drei": "03", "tres": "03", "trois": "03", "four": "04", "vier": "04", "cuatro": "04", "quatre": "04",
	"five": "05", "funf": "05", "cinco": "05", "cinq": "05", "six": "06", "sechs": "06", "seis": "06", "seven": "07", "sieben": "07", "siete": "07", "sept": "07",
	"eight": "08", "acht": "08", "ocho": "08", "huit": "08", "nine": "09", "neun": "09", "nueve": "09", "neuf": "09", "ten": "10", "zehn": "10", "diez": "10", "dix": "10",
	"eleven": "11", "elf": "11", "once": "11", "onze": "11", "twelve": "12", "zwolf": "12", "doce": "12", "douze": "12",
}

func denies(word string) bool {
	switch word {
	case "not", "no", "never", "none", "neither", "nor", "without", "cannot", "nothing", "nobody", "unable", "lack", "lacks", "lacking", "fails", "failed", "fail", "absence", "except",
		"nicht", "kein", "keine", "keinen", "keinem", "keiner", "keines", "nie", "niemals", "ohne", "weder", "nichts",
		"nunca", "jamas", "sin", "ningun", "ninguna", "ninguno", "tampoco", "nada",
		"ne", "pas", "jamais", "sans", "aucun", "aucune", "rien":
		return true
	}
	return false
}

// unlike tells whether a word stands here and its denial there: "effective"
// and "ineffective".
func (f facts) unlike(other facts) bool {
	for t := range f.terms {
		if len(t) < 5 || other.terms[t] {
			continue
		}
		for _, prefix := range [...]string{"in", "un", "non", "dis", "ir", "im", "an"} {
			if other.terms[prefix+t] && !f.terms[prefix+t] {
				return true
			}
		}
	}
	return false
}

// enough is the share of content words that must stand in a window.
const enough = 0.6

// merged are the facts of sentences in a row.
func merged(window []piece) facts {
	if len(window) == 1 {
		return window[0].facts
	}
	all := facts{terms: map[string]bool{}, numbers: map[string]bool{}}
	for _, p := range window {
		all.denials += p.facts.denials
		all.signs = all.signs.or(p.facts.signs)
		maps.Copy(all.terms, p.facts.terms)
		maps.Copy(all.numbers, p.facts.numbers)
	}
	return all
}

// within is the share of a claim's content words that stand in a window; 0
// where a number or a name of it does not.
func (f facts) within(all facts, about map[string]bool) float64 {
	for n := range f.numbers {
		if !all.numbers[n] && !about[n] {
			return 0
		}
	}
	for n := range f.names {
		if !all.terms[n] && !about[n] && !all.near(n) {
			return 0
		}
	}
	if len(f.content) == 0 {
		return 1
	}
	found := 0.0
	for t := range f.content {
		switch {
		case all.terms[t]:
			found++
		case about[t], all.near(t):
			found += 0.8
		}
	}
	return found / float64(len(f.content))
}

// against tells whether a window says the contrary of a claim: it denies where
// the claim does not, or has opposites of its words.
func (f facts) against(window facts) bool {
	return (f.denials > 0) != (window.denials > 0) || f.turned(window)
}

// near tells whether a longer or shorter form of a term is there.
func (f facts) near(term string) bool {
	if len(term) < 5 {
		return false
	}
	for t := range f.terms {
		if words.Alike(t, term) > 0 {
			return true
		}
	}
	return false
}
