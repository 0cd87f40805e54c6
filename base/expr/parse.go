package expr

import (
	"math"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// parser is a recursive descent over the grammar, loosest first:
//
//	or     = and { "or" and }
//	and    = not { "and" not }
//	not    = "not" not | compare
//	compare= concat [ op concat | "is" … | "between" … | "in" … | "like" … ]
//	concat = sum { "||" sum }
//	sum    = product { ("+" | "-") product }
//	product= minus { ("*" | "/" | "%") minus }
//	minus  = "-" minus | primary
//
// Depth and parts are counted on the way, so that no source can take more
// stack or memory than the bounds allow.
type parser struct {
	src   string
	tok   token
	depth int
	parts int
	refs  []Ref
}

// reserved words cannot be names without quotes.
var reserved = map[string]bool{
	"and": true, "or": true, "not": true, "is": true, "null": true, "true": true, "false": true,
	"between": true, "in": true, "like": true, "case": true, "when": true, "then": true, "else": true,
	"end": true, "cast": true, "as": true,
}

func (p *parser) parse() (node, error) {
	if err := p.next(0); err != nil {
		return nil, err
	}
	if p.tok.kind == tEnd {
		return nil, p.fail(0, "the expression is empty")
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tEnd {
		return nil, p.trailing()
	}
	return root, nil
}

func (p *parser) trailing() error {
	err := p.fail(p.tok.at, "%s cannot follow here", p.tok.describe())
	switch {
	case p.tok.op(")"):
		return err.Hint("a bracket closes that was never opened")
	case p.tok.kind == tOp && comparisons[p.tok.text] != "":
		return err.Hint("comparisons do not chain; write a < b and b < c, or between")
	case p.tok.kind == tWord, p.tok.kind == tQuoted:
		return err.Hint("an operator is missing, or a name with a space in it needs double quotes")
	}
	return err.Hint("an operator is missing")
}

// next reads the token after byte offset at.
func (p *parser) next(at int) (err error) {
	p.tok, err = p.lex(at)
	return err
}

func (p *parser) advance() error { return p.next(p.tok.end) }

// take advances over a keyword or operator where it stands.
func (p *parser) take(text string) (bool, error) {
	if !p.tok.op(text) && !p.tok.keyword(text) {
		return false, nil
	}
	return true, p.advance()
}

func (p *parser) expect(text, hint string) error {
	ok, err := p.take(text)
	if err == nil && !ok {
		return p.fail(p.tok.at, "%q should stand here, not %s", text, p.tok.describe()).Hint("%s", hint)
	}
	return err
}

// part counts one more part, and refuses the one too many.
func (p *parser) part() error {
	if p.parts++; p.parts > MaxParts {
		return p.fail(p.tok.at, "the expression has more than %d parts", MaxParts).
			Hint("compute part of it in SQL, or as a feature of its own")
	}
	return nil
}

// step counts a part and advances over its token.
func (p *parser) step() error {
	if err := p.part(); err != nil {
		return err
	}
	return p.advance()
}

// deeper runs f one level down.
func (p *parser) deeper(f func() (node, error)) (node, error) {
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fail(p.tok.at, "the expression is nested more than %d deep", MaxDepth).
			Hint("compute part of it as a feature of its own")
	}
	n, err := f()
	p.depth--
	return n, err
}

// chain parses operand { op operand } for operators of one precedence.
func (p *parser) chain(operand func() (node, error), ops ...string) (node, error) {
	x, err := operand()
	for err == nil {
		op, at := p.oneOf(ops), p.tok.at
		if op == "" {
			return x, nil
		}
		if err = p.step(); err != nil {
			break
		}
		var y node
		if y, err = operand(); err == nil {
			x = &binary{pos(at), op, x, y}
		}
	}
	return nil, err
}

func (p *parser) oneOf(ops []string) string {
	for _, op := range ops {
		if p.tok.op(op) || p.tok.keyword(op) {
			return op
		}
	}
	return ""
}

func (p *parser) or() (node, error) {
	return p.deeper(func() (node, error) { return p.chain(p.and, "or") })
}
func (p *parser) and() (node, error) { return p.chain(p.not, "and") }

func (p *parser) not() (node, error) {
	if !p.tok.keyword("not") {
		return p.compare()
	}
	return p.prefix("not", p.not)
}

func (p *parser) prefix(op string, operand func() (node, error)) (node, error) {
	at := p.tok.at
	if err := p.step(); err != nil {
		return nil, err
	}
	x, err := p.deeper(operand)
	if err != nil {
		return nil, err
	}
	return &unary{pos(at), op, x}, nil
}

// comparisons maps the operators as written to the ones of the tree.
var comparisons = map[string]string{
	"=": "=", "==": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}

func (p *parser) compare() (node, error) {
	x, err := p.concat()
	if err != nil {
		return nil, err
	}
	at := p.tok.at
	if op := comparisons[p.tok.text]; p.tok.kind == tOp && op != "" {
		if err := p.step(); err != nil {
			return nil, err
		}
		y, err := p.concat()
		if err != nil {
			return nil, err
		}
		return &binary{pos(at), op, x, y}, nil
	}
	for {
		y, err := p.predicate(x)
		if err != nil || y == nil {
			return x, err
		}
		x = y
	}
}

// predicate parses what may follow a value: is, between, in, like. It returns
// nil where none of them stands.
func (p *parser) predicate(x node) (node, error) {
	at := pos(p.tok.at)
	if p.tok.keyword("is") {
		return p.isNull(at, x)
	}
	not, err := p.take("not")
	if err != nil {
		return nil, err
	}
	for _, kind := range []struct {
		word  string
		parse func(at pos, x node, not bool) (node, error)
	}{{"between", p.between}, {"in", p.in}, {"like", p.like}} {
		if p.tok.keyword(kind.word) {
			if err := p.step(); err != nil {
				return nil, err
			}
			return kind.parse(at, x, not)
		}
	}
	if not {
		return nil, p.fail(p.tok.at, "between, in or like should follow not, not %s", p.tok.describe())
	}
	return nil, nil
}

func (p *parser) isNull(at pos, x node) (node, error) {
	if err := p.step(); err != nil {
		return nil, err
	}
	not, err := p.take("not")
	if err != nil {
		return nil, err
	}
	return &isNull{at, x, not}, p.expect("null", "only null can be asked for with is; compare with = otherwise")
}

func (p *parser) between(at pos, x node, not bool) (node, error) {
	lo, err := p.concat()
	if err != nil {
		return nil, err
	}
	if err := p.expect("and", "write x between low and high"); err != nil {
		return nil, err
	}
	hi, err := p.concat()
	return &between{at, x, lo, hi, not}, err
}

func (p *parser) in(at pos, x node, not bool) (node, error) {
	if err := p.expect("(", "write x in ('a', 'b')"); err != nil {
		return nil, err
	}
	list, err := p.list()
	if err == nil && len(list) == 0 {
		err = p.fail(int(at), "the list of in is empty").Hint("write x in ('a', 'b')")
	}
	return &in{at, x, list, not}, err
}

func (p *parser) like(at pos, x node, not bool) (node, error) {
	pattern, err := p.concat()
	return &like{at, x, pattern, not}, err
}

// list parses values up to the closing bracket, the opening one being read.
func (p *parser) list() ([]node, error) {
	var list []node
	if ok, err := p.take(")"); ok || err != nil {
		return nil, err
	}
	for {
		x, err := p.or()
		if err != nil {
			return nil, err
		}
		list = append(list, x)
		if ok, err := p.take(")"); ok || err != nil {
			return list, err
		}
		if err := p.expect(",", "a bracket that opened before is not closed"); err != nil {
			return nil, err
		}
	}
}

func (p *parser) concat() (node, error)  { return p.chain(p.sum, "||") }
func (p *parser) sum() (node, error)     { return p.chain(p.product, "+", "-") }
func (p *parser) product() (node, error) { return p.chain(p.minus, "*", "/", "%") }

func (p *parser) minus() (node, error) {
	if !p.tok.op("-") {
		return p.primary()
	}
	at := p.tok.at
	if t, err := p.lex(p.tok.end); err == nil && t.kind == tNumber {
		p.tok = t
		return p.number(at, "-")
	}
	return p.prefix("-", p.minus)
}

func (p *parser) primary() (node, error) {
	t := p.tok
	if err := p.part(); err != nil {
		return nil, err
	}
	switch {
	case t.kind == tNumber:
		return p.number(t.at, "")
	case t.kind == tString:
		return p.constant(String(t.text))
	case t.op("("):
		return p.brackets()
	case t.kind == tQuoted:
		return p.name()
	case t.kind == tWord:
		return p.word()
	}
	return nil, p.fail(t.at, "a value should stand here, not %s", t.describe()).
		Hint("a value is a column, a number, a 'string', a function or something in brackets")
}

func (p *parser) constant(v Value) (node, error) {
	n := &literal{pos(p.tok.at), v}
	return n, p.advance()
}

func (p *parser) number(at int, sign string) (node, error) {
	text := sign + p.tok.text
	n := &literal{pos: pos(at)}
	if strings.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) {
			return nil, p.fail(at, "%q is not a number that a double can hold", clip(text))
		}
		n.value = Double(f)
	} else {
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, p.fail(at, "%q is not a number that an int can hold", clip(text)).Hint("add .0 to have a double")
		}
		n.value = Int(i)
	}
	return n, p.advance()
}

func (p *parser) brackets() (node, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	return x, p.expect(")", "a bracket that opened before is not closed")
}

// word parses what starts with a bare word: a constant, case, cast, a
// function, a name.
func (p *parser) word() (node, error) {
	lower := strings.ToLower(p.tok.text)
	switch lower {
	case "null":
		return p.constant(Value{})
	case "true", "false":
		return p.constant(Bool(lower == "true"))
	case "case":
		return p.when()
	case "cast":
		return p.cast()
	}
	if reserved[lower] {
		return nil, p.fail(p.tok.at, "a value should stand here, not %s", p.tok.describe()).
			Hint("a column of that name stands in double quotes")
	}
	after, err := p.lex(p.tok.end)
	switch {
	case err != nil:
		return nil, err
	case after.op("(") && overs[lower]:
		return p.slice(lower)
	case after.op("("):
		return p.call(lower)
	case after.kind == tString && (lower == "date" || lower == "timestamp"):
		return p.temporal(lower, after)
	}
	return p.name()
}

func (p *parser) temporal(kind string, text token) (node, error) {
	at := p.tok.at
	v, ok := convert(String(text.text), frame.Type(kind))
	if !ok {
		return nil, p.fail(text.at, "'%s' is not %s", clip(text.text), a(frame.Type(kind))).Hint("%s", temporalHint)
	}
	p.tok = text
	return &literal{pos(at), v}, p.advance()
}

const temporalHint = "write '2026-03-31' or '2026-03-31 17:05:00'; times are UTC"

func (p *parser) call(fn string) (node, error) {
	at := pos(p.tok.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	args, err := p.list()
	return &call{at, fn, args}, err
}

func (p *parser) cast() (node, error) {
	at := pos(p.tok.at)
	if err := p.advance(); err != nil {
		return nil, err
	}
	const how = "write cast(x as type)"
	if err := p.expect("(", how); err != nil {
		return nil, err
	}
	x, err := p.or()
	if err != nil {
		return nil, err
	}
	if err := p.expect("as", how); err != nil {
		return nil, err
	}
	to := strings.ToLower(p.tok.text)
	if p.tok.kind != tWord || frame.Type(to).Arrow() == nil {
		return nil, p.fail(p.tok.at, "%s is not a type", p.tok.describe()).Hint("%s", typeHint(to))
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return &cast{at, x, to}, p.expect(")", how)
}

func typeHint(written string) string {
	var names []string
	for _, t := range frame.Types() {
		names = append(names, string(t))
	}
	if near := fault.Nearest(written, names); near != "" {
		return "did you mean " + near + "?"
	}
	return "the types are " + strings.Join(names, ", ")
}

func (p *parser) when() (node, error) {
	w := &when{pos: pos(p.tok.at)}
	if err := p.advance(); err != nil {
		return nil, err
	}
	var subject node
	if !p.tok.keyword("when") {
		var err error
		if subject, err = p.or(); err != nil {
			return nil, err
		}
	}
	for {
		ok, err := p.take("when")
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if err := p.arm(w, subject); err != nil {
			return nil, err
		}
	}
	if len(w.conds) == 0 {
		return nil, p.fail(p.tok.at, "when should stand here, not %s", p.tok.describe()).Hint("%s", caseHint)
	}
	if ok, err := p.take("else"); err != nil {
		return nil, err
	} else if ok {
		if w.other, err = p.or(); err != nil {
			return nil, err
		}
	}
	return w, p.expect("end", caseHint)
}

const caseHint = "write case when condition then value else value end"

// arm parses "condition then value". With a subject the condition is that the
// subject equals the value.
func (p *parser) arm(w *when, subject node) error {
	at := pos(p.tok.at)
	cond, err := p.or()
	if err != nil {
		return err
	}
	if subject != nil {
		cond = &binary{at, "=", subject, cond}
	}
	if err := p.expect("then", caseHint); err != nil {
		return err
	}
	value, err := p.or()
	w.conds, w.values = append(w.conds, cond), append(w.values, value)
	return err
}

// name parses a name, dotted or not. The parts of a dotted name may each stand
// in quotes.
func (p *parser) name() (node, error) {
	at := p.tok.at
	id, err := p.dotted()
	if err != nil {
		return nil, err
	}
	p.refer(Ref{Name: id})
	return &name{pos(at), id}, nil
}

func (p *parser) dotted() (string, error) {
	id := p.tok.text
	for {
		if err := p.advance(); err != nil {
			return "", err
		}
		if !p.tok.op(".") {
			return id, nil
		}
		if err := p.advance(); err != nil {
			return "", err
		}
		if p.tok.kind != tWord && p.tok.kind != tQuoted {
			return "", p.fail(p.tok.at, "a name should follow the point, not %s", p.tok.describe())
		}
		id += "." + p.tok.text
	}
}

// overs are the functions of slices, used as over(column).metric.
var overs = map[string]bool{"min_over": true, "max_over": true, "gap_over": true}

func (p *parser) slice(over string) (node, error) {
	at := p.tok.at
	how := "write " + over + "(column).metric"
	if err := p.advance(); err != nil {
		return nil, err
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	column, err := p.dottedAfter(how)
	if err != nil {
		return nil, err
	}
	if err := p.expect(")", how); err != nil {
		return nil, err
	}
	if err := p.expect(".", how); err != nil {
		return nil, err
	}
	metric, err := p.dottedAfter(how)
	if err != nil {
		return nil, err
	}
	id := over + "(" + column + ")." + metric
	p.refer(Ref{Name: id, Over: over, Column: column, Metric: metric})
	return &name{pos(at), id}, nil
}

func (p *parser) dottedAfter(how string) (string, error) {
	if p.tok.kind != tWord && p.tok.kind != tQuoted {
		return "", p.fail(p.tok.at, "a name should stand here, not %s", p.tok.describe()).Hint("%s", how)
	}
	return p.dotted()
}

func (p *parser) refer(r Ref) {
	for _, known := range p.refs {
		if known.Name == r.Name {
			return
		}
	}
	p.refs = append(p.refs, r)
}
