package client

import (
	"context"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/surface/api"
)

// Events returns what happened in the house: the newest first, or with after
// those with a higher seq, the oldest first. No types are all.
func (c *Client) Events(ctx context.Context, types []string, subject string, after int64, limit int) ([]api.Event, error) {
	past := ""
	if after > 0 {
		past = strconv.FormatInt(after, 10)
	}
	return get[[]api.Event](ctx, c, "/v1/events", limited(limit, "type", strings.Join(types, ","), "subject", subject, "after", past))
}
