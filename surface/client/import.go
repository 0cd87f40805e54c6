package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/surface/api"
)

func importPath(model string) string {
	return "/v1/models/" + url.PathEscape(model) + "/versions"
}

// Import registers a model that the server fetches from o.URI.
func (c *Client) Import(ctx context.Context, model string, o api.ImportOptions) (out intake.Imported, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: importPath(model), body: o}, &out)
	return out, err
}

// Deploy releases a version of an endpoint's model: by number, alias, id prefix
// or "latest", or for "" what the endpoint's resource says.
func (c *Client) Deploy(ctx context.Context, endpoint, version string) (deploy.Release, error) {
	return post[deploy.Release](ctx, c, "/v1/endpoints/"+url.PathEscape(endpoint)+"/deploy", map[string]string{"version": version})
}

// Upload registers a model whose files are sent; o.File names the model among
// them. It is not sent again after a failure: the caller may, and gets the
// same version.
func (c *Client) Upload(ctx context.Context, model string, files importer.Files, o api.ImportOptions) (out intake.Imported, err error) {
	q := url.Values{}
	for name, value := range map[string]string{
		"file": o.File, "source": o.Source, "alias": o.Alias, "label": o.Label, "description": o.Description, "flavor": o.Flavor,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	q["column"] = o.Columns
	for key, value := range o.Tags {
		q.Add("tag", key+"="+value)
	}
	body, packed := io.Pipe()
	go func() { packed.CloseWithError(importer.Pack(packed, files)) }()
	defer func() { _ = body.Close() }() // ends the packing when the server read no more
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+importPath(model)+"?"+q.Encode(), body)
	if err != nil {
		return out, fault.Wrap(err, fault.Invalid, "the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/x-tar")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return out, unreachable(ctx, c.base, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return out, fault.Wrap(err, fault.Unavailable, "the server's answer broke off")
	}
	if res.StatusCode >= 300 {
		return out, problem(res.StatusCode, answer)
	}
	return out, fault.Wrap(json.Unmarshal(answer, &out), fault.Internal, "the server's answer is not understood")
}
