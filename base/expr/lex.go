package expr

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

type tokenKind uint8

const (
	tEnd    tokenKind = iota
	tWord             // a keyword, a function or a name; text as written
	tQuoted           // a name in double quotes; text without them
	tString           // a string literal; text without its quotes
	tNumber           // digits, with a point or exponent perhaps
	tOp               // an operator or a bracket
)

type token struct {
	kind tokenKind
	text string
	at   int // byte offset
	end  int // byte offset after it
}

// keyword reports whether the token is the given lower-case keyword.
func (t token) keyword(word string) bool {
	return t.kind == tWord && len(t.text) == len(word) && strings.EqualFold(t.text, word)
}

func (t token) op(text string) bool { return t.kind == tOp && t.text == text }

// describe names the token in a sentence.
func (t token) describe() string {
	switch t.kind {
	case tEnd:
		return "the end"
	case tString:
		return "a string"
	}
	return "\"" + clip(t.text) + "\""
}

// next reads the token that starts at or after byte offset at.
func (p *parser) lex(at int) (token, error) {
	for at < len(p.src) && isSpace(p.src[at]) {
		at++
	}
	if at == len(p.src) {
		return token{kind: tEnd, at: at, end: at}, nil
	}
	c := p.src[at]
	switch {
	case c == '\'' || c == '"':
		return p.lexQuoted(at, c)
	case isDigit(c), c == '.' && at+1 < len(p.src) && isDigit(p.src[at+1]):
		return p.lexNumber(at)
	}
	if end := wordEnd(p.src, at); end > at {
		return token{kind: tWord, text: p.src[at:end], at: at, end: end}, nil
	}
	for _, op := range []string{"<=", ">=", "<>", "!=", "==", "||", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ",", "."} {
		if strings.HasPrefix(p.src[at:], op) {
			return token{kind: tOp, text: op, at: at, end: at + len(op)}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(p.src[at:])
	return token{}, p.strange(at, r)
}

func (p *parser) strange(at int, r rune) error {
	err := p.fail(at, "the character %q has no meaning here", r)
	switch r {
	case '&':
		return err.Hint("write and")
	case '|':
		return err.Hint("write or; || joins strings")
	case '!':
		return err.Hint("write not, or <> to compare")
	case ':':
		return err.Hint("write cast(x as type)")
	case ';':
		return err.Hint("an expression is one value; leave the semicolon out")
	case '‘', '’', '“', '”':
		return err.Hint("use the straight quotes ' and \"")
	}
	return err.Hint("a name that is not a plain word stands in double quotes")
}

// lexQuoted reads 'text' or "name"; a doubled quote stands for itself.
func (p *parser) lexQuoted(at int, quote byte) (token, error) {
	var b strings.Builder
	for i := at + 1; i < len(p.src); i++ {
		if p.src[i] != quote {
			b.WriteByte(p.src[i])
			continue
		}
		if i+1 < len(p.src) && p.src[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		t := token{kind: tString, text: b.String(), at: at, end: i + 1}
		if quote == '"' {
			t.kind = tQuoted
		}
		if !utf8.ValidString(t.text) {
			return token{}, p.fail(at, "the quoted text is not UTF-8")
		}
		return t, nil
	}
	return token{}, p.fail(at, "the quote that opens here is never closed").
		Hint("close it with %c; write it twice to have it in the text", quote)
}

func (p *parser) lexNumber(at int) (token, error) {
	i := at
	digits := func() {
		for i < len(p.src) && isDigit(p.src[i]) {
			i++
		}
	}
	digits()
	if i < len(p.src) && p.src[i] == '.' {
		i++
		digits()
	}
	if i < len(p.src) && (p.src[i] == 'e' || p.src[i] == 'E') {
		i++
		if i < len(p.src) && (p.src[i] == '+' || p.src[i] == '-') {
			i++
		}
		digits()
	}
	if end := wordEnd(p.src, i); end > i || i < len(p.src) && p.src[i] == '.' {
		return token{}, p.fail(at, "%q is neither a number nor a name", clip(p.src[at:max(end, i+1)])).
			Hint("a name that starts with a digit stands in double quotes")
	}
	return token{kind: tNumber, text: p.src[at:i], at: at, end: i}, nil
}

// wordEnd returns the end of the word that starts at byte offset at, or at
// itself where none does. Words are letters, digits and underscores of any
// script; wordEnd is also asked about the middle of one.
func wordEnd(src string, at int) int {
	for at < len(src) {
		r, n := utf8.DecodeRuneInString(src[at:])
		if r == utf8.RuneError && n == 1 || r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			break
		}
		at += n
	}
	return at
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// fail makes an Invalid fault that stands at a byte offset of the source.
func (p *parser) fail(at int, format string, args ...any) *fault.Error {
	return failAt(p.src, at, format, args...)
}

func failAt(src string, at int, format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, format, args...).At("column %d", utf8.RuneCountInString(src[:min(at, len(src))])+1)
}
