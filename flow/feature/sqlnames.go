package feature

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mentions tells whether SQL has an identifier of a name in it, quoted or not, in
// whatever case. Strings and comments do not count. It errs on the side of
// finding one: it does not know what an identifier belongs to.
func mentions(sql, name string) bool {
	for sql != "" {
		switch {
		case strings.HasPrefix(sql, "--"):
			_, sql, _ = strings.Cut(sql, "\n")
		case strings.HasPrefix(sql, "/*"):
			_, sql, _ = strings.Cut(sql[2:], "*/")
		case sql[0] == '\'':
			_, sql = quoted(sql, '\'')
		case sql[0] == '"':
			var id string
			if id, sql = quoted(sql, '"'); strings.EqualFold(id, name) {
				return true
			}
		default:
			n := wordLength(sql)
			if strings.EqualFold(sql[:n], name) {
				return true
			}
			sql = sql[max(n, 1):]
		}
	}
	return false
}

// quoted takes a quoted text off the front of sql; a doubled quote stands for
// itself.
func quoted(sql string, quote byte) (text, rest string) {
	var b strings.Builder
	for i := 1; i < len(sql); i++ {
		switch {
		case sql[i] != quote:
			b.WriteByte(sql[i])
		case i+1 < len(sql) && sql[i+1] == quote:
			b.WriteByte(quote)
			i++
		default:
			return b.String(), sql[i+1:]
		}
	}
	return b.String(), ""
}

// wordLength is how many bytes at the front of s are letters, digits and
// underscores.
func wordLength(s string) int {
	n := 0
	for n < len(s) {
		r, size := utf8.DecodeRuneInString(s[n:])
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		n += size
	}
	return n
}
