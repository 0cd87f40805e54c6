// Package expr is the one expression language of Leat: the rules that ingested
// rows must meet ("amount >= 0"), the features of a view ("amount / balance",
// "hour(at)") and the gates of a pipeline ("auc >= champion.auc - 0.005").
//
// It stands in base/, so every stage means the same by the same text. Parse
// reads an expression, Bind checks it against columns and gives a Program,
// Eval runs the program over a record batch; EvalScalar does all of it over a
// few named values, for gates.
//
// # Meaning
//
// The language is SQL's, without queries: NULL in gives NULL out, and, or and
// not know three values, "is null" asks. Names of columns are case-sensitive
// and stand in double quotes when they are not plain words ("capital-gain");
// keywords and functions are not case-sensitive. Types are those of package
// frame. Where SQL engines differ, DuckDB is followed, except that:
//
//   - nothing fails on a row: what DuckDB reports as an error of the row (an int
//     that overflows, the logarithm of -1, a cast of "abc" to int) is NULL, and
//     so is a division by zero;
//   - there is no NaN: a NaN in a column is read as NULL, and a result that is
//     not a number (infinity minus infinity) is NULL. A NULL number becomes NaN
//     again only where a model reads it (frame.Floats);
//   - a literal with a point or an exponent is a double, not a decimal, and "/"
//     always divides doubles;
//   - log is the natural logarithm, as log1p and exp are; log10 and log2 say
//     their base;
//   - dayofweek counts 1 to 7 from Monday, and date_diff counts weeks by their
//     Mondays;
//   - a text with a time zone is cast to the UTC time that it means, and a text
//     that says infinity, or is too large for a double, to NULL;
//   - the patterns of like and regexp_match are literals, and so checked before
//     the first row.
//
// # Promises
//
// The same row gives the same value, bit for bit, in a batch of any size and
// at any place in it: every kernel reads one row at a time and sums nothing.
// (Between kinds of processors, exp and power may differ in the last bit.)
// Source, depth and number of parts of an expression are bounded, and
// evaluation takes memory by the size of the expression, not of the batch,
// besides the result itself. A Program is immutable and safe for many
// goroutines.
package expr

import (
	"slices"

	"github.com/leat-ai/leat/base/fault"
)

// The bounds of an expression.
const (
	MaxSource = 16 << 10 // bytes of source
	MaxDepth  = 100      // nested parts
	MaxParts  = 2000     // operators, names, literals and calls together
	MaxRegexp = 1000     // bytes of a pattern of like or regexp_match
)

// Expr is a parsed expression, not yet tied to columns. It is immutable.
type Expr struct {
	src  string
	root node
	refs []Ref
}

// Ref is a name that an expression reads.
type Ref struct {
	// Name is the name as Bind looks it up: "amount", "champion.auc",
	// "min_over(country).auc".
	Name string
	// Over, Column and Metric take a slice reference apart: "min_over",
	// "country" and "auc". Over is "" for every other name.
	Over, Column, Metric string
}

// Parse reads an expression. A mistake is an Invalid fault that says at which
// column of src it stands, counted in characters from 1.
func Parse(src string) (*Expr, error) {
	if len(src) > MaxSource {
		return nil, fault.New(fault.Invalid, "the expression has %d bytes, more than %d", len(src), MaxSource).
			Hint("compute part of it in SQL, or as a feature of its own")
	}
	p := &parser{src: src}
	root, err := p.parse()
	if err != nil {
		return nil, err
	}
	return &Expr{src: src, root: root, refs: p.refs}, nil
}

// String returns the source as it was written.
func (e *Expr) String() string { return e.src }

// Names lists the names that the expression reads, each once, in the order of
// their first use, dotted ones and slice references included.
func (e *Expr) Names() []string {
	names := make([]string, len(e.refs))
	for i, r := range e.refs {
		names[i] = r.Name
	}
	return names
}

// Refs lists the same names as Names, taken apart.
func (e *Expr) Refs() []Ref { return slices.Clone(e.refs) }
