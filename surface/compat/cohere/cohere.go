// Package cohere speaks as Cohere's rerank does, which LiteLLM and many others
// speak too: documents in the order of how well they answer a query.
//
//	POST /v2/rerank   documents as texts
//	POST /v1/rerank   documents as texts or objects, told back where asked for
//	POST /rerank      the same, by the path of LiteLLM
//
// It is a translator: Register gives it a server and the Reranker that
// answers, which is the gateway; a model is an LLM resource with a deployment
// that can rank. Errors have Cohere's shape, a message.
package cohere

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

// Reranker orders documents, for the principal of the context; llm/gateway's
// Gateway.
type Reranker interface {
	Rerank(ctx context.Context, name string, r llm.RerankRequest) (llm.Ranking, gateway.Call, error)
}

// The bounds of a request.
const (
	maxBody      = 16 << 20
	maxWait      = 30 * time.Second
	maxDocuments = 10_000
)

// Register puts the protocol's routes on a server.
func Register(s *server.Server, ranks Reranker) {
	for path, version := range map[string]string{"/rerank": "1", "/v1/rerank": "1", "/v2/rerank": "2", "/openai/v1/rerank": "2"} {
		s.HandleAs("POST "+path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := rerank(w, r, ranks, version); err != nil {
				refuse(w, err)
			}
		}), refuse)
	}
}

// request is the body of a request, in either version.
type request struct {
	Model     string           `json:"model"`
	Query     string           `json:"query"`
	Documents []jsontext.Value `json:"documents"`
	Top       *int             `json:"top_n"`
	Fields    []string         `json:"rank_fields"`      // version 1: of documents that are objects
	TellBack  bool             `json:"return_documents"` // version 1
	MaxPerDoc jsontext.Value   `json:"max_tokens_per_doc"`
	MaxChunks jsontext.Value   `json:"max_chunks_per_doc"`
	Extra     llm.Extra        `json:",embed"`
	texts     []string
}

func read(body []byte) (*request, error) {
	q := &request{}
	if err := json.Unmarshal(body, q); err != nil {
		return nil, fault.New(fault.Invalid, "the body is not what the operation takes").Because(err)
	}
	switch {
	case q.Model == "":
		return nil, fault.New(fault.Invalid, "the request names no model")
	case q.Query == "":
		return nil, fault.New(fault.Invalid, "there is no query")
	case len(q.Documents) == 0:
		return nil, fault.New(fault.Invalid, "there are no documents")
	case len(q.Documents) > maxDocuments:
		return nil, fault.New(fault.Invalid, "there are %d documents, more than %d", len(q.Documents), maxDocuments)
	case q.Top != nil && *q.Top < 1:
		return nil, fault.New(fault.Invalid, "top_n is %d", *q.Top)
	}
	q.texts = make([]string, len(q.Documents))
	for i, raw := range q.Documents {
		var err error
		if q.texts[i], err = q.text(raw); err != nil {
			return nil, fault.New(fault.Invalid, "document %d is neither a text nor an object with one", i).Because(err)
		}
	}
	return q, nil
}

// text is what is ranked of a document: itself, or some members of it, by
// default the one called text.
func (q *request) text(raw jsontext.Value) (text string, err error) {
	if raw.Kind() == '"' {
		return text, json.Unmarshal(raw, &text)
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(raw, &members); err != nil {
		return "", err
	}
	fields := q.Fields
	if len(fields) == 0 {
		fields = []string{"text"}
	}
	var parts []string
	for _, name := range fields {
		v, ok := members[name]
		if !ok {
			return "", errors.New("it has no " + strconv.Quote(name))
		}
		part := string(v)
		if v.Kind() == '"' {
			if err := json.Unmarshal(v, &part); err != nil {
				return "", err
			}
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "\n"), nil
}

func rerank(w http.ResponseWriter, r *http.Request, ranks Reranker, version string) error {
	var body bytes.Buffer
	if err := server.ReadBody(w, r, maxBody, maxWait, &body); err != nil {
		return err
	}
	q, err := read(body.Bytes())
	if err != nil {
		return err
	}
	who, _ := identity.From(r.Context())
	name := strings.TrimPrefix(q.Model, "llm/")
	if !who.May("chat", name) { // before they learn whether it is there
		return fault.New(fault.Forbidden, "%s may not chat with %s", who.Name, name).Hint("a key needs the grant \"chat:%s\"", name)
	}
	ask := llm.RerankRequest{Model: name, Query: q.Query, Documents: q.texts}
	if q.Top != nil {
		ask.Top = min(*q.Top, len(q.texts))
	}
	if q.MaxPerDoc.Kind() == '0' {
		ask.Extra = llm.Extra{"max_tokens_per_doc": []byte(q.MaxPerDoc)}
	}
	ranking, call, err := ranks.Rerank(r.Context(), name, ask)
	if err != nil {
		return err
	}
	if call.ID != "" { // what users of LiteLLM read
		h := w.Header()
		h.Set("X-Litellm-Call-Id", call.ID)
		h.Set("X-Litellm-Model-Id", call.Deployment)
		h.Set("X-Litellm-Response-Cost", call.Cost.String())
	}
	id := cmp.Or(call.ID, w.Header().Get(server.RequestID))
	reply(w, http.StatusOK, q.appendRanking(nil, id, version, ranking))
	return nil
}

func (q *request) appendRanking(dst []byte, id, version string, ranking llm.Ranking) []byte {
	results := slices.DeleteFunc(ranking.Results, func(d llm.Ranked) bool { return d.Index < 0 || d.Index >= len(q.texts) })
	slices.SortStableFunc(results, func(a, b llm.Ranked) int { return cmp.Compare(b.Score, a.Score) })
	if q.Top != nil {
		results = results[:min(len(results), *q.Top)]
	}
	dst = compat.AppendString(append(dst, `{"id":`...), id)
	dst = append(dst, `,"results":[`...)
	for i, d := range results {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"index":`...), int64(d.Index), 10)
		dst = strconv.AppendFloat(append(dst, `,"relevance_score":`...), d.Score, 'g', -1, 64)
		if q.TellBack {
			dst = q.appendDocument(append(dst, `,"document":`...), d.Index)
		}
		dst = append(dst, '}')
	}
	dst = compat.AppendString(append(dst, `],"meta":{"api_version":{"version":`...), version)
	units := ranking.Units
	if units == 0 {
		units = 1 // what the protocol bills at least
	}
	dst = strconv.AppendInt(append(dst, `},"billed_units":{"search_units":`...), int64(units), 10)
	dst = append(dst, '}')
	if n := ranking.Usage.Input; n > 0 {
		dst = strconv.AppendInt(append(dst, `,"tokens":{"input_tokens":`...), int64(n), 10)
		dst = append(dst, '}')
	}
	return append(dst, "}}\n"...)
}

func (q *request) appendDocument(dst []byte, i int) []byte {
	if raw := q.Documents[i]; raw.Kind() == '{' {
		return append(dst, raw...)
	}
	return append(compat.AppendString(append(dst, `{"text":`...), q.texts[i]), '}')
}

func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone has nobody to tell
}

// refuse tells of an error as Cohere does.
func refuse(w http.ResponseWriter, err error) {
	server.SetRetryAfter(w.Header(), err)
	status := server.NewProblem(err).Status
	if fault.Is(err, fault.Unsupported) {
		status = http.StatusBadRequest
	}
	body := compat.AppendString([]byte(`{"message":`), server.Sentence(err))
	if id := w.Header().Get(server.RequestID); id != "" {
		body = compat.AppendString(append(body, `,"id":`...), id)
	}
	reply(w, status, append(body, "}\n"...))
}
