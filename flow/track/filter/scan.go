package filter

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

type tokenKind int

const (
	tokenNone   tokenKind = iota
	tokenName             // a field or a keyword
	tokenText             // 'quoted', or "quoted" where a value stands
	tokenNumber           // 1, -0.5, 1e3
	tokenOp               // = != < <= > >=
	tokenOpen
	tokenClose
	tokenComma
)

// token is a piece of text. A quoted "…" is a value after a comparison and a
// field before one; the scanner knows which by what came before.
type token struct {
	kind   tokenKind
	at     int // byte of the source
	end    int
	text   string // without quotes
	number float64
	// dot is where in text the first part of a name ends: the entity. -1
	// where there is no dot outside quotes.
	dot int
}

func (t token) source(text string) string { return text[t.at:t.end] }

// split takes a name apart at the first dot that is not quoted.
func (t token) split() (entity, key string, dotted bool) {
	if t.dot < 0 {
		return "", t.text, false
	}
	return t.text[:t.dot], t.text[t.dot:], true
}

// scan cuts a text into tokens.
func scan(text string) ([]token, error) {
	if len(text) > maxText {
		return nil, fault.New(fault.Invalid, "the filter has %d bytes; %d is the most", len(text), maxText)
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.Invalid, "the filter is not UTF-8")
	}
	var tokens []token
	for at := 0; ; {
		at += len(text[at:]) - len(strings.TrimLeftFunc(text[at:], unicode.IsSpace))
		if at == len(text) {
			return tokens, nil
		}
		t, err := next(text, at, valueNext(tokens))
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at = t.end
	}
}

// valueNext tells whether what comes after some tokens is a value.
func valueNext(before []token) bool {
	if len(before) == 0 {
		return false
	}
	last := before[len(before)-1]
	switch last.kind {
	case tokenOp, tokenOpen, tokenComma:
		return true
	case tokenName:
		return strings.EqualFold(last.text, string(Like)) || strings.EqualFold(last.text, string(ILike))
	}
	return false
}

// next reads the token that begins at a byte of a text.
func next(text string, at int, value bool) (token, error) {
	c := text[at]
	one := func(kind tokenKind) (token, error) { return token{kind: kind, at: at, end: at + 1}, nil }
	switch {
	case c == '(':
		return one(tokenOpen)
	case c == ')':
		return one(tokenClose)
	case c == ',':
		return one(tokenComma)
	case strings.IndexByte("=!<>", c) >= 0:
		return operator(text, at)
	case c == '\'' || c == '"' && value:
		inner, end, err := quoted(text, at)
		return token{kind: tokenText, at: at, end: end, text: inner}, err
	case value && (c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9'):
		return numeral(text, at)
	}
	return name(text, at)
}

func operator(text string, at int) (token, error) {
	end := at + 1
	if end < len(text) && text[end] == '=' {
		end++
	}
	op := text[at:end]
	switch op {
	case "==":
		op = "="
	case "!":
		return token{}, fault.New(fault.Invalid, "at byte %d stands ! alone", at).Hint("write != for not equal")
	case "<":
		if end < len(text) && text[end] == '>' {
			op, end = "!=", end+1
		}
	}
	return token{kind: tokenOp, at: at, end: end, text: op}, nil
}

// quoted reads a text between two quotes; a doubled quote stands for one.
func quoted(text string, at int) (inner string, end int, err error) {
	quote := text[at : at+1]
	var b strings.Builder
	for from := at + 1; ; {
		n := strings.Index(text[from:], quote)
		if n < 0 {
			return "", 0, fault.New(fault.Invalid, "the quote at byte %d does not end", at)
		}
		b.WriteString(text[from : from+n])
		from += n + 1
		if !strings.HasPrefix(text[from:], quote) {
			return b.String(), from, nil
		}
		b.WriteString(quote)
		from++
	}
}

func numeral(text string, at int) (token, error) {
	end := at
	for end < len(text) && (isWord(rune(text[end])) || strings.IndexByte("+-.", text[end]) >= 0) {
		end++
	}
	n, err := strconv.ParseFloat(text[at:end], 64)
	if err != nil && !math.IsInf(n, 0) || strings.ContainsAny(text[at:end], "_xXpPnN") {
		return token{}, fault.New(fault.Invalid, "at byte %d stands %.60q, which is not a number", at, text[at:end])
	}
	return token{kind: tokenNumber, at: at, end: end, text: text[at:end], number: n}, nil
}

// name reads parts joined by dots, each plain or between backticks or double
// quotes: metrics.auc, params.`max depth`, tags."mlflow.source.name".
func name(text string, at int) (token, error) {
	t := token{kind: tokenName, at: at, dot: -1}
	var b strings.Builder
	for end := at; ; end++ {
		part, next, err := part(text, end)
		if err != nil {
			return token{}, err
		}
		b.WriteString(part)
		end = next
		if end >= len(text) || text[end] != '.' {
			t.text, t.end = b.String(), end
			return t, nil
		}
		if t.dot < 0 {
			t.dot = b.Len()
			continue // the dot between entity and key is part of neither
		}
		b.WriteByte('.')
	}
}

func part(text string, at int) (inner string, end int, err error) {
	if at < len(text) && (text[at] == '`' || text[at] == '"') {
		return quoted(text, at)
	}
	end = at
	for end < len(text) {
		r, size := utf8.DecodeRuneInString(text[end:])
		if !isWord(r) && r != '-' && r != '/' && r != ':' && r != '@' {
			break
		}
		end += size
	}
	if end == at {
		return "", 0, fault.New(fault.Invalid, "at byte %d stands %.20q, which begins nothing", at, text[at:]).
			Hint("quote a key with other characters: params.`a b`")
	}
	return text[at:end], end, nil
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }
