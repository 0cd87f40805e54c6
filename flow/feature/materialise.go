package feature

import (
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Runner runs SQL over the lake. The caller closes the reader.
type Runner interface {
	Query(ctx context.Context, sql string) (frame.Reader, error)
}

// Materialise computes what a view is looked up by: the result of its SQL, or
// the newest row for each entity of its source. The bounds are those of
// NewMemory.
func Materialise(ctx context.Context, run Runner, v spec.FeatureView, b Bounds) (*Memory, error) {
	m, err := materialise(ctx, run, v, b)
	return m, fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
}

func materialise(ctx context.Context, run Runner, v spec.FeatureView, b Bounds) (*Memory, error) {
	sql, err := SQL(v)
	if err != nil {
		return nil, err
	}
	r, err := run.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return NewMemory(ctx, r, v.Entity, b)
}

// SQL is the query that gives the rows a view is looked up from. For a view
// without SQL of its own it selects the columns that the view reads; of
// several rows of an entity it takes the one with the latest timestamp, and of
// several of those always the same one.
func SQL(v spec.FeatureView) (string, error) {
	if v.SQL != "" {
		return v.SQL, nil
	}
	if len(v.Entity) == 0 {
		return "", fault.New(fault.Invalid, "it is over another source than the rows, and says no entity to look it up by").
			Hint("add a field like entity: customer_id")
	}
	names, err := reads(v, v.Entity)
	if err != nil {
		return "", err
	}
	entity, columns := identifiers(v.Entity), identifiers(append(slices.Clone([]string(v.Entity)), names...))
	if v.Timestamp == "" {
		return "SELECT " + columns + " FROM " + identifier(v.Source), nil
	}
	var order []string
	for _, name := range names {
		order = append(order, identifier(name)+" NULLS LAST")
	}
	latest := strings.Join(append([]string{identifier(v.Timestamp) + " DESC NULLS LAST"}, order...), ", ")
	return "SELECT " + columns + " FROM (SELECT *, row_number() OVER (PARTITION BY " + entity + " ORDER BY " + latest +
		") AS leat_newest FROM " + identifier(v.Source) + ") AS numbered WHERE leat_newest = 1", nil
}

// NewestOf is the query that gives the newest row of each entity out of the
// rows of a view's SQL, which have the view's timestamp; columns are those of
// the rows. Of several rows of one time it takes always the same one.
func NewestOf(v spec.FeatureView, columns []frame.Column) string {
	names := Found(v, columns)
	order := []string{identifier(v.Timestamp) + " DESC NULLS LAST"}
	for _, name := range names {
		order = append(order, identifier(name)+" NULLS LAST")
	}
	return "SELECT " + identifiers(append(slices.Clone([]string(v.Entity)), names...)) +
		" FROM (SELECT *, row_number() OVER (PARTITION BY " + identifiers(v.Entity) + " ORDER BY " + strings.Join(order, ", ") +
		") AS leat_newest FROM (" + v.SQL + "\n) AS leat_rows) AS numbered WHERE leat_newest = 1"
}

// Found lists the columns that are found in the dated rows of a view's SQL:
// all but those that say whose and of when a row is.
func Found(v spec.FeatureView, columns []frame.Column) []string {
	var names []string
	for _, c := range columns {
		if c.Name != v.Timestamp && c.Name != v.Known && !slices.Contains(v.Entity, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// Reads lists the columns that are found in the newest row of a view's source,
// in the order in which SQL selects them.
func Reads(v spec.FeatureView) ([]string, error) { return reads(v, v.Entity) }

// reads lists the columns that the features of a view read, each once, but for
// some.
func reads(v spec.FeatureView, but []string) ([]string, error) {
	names := slices.Clone([]string(v.Columns))
	var mistakes fault.List
	for _, f := range v.Features {
		e, err := expr.Parse(f.Expr)
		if err != nil {
			mistakes.Add(fault.Wrap(err, fault.KindOf(err), "feature %q", f.Name))
			continue
		}
		names = append(names, e.Names()...)
	}
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) && !slices.Contains(but, name) {
			once = append(once, name)
		}
	}
	return once, mistakes.Err()
}

func identifiers(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = identifier(n)
	}
	return strings.Join(quoted, ", ")
}

func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
