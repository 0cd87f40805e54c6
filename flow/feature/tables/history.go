package tables

import (
	"context"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/spec"
)

// asker stands for the source of rows that somebody brings along; no source
// has a name like it.
const asker = "the rows"

// History compiles views for rows that are no source of theirs: entities, each
// as of a time in the column of that name. The rows need the columns of Inputs;
// those of the entities have the types that the views' tables give them.
func (s *Store) History(ctx context.Context, views []spec.FeatureView, time string) (*Training, error) {
	sources, err := s.Sources(ctx, views)
	if err != nil {
		return nil, err
	}
	t := &Training{Dated: Dated{store: s, time: time}}
	rows := []frame.Column{{Name: time, Type: frame.Timestamp}}
	env := feature.Env{Sources: sources, Base: asker, Tables: map[string]feature.Table{}, Time: time}
	var mistakes fault.List
	for _, v := range views {
		needed := v.Inputs
		if !v.OnDemand() {
			p, ok, err := s.past(ctx, v, sources[v.Source], 0)
			if !ok && err == nil {
				err = fault.New(fault.Invalid, "feature view %q has no timestamp, so nobody knows what its values were", v.Name).
					Hint("add timestamp: and the column that says when a row came to be true")
			}
			if err != nil {
				mistakes.Add(err)
				continue
			}
			needed = p.Keys
			t.views = append(t.views, p)
			env.Tables[v.Name] = feature.Table{Keys: p.Keys, Columns: p.Columns, Dated: true, Lookup: found{v.Name}}
		}
		for _, c := range needed {
			at := slices.IndexFunc(rows, func(r frame.Column) bool { return r.Name == c.Name })
			switch {
			case at < 0:
				rows = append(rows, c)
			case rows[at].Type != c.Type:
				mistakes.Add(fault.New(fault.Invalid, "feature view %q reads %q of the rows as %s, and another one as %s", v.Name, c.Name, c.Type, rows[at].Type).
					Hint("ask for the views one by one"))
			}
		}
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	env.Sources[asker] = rows
	t.Set, err = feature.Compile(views, env)
	return t, err
}
