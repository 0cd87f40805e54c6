// Package filter reads the language in which runs, experiments, logged models
// and registered models are searched: comparisons joined by AND, such as
//
//	metrics.auc > 0.9 AND params.`max depth` = '8' AND tags.team IN ('a', 'b')
//
// and orders such as metrics.auc DESC. It stands below the searches: Parse and
// ParseOrder turn text into values, a search says which entities and keys it
// knows and what they mean. Text is untrusted: its length, the number of
// comparisons and of list items are bounded, and there is no recursion.
package filter

import (
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// Bounds of a filter.
const (
	maxText    = 1 << 20 // bytes; a list of run ids may be long
	maxClauses = 200
	maxPattern = 2000 // bytes of a LIKE pattern
)

// Op is a comparison.
type Op string

// The comparisons.
const (
	Equal        Op = "="
	NotEqual     Op = "!="
	Less         Op = "<"
	LessEqual    Op = "<="
	Greater      Op = ">"
	GreaterEqual Op = ">="
	Like         Op = "LIKE"
	ILike        Op = "ILIKE"
	In           Op = "IN"
	NotIn        Op = "NOT IN"
	IsNull       Op = "IS NULL"
	IsNotNull    Op = "IS NOT NULL"
)

// Field is what a comparison or an order is about.
type Field struct {
	Entity string // as written before the first dot: metrics, tags …; "" for none
	Key    string // the rest, without its quotes
}

// String gives the field as people write it.
func (f Field) String() string {
	if f.Entity == "" {
		return f.Key
	}
	return f.Entity + "." + f.Key
}

// Value is what a field is compared with.
type Value struct {
	Kind   ValueKind
	Text   string   // of a Text; of a Number, its digits
	Number float64  // of a Number
	List   []string // of a List: its texts
}

// ValueKind says which part of a Value holds.
type ValueKind int

// The kinds of values.
const (
	None ValueKind = iota // for IS NULL and IS NOT NULL
	Text
	Number
	List
)

// Clause is one comparison.
type Clause struct {
	Field Field
	Op    Op
	Value Value
}

// Order is one part of an order.
type Order struct {
	Field      Field
	Descending bool
}

// Parse reads a filter; all of its clauses have to hold. Blank text has none.
// A mistake is an Invalid fault that says where it stands.
func Parse(text string) ([]Clause, error) {
	tokens, err := scan(text)
	if err != nil {
		return nil, err
	}
	p := parser{text: text, tokens: tokens}
	var clauses []Clause
	for !p.end() {
		if len(clauses) == maxClauses {
			return nil, fault.New(fault.Invalid, "the filter has more than %d comparisons", maxClauses)
		}
		if len(clauses) > 0 && !p.word("AND") {
			return nil, p.mistake("comparisons are joined by AND").Hint("OR and parentheses are not part of the language")
		}
		c, err := p.clause()
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, c)
	}
	return clauses, nil
}

// ParseOrder reads one part of an order: a field, and ASC or DESC.
func ParseOrder(text string) (Order, error) {
	tokens, err := scan(text)
	if err != nil {
		return Order{}, err
	}
	p := parser{text: text, tokens: tokens}
	var o Order
	if o.Field, err = p.field(); err != nil {
		return Order{}, err
	}
	if !p.word("ASC") {
		o.Descending = p.word("DESC")
	}
	if !p.end() {
		return Order{}, p.mistake("an order is a field and ASC or DESC")
	}
	return o, nil
}

// parser walks over the tokens of a text.
type parser struct {
	text   string
	tokens []token
	at     int
}

func (p *parser) end() bool { return p.at >= len(p.tokens) }

// peek returns the token at hand, or one of no kind at the end.
func (p *parser) peek() token {
	if p.end() {
		return token{at: len(p.text)}
	}
	return p.tokens[p.at]
}

// word takes the token at hand if it is a keyword, in either case.
func (p *parser) word(keyword string) bool {
	t := p.peek()
	if t.kind != tokenName || !strings.EqualFold(t.text, keyword) {
		return false
	}
	p.at++
	return true
}

func (p *parser) mistake(what string) *fault.Error {
	t := p.peek()
	if t.kind == tokenNone {
		return fault.New(fault.Invalid, "%s, but the text ends", what)
	}
	return fault.New(fault.Invalid, "%s, but at byte %d stands %.60q", what, t.at, t.source(p.text))
}

func (p *parser) clause() (Clause, error) {
	f, err := p.field()
	if err != nil {
		return Clause{}, err
	}
	op, err := p.op()
	if err != nil {
		return Clause{}, err
	}
	c := Clause{Field: f, Op: op}
	switch op {
	case IsNull, IsNotNull:
		return c, nil
	case In, NotIn:
		c.Value, err = p.list()
	default:
		c.Value, err = p.value()
	}
	if err == nil && (op == Like || op == ILike) && len(c.Value.Text) > maxPattern {
		err = fault.New(fault.Invalid, "a pattern has more than %d bytes", maxPattern)
	}
	return c, err
}

// field reads entity.key, where the key may have dots of its own and either
// may be quoted.
func (p *parser) field() (Field, error) {
	t := p.peek()
	if t.kind != tokenName {
		return Field{}, p.mistake("a comparison begins with a field such as metrics.auc")
	}
	p.at++
	entity, key, dotted := t.split()
	if !dotted {
		return Field{Key: key}, nil
	}
	if key == "" {
		return Field{}, fault.New(fault.Invalid, "the field %q at byte %d has no key", t.source(p.text), t.at)
	}
	return Field{Entity: entity, Key: key}, nil
}

func (p *parser) op() (Op, error) {
	switch t := p.peek(); {
	case t.kind == tokenOp:
		p.at++
		return Op(t.text), nil
	case p.word("LIKE"):
		return Like, nil
	case p.word("ILIKE"):
		return ILike, nil
	case p.word("IN"):
		return In, nil
	case p.word("NOT"):
		if p.word("IN") {
			return NotIn, nil
		}
		return "", p.mistake("after NOT comes IN")
	case p.word("IS"):
		negated := p.word("NOT")
		if !p.word("NULL") {
			return "", p.mistake("after IS comes NULL or NOT NULL")
		}
		if negated {
			return IsNotNull, nil
		}
		return IsNull, nil
	}
	return "", p.mistake("a field is followed by a comparison").Hint("use one of = != < <= > >= LIKE, ILIKE, IN, NOT IN, IS NULL, IS NOT NULL")
}

func (p *parser) value() (Value, error) {
	t := p.peek()
	switch t.kind {
	case tokenText:
		p.at++
		return Value{Kind: Text, Text: t.text}, nil
	case tokenNumber:
		p.at++
		return Value{Kind: Number, Text: t.text, Number: t.number}, nil
	case tokenOpen:
		return p.list()
	}
	return Value{}, p.mistake("a comparison ends with a number or a quoted text")
}

// list reads ('a', 'b'): at least one quoted text.
func (p *parser) list() (Value, error) {
	if p.peek().kind != tokenOpen {
		return Value{}, p.mistake("IN is followed by a list such as ('a', 'b')")
	}
	p.at++
	v := Value{Kind: List}
	for {
		t := p.peek()
		if t.kind != tokenText {
			return Value{}, p.mistake("a list holds quoted texts")
		}
		p.at++
		v.List = append(v.List, t.text)
		if t = p.peek(); t.kind == tokenComma {
			p.at++
			if p.peek().kind != tokenClose { // ('a',) is a list of one
				continue
			}
		}
		if p.peek().kind != tokenClose {
			return Value{}, p.mistake("a list ends with )")
		}
		p.at++
		return v, nil
	}
}
