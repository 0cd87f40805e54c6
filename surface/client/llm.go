package client

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/surface/api"
)

// LLMs lists language models and how they do.
func (c *Client) LLMs(ctx context.Context) ([]api.LLM, error) {
	return get[[]api.LLM](ctx, c, "/v1/llm", nil)
}

// LLMCalls lists calls of language models, the latest first: of one LLM and
// one caller, where these are not "", and before an id.
func (c *Client) LLMCalls(ctx context.Context, llm, caller, before string, limit int) ([]api.LLMCall, error) {
	return get[[]api.LLMCall](ctx, c, "/v1/llm/calls", limited(limit, "llm", llm, "caller", caller, "before", before))
}

// LLMCall returns one call.
func (c *Client) LLMCall(ctx context.Context, id string) (api.LLMCall, error) {
	return get[api.LLMCall](ctx, c, "/v1/llm/calls/"+url.PathEscape(id), nil)
}

// LLMSpend sums what was spent in the latest days, by day, llm, caller or
// deployment.
func (c *Client) LLMSpend(ctx context.Context, days int, by ...string) ([]api.LLMSpent, error) {
	q := url.Values{}
	if days > 0 {
		q.Set("days", strconv.Itoa(days))
	}
	if len(by) > 0 {
		q.Set("by", strings.Join(by, ","))
	}
	return get[[]api.LLMSpent](ctx, c, "/v1/llm/spend", q)
}
