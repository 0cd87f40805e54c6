package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/work"
)

// Row is one row to score: values by column, nil where one is not known.
type Row map[string]any

// Decision is one answer: Values has the outputs of the model and the
// decision by name; Error is set instead when the row failed.
type Decision struct {
	ID     string
	Values map[string]any
	Error  *DecisionError
}

// DecisionError says why a row failed.
type DecisionError struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// Scored is the answer to Score.
type Scored struct {
	Endpoint  string     `json:"endpoint"`
	Release   string     `json:"release"`
	Variant   string     `json:"variant"`
	ServedBy  string     `json:"served_by,omitempty"` // the model that stood in, where the variant is "fallback"
	Decisions []Decision `json:"decisions"`
}

// UnmarshalJSON splits the id and the error from the values.
func (d *Decision) UnmarshalJSON(text []byte) error {
	var fixed struct {
		ID    string         `json:"id"`
		Error *DecisionError `json:"error"`
	}
	if err := json.Unmarshal(text, &fixed); err != nil {
		return err
	}
	d.ID, d.Error, d.Values = fixed.ID, fixed.Error, map[string]any{}
	if err := json.Unmarshal(text, &d.Values); err != nil {
		return err
	}
	delete(d.Values, "id")
	delete(d.Values, "error")
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (d Decision) MarshalJSON() ([]byte, error) {
	all := map[string]any{"id": d.ID}
	for name, v := range d.Values {
		all[name] = v
	}
	if d.Error != nil {
		all["error"] = d.Error
	}
	return json.Marshal(all)
}

// Score asks an endpoint for decisions on rows. With a key the same call can
// be made again and gets the same answer; it is then sent again by itself
// after a failure in passing.
func (c *Client) Score(ctx context.Context, endpoint string, rows []Row, key string) (Scored, error) {
	body := map[string][]Row{"rows": rows}
	k := call{method: http.MethodPost, path: "/v1/endpoints/" + url.PathEscape(endpoint) + "/score", body: body}
	if key != "" {
		k.header, k.again = http.Header{api.IdempotencyKey: {key}}, true
	}
	var s Scored
	return s, c.do(ctx, k, &s)
}

// get reads an operation that takes nothing but its path.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (out T, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: path, query: query}, &out)
	return out, err
}

func post[T any](ctx context.Context, c *Client, path string, body any) (out T, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: path, body: body}, &out)
	return out, err
}

func limited(limit int, pairs ...string) url.Values {
	q := url.Values{}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// Status says what the server is and serves.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/v1/status", nil)
}

// Doctor checks the parts of the server.
func (c *Client) Doctor(ctx context.Context) ([]api.Check, error) {
	return get[[]api.Check](ctx, c, "/v1/doctor", nil)
}

// Resources lists what is in force.
func (c *Client) Resources(ctx context.Context) ([]spec.Resource, error) {
	return get[[]spec.Resource](ctx, c, "/v1/resources", nil)
}

// Plan shows what Apply would change.
func (c *Client) Plan(ctx context.Context, files map[string]string) (spec.Plan, error) {
	return post[spec.Plan](ctx, c, "/v1/plan", api.Files{Files: files})
}

// Apply puts a project in force.
func (c *Client) Apply(ctx context.Context, files map[string]string) (resources.Applied, error) {
	return post[resources.Applied](ctx, c, "/v1/apply", api.Files{Files: files})
}

// Start begins the run of a source, pipeline or batch and returns its id.
func (c *Client) Start(ctx context.Context, kind spec.Kind, name string) (string, error) {
	s, err := post[api.Started](ctx, c, "/v1/run/"+string(kind)+"/"+url.PathEscape(name), nil)
	return s.Run, err
}

// Run shows a run with its steps and progress.
func (c *Client) Run(ctx context.Context, id string) (work.Status, error) {
	return get[work.Status](ctx, c, "/v1/runs/"+url.PathEscape(id), nil)
}

// Runs lists runs, newest first.
func (c *Client) Runs(ctx context.Context, kind, name, state string, limit int) ([]work.Status, error) {
	return get[[]work.Status](ctx, c, "/v1/runs", limited(limit, "kind", kind, "name", name, "state", state))
}

// CancelRun ends a run.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	_, err := post[api.Started](ctx, c, "/v1/runs/"+url.PathEscape(id)+"/cancel", nil)
	return err
}

// RetryRun goes on with a failed run.
func (c *Client) RetryRun(ctx context.Context, id string) error {
	_, err := post[api.Started](ctx, c, "/v1/runs/"+url.PathEscape(id)+"/retry", nil)
	return err
}

// Follow calls see with the status of a run now and as it changes, until it
// has ended, and returns the last.
func (c *Client) Follow(ctx context.Context, id string, see func(work.Status)) (work.Status, error) {
	for {
		s, err := c.Run(ctx, id)
		if err != nil {
			return s, err
		}
		if see != nil {
			see(s)
		}
		if s.State.Ended() {
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Models lists models.
func (c *Client) Models(ctx context.Context) ([]registry.Summary, error) {
	list, err := get[api.ModelList](ctx, c, "/v1/models", nil)
	if err == nil && list.Models == nil {
		err = fault.New(fault.Forbidden, "the key may not read models").Hint("a key with the grant read:* is needed")
	}
	return list.Models, err
}

// Model shows a model with its versions.
func (c *Client) Model(ctx context.Context, name string) (api.ModelDetail, error) {
	shown, err := get[api.ModelShown](ctx, c, "/v1/models/"+url.PathEscape(name), nil)
	if err != nil {
		return api.ModelDetail{}, err
	}
	if shown.ModelDetail == nil {
		return api.ModelDetail{}, fault.New(fault.NotFound, "%q is no model of the registry: it is asked by its name", name).Hint("`leat models` lists those of the registry")
	}
	return *shown.ModelDetail, nil
}

func versionPath(name, ref string) string {
	return "/v1/models/" + url.PathEscape(name) + "/versions/" + url.PathEscape(ref)
}

// Version shows a model version by number, alias, id prefix or "latest".
func (c *Client) Version(ctx context.Context, name, ref string) (registry.Version, error) {
	return get[registry.Version](ctx, c, versionPath(name, ref), nil)
}

// Report returns the evaluation report of a version, as JSON.
func (c *Client) Report(ctx context.Context, name, ref string) ([]byte, error) {
	d, err := get[api.Document](ctx, c, versionPath(name, ref)+"/report", nil)
	return []byte(d.Text), err
}

// ONNX returns a version as an ONNX model.
func (c *Client) ONNX(ctx context.Context, name, ref string) ([]byte, error) {
	d, err := get[api.Document](ctx, c, versionPath(name, ref)+"/onnx", nil)
	return d.Data, err
}

// SetAlias points an alias at a version; 0 removes it.
func (c *Client) SetAlias(ctx context.Context, name, alias string, version int) error {
	path := "/v1/models/" + url.PathEscape(name) + "/aliases/" + url.PathEscape(alias)
	return c.do(ctx, call{method: http.MethodPut, path: path, body: map[string]int{"version": version}}, nil)
}

// Endpoints lists endpoints and what they serve.
func (c *Client) Endpoints(ctx context.Context) ([]api.EndpointDetail, error) {
	return get[[]api.EndpointDetail](ctx, c, "/v1/endpoints", nil)
}

// Endpoint shows an endpoint.
func (c *Client) Endpoint(ctx context.Context, name string) (api.EndpointDetail, error) {
	return get[api.EndpointDetail](ctx, c, "/v1/endpoints/"+url.PathEscape(name), nil)
}

// Releases lists the releases of an endpoint, newest first.
func (c *Client) Releases(ctx context.Context, endpoint string) ([]deploy.Release, error) {
	return get[[]deploy.Release](ctx, c, "/v1/endpoints/"+url.PathEscape(endpoint)+"/releases", nil)
}

// History tells what an endpoint served since when, newest first.
func (c *Client) History(ctx context.Context, endpoint string) ([]deploy.Change, error) {
	return get[[]deploy.Change](ctx, c, "/v1/endpoints/"+url.PathEscape(endpoint)+"/history", nil)
}

// ReleaseAt returns the release that was live at a time.
func (c *Client) ReleaseAt(ctx context.Context, endpoint string, at time.Time) (deploy.Release, error) {
	return get[deploy.Release](ctx, c, "/v1/endpoints/"+url.PathEscape(endpoint)+"/at",
		url.Values{"time": {at.Format(time.RFC3339Nano)}})
}

// Rollback makes an earlier release live again: the one that to names, or for
// "" the last other one.
func (c *Client) Rollback(ctx context.Context, endpoint, to string) (deploy.Release, error) {
	return post[deploy.Release](ctx, c, "/v1/endpoints/"+url.PathEscape(endpoint)+"/rollback", map[string]string{"to": to})
}

// SQL queries the lake and the decision log for at most limit rows.
func (c *Client) SQL(ctx context.Context, sql string, limit int) (api.Result, error) {
	body := map[string]any{"sql": sql}
	if limit > 0 {
		body["limit"] = limit
	}
	return post[api.Result](ctx, c, "/v1/sql", body)
}

// Tables lists the tables of the lake.
func (c *Client) Tables(ctx context.Context) ([]api.Table, error) {
	return get[[]api.Table](ctx, c, "/v1/tables", nil)
}

// Decisions returns the latest decisions of an endpoint, or of all for "".
func (c *Client) Decisions(ctx context.Context, endpoint string, limit int) ([]api.DecisionDetail, error) {
	return get[[]api.DecisionDetail](ctx, c, "/v1/decisions", limited(limit, "endpoint", endpoint))
}

// Decision returns a decision by its id.
func (c *Client) Decision(ctx context.Context, id string) (api.DecisionDetail, error) {
	return get[api.DecisionDetail](ctx, c, "/v1/decisions/"+url.PathEscape(id), nil)
}

// Signals returns what monitors measured, newest first.
func (c *Client) Signals(ctx context.Context, name string, fired bool, limit int) ([]monitor.Reading, error) {
	return get[[]monitor.Reading](ctx, c, "/v1/signals",
		limited(limit, "monitor", name, "fired", strconv.FormatBool(fired)))
}

// Keys lists API keys.
func (c *Client) Keys(ctx context.Context) ([]identity.Key, error) {
	return get[[]identity.Key](ctx, c, "/v1/keys", nil)
}

// CreateKey makes an API key; the answer has its token, this once.
func (c *Client) CreateKey(ctx context.Context, name string, groups, grants []string, expires time.Duration) (api.CreatedKey, error) {
	body := map[string]any{"name": name, "groups": groups, "grants": grants}
	if expires > 0 {
		body["expires"] = expires.String()
	}
	return post[api.CreatedKey](ctx, c, "/v1/keys", body)
}

// RevokeKey ends an API key.
func (c *Client) RevokeKey(ctx context.Context, id string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/keys/" + url.PathEscape(id)}, nil)
}
