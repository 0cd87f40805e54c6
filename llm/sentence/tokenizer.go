package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// tokenizer cuts text as BERT does: into words and marks, and those into
// pieces of a vocabulary. It is immutable and safe for many goroutines.
type tokenizer struct {
	vocabulary   map[string]int32
	prefix       string // of a piece that continues a word: "##"
	unknown      int32
	first, last  int32 // what stands around a text: [CLS] and [SEP]
	pad          int32
	longestWord  int // in characters; a longer word is unknown
	longestPiece int // in bytes
	special      []string
	begins       [256]bool // whether a special token begins with a byte
	clean        bool      // drop control characters
	ideographs   bool      // each ideograph is a word
	strip        bool      // drop accents
	lower        bool
}

// longestChunk bounds how much text without a space is looked at in one: far
// more than a word may have.
const longestChunk = 1 << 16

// encode returns the tokens of a text, those around it included, at most most
// of them: what is behind is left out, and not read.
func (t *tokenizer) encode(text string, most int) []int32 {
	c := cutter{tokenizer: t, most: most - 1, tokens: make([]int32, 1, min(most, len(text)/3+8))}
	c.tokens[0] = t.first
	c.text(text)
	return append(c.tokens, t.last)
}

// specialAt returns the special token that a text begins with, "" for none.
// One that is written out in a text means the token, as it does for the
// model's own library.
func (t *tokenizer) specialAt(text string) string {
	longest := ""
	for _, s := range t.special {
		if len(s) > len(longest) && strings.HasPrefix(text, s) {
			longest = s
		}
	}
	return longest
}

// cutter collects the tokens of one text.
type cutter struct {
	*tokenizer
	most   int
	tokens []int32
	chunk  []byte // what stands between two spaces, cleaned
	plain  []byte // the same without accents
	word   []byte
}

func (c *cutter) full() bool { return len(c.tokens) >= c.most }

func (c *cutter) add(token int32) {
	if !c.full() {
		c.tokens = append(c.tokens, token)
	}
}

func (c *cutter) text(text string) {
	for i, skip := 0, 0; i < len(text) && !c.full(); i += skip {
		if c.begins[text[i]] {
			if token := c.specialAt(text[i:]); token != "" {
				c.flush()
				c.add(c.vocabulary[token])
				skip = len(token)
				continue
			}
		}
		r := rune(0)
		r, skip = utf8.DecodeRuneInString(text[i:])
		c.character(r)
	}
	c.flush()
}

func (c *cutter) character(r rune) {
	switch {
	case c.clean && (r == 0 || r == utf8.RuneError || isControl(r)):
	case unicode.IsSpace(r):
		c.flush()
	case c.ideographs && isIdeograph(r):
		c.flush()
		c.chunk = utf8.AppendRune(c.chunk, r)
		c.flush()
	default:
		if c.chunk = utf8.AppendRune(c.chunk, r); len(c.chunk) > longestChunk {
			c.flush()
		}
	}
}

// flush takes a chunk apart into words and marks.
func (c *cutter) flush() {
	if len(c.chunk) == 0 {
		return
	}
	from := c.chunk
	if c.strip {
		c.plain = norm.NFD.Append(c.plain[:0], c.chunk...)
		from = c.plain
	}
	c.word = c.word[:0]
	for len(from) > 0 {
		r, size := utf8.DecodeRune(from)
		from = from[size:]
		if c.strip && unicode.Is(unicode.Mn, r) {
			continue
		}
		switch {
		case isPunctuation(r):
			c.pieces()
			c.word = utf8.AppendRune(c.word, r)
			c.pieces()
		case c.lower:
			c.word = appendLower(c.word, r)
		default:
			c.word = utf8.AppendRune(c.word, r)
		}
	}
	c.pieces()
	c.chunk = c.chunk[:0]
}

// appendLower appends a letter in lower case. One letter has two in lower
// case.
func appendLower(b []byte, r rune) []byte {
	if r == 'İ' {
		return append(b, "i̇"...)
	}
	return utf8.AppendRune(b, unicode.ToLower(r))
}

// pieces adds the tokens of a word: at each place the longest piece that the
// vocabulary has. A word that is not made of pieces is unknown as a whole.
func (c *cutter) pieces() {
	word := c.word
	c.word = c.word[:0]
	if len(word) == 0 || c.full() {
		return
	}
	if len(word) > c.longestWord && utf8.RuneCount(word) > c.longestWord {
		c.add(c.unknown)
		return
	}
	begin := len(c.tokens)
	key := make([]byte, 0, 64)
	for at := 0; at < len(word); {
		end, token := 0, int32(-1)
		prefix := c.prefix
		if at == 0 {
			prefix = ""
		}
		for end = min(len(word), at+c.longestPiece); end > at; end-- {
			if end < len(word) && !utf8.RuneStart(word[end]) {
				continue
			}
			key = append(append(key[:0], prefix...), word[at:end]...)
			if id, ok := c.vocabulary[string(key)]; ok {
				token = id
				break
			}
		}
		if token < 0 {
			c.tokens = append(c.tokens[:begin], c.unknown)
			return
		}
		c.tokens = append(c.tokens, token)
		at = end
	}
	if len(c.tokens) > c.most {
		c.tokens = c.tokens[:c.most]
	}
}

// isControl tells what a text is cleaned of: control and format characters,
// and those of private use. Tabs and line ends are spaces.
func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)
}

// isPunctuation tells marks, which are words of their own: those of Unicode,
// and what ASCII has beside letters and digits.
func isPunctuation(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~'
	}
	return unicode.Is(unicode.P, r)
}

// isIdeograph tells the characters that BERT takes for words of their own. The
// gap in the sixth range is BERT's.
func isIdeograph(r rune) bool {
	return r >= 0x3400 && (r <= 0x4DBF || r >= 0x4E00 && r <= 0x9FFF || r >= 0xF900 && r <= 0xFAFF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF || r >= 0x2F800 && r <= 0x2FA1F)
}
