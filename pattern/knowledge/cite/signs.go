package cite

import "strings"

// opposites are pairs of words of which one in place of the other turns a
// statement round.
var opposites = [...][2]string{
	{"positive", "negative"}, {"most", "least"}, {"before", "after"}, {"always", "never"}, {"must", "may"}, {"required", "optional"},
	{"enable", "disable"}, {"enabled", "disabled"}, {"include", "exclude"}, {"accept", "reject"}, {"above", "below"}, {"maximum", "minimum"},
	{"first", "last"}, {"early", "late"}, {"earlier", "later"}, {"win", "lose"}, {"won", "lost"}, {"presence", "absence"}, {"sensitiv", "resist"},
	{"susceptib", "resist"}, {"similar", "different"}, {"allow", "forbid"}, {"allow", "prohibit"}, {"permit", "prohibit"}, {"allowed", "denied"},
	{"all", "none"}, {"free", "charged"}, {"open", "closed"}, {"public", "private"}, {"start", "stop"}, {"left", "right"},
	{"erlaubt", "verboten"}, {"erlaubt", "untersagt"}, {"immer", "nie"}, {"vor", "nach"}, {"maximal", "minimal"},
	{"permit", "prohib"}, {"siempre", "nunca"}, {"antes", "despues"}, {"toujours", "jamais"}, {"avant", "apres"},
}

// Beginnings of words that say that something goes up, or down. A statement
// that has one sort is not supported by a window that has only the other.
var (
	upwards = strings.Fields(`increas enhanc improv promot induc activat encourag elevat higher greater accelerat upregulat rise rises rising rose gain gains grow grew growth longer
larger more better stronger faster exacerbat stimulat boost facilitat favor augment extend worsen raise
erhoh steig verbesser forder mehr hoher grosser langer wachs zunehm zunahm
aument mejor mayor mas crec subi
augment plus amelior hausse croiss`)
	downwards = strings.Fields(`decreas reduc lower suppress inhibit impair fewer less delay slow declin deficien prevent block dampen fall fell falls loss lose losing smaller shorter
worse weaker diminish attenuat downregulat deplet restrict limit abolish silenc protect mitigat lessen drop
senk verringer vermind weniger niedriger kleiner kurzer sink abnehm abnahm verhinder
dismin reduj reduc menor menos baj decrec
diminu redui moins baisse`)
)

// signs is a set of the words above, by their places in signAt.
type signs [6]uint64

// signAt is the place of each word above.
var signAt = placed()

func placed() map[string]int {
	at := map[string]int{}
	add := func(stem string) {
		if _, ok := at[stem]; !ok && len(at) < 64*len(signs{}) {
			at[stem] = len(at)
		}
	}
	for _, p := range opposites {
		add(p[0])
		add(p[1])
	}
	for _, list := range [][]string{upwards, downwards} {
		for _, stem := range list {
			add(stem)
		}
	}
	return at
}

// upward and downward are the signs of the two sorts.
var upward, downward = signsOf(upwards), signsOf(downwards)

func signsOf(stems []string) (s signs) {
	for _, stem := range stems {
		s.set(signAt[stem])
	}
	return s
}

func (s *signs) set(at int) { s[at/64] |= 1 << (at % 64) }

func (s signs) has(stem string) bool {
	at := signAt[stem]
	return s[at/64]&(1<<(at%64)) != 0
}

// add notes which of the words above a word begins with. Short ones must be
// the whole word.
func (s *signs) add(word string) {
	for n := 2; n <= min(len(word), longestSign); n++ {
		if at, ok := signAt[word[:n]]; ok && (n > 4 || n == len(word)) {
			s.set(at)
		}
	}
}

const longestSign = 12

func (s signs) or(t signs) signs {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

func (s signs) any(of signs) bool {
	for i := range s {
		if s[i]&of[i] != 0 {
			return true
		}
	}
	return false
}

// turned tells whether a window has the opposite of a word of the claim in
// that word's place.
func (f facts) turned(window facts) bool {
	for _, p := range opposites {
		for i := range p {
			if f.signs.has(p[i]) && !f.signs.has(p[1-i]) && window.signs.has(p[1-i]) && !window.signs.has(p[i]) {
				return true
			}
		}
	}
	up, down := f.signs.any(upward), f.signs.any(downward)
	if up != down {
		windowUp, windowDown := window.signs.any(upward), window.signs.any(downward)
		if windowUp != windowDown && up != windowUp {
			return true
		}
	}
	return f.unlike(window) || window.unlike(f)
}
