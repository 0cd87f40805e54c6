package api

import (
	"bytes"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/server"
)

// IdempotencyKey is the header with which a caller may safely ask again.
const IdempotencyKey = "Idempotency-Key"

// maxKey bounds the idempotency key in bytes.
const maxKey = 256

// scratch is what one scoring request needs and the next can use again.
type scratch struct {
	body  bytes.Buffer
	reply []byte
}

// maxKept is the size over which a buffer is not kept for the next request.
const maxKept = 1 << 20

func (a *API) scoring(s *server.Server) {
	pool := &sync.Pool{New: func() any { return new(scratch) }}
	s.Handle("POST /v1/endpoints/{name}/score", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		buf := pool.Get().(*scratch)
		if err := a.score(w, r, buf); err != nil {
			server.WriteProblem(w, err)
		}
		if buf.body.Cap() <= maxKept && cap(buf.reply) <= maxKept {
			pool.Put(buf)
		}
	}))
	a.huma.OpenAPI().AddOperation(scoreOperation())
}

func (a *API) score(w http.ResponseWriter, r *http.Request, buf *scratch) error {
	received := time.Now()
	name := r.PathValue("name")
	p, err := allowed(r.Context(), verbScore, name)
	if err != nil {
		return err
	}
	path, err := a.services.Endpoints.Path(name)
	if err != nil {
		return err
	}
	if err := server.ReadBody(w, r, path.MaxBody(), path.Timeout(), &buf.body); err != nil {
		return err
	}
	call := realtime.Call{Endpoint: name, Principal: p, Body: buf.body.Bytes(), Key: r.Header.Get(IdempotencyKey), Received: received}
	if len(call.Key) > maxKey {
		return fault.New(fault.Invalid, "the idempotency key is over %d bytes", maxKey)
	}
	reply, known, err := a.services.Scoring.Score(r.Context(), call, buf.reply[:0])
	buf.reply = reply
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	if known {
		h.Set("Idempotent-Replayed", "true")
	}
	_, _ = w.Write(reply) // a client that is gone has nobody to tell
	return nil
}

// scoreOperation describes the scoring route in the OpenAPI document.
func scoreOperation() *huma.Operation {
	row := &huma.Schema{Type: "object", AdditionalProperties: true, Description: "Every input column of the endpoint by name; null where a value is not known."}
	decision := &huma.Schema{
		Type: "object", AdditionalProperties: true, Required: []string{"id"},
		Properties:  map[string]*huma.Schema{"id": {Type: "string"}, "error": {Type: "object", AdditionalProperties: true}},
		Description: "The outputs of the model by name and the decision, or the error of this row.",
	}
	text := &huma.Schema{Type: "string"}
	return &huma.Operation{
		Method: http.MethodPost, Path: "/v1/endpoints/{name}/score", OperationID: "score",
		Summary: "Score rows with the live release of an endpoint", Tags: []string{"scoring"}, Security: needs(verbScore),
		Parameters: []*huma.Param{
			{Name: "name", In: "path", Required: true, Schema: text},
			{Name: IdempotencyKey, In: "header", Schema: text, Description: "The same key with the same body gets the first answer again."},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: jsonOf(&huma.Schema{
			Type: "object", Required: []string{"rows"},
			Properties: map[string]*huma.Schema{"rows": {Type: "array", Items: row}},
		})},
		Responses: map[string]*huma.Response{
			"200": {Description: "One decision for each row, in their order.", Content: jsonOf(&huma.Schema{
				Type: "object", Required: []string{"endpoint", "release", "variant", "decisions"},
				Properties: map[string]*huma.Schema{
					"endpoint": text, "release": text, "variant": text, "served_by": text,
					"decisions": {Type: "array", Items: decision},
				},
			})},
			"default": {Description: "A problem document (RFC 9457)."},
		},
	}
}

func jsonOf(s *huma.Schema) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: s}}
}
