package feast

import (
	"net/http"
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
)

// question is the message of /get-online-features.
type question struct {
	Entities table          `json:"entities"`
	Service  string         `json:"feature_service"`
	Features jsontext.Value `json:"features"`
	Full     bool           `json:"full_feature_names"`
	Versions bool           `json:"include_feature_view_version_metadata"`
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
	plan, err := f.plan(r.Context(), p, &q)
	if err != nil {
		return err
	}
	keys, err := plan.read(&q.Entities)
	if err != nil {
		return err
	}
	defer keys.Release()
	err = plan.reader.Read(r.Context(), keys, func(found []Found) error {
		b.reply = plan.append(b.reply[:0], keys, found, q.Versions)
		return nil
	})
	if err != nil {
		return err
	}
	reply(w, http.StatusOK, b.reply)
	return nil
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
