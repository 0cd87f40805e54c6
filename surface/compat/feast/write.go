package feast

import (
	"net/http"
	"slices"

	wire "github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/guard/identity"
)

// eventTime is the column in which Feast's client sends the time of rows,
// whatever it is called in their source.
const eventTime = "event_timestamp"

// write answers POST /write-to-online-store.
func (f *surface) write(w http.ResponseWriter, r *http.Request, p identity.Principal) error {
	b, done, err := f.message(w, r)
	defer done()
	if err != nil {
		return err
	}
	var m struct {
		View string `json:"feature_view_name"`
		Rows table  `json:"df"`
	}
	if err := wire.Unmarshal(b.body.Bytes(), &m); err != nil {
		return unread(err)
	}
	v, err := f.Names.View(r.Context(), m.View)
	if err != nil {
		return hidden(p, "run", m.View, named(err, fault.NotFound, noView))
	}
	if err := f.store(r, p, []*View{v}, &m.Rows, Target{Online: true}); err != nil {
		return err
	}
	reply(w, http.StatusOK, []byte("null"))
	return nil
}

// targets are the values of "to" of a push.
var targets = map[string]Target{"": {Online: true}, "online": {Online: true}, "offline": {Offline: true}, "online_and_offline": {Online: true, Offline: true}}

// push answers POST /push.
func (f *surface) push(w http.ResponseWriter, r *http.Request, p identity.Principal) error {
	b, done, err := f.message(w, r)
	defer done()
	if err != nil {
		return err
	}
	var m struct {
		Source string `json:"push_source_name"`
		Rows   table  `json:"df"`
		To     string `json:"to"`
	}
	if err := wire.Unmarshal(b.body.Bytes(), &m); err != nil {
		return unread(err)
	}
	to, ok := targets[m.To]
	if !ok {
		return fault.New(fault.Invalid, "%.40q is no place to push to", m.To).Hint("use online, offline or online_and_offline")
	}
	views, err := f.Names.Source(r.Context(), m.Source)
	if err != nil {
		return hidden(p, "run", m.Source, named(err, fault.NotFound, noPushSource))
	}
	if err := f.store(r, p, views, &m.Rows, to); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// store writes rows of a table for each of some views. All are read before the
// first is written; what failed half way may be sent again.
func (f *surface) store(r *http.Request, p identity.Principal, views []*View, rows *table, to Target) error {
	for _, v := range views {
		if err := permit(p, "run", v.Name); err != nil {
			return err
		}
		if v.Rows == nil {
			return fault.New(fault.Unsupported, "nothing can be written to feature view %q", v.Name).
				Hint("it is computed; write to the views or the source that it reads")
		}
	}
	n, err := rows.rows()
	if err != nil || n == 0 {
		return err
	}
	batches := make([]frame.Batch, 0, len(views))
	defer func() {
		for _, b := range batches {
			b.Release()
		}
	}()
	for _, v := range views {
		b, err := rows.batch(v.columns(rows), v.renamed(rows), n)
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "feature view %q", v.Name)
		}
		batches = append(batches, b)
	}
	for i, v := range views {
		there := slices.ContainsFunc(views[:i], func(before *View) bool { return before.Source == v.Source })
		if err := f.Store.Write(r.Context(), v, batches[i], Target{Online: to.Online, Offline: to.Offline && !there}); err != nil {
			return err
		}
	}
	return nil
}

// columns are those that are read of rows.
func (v *View) columns(rows *table) []frame.Column {
	columns := slices.Clone(v.Rows)
	for _, c := range v.More {
		if slices.Contains(rows.names, c.Name) && !slices.Contains(columns, c) {
			columns = append(columns, c)
		}
	}
	return columns
}

// renamed finds the column of the time under the name that Feast's client
// gives it, where the rows do not have it under its own.
func (v *View) renamed(rows *table) func(string) string {
	return func(name string) string {
		if name == v.Timestamp && !slices.Contains(rows.names, name) {
			return eventTime
		}
		return name
	}
}
