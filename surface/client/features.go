package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/leat-ai/leat/surface/api"
)

// Features are features of entities as they were read, by view.
type Features struct {
	At    time.Time      `json:"at"`
	Rows  int            `json:"rows"`
	Views []ViewFeatures `json:"views"`
}

// ViewFeatures is what was read of one view. Each list has one value for each
// entity.
type ViewFeatures struct {
	View     string           `json:"view"`
	Status   []string         `json:"status"` // present, stale or not_found
	Time     []*time.Time     `json:"time"`   // of the newest event; nil where not found
	Features map[string][]any `json:"features"`
}

// FeatureViews lists the feature views with their freshness.
func (c *Client) FeatureViews(ctx context.Context) ([]api.FeatureView, error) {
	return get[[]api.FeatureView](ctx, c, "/v1/features", nil)
}

// FeatureView shows a feature view with its freshness.
func (c *Client) FeatureView(ctx context.Context, name string) (api.FeatureView, error) {
	return get[api.FeatureView](ctx, c, "/v1/features/"+url.PathEscape(name), nil)
}

// ReadFeatures reads features of entities. features are names of views, or
// view:feature; entities are columns of values, one for each entity. A zero
// time is the present.
func (c *Client) ReadFeatures(ctx context.Context, features []string, entities map[string][]any, at time.Time) (Features, error) {
	body := struct {
		Features []string         `json:"features"`
		Entities map[string][]any `json:"entities"`
		At       time.Time        `json:"at,omitzero"`
	}{features, entities, at}
	var answer Features
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/features/read", body: body, again: true}, &answer)
	return answer, err
}

// PushFeatures pushes rows of a feature view. It is sent once, unless the
// events have ids.
func (c *Client) PushFeatures(ctx context.Context, view string, push api.FeaturePush) (api.FeaturePushed, error) {
	var answer api.FeaturePushed
	again := len(push.IDs) > 0 && push.To == "online"
	err := c.do(ctx, call{method: http.MethodPost, path: "/v1/features/" + url.PathEscape(view) + "/push", body: push, again: again}, &answer)
	return answer, err
}

// MaterialiseFeatures begins to bring a view from the lake to the online
// store, and returns the run.
func (c *Client) MaterialiseFeatures(ctx context.Context, view string, m api.FeatureMaterialise) (run string, err error) {
	started, err := post[api.Started](ctx, c, "/v1/features/"+url.PathEscape(view)+"/materialise", m)
	return started.Run, err
}
