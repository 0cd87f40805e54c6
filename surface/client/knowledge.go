package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/surface/api"
)

func knowledgePath(name string, rest ...string) string {
	path := "/v1/knowledge/" + url.PathEscape(name)
	for _, r := range rest {
		path += "/" + url.PathEscape(r)
	}
	return path
}

// KnowledgeList says how every knowledge is.
func (c *Client) KnowledgeList(ctx context.Context) ([]knowledge.Status, error) {
	return get[[]knowledge.Status](ctx, c, "/v1/knowledge", nil)
}

// Knowledge says how one is.
func (c *Client) Knowledge(ctx context.Context, name string) (knowledge.Status, error) {
	return get[knowledge.Status](ctx, c, knowledgePath(name), nil)
}

// SyncKnowledge begins to bring one up to date and returns the run's id.
func (c *Client) SyncKnowledge(ctx context.Context, name string) (string, error) {
	started, err := post[api.SyncStarted](ctx, c, knowledgePath(name, "sync"), nil)
	return started.Run, err
}

// SearchKnowledge finds the passages that answer best.
func (c *Client) SearchKnowledge(ctx context.Context, name string, q api.Searched) (out api.SearchFound, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: knowledgePath(name, "search"), body: q, again: true}, &out)
	return out, err
}

// KnowledgeDocuments lists documents that the caller may read, after one.
func (c *Client) KnowledgeDocuments(ctx context.Context, name, after string, limit int) ([]knowledge.Document, error) {
	return get[[]knowledge.Document](ctx, c, knowledgePath(name, "documents"), limited(limit, "after", after))
}

// KnowledgeErrors lists documents that could not be read, after one.
func (c *Client) KnowledgeErrors(ctx context.Context, name, after string, limit int) ([]knowledge.Document, error) {
	return get[[]knowledge.Document](ctx, c, knowledgePath(name, "errors"), limited(limit, "after", after))
}

// DocumentVersions lists the versions of a document, the newest first.
func (c *Client) DocumentVersions(ctx context.Context, name, document string) ([]knowledge.Version, error) {
	return get[[]knowledge.Version](ctx, c, knowledgePath(name, "documents", document, "versions"), nil)
}

// KnowledgeHistory shows snapshots, and what was live when.
func (c *Client) KnowledgeHistory(ctx context.Context, name string) (knowledge.History, error) {
	return get[knowledge.History](ctx, c, knowledgePath(name, "history"), nil)
}

// RollbackKnowledge makes an earlier snapshot live.
func (c *Client) RollbackKnowledge(ctx context.Context, name, to string) (knowledge.Change, error) {
	return post[knowledge.Change](ctx, c, knowledgePath(name, "rollback"), map[string]string{"to": to})
}

// Citation gives what stands at a citation, with the proof.
func (c *Client) Citation(ctx context.Context, of knowledge.Citation) (knowledge.Proof, error) {
	q := url.Values{"source": {of.Source}, "version": {of.Version}, "start": {strconv.Itoa(of.Start)}, "end": {strconv.Itoa(of.End)}}
	if of.Quote != "" {
		q.Set("quote", of.Quote)
	}
	if of.Text != "" {
		q.Set("text", of.Text)
	}
	return get[knowledge.Proof](ctx, c, knowledgePath(of.Knowledge, "citations"), q)
}

// RemoveDocument takes a document that was sent out of every answer.
func (c *Client) RemoveDocument(ctx context.Context, name, document string) error {
	return c.do(ctx, call{method: http.MethodDelete, path: knowledgePath(name, "documents", document), again: true}, nil)
}

// PutDocument sends a document, byte for byte, with what is said of it.
func (c *Client) PutDocument(ctx context.Context, name string, doc knowledge.Pushed, body io.Reader) (out knowledge.Pushed, err error) {
	q := url.Values{}
	for key, value := range map[string]string{"title": doc.Title, "url": doc.URL} {
		if value != "" {
			q.Set(key, value)
		}
	}
	if doc.Readers != nil {
		q["readers"] = doc.Readers
		if len(doc.Readers) == 0 {
			q.Set("readers", "")
		}
	}
	for field, value := range doc.Fields {
		q.Set("field."+field, value)
	}
	address := c.base + knowledgePath(name, "documents", doc.ID)
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, address, body)
	if err != nil {
		return out, fault.Wrap(err, fault.Invalid, "the request cannot be made")
	}
	if doc.MIME != "" {
		req.Header.Set("Content-Type", doc.MIME)
	}
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
