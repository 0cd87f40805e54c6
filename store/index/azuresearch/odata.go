package azuresearch

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/store/index"
)

// quote writes a string of OData.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// Conditions that always and never hold: OData here has no literal for them.
const (
	always = "key ne ''"
	never  = "key eq ''"
)

// among asks whether a variable is one of some texts, by search.in, which is
// fast for thousands, where there is a character that divides them.
func among(variable string, texts []string) string {
	if len(texts) == 0 {
		return never
	}
	for _, divider := range []string{",", "|", ";", "\t", "\x1f"} {
		free := true
		for _, t := range texts {
			free = free && t != "" && !strings.Contains(t, divider)
		}
		if free {
			return "search.in(" + variable + ", " + quote(strings.Join(texts, divider)) + ", " + quote(divider) + ")"
		}
	}
	each := make([]string, len(texts))
	for i, t := range texts {
		each[i] = variable + " eq " + quote(t)
	}
	return "(" + strings.Join(each, " or ") + ")"
}

// visible is what a query of a snapshot may find.
func visible(snapshot string, who index.Reader, f index.Filter) string {
	all := []string{"snapshots/any(s: s eq " + quote(snapshot) + ")", "withdrawn eq false"}
	if !who.All() {
		readers := never
		if len(who.Marks()) > 0 {
			readers = "readers/any(r: " + among("r", who.Marks()) + ")"
		}
		all = append(all, readers)
	}
	if f != nil {
		all = append(all, "("+condition(f)+")")
	}
	return strings.Join(all, " and ")
}

// condition translates a filter that index.CheckFilter let pass.
func condition(f index.Filter) string {
	switch f := f.(type) {
	case index.And:
		return joined(f, " and ", always)
	case index.Or:
		return joined(f, " or ", never)
	case index.Not:
		return "not (" + condition(f.Filter) + ")"
	case index.In:
		return ofField(f.Field, func(document bool) string {
			each := make([]string, 0, len(f.Values))
			for _, v := range f.Values {
				each = append(each, compare(v, "eq", document))
			}
			if len(each) == 0 {
				return nothing(document)
			}
			return "(" + strings.Join(each, " or ") + ")"
		})
	case index.Range:
		return ofField(f.Field, func(document bool) string { return between(f, document) })
	case index.Exists:
		if f.Field == index.DocumentField {
			return always
		}
		return ofField(f.Field, func(bool) string { return "f/kind ne 0" })
	}
	return always // nil
}

func joined(parts []index.Filter, word, empty string) string {
	if len(parts) == 0 {
		return empty
	}
	each := make([]string, len(parts))
	for i, p := range parts {
		each[i] = "(" + condition(p) + ")"
	}
	return strings.Join(each, word)
}

// ofField asks whether one value of a field, the variable f, meets a
// condition; or the document itself.
func ofField(name string, of func(document bool) string) string {
	if name == index.DocumentField {
		return of(true)
	}
	return "fields/any(f: f/name eq " + quote(name) + " and " + of(false) + ")"
}

func nothing(document bool) string {
	if document {
		return never
	}
	return "f/kind eq 0"
}

func between(f index.Range, document bool) string {
	var each []string
	for _, b := range []struct {
		value          *index.Value
		closed, beyond string
		open           bool
	}{{f.From, "ge", "gt", f.Above}, {f.To, "le", "lt", f.Below}} {
		switch {
		case b.value == nil:
		case b.open:
			each = append(each, compare(*b.value, b.beyond, document))
		default:
			each = append(each, compare(*b.value, b.closed, document))
		}
	}
	return strings.Join(each, " and ")
}

// compare asks how a value stands to v. Values of kinds that do not compare
// meet no condition.
func compare(v index.Value, operator string, document bool) string {
	if document {
		if v.Kind != index.String {
			return never
		}
		return "document " + operator + " " + quote(v.Text)
	}
	switch v.Kind {
	case index.String:
		return "(f/kind eq 1 and f/text " + operator + " " + quote(v.Text) + ")"
	case index.Bool:
		return "(f/kind eq 2 and f/whole " + operator + " " + strconv.FormatInt(v.Int, 10) + ")"
	case index.Int:
		return "(f/kind eq 3 and f/whole " + operator + " " + strconv.FormatInt(v.Int, 10) +
			" or f/kind eq 4 and f/number " + operator + " " + double(float64(v.Int)) + ")"
	case index.Double:
		return "((f/kind eq 3 or f/kind eq 4) and f/number " + operator + " " + double(v.Double) + ")"
	}
	return "(f/kind eq 5 and f/whole " + operator + " " + strconv.FormatInt(v.Int, 10) + ")"
}

// double writes a number as OData has it.
func double(f float64) string {
	switch {
	case math.IsInf(f, 1):
		return "INF"
	case math.IsInf(f, -1):
		return "-INF"
	}
	text := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(text, ".e") {
		text += ".0"
	}
	return text
}

// stamp names a moment, for changes that are waited for.
func stamp() string { return strconv.FormatInt(time.Now().UnixNano(), 36) }

// plainWords leaves the words of a question, without the operators of the
// service's query language.
func plainWords(text string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`+-|"*()~&!{}[]^?:\/<>=`, r) || r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, " ")))
}
