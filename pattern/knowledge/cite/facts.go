package cite

import (
	"maps"
	"strings"

	"github.com/leat-ai/leat/pattern/knowledge/words"
)

// facts are what is compared of a text.
type facts struct {
	content map[string]bool // terms, without numbers and names
	numbers map[string]bool // as digits
	names   map[string]bool // folded words that begin with a capital, not first in the text
	terms   map[string]bool // every term, and every folded word
	denials int             // words that deny
}

func (c *Checker) factsOf(text string) facts {
	f := facts{content: map[string]bool{}, numbers: map[string]bool{}, names: map[string]bool{}, terms: map[string]bool{}}
	tokens := c.language.Tokens(text)
	for i, t := range tokens {
		f.terms[t.Word] = true
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
		if t.Upper && i > 0 && c.language.Name != "de" && !sentenceStart(text, t.Start) {
			f.names[t.Word] = true
			continue
		}
		f.content[t.Term] = true
	}
	return f
}

// sentenceStart tells whether what stands before a place ends a sentence or
// opens a quotation.
func sentenceStart(text string, at int) bool {
	head := strings.TrimRight(text[:at], " \n\t*_-“\"(„«'‘")
	return head == "" || strings.HasSuffix(head, ".") || strings.HasSuffix(head, "!") || strings.HasSuffix(head, "?") || strings.HasSuffix(head, ":")
}

// digitsOf is a number as digits without separators of thousands.
func digitsOf(t words.Token) (string, bool) {
	if t.Digit {
		return plainNumber(t.Word), true
	}
	for n, list := range smallNumbers() {
		for w := range strings.FieldsSeq(list) {
			if t.Word == w {
				return string(rune('0'+n/10)) + string(rune('0'+n%10)), true
			}
		}
	}
	return "", false
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

// smallNumbers are the words of the numbers that sentences write out, by their
// value; "one" and its like are articles too and left out.
func smallNumbers() [13]string {
	return [13]string{2: "two zwei dos deux", 3: "three drei tres trois", 4: "four vier cuatro quatre", 5: "five funf cinco cinq",
		6: "six sechs seis", 7: "seven sieben siete sept", 8: "eight acht ocho huit", 9: "nine neun nueve neuf",
		10: "ten zehn diez dix", 11: "eleven elf once onze", 12: "twelve zwolf doce douze"}
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

// opposites are pairs of words of which one in place of the other turns a
// statement round.
func opposites() [][2]string {
	return [][2]string{
		{"positive", "negative"}, {"most", "least"}, {"before", "after"}, {"always", "never"}, {"must", "may"}, {"required", "optional"},
		{"enable", "disable"}, {"enabled", "disabled"}, {"include", "exclude"}, {"accept", "reject"}, {"above", "below"}, {"maximum", "minimum"},
		{"first", "last"}, {"early", "late"}, {"earlier", "later"}, {"win", "lose"}, {"won", "lost"}, {"presence", "absence"}, {"sensitiv", "resist"},
		{"susceptib", "resist"}, {"similar", "different"}, {"allow", "forbid"}, {"allow", "prohibit"}, {"permit", "prohibit"}, {"allowed", "denied"},
		{"all", "none"}, {"free", "charged"}, {"open", "closed"}, {"public", "private"}, {"start", "stop"}, {"left", "right"},
		{"erlaubt", "verboten"}, {"erlaubt", "untersagt"}, {"immer", "nie"}, {"vor", "nach"}, {"maximal", "minimal"},
		{"permit", "prohib"}, {"siempre", "nunca"}, {"antes", "despues"}, {"toujours", "jamais"}, {"avant", "apres"},
	}
}

// Beginnings of words that say that something goes up, or down. A statement
// that has one sort is not supported by a window that has only the other.
const (
	upwards = `increas enhanc improv promot induc activat encourag elevat higher greater accelerat upregulat rise rises rising rose gain gains grow grew growth longer
larger more better stronger faster exacerbat stimulat boost facilitat favor augment extend worsen raise
erhoh steig verbesser forder mehr hoher grosser langer wachs zunehm zunahm
aument mejor mayor mas crec subi
augment plus amelior hausse croiss`
	downwards = `decreas reduc lower suppress inhibit impair fewer less delay slow declin deficien prevent block dampen fall fell falls loss lose losing smaller shorter
worse weaker diminish attenuat downregulat deplet restrict limit abolish silenc protect mitigat lessen drop
senk verringer vermind weniger niedriger kleiner kurzer sink abnehm abnahm verhinder
dismin reduj reduc menor menos baj decrec
diminu redui moins baisse`
)

// direction tells whether words of each sort are there.
func (f facts) direction() (up, down bool) {
	for stem := range strings.FieldsSeq(upwards) {
		up = up || f.begins(stem)
	}
	for stem := range strings.FieldsSeq(downwards) {
		down = down || f.begins(stem)
	}
	return up, down
}

// turned tells whether a window has the opposite of a word of the claim in
// that word's place.
func (f facts) turned(window facts) bool {
	for _, p := range opposites() {
		for i := range p {
			if f.begins(p[i]) && !f.begins(p[1-i]) && window.begins(p[1-i]) && !window.begins(p[i]) {
				return true
			}
		}
	}
	up, down := f.direction()
	if up != down {
		windowUp, windowDown := window.direction()
		if windowUp != windowDown && up != windowUp {
			return true
		}
	}
	return f.unlike(window) || window.unlike(f)
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

// begins tells whether a word begins so. Short ones are compared whole.
func (f facts) begins(stem string) bool {
	if len(stem) <= 5 {
		return f.terms[stem]
	}
	for w := range f.terms {
		if strings.HasPrefix(w, stem) {
			return true
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
