package expr

// node is a part of a parsed expression. Positions are byte offsets into the
// source.
type node interface{ at() int }

type pos int

func (p pos) at() int { return int(p) }

// literal is a constant. The zero Value's type "" stands for a bare NULL.
type literal struct {
	pos
	value Value
}

// name reads a column or a figure.
type name struct {
	pos
	id string
}

// unary is "-" or "not".
type unary struct {
	pos
	op string
	x  node
}

// binary is an operator between two values: + - * / % || and or = <> < <= > >=.
type binary struct {
	pos
	op   string
	x, y node
}

// isNull is "x is [not] null".
type isNull struct {
	pos
	x   node
	not bool
}

// between is "x [not] between lo and hi".
type between struct {
	pos
	x, lo, hi node
	not       bool
}

// in is "x [not] in (…)".
type in struct {
	pos
	x    node
	list []node
	not  bool
}

// like is "x [not] like 'pattern'".
type like struct {
	pos
	x, pattern node
	not        bool
}

// when is "case [x] when … then … [else …] end". The operand, where there is
// one, is already part of the conditions.
type when struct {
	pos
	conds, values []node
	other         node // nil: NULL
}

// call is a function with its arguments.
type call struct {
	pos
	fn   string // in lower case
	args []node
}

// cast is "cast(x as type)".
type cast struct {
	pos
	x  node
	to string
}
