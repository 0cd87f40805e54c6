package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
)

func historyQuery(views []string, time string) url.Values {
	return url.Values{"view": views, "time": {time}}
}

// HistoryPlan says which columns rows need to be given features as of the times
// in a column.
func (c *Client) HistoryPlan(ctx context.Context, views []string, time string) (out api.HistoryPlan, err error) {
	return out, c.do(ctx, call{method: http.MethodGet, path: "/v1/feature-history", query: historyQuery(views, time)}, &out)
}

// FeatureHistory gives rows, a CSV or Parquet file, the features that their
// entities had at their times: an Arrow stream of both, which the caller
// closes.
func (c *Client) FeatureHistory(ctx context.Context, views []string, time string, rows io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/v1/feature-history?"+historyQuery(views, time).Encode(), rows)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, unreachable(ctx, c.base, err)
	}
	if res.StatusCode < 300 {
		return res.Body, nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the server's answer broke off")
	}
	return nil, problem(res.StatusCode, answer)
}
