package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/server"
)

// Assistants answer questions: pattern/knowledge.
type Assistants interface {
	Ask(ctx context.Context, q knowledge.Question) (knowledge.Answer, error)
	Assistants() []Assistant
}

// Assistant is one that can be asked.
type Assistant struct {
	Name      string   `json:"name"`
	Release   string   `json:"release"`
	Number    int      `json:"number"`
	Knowledge []string `json:"knowledge" doc:"what it answers from, as name@snapshot"`
	LLM       string   `json:"llm" doc:"what writes its answers; extractive where it quotes"`
}

// Asked is a question to an assistant.
type Asked struct {
	Question     string           `json:"question"`
	Conversation []knowledge.Turn `json:"conversation,omitempty"`
	Filter       json.RawMessage  `json:"filter,omitempty"`
}

// AssistantAnswer is what an assistant says.
type AssistantAnswer struct {
	ID        string `json:"id"` // of the decision
	Assistant string `json:"assistant"`
	Release   string `json:"release"`
	Variant   string `json:"variant"`
	ServedBy  string `json:"served_by,omitempty"` // who stood in
	Answer    string `json:"answer"`
	Abstained bool   `json:"abstained"`
	// Sentences are ranges of Answer, in bytes.
	Sentences []knowledge.Sentence `json:"sentences"`
	Citations []knowledge.Citation `json:"citations"`
	Passages  []knowledge.Passage  `json:"passages"`
	Query     string               `json:"query"`
	Model     string               `json:"model"`
	Input     int                  `json:"input_tokens"`
	Output    int                  `json:"output_tokens"`
	Cost      float64              `json:"cost"` // USD
}

func answered(assistant string, a knowledge.Answer) AssistantAnswer {
	return AssistantAnswer{
		ID: a.ID, Assistant: assistant, Release: a.Release, Variant: a.Variant, ServedBy: a.ServedBy,
		Answer: a.Text, Abstained: a.Abstained, Sentences: listed(a.Sentences), Citations: listed(a.Citations), Passages: listed(a.Passages),
		Query: a.Query, Model: a.Model, Input: a.Input, Output: a.Output, Cost: a.Cost,
	}
}

// listed makes an empty list of none.
func listed[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// AnswerPart is a checked piece of an answer on its way.
type AnswerPart struct {
	Text      string               `json:"text,omitempty"`
	Sentence  *knowledge.Sentence  `json:"sentence,omitempty"`
	Citations []knowledge.Citation `json:"citations,omitempty"`
	Passages  []knowledge.Passage  `json:"passages,omitempty"`
}

// Events of an answer that is sent piece by piece.
const (
	EventPart   = "part"   // an AnswerPart
	EventAnswer = "answer" // the last one: the whole AssistantAnswer
	EventError  = "error"  // the last one: a problem document; what came before is no answer
)

// Bounds of a question's body; the assistant's own limit is tighter.
const (
	maxQuestion  = 1 << 20
	questionTime = 30 * time.Second
)

func (a *API) assistants(s *server.Server) {
	type noInput struct{}
	register(a, route{http.MethodGet, "/v1/assistants", "list-assistants", "List the assistants that can be asked", "assistants", verbRead}, anything,
		func(_ context.Context, _ identity.Principal, _ *noInput) ([]Assistant, error) {
			return listed(a.services.Assistants.Assistants()), nil
		})
	s.Handle("POST /v1/assistants/{name}/ask", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.ask(w, r); err != nil {
			server.WriteProblem(w, err)
		}
	}))
	a.huma.OpenAPI().AddOperation(askOperation(a.huma))
}

// ask answers a question, whole or as it comes. An error is one that nothing
// was written before.
func (a *API) ask(w http.ResponseWriter, r *http.Request) error {
	q := knowledge.Question{Assistant: r.PathValue("name"), Key: r.Header.Get(IdempotencyKey), Received: time.Now()}
	who, err := allowed(r.Context(), verbAsk, q.Assistant)
	if err != nil {
		return err
	}
	if len(q.Key) > maxKey {
		return fault.New(fault.Invalid, "the idempotency key is over %d bytes", maxKey)
	}
	var body bytes.Buffer
	if err := server.ReadBody(w, r, maxQuestion, questionTime, &body); err != nil {
		return err
	}
	claim := decide.Claim{Endpoint: "assistants/" + q.Assistant, Principal: who.Name, Key: q.Key, Body: body.Bytes()}
	var asked Asked
	d := json.NewDecoder(bytes.NewReader(claim.Body))
	d.DisallowUnknownFields()
	if err := d.Decode(&asked); err != nil {
		return fault.New(fault.Invalid, "the question is not understood: %v", err).Hint(`send {"question": "…"}`)
	}
	q.Text, q.Conversation, q.Filter = asked.Question, asked.Conversation, asked.Filter
	if strings.Contains(r.Header.Get("Accept"), "text/event-stream") {
		a.tell(w, r, q, claim)
		return nil
	}
	answer, err := a.once(w, r, q, claim)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answered(q.Assistant, answer)) // a client that is gone has nobody to tell
	return nil
}

// once asks, or gives the answer again that was given under the claim's key.
func (a *API) once(w http.ResponseWriter, r *http.Request, q knowledge.Question, claim decide.Claim) (knowledge.Answer, error) {
	ask := func(ctx context.Context) (knowledge.Answer, error) { return a.services.Assistants.Ask(ctx, q) }
	if claim.Key == "" || a.services.Repeats == nil {
		return ask(r.Context())
	}
	answer, again, err := a.services.Repeats.Ask(r.Context(), claim, ask)
	if err != nil || !again {
		return answer, err
	}
	w.Header().Set("Idempotent-Replayed", "true")
	return answer, answer.Replay(q.Emit)
}

// tell sends an answer as it comes. A question that fails before anything was
// said is answered like any other request that fails.
func (a *API) tell(w http.ResponseWriter, r *http.Request, q knowledge.Question, claim decide.Claim) {
	flush, begun := http.NewResponseController(w), false
	send := func(event string, data any) error {
		if !begun {
			begun = true
			h := w.Header()
			h.Set("Content-Type", "text/event-stream")
			h.Set("Cache-Control", "no-store")
			h.Set("X-Accel-Buffering", "no")
		}
		text, err := json.Marshal(data)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "an answer cannot be written")
		}
		if _, err = w.Write([]byte("event: " + event + "\ndata: " + string(text) + "\n\n")); err != nil {
			return fault.Wrap(err, fault.Unavailable, "nobody reads the answer")
		}
		if err = flush.Flush(); errors.Is(err, http.ErrNotSupported) {
			return nil // who asks from within the process gets the answer at its end
		}
		return err
	}
	q.Emit = func(p knowledge.Part) error {
		return send(EventPart, AnswerPart{Text: p.Text, Sentence: p.Sentence, Citations: p.Citations, Passages: p.Passages})
	}
	answer, err := a.once(w, r, q, claim)
	switch {
	case err == nil:
		_ = send(EventAnswer, answered(q.Assistant, answer)) // as above
	case !begun:
		server.WriteProblem(w, err)
	default:
		_ = send(EventError, server.NewProblem(err))
	}
}

// askOperation describes the route in the OpenAPI document.
func askOperation(h huma.API) *huma.Operation {
	schemas := h.OpenAPI().Components.Schemas
	return &huma.Operation{
		Method: http.MethodPost, Path: "/v1/assistants/{name}/ask", OperationID: "ask",
		Summary: "Ask an assistant a question", Tags: []string{"assistants"}, Security: needs(verbAsk),
		Parameters: []*huma.Param{
			{Name: "name", In: "path", Required: true, Schema: &huma.Schema{Type: "string"}},
			{Name: IdempotencyKey, In: "header", Schema: &huma.Schema{Type: "string"}, Description: "The same key with the same body gets the first answer again, for 24 hours; 409 once a source of it was withdrawn or may not be read any more."},
			{Name: "Accept", In: "header", Schema: &huma.Schema{Type: "string"}, Description: "text/event-stream sends the answer piece by piece: events part, then answer or error."},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: jsonOf(schemas.Schema(reflect.TypeFor[Asked](), true, "Asked"))},
		Responses: map[string]*huma.Response{
			"200":     {Description: "The answer with its checked citations.", Content: jsonOf(schemas.Schema(reflect.TypeFor[AssistantAnswer](), true, "AssistantAnswer"))},
			"default": {Description: "A problem document (RFC 9457)."},
		},
	}
}
