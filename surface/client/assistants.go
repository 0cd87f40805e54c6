package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/sse"
	"github.com/leat-ai/leat/surface/api"
)

// Assistants lists those that can be asked.
func (c *Client) Assistants(ctx context.Context) ([]api.Assistant, error) {
	return get[[]api.Assistant](ctx, c, "/v1/assistants", nil)
}

// Ask asks an assistant. each, when not nil, gets every checked piece of the
// answer as it comes; where Ask then returns an error, what came was no
// answer.
func (c *Client) Ask(ctx context.Context, assistant string, q api.Asked, each func(api.AnswerPart)) (answer api.AssistantAnswer, err error) {
	path := "/v1/assistants/" + url.PathEscape(assistant) + "/ask"
	if each == nil {
		return post[api.AssistantAnswer](ctx, c, path, q)
	}
	body, err := json.Marshal(q)
	if err != nil {
		return answer, fault.Wrap(err, fault.Invalid, "the question cannot be written as JSON")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(body))
	if err != nil {
		return answer, fault.Wrap(err, fault.Invalid, "the request cannot be made")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer, unreachable(ctx, c.base, err)
	}
	defer res.Body.Close()
	if res.StatusCode >= 300 {
		text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return answer, fault.Wrap(err, fault.Unavailable, "the server's answer broke off")
		}
		return answer, problem(res.StatusCode, text)
	}
	return told(res.Body, each)
}

// told reads the events of an answer. One that ends without its last event
// broke off.
func told(from io.Reader, each func(api.AnswerPart)) (answer api.AssistantAnswer, err error) {
	r := sse.NewReader(from, maxAnswer)
	for {
		e, err := r.Next()
		if err != nil {
			return answer, fault.Wrap(err, fault.Unavailable, "the answer broke off")
		}
		switch e.Type {
		case api.EventPart:
			var p api.AnswerPart
			if err := decode(e.Data, &p); err != nil {
				return answer, err
			}
			each(p)
		case api.EventAnswer:
			return answer, decode(e.Data, &answer)
		case api.EventError:
			return answer, problem(http.StatusInternalServerError, e.Data)
		}
	}
}
