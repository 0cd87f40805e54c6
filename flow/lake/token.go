package lake

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// maxSQL bounds the text of a query, in bytes.
const maxSQL = 1 << 20

// token is a piece of SQL: enough to find names outside of texts and
// comments. The engine has the real parser.
type token struct {
	text   string // as written
	name   string // of an identifier, without its quotes; "" of anything else
	quoted bool
	space  bool // blanks or a comment
}

// rewritten is the token as the engine shall see it. A column named "at" is a
// name that Leat's own tables use and a word of DuckDB's grammar; it is a word
// only before "time zone" and "(".
func (t token) rewritten(next token) string {
	if !t.quoted && strings.EqualFold(t.name, "at") && next.text != "(" && !strings.EqualFold(next.text, "time") {
		return quoted(t.name)
	}
	return t.text
}

// scanSQL takes a query apart. Only what cannot be a query at all is a fault.
func scanSQL(sql string) ([]token, error) {
	if len(sql) > maxSQL {
		return nil, fault.New(fault.TooLarge, "the query has %d bytes, more than %d", len(sql), maxSQL)
	}
	if !utf8.ValidString(sql) {
		return nil, fault.New(fault.Invalid, "the query is not UTF-8")
	}
	var tokens []token
	for rest := sql; rest != ""; {
		t := tokenAt(rest)
		tokens = append(tokens, t)
		rest = rest[len(t.text):]
	}
	return tokens, nil
}

func tokenAt(s string) token {
	first, size := utf8.DecodeRuneInString(s)
	switch {
	case first == '\'':
		return token{text: s[:closing(s, '\'')]}
	case first == '"':
		end := closing(s, '"')
		name := strings.ReplaceAll(strings.Trim(s[:end], `"`), `""`, `"`)
		return token{text: s[:end], name: name, quoted: true}
	case strings.HasPrefix(s, "--"):
		end := strings.IndexByte(s, '\n')
		if end < 0 {
			end = len(s)
		}
		return token{text: s[:end], space: true}
	case strings.HasPrefix(s, "/*"):
		return token{text: s[:commentEnd(s)], space: true}
	case first == '$':
		return token{text: s[:dollarEnd(s)]}
	case unicode.IsSpace(first):
		return token{text: s[:runOf(s, unicode.IsSpace)], space: true}
	case first == '_' || unicode.IsLetter(first):
		end := runOf(s, inName)
		return token{text: s[:end], name: s[:end]}
	case unicode.IsDigit(first):
		return token{text: s[:runOf(s, func(r rune) bool { return inName(r) || r == '.' })]}
	}
	return token{text: s[:size]}
}

func inName(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func runOf(s string, in func(rune) bool) int {
	for i, r := range s {
		if !in(r) {
			return i
		}
	}
	return len(s)
}

// closing returns where a text in quotes ends; doubled quotes are part of it.
func closing(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		if s[i] != quote {
			continue
		}
		if i+1 < len(s) && s[i+1] == quote {
			i++
			continue
		}
		return i + 1
	}
	return len(s)
}

// commentEnd follows comments inside of comments.
func commentEnd(s string) int {
	depth := 0
	for i := 0; i+1 < len(s); i++ {
		switch s[i : i+2] {
		case "/*":
			depth++
			i++
		case "*/":
			depth--
			i++
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}

// dollarEnd returns the end of a text in dollar quotes, or of a placeholder.
func dollarEnd(s string) int {
	tag := 1 + runOf(s[1:], func(r rune) bool { return r != '$' && inName(r) })
	if tag < len(s) && s[tag] == '$' {
		mark := s[:tag+1]
		if at := strings.Index(s[len(mark):], mark); at >= 0 {
			return at + 2*len(mark)
		}
		return len(s)
	}
	return tag
}
