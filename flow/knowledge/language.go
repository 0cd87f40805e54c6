package knowledge

import (
	"strings"
	"unicode"

	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/store/index/analysis"
)

// languageSample is how many bytes of a text are looked at.
const languageSample = 8 << 10

// smallWords are words that a text of a language is full of, chosen so that few
// stand for two languages.
func smallWords() map[string][]string {
	return map[string][]string{
		"en": {"the", "and", "of", "to", "is", "that", "with", "for", "this", "you", "are", "it"},
		"de": {"der", "die", "und", "das", "nicht", "ist", "ein", "eine", "mit", "auf", "für", "von"},
		"es": {"el", "los", "las", "que", "y", "en", "una", "por", "con", "para", "del", "es"},
		"fr": {"le", "les", "et", "des", "une", "est", "dans", "pour", "qui", "sur", "au", "avec"},
		"it": {"il", "che", "di", "e", "gli", "della", "per", "non", "una", "sono", "con", "nel"},
		"pt": {"o", "os", "que", "não", "uma", "para", "com", "do", "da", "em", "são", "mais"},
		"nl": {"het", "een", "van", "en", "niet", "dat", "zijn", "voor", "met", "aan", "ook", "wordt"},
		"sv": {"och", "att", "det", "som", "är", "på", "för", "inte", "med", "till", "av", "ett"},
		"da": {"og", "at", "det", "er", "ikke", "af", "til", "på", "som", "den", "har", "være"},
		"no": {"og", "det", "er", "ikke", "av", "til", "på", "som", "har", "jeg", "være", "eller"},
		"fi": {"ja", "on", "ei", "että", "se", "ovat", "oli", "myös", "tai", "kun", "mutta", "hän"},
		"ru": {"и", "в", "не", "на", "что", "с", "это", "как", "по", "для", "из", "к"},
		"hu": {"a", "az", "és", "hogy", "nem", "egy", "is", "van", "meg", "volt", "csak", "vagy"},
		"ro": {"și", "în", "de", "la", "cu", "este", "pentru", "nu", "care", "sunt", "din", "pe"},
		"tr": {"ve", "bir", "bu", "için", "ile", "de", "da", "olarak", "çok", "daha", "gibi", "olan"},
	}
}

// languageOf is the language of a document: what it says itself, or else that
// whose small words are most frequent in its first pages. "" where it cannot be
// told.
func languageOf(doc document.Document) string {
	if tag := analysis.Base(doc.Language); tag != "" {
		return clip(tag, 35)
	}
	sample := doc.Text[:min(len(doc.Text), languageSample)]
	counts := map[string]int{}
	total := 0
	for word := range strings.FieldsFuncSeq(strings.ToLower(string(sample)), func(r rune) bool { return !unicode.IsLetter(r) }) {
		counts[word]++
		total++
	}
	best, hits, second := "", 0, 0
	for tag, words := range smallWords() {
		n := 0
		for _, w := range words {
			n += counts[w]
		}
		if n > hits || n == hits && tag < best {
			best, hits, second = tag, n, hits
		} else if n > second {
			second = n
		}
	}
	if hits*12 < total || hits < 2 || hits == second {
		return "" // too few of them to tell: code, tables, names
	}
	return best
}
