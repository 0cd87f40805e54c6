package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The rules are those of Unicode's annex 29 for sentences (SB), with what the
// annex leaves to an implementation: abbreviations, initials, ordinal numbers
// of German, marks of references after the full stop, and lines of lists.

func split(text string) []Span {
	s := scanner{text: text}
	s.scan()
	return s.spans
}

type scanner struct {
	text   string
	spans  []Span
	start  int // of the sentence that is open, or -1
	german tristate
}

type tristate int8

func (s *scanner) scan() {
	s.start = -1
	for at := 0; at < len(s.text); {
		r, n := utf8.DecodeRuneInString(s.text[at:])
		if s.start < 0 {
			if unicode.IsSpace(r) {
				at += n
				continue
			}
			s.start = at
		}
		switch {
		case r == '\n':
			if s.endsLine(at) {
				s.end(at)
			}
		case isFinal(r):
			if stop := s.after(at + n); s.ends(r, at, stop) {
				s.end(stop)
				at = stop
				continue
			}
		}
		at += n
	}
	s.end(len(s.text))
}

// end closes the open sentence before a place.
func (s *scanner) end(at int) {
	if s.start < 0 {
		return
	}
	if sentence := strings.TrimRightFunc(s.text[s.start:at], unicode.IsSpace); sentence != "" {
		s.spans = append(s.spans, Span{s.start, s.start + len(sentence)})
	}
	s.start = -1
}

// isFinal tells the marks that can end a sentence.
func isFinal(r rune) bool {
	switch r {
	case '.', '!', '?', '…', '‽', '⁇', '⁈', '⁉':
		return true
	}
	return isWide(r) || isOtherFinal(r)
}

// isWide tells the marks of East Asian writing, which no space follows.
func isWide(r rune) bool {
	switch r {
	case '。', '！', '？', '｡', '．', '︒', '︕', '︖':
		return true
	}
	return false
}

// isOtherFinal tells marks of other scripts that mean nothing else.
func isOtherFinal(r rune) bool {
	switch r {
	case '؟', '۔', '।', '॥', '։', '።', '፧', '។', '။':
		return true
	}
	return false
}

// after moves past what belongs to the end of a sentence: further marks,
// closing quotes and brackets, and references such as [12].
func (s *scanner) after(at int) int {
	for at < len(s.text) {
		r, n := utf8.DecodeRuneInString(s.text[at:])
		switch {
		case isFinal(r) || isCloser(r):
			at += n
		case r == '[' && reference(s.text[at:]) > 0:
			at += reference(s.text[at:])
		case r == ':' && pages(s.text[at:]) > 0:
			at += pages(s.text[at:])
		default:
			return at
		}
	}
	return at
}

func isCloser(r rune) bool {
	switch r {
	case '"', '\'', '”', '“', '’', '»', '›', ')', ']', '}', '」', '』', '）', '】', '》', '〉', '〕', '］', '*', '_', '`':
		return true
	}
	return false
}

// reference is the length of a mark such as [12], [b] or [note 3].
func reference(s string) int {
	const longest = 12
	n := strings.IndexByte(s[:min(len(s), longest)], ']')
	if n < 2 {
		return 0
	}
	if n > 3 && !strings.HasPrefix(s, "[note") && strings.Trim(s[1:n], "0123456789,–- ") != "" {
		return 0
	}
	return n + 1
}

// pages is the length of a page reference such as ":121,154" before a space.
func pages(s string) int {
	rest := strings.TrimLeft(s[1:min(len(s), 24)], "0123456789,–-")
	n := min(len(s), 24) - len(rest)
	if n < 2 || rest == "" || rest[0] != ' ' {
		return 0
	}
	return n
}

// ends tells whether the mark r at a place, with what belongs to it up to
// stop, ends a sentence.
func (s *scanner) ends(r rune, at, stop int) bool {
	if stop >= len(s.text) || isWide(r) || isOtherFinal(r) {
		return true
	}
	next, _ := utf8.DecodeRuneInString(s.text[stop:])
	if !unicode.IsSpace(next) {
		// No space follows: only scripts without spaces go on like that.
		last, _ := utf8.DecodeLastRuneInString(s.text[:stop])
		return isIdeographic(next) && r != '.' || isWide(last)
	}
	rest := strings.TrimLeftFunc(s.text[stop:min(len(s.text), stop+64)], unicode.IsSpace)
	if rest == "" {
		return true
	}
	if s.goesOn(rest) {
		return false
	}
	if r == '.' && s.text[stop-1] == '.' && stop == at+1 {
		return !s.abbreviated(at, rest)
	}
	return true
}

// goesOn tells that what follows a mark continues the sentence: a small
// letter, perhaps after an opening quote, or a comma.
func (s *scanner) goesOn(rest string) bool {
	rest = strings.TrimLeft(rest, "\"'“„«‘‚([*_`")
	r, _ := utf8.DecodeRuneInString(rest)
	return unicode.IsLower(r) || r == ',' || r == ';' || r == ':' || r == '،' || r == '；' || r == '，'
}

func isIdeographic(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
}

// endsLine tells whether the line end at a place ends a sentence: before an
// empty line, and before a line that begins an item, a heading or a row.
func (s *scanner) endsLine(at int) bool {
	rest := strings.TrimLeft(s.text[at+1:min(len(s.text), at+65)], " \t\r")
	if rest == "" {
		return true
	}
	switch rest[0] {
	case '\n', '#', '|', '>':
		return true
	case '-', '*', '+':
		return len(rest) > 1 && (rest[1] == ' ' || rest[1] == '\t')
	}
	if strings.HasPrefix(rest, "•") || strings.HasPrefix(rest, "```") {
		return true
	}
	digits := strings.TrimLeft(rest, "0123456789")
	n := len(rest) - len(digits)
	return n > 0 && n < 4 && len(digits) > 1 && (digits[0] == '.' || digits[0] == ')') && digits[1] == ' '
}

// abbreviated tells whether the full stop at a place belongs to what stands
// before it and not to the sentence; rest is what follows the space.
func (s *scanner) abbreviated(at int, rest string) bool {
	word := s.wordBefore(at)
	if word == "" {
		return false
	}
	begin := at - len(word)
	next := firstWord(rest)
	if isNumber(word) {
		return begin == s.start || s.ordinal(word, next)
	}
	folded := strings.ToLower(word)
	switch abbreviations[folded] {
	case always:
		return true
	case beforeNumber:
		if next != "" && (next[0] >= '0' && next[0] <= '9' || strings.Trim(next, "IVXLC") == "") {
			return true
		}
	case sometimes:
		return !starters[strings.ToLower(next)]
	}
	if begin == s.start && len(word) == 1 {
		return true // "a. First"
	}
	if strings.Contains(word, ".") && initials(word) {
		return !starters[strings.ToLower(next)]
	}
	if utf8.RuneCountInString(word) == 1 {
		return s.letter(word, begin, next)
	}
	return false
}

// letter tells whether a letter with a full stop is an initial.
func (s *scanner) letter(word string, begin int, next string) bool {
	r, _ := utf8.DecodeRuneInString(word)
	if !unicode.IsLetter(r) || isIdeographic(r) {
		return false
	}
	if !unicode.IsUpper(r) && !unicode.IsLower(r) {
		// A unit after a number may end a sentence in scripts without capitals.
		before := strings.TrimRightFunc(s.text[max(0, begin-4):begin], unicode.IsSpace)
		last, _ := utf8.DecodeLastRuneInString(before)
		return !unicode.IsDigit(last)
	}
	return !starters[strings.ToLower(next)]
}

// initials tells words such as U.S, z.B or a.C: letters parted by full stops.
func initials(word string) bool {
	for part := range strings.SplitSeq(word, ".") {
		if utf8.RuneCountInString(part) > 2 {
			return false
		}
	}
	return true
}

const longestWord = 24

// wordBefore is what stands before a place up to a space, a bracket or a quote.
func (s *scanner) wordBefore(at int) string {
	begin := at
	for begin > s.start && at-begin < longestWord {
		r, n := utf8.DecodeLastRuneInString(s.text[:begin])
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '.' {
			break
		}
		begin -= n
	}
	word := s.text[begin:at]
	trimmed := strings.TrimLeft(word, ".")
	return trimmed
}

func firstWord(s string) string {
	s = strings.TrimLeft(s, "\"'“„«‘‚([*_`¿¡")
	end := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) })
	if end < 0 {
		return s
	}
	return s[:end]
}

func isNumber(word string) bool {
	return strings.Trim(word, "0123456789.") == ""
}

// ordinal tells German ordinal numbers, "am 3. Oktober", from numbers that end
// a sentence: by the noun that follows, or, in a German text, by a following
// noun that does not begin sentences.
func (s *scanner) ordinal(number, next string) bool {
	if len(number) > 2 && !strings.Contains(number, ".") || next == "" {
		return false
	}
	folded := strings.ToLower(next)
	if ordinalNouns[folded] {
		return true
	}
	if !s.isGerman() || starters[folded] {
		return false
	}
	r, _ := utf8.DecodeRuneInString(next)
	return unicode.IsUpper(r)
}

// isGerman looks at the small words of the beginning.
func (s *scanner) isGerman() bool {
	if s.german == 0 {
		const enough = 4096
		head := s.text[:min(len(s.text), enough)]
		hits := 0
		for _, w := range []string{" der ", " die ", " das ", " und ", " ist ", " von ", " den ", " mit "} {
			hits += strings.Count(head, w)
		}
		for _, w := range []string{" the ", " of ", " and ", " la ", " el ", " de "} {
			hits -= strings.Count(head, w)
		}
		s.german = -1
		if hits > 0 {
			s.german = 1
		}
	}
	return s.german > 0
}
