package feast

import (
	"context"
	"net/http"
	"slices"
	"strings"

	wire "github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
)

// question is the message of /get-online-features.
type question struct {
	Entities table    `json:"entities"`
	Service  string   `json:"feature_service"`
	Features []string `json:"features"`
	Full     bool     `json:"full_feature_names"`
	Versions bool     `json:"include_feature_view_version_metadata"`
}

// read answers POST /get-online-features.
func (f *surface) read(w http.ResponseWriter, r *http.Request, p identity.Principal) error {
	b, done, err := f.message(w, r)
	defer done()
	if err != nil {
		return err
	}
	var q question
	if err := wire.Unmarshal(b.body.Bytes(), &q); err != nil {
		return unread(err)
	}
	wanted, err := f.wanted(r.Context(), q)
	if err != nil {
		return err
	}
	for _, v := range wanted {
		if err := permit(p, "read", v.View.Name); err != nil {
			return err
		}
	}
	keys, err := q.keys(wanted)
	if err != nil {
		return err
	}
	defer keys.Release()
	found, err := f.Store.Read(r.Context(), wanted, keys)
	if err != nil {
		return err
	}
	defer release(found)
	a := answer{wanted: wanted, found: found, keys: keys, full: q.Full, versions: q.Versions}
	b.reply = a.append(b.reply[:0])
	reply(w, http.StatusOK, b.reply)
	return nil
}

func release(found []Found) {
	for _, f := range found {
		for _, c := range f.Columns {
			c.Release()
		}
	}
}

// wanted resolves the names of a question.
func (f *surface) wanted(ctx context.Context, q question) ([]Wanted, error) {
	if q.Service != "" {
		wanted, err := f.Names.Service(ctx, q.Service)
		if err != nil {
			return nil, named(err, fault.NotFound, noService)
		}
		return wanted, distinct(wanted, q.Full)
	}
	if len(q.Features) == 0 {
		return nil, fault.New(fault.Invalid, "no features are asked for").Hint(`write "features": ["view:feature"], or name a feature_service`)
	}
	var wanted []Wanted
	at := map[string]int{}
	for _, reference := range q.Features {
		view, name, err := split(reference)
		if err != nil {
			return nil, err
		}
		i, ok := at[view]
		if !ok {
			v, err := f.Names.View(ctx, view)
			if err != nil {
				return nil, named(err, fault.NotFound, noView)
			}
			i, at[view] = len(wanted), len(wanted)
			wanted = append(wanted, Wanted{View: v})
		}
		wanted[i].Features = append(wanted[i].Features, name)
	}
	for _, v := range wanted {
		if err := v.check(); err != nil {
			return nil, err
		}
	}
	return wanted, distinct(wanted, q.Full)
}

// split takes view:feature apart.
func split(reference string) (view, name string, err error) {
	view, name, ok := strings.Cut(reference, ":")
	if !ok || view == "" || name == "" {
		return "", "", fault.New(fault.Invalid, "%.80q is no reference to a feature", reference).Hint("write view:feature")
	}
	if plain, version, ok := strings.Cut(view, "@"); ok {
		if version != "latest" {
			return "", "", fault.New(fault.Unsupported, "%.80q asks for a version of a view", reference).
				Hint("an endpoint's release keeps the definitions of its views; by name there is the present one")
		}
		view = plain
	}
	return view, name, nil
}

// check finds features that the view does not have.
func (v *Wanted) check() error {
	if len(v.Features) == 0 {
		return nil
	}
	has := make(map[string]bool, len(v.View.Features))
	for _, f := range v.View.Features {
		has[f.Name] = true
	}
	for _, name := range v.Features {
		if has[name] {
			continue
		}
		err := fault.New(fault.Invalid, "feature view %q has no feature %.80q", v.View.Name, name)
		var names []string
		for _, f := range v.View.Features {
			names = append(names, f.Name)
		}
		if near := fault.Nearest(name, names); near != "" {
			return err.Hint("did you mean %s?", near)
		}
		return err
	}
	return nil
}

// distinct refuses answers in which two columns have one name.
func distinct(wanted []Wanted, full bool) error {
	seen := map[string]bool{}
	for _, v := range wanted {
		for _, f := range v.Features {
			name := f
			if full {
				name = v.View.Name + "__" + f
			}
			if seen[name] {
				return &known{collision, fault.New(fault.Invalid, "the feature %q is there twice", name).
					Hint("ask for each once, and set full_feature_names where views have features of one name")}
			}
			seen[name] = true
		}
	}
	return nil
}

// keys reads the columns that the views are read by.
func (q *question) keys(wanted []Wanted) (frame.Batch, error) {
	var columns []frame.Column
	for _, v := range wanted {
		for _, k := range v.View.Keys {
			at := slices.IndexFunc(columns, func(c frame.Column) bool { return c.Name == k.Name })
			if at < 0 {
				columns = append(columns, k)
			} else if columns[at].Type != k.Type {
				return nil, fault.New(fault.Invalid, "%q is a %s in one of the views, and a %s in %q", k.Name, columns[at].Type, k.Type, v.View.Name).
					Hint("ask for them one after the other")
			}
		}
	}
	rows, err := q.Entities.rows()
	if err != nil {
		return nil, err
	}
	if rows == 0 {
		return nil, fault.New(fault.Invalid, "there are no entities").Hint(`write "entities": {"customer_id": ["c1"]}`)
	}
	features := 0
	for _, v := range wanted {
		features += len(v.Features)
	}
	if rows*features > maxValues {
		return nil, fault.New(fault.TooLarge, "%d features of %d entities are over %d values", features, rows, maxValues).Hint("ask for fewer entities at a time")
	}
	return q.Entities.batch(columns, func(name string) string { return name }, rows)
}
