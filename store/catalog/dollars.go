package catalog

import (
	"strconv"
	"strings"
)

// Dollars rewrites the ? parameters of a statement to $1, $2, … as PostgreSQL
// wants them. What stands in quotes, dollar quotes or comments stays as it
// is.
func Dollars(statement string) string {
	if !strings.Contains(statement, "?") {
		return statement
	}
	var b strings.Builder
	b.Grow(len(statement) + 16)
	for n := 0; statement != ""; {
		skip := quoted(statement)
		switch {
		case skip > 0:
			b.WriteString(statement[:skip])
		case statement[0] == '?':
			n++
			b.WriteString("$" + strconv.Itoa(n))
			skip = 1
		default:
			b.WriteByte(statement[0])
			skip = 1
		}
		statement = statement[skip:]
	}
	return b.String()
}

// quoted returns the length of the quoted text or comment that s begins with,
// or 0. One that does not end goes to the end of s: the database will say so.
func quoted(s string) int {
	switch {
	case s[0] == '\'' || s[0] == '"':
		return to(s, s[:1], 1) // a doubled quote is two strings in a row, which is as good
	case strings.HasPrefix(s, "--"):
		return to(s, "\n", 2)
	case strings.HasPrefix(s, "/*"):
		return comment(s)
	case s[0] == '$':
		return dollarQuoted(s)
	case isWord(s[0]):
		return word(s)
	}
	return 0
}

// word returns the length of the identifier, keyword or number that s begins
// with, together with the string after it where that is an E'…', in which a
// backslash escapes. A dollar within an identifier opens no quote.
func word(s string) int {
	n := 1
	for n < len(s) && (isWord(s[n]) || s[n] == '$') {
		n++
	}
	if n != 1 || s[0]|0x20 != 'e' || len(s) < 2 || s[1] != '\'' {
		return n
	}
	for i := 2; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\'':
			return i + 1
		}
	}
	return len(s)
}

// comment returns the length of a /* comment */, which may hold others.
func comment(s string) int {
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

// dollarQuoted returns the length of $tag$ … $tag$, or 0 for a lone dollar.
func dollarQuoted(s string) int {
	n := 1
	for n < len(s) && isWord(s[n]) {
		n++
	}
	if n == len(s) || s[n] != '$' || (n > 1 && s[1] >= '0' && s[1] <= '9') {
		return 0
	}
	tag := s[:n+1]
	return to(s, tag, len(tag))
}

// to returns where end ends in s, searched from an offset on.
func to(s, end string, from int) int {
	if i := strings.Index(s[from:], end); i >= 0 {
		return from + i + len(end)
	}
	return len(s)
}

func isWord(c byte) bool {
	return c == '_' || c >= 0x80 || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
