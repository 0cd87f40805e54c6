package postgres

import (
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/store/index"
)

// statement is SQL that is being written, with its parameters.
type statement struct {
	text strings.Builder
	args []any
}

func (s *statement) add(sql string) { s.text.WriteString(sql) }

// bind adds a parameter, with the type that the server is to take it as.
func (s *statement) bind(v any, kind string) {
	s.args = append(s.args, v)
	s.text.WriteString("$" + strconv.Itoa(len(s.args)) + "::" + kind)
}

// filter writes a condition on the passage whose number the column pid is, and
// whose document's is did. It has passed index.CheckFilter.
func (s *statement) filter(f index.Filter, pid, did string) {
	switch f := f.(type) {
	case index.And:
		s.join(f, " AND ", "true", pid, did)
	case index.Or:
		s.join(f, " OR ", "false", pid, did)
	case index.Not:
		s.add("NOT (")
		s.filter(f.Filter, pid, did)
		s.add(")")
	case index.In:
		s.field(f.Field, pid, did, func(document bool) { s.in(f, document) })
	case index.Range:
		s.field(f.Field, pid, did, func(document bool) { s.between(f, document) })
	case index.Exists:
		s.field(f.Field, pid, did, func(bool) { s.add("true") })
	default: // nil
		s.add("true")
	}
}

func (s *statement) join(parts []index.Filter, word, empty, pid, did string) {
	if len(parts) == 0 {
		s.add(empty)
		return
	}
	for i, part := range parts {
		if i > 0 {
			s.add(word)
		}
		s.add("(")
		s.filter(part, pid, did)
		s.add(")")
	}
}

// field asks whether one value of a field meets a condition on a row f: of
// fields, or of the document itself, whose text is its name.
func (s *statement) field(name, pid, did string, condition func(document bool)) {
	if name == index.DocumentField {
		s.add("EXISTS (SELECT FROM (SELECT document AS text FROM documents WHERE did = " + did + ") f WHERE ")
		condition(true)
		s.add(")")
		return
	}
	s.add("EXISTS (SELECT FROM fields f WHERE f.pid = " + pid + " AND f.name = ")
	s.bind([]byte(name), "bytea")
	s.add(" AND (")
	condition(false)
	s.add("))")
}

func (s *statement) in(f index.In, document bool) {
	s.add("false")
	for _, v := range f.Values {
		if document && v.Kind != index.String {
			continue
		}
		s.add(" OR ")
		s.compare(v, "=", document)
	}
}

func (s *statement) between(f index.Range, document bool) {
	s.add("true")
	for _, bound := range []struct {
		value        *index.Value
		with, beyond string
		open         bool
	}{{f.From, ">=", ">", f.Above}, {f.To, "<=", "<", f.Below}} {
		switch {
		case bound.value == nil:
		case document && bound.value.Kind != index.String:
			s.add(" AND false")
		case bound.open:
			s.add(" AND ")
			s.compare(*bound.value, bound.beyond, document)
		default:
			s.add(" AND ")
			s.compare(*bound.value, bound.with, document)
		}
	}
}

// compare writes how a value of row f stands to v. Values of kinds that do not
// compare meet no condition.
func (s *statement) compare(v index.Value, operator string, document bool) {
	if document {
		s.add("f.text " + operator + " ")
		s.bind([]byte(v.Text), "bytea")
		return
	}
	switch v.Kind {
	case index.String:
		s.add("(f.kind = 1 AND f.text " + operator + " ")
		s.bind([]byte(v.Text), "bytea")
	case index.Int, index.Double:
		s.add("(f.kind IN (3, 4) AND f.number " + operator + " ")
		s.bind(number(v), "text")
		s.add("::numeric")
	case index.Bool:
		s.add("(f.kind = 2 AND f.whole " + operator + " ")
		s.bind(v.Int, "bigint")
	default:
		s.add("(f.kind = 5 AND f.whole " + operator + " ")
		s.bind(v.Int, "bigint")
	}
	s.add(")")
}

// number writes an Int or a Double as a numeric, to its last digit.
func number(v index.Value) string {
	switch {
	case v.Kind == index.Int:
		return strconv.FormatInt(v.Int, 10)
	case math.IsInf(v.Double, 1):
		return "Infinity"
	case math.IsInf(v.Double, -1):
		return "-Infinity"
	}
	text := new(big.Float).SetFloat64(v.Double).Text('f', 1074) // no double has more digits
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
