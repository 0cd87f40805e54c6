package index

import (
	"math"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
)

// Default fills in what settings leave open: K1 1.2, B 0.75, and titles three
// times the weight of the rest.
func (s Settings) Default() Settings {
	if s.K1 == 0 && s.B == 0 {
		s.K1, s.B = 1.2, 0.75
	}
	if s.Weights == (Weights{}) {
		s.Weights = Weights{Title: 3, Heading: 1, Context: 1, Text: 1}
	}
	return s
}

// Check tells whether settings are within bounds.
func (s Settings) Check() error {
	for _, n := range []struct {
		name  string
		value float64
		most  float64
	}{{"k1", s.K1, 100}, {"b", s.B, 1}, {"the weight of titles", s.Weights.Title, 1000}, {"the weight of headings", s.Weights.Heading, 1000},
		{"the weight of contexts", s.Weights.Context, 1000}, {"the weight of texts", s.Weights.Text, 1000}} {
		if !(n.value >= 0 && n.value <= n.most) { // NaN too
			return fault.New(fault.Invalid, "%s is %g, not between 0 and %g", n.name, n.value, n.most)
		}
	}
	return nil
}

// Check tells whether a query is within bounds.
func (q Query) Check() error {
	switch {
	case q.Snapshot == "":
		return fault.New(fault.Invalid, "a query names no snapshot")
	case q.Text == "" && len(q.Vector) == 0:
		return fault.New(fault.Invalid, "a query has neither text nor vector").Hint("ask for words")
	case len(q.Text) > MaxQuery:
		return fault.New(fault.TooLarge, "a query of %d bytes is longer than %d", len(q.Text), MaxQuery)
	case q.K < 1 || q.K > MaxK:
		return fault.New(fault.Invalid, "k is %d, not between 1 and %d", q.K, MaxK)
	}
	if err := checkVector(q.Vector); err != nil {
		return err
	}
	if err := q.Fusion.check(); err != nil {
		return err
	}
	return CheckFilter(q.Filter)
}

func (f Fusion) check() error {
	switch {
	case f.Method != "" && f.Method != Weighted && f.Method != RRF:
		return fault.New(fault.Invalid, "no way to fuse is called %q", string(f.Method)).Hint("use weighted or rrf")
	case !(f.Text >= 0 && f.Text <= 1e6) || !(f.Vector >= 0 && f.Vector <= 1e6):
		return fault.New(fault.Invalid, "the weights of a fusion are not between 0 and a million")
	case f.Depth < 0 || f.Depth > MaxK:
		return fault.New(fault.Invalid, "the depth of a fusion is %d, not between 0 and %d", f.Depth, MaxK)
	case f.Rank < 0 || f.Rank > 1e6:
		return fault.New(fault.Invalid, "the constant of a fusion is %d, not between 0 and a million", f.Rank)
	}
	return nil
}

func checkVector(v []float32) error {
	if len(v) > MaxDimension {
		return fault.New(fault.TooLarge, "a vector of %d numbers is longer than %d", len(v), MaxDimension)
	}
	for _, x := range v {
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			return fault.New(fault.Invalid, "a vector has a number that is not finite")
		}
	}
	return nil
}

// Check tells whether a passage is within bounds.
func (p *Passage) Check() error {
	switch {
	case p.ID != PassageID(p.Document, p.Ordinal):
		return fault.New(fault.Invalid, "the id of passage %.100q is not its document and ordinal, %.100q and %d", p.ID, p.Document, p.Ordinal)
	case !validName(p.Document):
		return fault.New(fault.Invalid, "the document of passage %.100q has %d bytes, not 1 to %d", p.ID, len(p.Document), MaxName)
	case len(p.Version) > MaxName || len(p.Parent) > MaxName || len(p.Language) > 35:
		return fault.New(fault.TooLarge, "the version, the parent or the language of passage %.100q is too long", p.ID)
	case len(p.Text)+len(p.Title)+len(p.Heading)+len(p.Context) > MaxText:
		return fault.New(fault.TooLarge, "passage %.100q has more than %d bytes of text", p.ID, MaxText)
	case p.Start < 0 || p.End < p.Start:
		return fault.New(fault.Invalid, "passage %.100q has the range %d to %d", p.ID, p.Start, p.End)
	case p.Page < 0 || p.Page > math.MaxInt32 || p.Ordinal < 0 || p.Ordinal > math.MaxInt32:
		return fault.New(fault.Invalid, "passage %.100q has the page %d and the ordinal %d", p.ID, p.Page, p.Ordinal)
	case len(p.Fields) > MaxFields:
		return fault.New(fault.TooLarge, "passage %.100q has %d fields, more than %d", p.ID, len(p.Fields), MaxFields)
	}
	for _, f := range p.Fields {
		if f.Name == DocumentField || !validName(f.Name) {
			return fault.New(fault.Invalid, "a field of passage %.100q cannot be called %.100q", p.ID, f.Name)
		}
		if err := f.Value.check(); err != nil {
			return err
		}
	}
	return checkVector(p.Vector)
}

// PassageID is the id of a passage.
func PassageID(document string, ordinal int) string {
	return document + "#" + strconv.Itoa(ordinal)
}

func validName(name string) bool { return name != "" && len(name) <= MaxName }

// CheckName tells whether a snapshot may have a name.
func CheckName(name string) error {
	if !validName(name) {
		return fault.New(fault.Invalid, "the name of a snapshot has %d bytes, not 1 to %d", len(name), MaxName)
	}
	return nil
}

func (v Value) check() error {
	switch {
	case v.Kind < String || v.Kind > Timestamp:
		return fault.New(fault.Invalid, "a value has no type")
	case v.Kind == Double && math.IsNaN(v.Double):
		return fault.New(fault.Invalid, "a value is not a number")
	case v.Kind == Bool && v.Int != 0 && v.Int != 1:
		return fault.New(fault.Invalid, "a boolean is neither true nor false")
	case len(v.Text) > MaxQuery:
		return fault.New(fault.TooLarge, "a value of %d bytes is longer than %d", len(v.Text), MaxQuery)
	}
	return nil
}

// Check tells whether an access is within bounds.
func (a Access) Check() error {
	if !validName(a.Document) {
		return fault.New(fault.Invalid, "the id of a document has %d bytes, not 1 to %d", len(a.Document), MaxName)
	}
	if len(a.Readers) > MaxReaders {
		return fault.New(fault.TooLarge, "%.100q has %d readers, more than %d", a.Document, len(a.Readers), MaxReaders).Hint("use a group")
	}
	for _, mark := range a.Readers {
		if !validMark(mark) || len(mark) > MaxName {
			return fault.New(fault.Invalid, "%.100q is no reader", mark).Hint("write *, user:NAME or group:NAME")
		}
	}
	return nil
}

// CheckFilter tells whether a filter is within bounds.
func CheckFilter(f Filter) error {
	left := MaxConditions
	return checkFilter(f, 0, &left)
}

func checkFilter(f Filter, depth int, left *int) error {
	if depth > MaxDepth {
		return fault.New(fault.Invalid, "a filter is deeper than %d", MaxDepth)
	}
	if *left--; *left < 0 {
		return fault.New(fault.TooLarge, "a filter has more than %d conditions and values", MaxConditions)
	}
	parts := func(parts []Filter) error {
		for _, part := range parts {
			if part == nil {
				return fault.New(fault.Invalid, "a part of a filter is empty")
			}
			if err := checkFilter(part, depth+1, left); err != nil {
				return err
			}
		}
		return nil
	}
	switch f := f.(type) {
	case nil:
		return nil
	case And:
		return parts(f)
	case Or:
		return parts(f)
	case Not:
		return parts([]Filter{f.Filter})
	case In:
		return checkValues(f.Field, left, f.Values)
	case Range:
		return f.check(left)
	case Exists:
		return checkValues(f.Field, left, nil)
	}
	return fault.New(fault.Invalid, "a filter has a part of an unknown type")
}

func (f Range) check(left *int) error {
	var bounds []Value
	for _, b := range []*Value{f.From, f.To} {
		if b != nil {
			bounds = append(bounds, *b)
		}
	}
	if len(bounds) == 0 {
		return fault.New(fault.Invalid, "the range of %.100q has no bound", f.Field)
	}
	if len(bounds) == 2 {
		if _, ok := bounds[0].Compare(bounds[1]); !ok {
			return fault.New(fault.Invalid, "the bounds of %.100q are of two types", f.Field)
		}
	}
	return checkValues(f.Field, left, bounds)
}

func checkValues(field string, left *int, values []Value) error {
	if !validName(field) {
		return fault.New(fault.Invalid, "the name of a field has %d bytes, not 1 to %d", len(field), MaxName)
	}
	if *left -= len(values); *left < 0 {
		return fault.New(fault.TooLarge, "a filter has more than %d conditions and values", MaxConditions)
	}
	for _, v := range values {
		if err := v.check(); err != nil {
			return err
		}
	}
	return nil
}
