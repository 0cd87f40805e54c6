package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/realtime"
)

// Features reads and writes features by entity.
type Features interface {
	List(ctx context.Context) ([]online.Entry, error)
	View(ctx context.Context, name string) (*online.View, error)
	Select(ctx context.Context, features []string) (*online.Selection, error)
	Status(ctx context.Context, v *online.View) (FeatureStatus, error)
	// Push writes rows with the columns of v.Rows, and others of its source.
	Push(ctx context.Context, v *online.View, rows frame.Batch, o PushOptions) (online.Pushed, error)
	Materialise(ctx context.Context, o online.Order, by string) (run string, err error)
}

// PushOptions say where rows are pushed to.
type PushOptions struct {
	Online, Offline bool
	IDs             []string // of the events; nil: they have none
	By              string
}

// FeatureView is a feature view as people see it.
type FeatureView struct {
	Name     string   `json:"name"`
	Entity   []Column `json:"entity,omitempty"`
	Features []Column `json:"features,omitempty"`
	// Kind is rows, windows, sql or demand.
	Kind      string   `json:"kind"`
	Source    string   `json:"source,omitempty"`
	Timestamp string   `json:"timestamp,omitempty"`
	TTL       string   `json:"ttl,omitempty"`
	Owner     string   `json:"owner,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	Class     string   `json:"class,omitempty"`
	// Offline says why the view is not read online.
	Offline string         `json:"offline,omitempty"`
	Status  *FeatureStatus `json:"status,omitempty"`
}

// FeatureStatus is how fresh what is online of a view is.
type FeatureStatus struct {
	View       string     `json:"view"`
	Newest     *time.Time `json:"newest,omitempty"` // time of the newest event
	Written    *time.Time `json:"written,omitempty"`
	AgeSeconds *float64   `json:"age_seconds,omitempty"` // of the newest event
	TTLSeconds float64    `json:"ttl_seconds,omitempty"`
	Stale      bool       `json:"stale"` // the newest event is older than the ttl
	// Materialised is the last materialisation that came to its end.
	Materialised *online.Materialised `json:"materialised,omitempty"`
}

// FeaturePush is rows for a view.
type FeaturePush struct {
	// Rows are objects of the columns of the view; one that is absent is NULL.
	Rows json.RawMessage `json:"rows"`
	// To is online, offline or both.
	To string `json:"to,omitempty" enum:"online,offline,both" default:"both"`
	// IDs are those of the events: windows take each once.
	IDs []string `json:"ids,omitempty" maxItems:"100000"`
}

// FeaturePushed tells what became of pushed rows.
type FeaturePushed struct {
	Rows   int `json:"rows"`
	Older  int `json:"older"`  // than what there was
	Nobody int `json:"nobody"` // without a key or a time
}

// FeatureMaterialise says what is brought from the lake to the online store.
type FeatureMaterialise struct {
	From time.Time `json:"from,omitzero"` // of new rows; absent: since the last time
	To   time.Time `json:"to,omitzero"`   // absent: the present
	Full bool      `json:"full,omitempty"`
}

// maxPushed bounds the rows of one push.
const maxPushed = 100_000

func (a *API) features() {
	s := a.services
	type noInput struct{}
	type name struct {
		Name string `path:"name"`
	}
	type push struct {
		Name string `path:"name"`
		Body FeaturePush
	}
	type materialise struct {
		Name string `path:"name"`
		Body FeatureMaterialise
	}
	register(a, route{http.MethodGet, "/v1/features", "list-features", "List the feature views with their freshness", "features", verbRead}, anything,
		func(ctx context.Context, p identity.Principal, _ *noInput) ([]FeatureView, error) {
			entries, err := s.Features.List(ctx)
			list := []FeatureView{}
			for _, e := range entries {
				if p.May(verbRead, e.Spec.Name) {
					list = append(list, a.featureView(ctx, e))
				}
			}
			return list, err
		})
	register(a, route{http.MethodGet, "/v1/features/{name}", "get-feature-view", "Show a feature view and its freshness", "features", verbRead}, func(in *name) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *name) (FeatureView, error) {
			entries, err := s.Features.List(ctx)
			for _, e := range entries {
				if e.Spec.Name == in.Name {
					return a.featureView(ctx, e), nil
				}
			}
			if err == nil {
				_, err = s.Features.View(ctx, in.Name) // says what is near
			}
			return FeatureView{}, err
		})
	register(a, route{http.MethodPost, "/v1/features/{name}/push", "push-features", "Push rows of a feature view", "features", verbRun}, func(in *push) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *push) (FeaturePushed, error) {
			return a.push(ctx, p, in.Name, in.Body)
		})
	register(a, route{http.MethodPost, "/v1/features/{name}/materialise", "materialise-features", "Bring a feature view from the lake to the online store", "features", verbRun}, func(in *materialise) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *materialise) (Started, error) {
			v, err := s.Features.View(ctx, in.Name)
			if err != nil {
				return Started{}, err
			}
			run, err := s.Features.Materialise(ctx, online.Order{View: v.Spec(), From: in.Body.From, To: in.Body.To, Full: in.Body.Full}, p.Name)
			return Started{Run: run}, err
		})
}

func (a *API) featureView(ctx context.Context, e online.Entry) FeatureView {
	v := FeatureView{
		Name: e.Spec.Name, Source: e.Spec.Source, Timestamp: e.Spec.Timestamp,
		Owner: e.Spec.Owner, Tags: e.Spec.Tags, Class: e.Spec.Class, Kind: "rows",
	}
	if e.Spec.TTL != 0 {
		v.TTL = e.Spec.TTL.String()
	}
	switch {
	case e.Spec.OnDemand():
		v.Kind = "demand"
	case e.Spec.SQL != "":
		v.Kind = "sql"
	case e.Spec.Windowed():
		v.Kind = "windows"
	}
	if e.Err != nil {
		v.Offline = e.Err.Error()
		return v
	}
	v.Entity, v.Features = featureColumns(e.View.Keys()), featureColumns(e.View.Features())
	if e.Spec.OnDemand() {
		return v
	}
	status, err := a.services.Features.Status(ctx, e.View)
	if err != nil {
		v.Offline = err.Error()
		return v
	}
	v.Status = &status
	return v
}

func featureColumns(columns []frame.Column) []Column {
	list := make([]Column, len(columns))
	for i, c := range columns {
		list[i] = Column{Name: c.Name, Type: string(c.Type)}
	}
	return list
}

// push reads rows and pushes them.
func (a *API) push(ctx context.Context, by identity.Principal, name string, in FeaturePush) (FeaturePushed, error) {
	v, err := a.services.Features.View(ctx, name)
	if err != nil {
		return FeaturePushed{}, err
	}
	o := PushOptions{Online: in.To != "offline", Offline: in.To != "online", IDs: in.IDs, By: by.Name}
	rows, err := readRows(in.Rows, v.Source())
	if err != nil {
		return FeaturePushed{}, err
	}
	defer rows.Release()
	if o.IDs != nil && len(o.IDs) != int(rows.NumRows()) {
		return FeaturePushed{}, fault.New(fault.Invalid, "there are %d ids of %d rows", len(o.IDs), rows.NumRows())
	}
	done, err := a.services.Features.Push(ctx, v, rows, o)
	return FeaturePushed{Rows: done.Rows, Older: done.Older, Nobody: done.Nobody}, err
}

// readRows reads JSON objects as rows with the columns that any of them has.
func readRows(text json.RawMessage, columns []frame.Column) (frame.Batch, error) {
	var rows []map[string]json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fault.New(fault.Invalid, "rows is no list of objects").Because(err).Hint(`write "rows": [{"customer_id": "c1", …}]`)
	}
	if len(rows) == 0 || len(rows) > maxPushed {
		return nil, fault.New(fault.Invalid, "there are %d rows", len(rows)).Hint("push between 1 and %d rows at once", maxPushed)
	}
	known := map[string]bool{}
	for _, c := range columns {
		known[c.Name] = true
	}
	for i, row := range rows {
		for name := range row {
			if !known[name] {
				return nil, fault.New(fault.Invalid, "row %d has a column %.80q, which the view does not read", i, name)
			}
		}
		for _, c := range columns {
			if _, ok := row[c.Name]; !ok {
				row[c.Name] = json.RawMessage("null")
			}
		}
	}
	whole, err := json.Marshal(map[string]any{"rows": rows})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "rows")
	}
	fields := make([]model.Field, len(columns))
	for i, c := range columns {
		fields[i] = model.Field{Name: c.Name, Type: c.Type}
	}
	read, err := realtime.ReadRows(whole, realtime.NewLayout(fields, nil), maxPushed)
	return read.Batch, err
}
