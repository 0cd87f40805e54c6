package document

import (
	"bytes"
	"html"
	"strconv"
	"strings"
	"unicode"
)

// Plain is a piece of text without the marks of its format: of Markdown the
// marks of headings, emphasis, code, links and HTML tags go, and what they
// enclose stays. Other formats have none. It serves titles and headings; what
// is quoted is the text itself.
func Plain(format Format, text []byte) string {
	s := string(bytes.TrimSpace(text))
	if format != Markdown {
		return s
	}
	if i := strings.LastIndexByte(s, '\n'); i >= 0 && strings.Trim(s[i:], "=- \t\r\n") == "" {
		s = s[:i] // the underline of a heading
	}
	if rest := strings.TrimLeft(s, "#"); len(rest) < len(s) && (rest == "" || rest[0] == ' ' || rest[0] == '\t') {
		s = strings.TrimSpace(rest)
		if cut := strings.TrimRight(s, "#"); strings.HasSuffix(cut, " ") {
			s = cut
		}
	}
	return strings.TrimSpace(html.UnescapeString(unmark(s)))
}

// unmark drops the marks within a line of Markdown.
func unmark(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte("\\`*_{}[]()#+-.!|<>~:\"'", s[i+1]) >= 0:
			i++
			b.WriteByte(s[i])
		case c == '`' || c == '*':
		case c == '_' && !(between(s, i)):
		case c == '<' && tagEnd(s[i:]) > 0:
			i += tagEnd(s[i:]) - 1
		case c == '!' && strings.HasPrefix(s[i:], "!["):
		case c == '[':
		case c == ']':
			if i+1 < len(s) && s[i+1] == '(' {
				if n := strings.IndexByte(s[i:], ')'); n >= 0 {
					i += n
				}
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// between tells that a place has letters on both sides: no mark of emphasis.
func between(s string, i int) bool {
	return i > 0 && i+1 < len(s) && isWord(s[i-1]) && isWord(s[i+1])
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// tagEnd is the length of the HTML tag that s begins with, or 0.
func tagEnd(s string) int {
	if len(s) < 3 || s[1] != '/' && s[1] != '!' && !isLetter(s[1]) {
		return 0
	}
	if strings.HasPrefix(s, "<!--") {
		if n := strings.Index(s, "-->"); n >= 0 {
			return n + 3
		}
		return 0
	}
	const longest = 2000
	if n := strings.IndexByte(s[:min(len(s), longest)], '>'); n >= 0 {
		return n + 1
	}
	return 0
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// onlyMarkup tells that there is nothing to read between the HTML tags.
func onlyMarkup(text []byte) bool {
	if text[0] != '<' {
		return false
	}
	for s := string(text); s != ""; {
		if s[0] == '<' {
			if n := tagEnd(s); n > 0 {
				if strings.HasPrefix(s, "<img") {
					return false
				}
				s = s[n:]
				continue
			}
		}
		if !isSpace(s[0]) {
			return false
		}
		s = s[1:]
	}
	return true
}

// firstAnchor is the first name or id of an HTML tag in Markdown.
func firstAnchor(text []byte) string {
	for {
		i := bytes.IndexByte(text, '<')
		if i < 0 {
			return ""
		}
		text = text[i:]
		n := tagEnd(string(text[:min(len(text), 512)]))
		if n == 0 {
			text = text[1:]
			continue
		}
		if a := attribute(string(text[:n]), "name"); a != "" && isAnchorTag(text) {
			return a
		}
		if a := attribute(string(text[:n]), "id"); a != "" {
			return a
		}
		text = text[n:]
	}
}

func isAnchorTag(tag []byte) bool { return len(tag) > 2 && tag[1]|0x20 == 'a' && isSpace(tag[2]) }

// attribute is the value of a quoted attribute of a tag.
func attribute(tag, name string) string {
	_, rest, ok := strings.Cut(tag, " "+name+"=")
	if !ok || len(rest) < 2 || rest[0] != '"' && rest[0] != '\'' {
		return ""
	}
	value, _, ok := strings.Cut(rest[1:], rest[:1])
	if !ok || strings.ContainsAny(value, " \t\r\n") {
		return ""
	}
	return html.UnescapeString(value)
}

// slugOf is how renderers of Markdown name a heading.
func slugOf(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		case r == ' ':
			return '-'
		}
		return -1
	}, text)
}

func itoa(n int) string { return strconv.Itoa(n) }
