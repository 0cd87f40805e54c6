// Package openai speaks as OpenAI's API does, and as Azure OpenAI's does, so
// that whoever uses a client of either asks Leat's assistants and language
// models by changing an address.
//
//	POST /v1/chat/completions             an answer of an assistant or a language model, whole or as it comes
//	POST /v1/responses                    the same, by the newer protocol; nothing is kept between calls
//	POST /v1/embeddings                   vectors of texts
//	GET  /v1/vector_stores                what can be searched: every knowledge that the caller may read
//	POST /v1/vector_stores/NAME/search    its passages
//	GET  /v1/models                       is the native API's, with this protocol's list in it: see List
//
// All of it, the list of models too, is also below /openai/v1, the path of
// Azure's clients; /openai/deployments/MODEL/chat/completions and
// …/embeddings are Azure's older style, in which the model stands in the path.
//
// It is a translator: Register gives it a server and the Services that answer.
// An assistant is a model of this protocol, and so is an LLM resource; Names
// says which a name means. A plain name is the assistant where both have it;
// assistant/NAME and llm/NAME always say which.
//
// What an answer of an assistant has besides the protocol's members stands in
// objects called "leat": the decision, the verified span of a citation, which
// sentences are supported. Errors have the protocol's shape, with the headers
// by which its clients decide to try again. A stream that broke off ends in an
// error frame and never in [DONE].
package openai

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/server"
)

// Assistants answers questions; pattern/knowledge's Driver.
type Assistants interface {
	// Ask answers for the principal of the context.
	Ask(ctx context.Context, q knowledge.Question) (knowledge.Answer, error)
}

// LLMs answers conversations and embeds texts, for the principal of the
// context; llm/gateway's Gateway. Streams and errors tell of their call as
// gateway.CallOf and gateway.Failed say.
type LLMs interface {
	Chat(ctx context.Context, name string, r llm.Request) (llm.Stream, error)
	Embed(ctx context.Context, name string, r llm.EmbedRequest) (llm.Embeddings, gateway.Call, error)
}

// Names says what the names of models mean. It answers from memory.
type Names interface {
	// All lists what is declared, assistants before LLMs, each by name.
	All(ctx context.Context) []Model
	// Find returns the model of a kind and a name.
	Find(ctx context.Context, kind Kind, name string) (Model, bool)
}

// Kind tells an assistant from a language model.
type Kind string

// The kinds.
const (
	Assistant Kind = "assistant"
	LLM       Kind = "llm"
)

// Model is something that can be asked by name.
type Model struct {
	Kind        Kind
	Name        string
	Description string
	Since       time.Time
	Knowledge   []string // of an assistant: what it answers from
	LLM         string   // of an assistant: the LLM resource that writes, or ""
}

// Searcher finds passages, for the principal of the context; flow/knowledge's
// Store.
type Searcher interface {
	Search(ctx context.Context, s store.Search) (store.Found, error)
}

// Stores lists every knowledge, whoever may read it, by name.
type Stores interface {
	Stores(ctx context.Context) ([]Store, error)
}

// Store is a knowledge.
type Store struct {
	Name      string
	Since     time.Time
	Documents int
	Failed    int // documents that could not be read
	Bytes     int64
	Ready     bool // it has a live snapshot
}

// Services is what answers.
type Services struct {
	Assistants Assistants
	LLMs       LLMs
	Names      Names
	Searcher   Searcher
	Stores     Stores
	Repeats    *knowledge.Repeats // nil: idempotency keys are not looked at
}

// The bounds of a request.
const (
	maxBody = 24 << 20 // images travel inside
	maxWait = 30 * time.Second
	// maxDepth bounds how deep a body is nested; schemas of tools are the
	// deepest that are seen.
	maxDepth = 100
)

type surface struct {
	Services
	exchanges sync.Pool // of *exchange
}

// exchange is one request with the memory that its answer is made in.
type exchange struct {
	*surface
	w     http.ResponseWriter
	r     *http.Request
	who   identity.Principal
	began time.Time
	body  bytes.Buffer
	out   []byte
}

// handler answers a request. An error that it returns came before anything
// was written.
type handler func(x *exchange) error

// Register puts the protocol's routes on a server.
func Register(s *server.Server, services Services) {
	o := &surface{Services: services}
	o.exchanges.New = func() any { return new(exchange) }
	for pattern, h := range o.routes() {
		s.HandleAs(pattern, o.serve(h), refuse)
	}
}

func (o *surface) routes() map[string]handler {
	routes := map[string]handler{
		"GET /openai/v1/models":         (*exchange).listModels,
		"GET /openai/v1/models/{id...}": (*exchange).showModel,
		"GET /openai/models":            (*exchange).listModels,
		"GET /openai/models/{id...}":    (*exchange).showModel,

		"POST /openai/deployments/{deployment}/chat/completions":            (*exchange).chat,
		"POST /openai/deployments/{deployment}/extensions/chat/completions": (*exchange).chat,
		"POST /openai/deployments/{deployment}/embeddings":                  (*exchange).embed,
	}
	for _, base := range []string{"/v1", "/openai/v1"} {
		routes["POST "+base+"/chat/completions"] = (*exchange).chat
		routes["POST "+base+"/embeddings"] = (*exchange).embed
	}
	for _, base := range []string{"/v1", "/openai/v1", "/openai"} {
		routes["POST "+base+"/responses"] = (*exchange).respond
		routes["GET "+base+"/responses/{id}"] = (*exchange).forgotten
		routes["GET "+base+"/vector_stores"] = (*exchange).listStores
		routes["GET "+base+"/vector_stores/{store}"] = (*exchange).showStore
		routes["POST "+base+"/vector_stores/{store}/search"] = (*exchange).searchStore
	}
	return routes
}

// maxKept is the size over which memory is not kept for the next request.
const maxKept = 1 << 20

func (o *surface) serve(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := o.exchanges.Get().(*exchange)
		x.surface, x.w, x.r, x.began = o, w, r, time.Now()
		x.who, _ = identity.From(r.Context())
		x.out = x.out[:0]
		if err := h(x); err != nil {
			processed(w.Header(), x.began)
			refuse(w, err)
		}
		if x.body.Cap() > maxKept || cap(x.out) > maxKept {
			return
		}
		x.body.Reset()
		x.w, x.r, x.who = nil, nil, identity.Principal{}
		o.exchanges.Put(x)
	})
}

// read reads the body, of which nothing is deeper nested than is bounded.
func (x *exchange) read() ([]byte, error) {
	if err := server.ReadBody(x.w, x.r, maxBody, maxWait, &x.body); err != nil {
		return nil, err
	}
	body := x.body.Bytes()
	return body, shallow(body)
}

// shallow refuses a body that is nested too deep, before a parser descends
// into it.
func shallow(body []byte) error {
	depth := 0
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '"':
			i = quoteEnd(body, i)
		case '{', '[':
			if depth++; depth > maxDepth {
				return fault.New(fault.Invalid, "the body is nested deeper than %d", maxDepth)
			}
		case '}', ']':
			depth--
		}
	}
	return nil
}

// quoteEnd is where the string ends that begins at a place, or the body's end.
func quoteEnd(body []byte, at int) int {
	for {
		next := bytes.IndexByte(body[at+1:], '"')
		if next < 0 {
			return len(body)
		}
		from := at + 1
		at = from + next
		escapes := 0
		for at-1-escapes >= from && body[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
}

// reply answers with the JSON in x.out.
func (x *exchange) reply() {
	h := x.w.Header()
	h["Content-Type"] = jsonType
	processed(h, x.began)
	_, _ = x.w.Write(x.out) // a client that is gone has nobody to tell
}

// permit refuses who may not do something with a thing of a name.
func (x *exchange) permit(verb, name string) error {
	if x.who.May(verb, name) {
		return nil
	}
	return fault.New(fault.Forbidden, "%s may not %s %s", x.who.Name, verb, name).Hint("a key needs the grant \"%s:%s\"", verb, name)
}

// The verbs of grants that are asked for here.
const (
	verbAsk    = "ask"    // an assistant
	verbChat   = "chat"   // with a language model
	verbSearch = "search" // a knowledge
	verbRead   = "read"   // that there is something
)
