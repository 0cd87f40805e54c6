package index

// Filter is a condition on the fields of a passage: And, Or, Not, In, Range or
// Exists. A nil Filter lets everything through. Where a field stands several
// times, a condition holds when one of its values meets it.
//
// The name "document" means the passage's Document, which is a String.
type Filter interface{ filter() }

// And holds where all of its parts hold; an empty one holds.
type And []Filter

// Or holds where one of its parts holds; an empty one does not.
type Or []Filter

// Not holds where its part does not.
type Not struct{ Filter Filter }

// In holds where a field equals one of some values.
type In struct {
	Field  string
	Values []Value
}

// Eq holds where a field equals a value.
func Eq(field string, v Value) Filter { return In{Field: field, Values: []Value{v}} }

// Range holds where a field lies between two bounds; a nil bound does not
// bind. At least one is there.
type Range struct {
	Field    string
	From, To *Value
	// Above and Below leave the bound itself out.
	Above, Below bool
}

// Exists holds where a passage has a field at all.
type Exists struct{ Field string }

func (And) filter()    {}
func (Or) filter()     {}
func (Not) filter()    {}
func (In) filter()     {}
func (Range) filter()  {}
func (Exists) filter() {}

// DocumentField is the name by which filters ask for a passage's document.
const DocumentField = "document"

// Match tells whether a passage meets a filter that Check let pass. It is what
// filters mean; backends have faster ways.
func Match(f Filter, p *Passage) bool {
	switch f := f.(type) {
	case nil:
		return true
	case And:
		for _, part := range f {
			if !Match(part, p) {
				return false
			}
		}
		return true
	case Or:
		for _, part := range f {
			if Match(part, p) {
				return true
			}
		}
		return false
	case Not:
		return !Match(f.Filter, p)
	case In:
		return p.some(f.Field, f.Holds)
	case Range:
		return p.some(f.Field, f.Holds)
	case Exists:
		return p.some(f.Field, func(Value) bool { return true })
	}
	return false
}

// some tells whether one of a passage's values under a name meets a condition.
func (p *Passage) some(name string, holds func(Value) bool) bool {
	if name == DocumentField {
		return holds(Text(p.Document))
	}
	for _, field := range p.Fields {
		if field.Name == name && holds(field.Value) {
			return true
		}
	}
	return false
}

// Holds tells whether one value meets the condition.
func (f In) Holds(v Value) bool {
	for _, w := range f.Values {
		if order, ok := v.Compare(w); ok && order == 0 {
			return true
		}
	}
	return false
}

// Holds tells whether one value meets the condition.
func (f Range) Holds(v Value) bool {
	if f.From != nil {
		if order, ok := v.Compare(*f.From); !ok || order < 0 || order == 0 && f.Above {
			return false
		}
	}
	if f.To != nil {
		if order, ok := v.Compare(*f.To); !ok || order > 0 || order == 0 && f.Below {
			return false
		}
	}
	return true
}
