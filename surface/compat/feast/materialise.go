package feast

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	wire "github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
)

// materialise answers POST /materialize.
func (f *surface) materialise(w http.ResponseWriter, r *http.Request, p identity.Principal) error {
	b, done, err := f.message(w, r)
	defer done()
	if err != nil {
		return err
	}
	var m struct {
		Start   string   `json:"start_ts"`
		End     string   `json:"end_ts"`
		Views   []string `json:"feature_views"`
		Undated bool     `json:"disable_event_timestamp"`
		Version string   `json:"version"`
	}
	if err := wire.Unmarshal(b.body.Bytes(), &m); err != nil {
		return unread(err)
	}
	o := Order{Views: m.Views, From: time.Unix(0, 0), To: time.Now()}
	if !m.Undated {
		if o.From, err = at("start_ts", m.Start); err != nil {
			return err
		}
		if o.To, err = at("end_ts", m.End); err != nil {
			return err
		}
		if !o.From.Before(o.To) {
			return fault.New(fault.Invalid, "start_ts %s is not before end_ts %s", m.Start, m.End)
		}
	}
	return f.order(w, r, p, o, m.Version)
}

// materialiseOn answers POST /materialize-incremental.
func (f *surface) materialiseOn(w http.ResponseWriter, r *http.Request, p identity.Principal) error {
	b, done, err := f.message(w, r)
	defer done()
	if err != nil {
		return err
	}
	var m struct {
		End     string   `json:"end_ts"`
		Views   []string `json:"feature_views"`
		Version string   `json:"version"`
	}
	if err := wire.Unmarshal(b.body.Bytes(), &m); err != nil {
		return unread(err)
	}
	o := Order{Views: m.Views}
	if o.To, err = at("end_ts", m.End); err != nil {
		return err
	}
	return f.order(w, r, p, o, m.Version)
}

func at(name, text string) (time.Time, error) {
	t, ok := parseTime(text)
	if !ok {
		return t, fault.New(fault.Invalid, "%s %.40q is no time", name, text).Hint(`write it like "2026-01-31T10:00:00"`)
	}
	return t, nil
}

// order hands an order on and answers: with null once it is done, or, with
// ?async=true, at once.
func (f *surface) order(w http.ResponseWriter, r *http.Request, p identity.Principal, o Order, version string) error {
	if version != "" {
		return fault.New(fault.Unsupported, "versions of a view cannot be materialised").Hint("the present definition is, without a version")
	}
	for _, name := range o.Views {
		if err := permit(p, "run", name); err != nil {
			return err
		}
		if _, err := f.Names.View(r.Context(), name); err != nil {
			return named(err, fault.NotFound, noView)
		}
	}
	if len(o.Views) == 0 {
		if err := permit(p, "run", "*"); err != nil {
			return err
		}
	}
	q := r.URL.Query()
	o.Wait, o.Force, o.By = !flag(q.Get("async")), flag(q.Get("force")), p.Name
	views, err := f.Store.Materialise(r.Context(), o)
	type told struct {
		Error  string   `json:"error,omitempty"`
		Status string   `json:"status,omitempty"`
		Views  []string `json:"feature_views"`
	}
	switch {
	case fault.Is(err, fault.Conflict):
		body, _ := json.Marshal(told{Error: err.Error() + ": use ?force=true to do it nevertheless", Views: views}) // strings alone
		reply(w, http.StatusConflict, body)
	case err != nil:
		return err
	case o.Wait:
		reply(w, http.StatusOK, []byte("null"))
	default:
		body, _ := json.Marshal(told{Status: "accepted", Views: views}) // strings alone
		reply(w, http.StatusAccepted, body)
	}
	return nil
}

// flag reads a boolean of a query as FastAPI does.
func flag(text string) bool {
	v, err := strconv.ParseBool(text)
	return err == nil && v || text == "on" || text == "yes"
}
