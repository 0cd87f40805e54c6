// Package mcp speaks the Model Context Protocol, so that agents search what
// Leat knows, ask its assistants, and check what they cite.
//
//	POST /mcp                                     calls, by streamable HTTP
//	GET  /.well-known/oauth-protected-resource    how callers show who they are (RFC 9728)
//
// Two revisions are spoken at one address: that of 2026-07-28, in which each
// request stands for itself, and those from 2025-11-25 back, which begin with
// initialize. Nothing is kept between requests in either.
//
// The tools are
//
//	search            passages for a question, as deep-research connectors ask for them
//	fetch             a document that search found
//	search_documents  the same with filters, a time to ask "as of", and scores
//	read_source       a range of bytes of a version of a document
//	verify_quote      whether a quote stands in a version, byte for byte
//	ask               an answer of an assistant, with verified citations
//
// and every version of a document is a resource, source://KNOWLEDGE/DOCUMENT@VERSION.
// A caller is offered the tools for which they have a grant (search:NAME of
// some knowledge, ask:NAME of some assistant), and in them the names that they
// may use; who may read which document is the knowledge's to say.
//
// It is a translator: Register gives it a server and the Services that answer.
// The protocol itself is done by the SDK of its makers. What is wrong with the
// arguments of a tool, and what goes wrong in it, is a result of the tool that
// a model can read; only what is wrong with the protocol is an error of it.
package mcp

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/surface/server"
)

// Searcher finds passages, for the principal of the context; flow/knowledge's
// Store.
type Searcher interface {
	Search(ctx context.Context, s store.Search) (store.Found, error)
}

// Texts reads what was stored of documents, for the principal of the context;
// flow/knowledge's Store.
type Texts interface {
	// Text returns the text of a version and its SHA-256.
	Text(ctx context.Context, knowledge, document, version string) ([]byte, string, error)
	// Versions lists those of a document, the newest first.
	Versions(ctx context.Context, knowledge, document string) ([]store.Version, error)
	// Verify returns what stands at a citation.
	Verify(ctx context.Context, c store.Citation) (store.Proof, error)
}

// Assistants answers questions, for the principal of the context;
// pattern/knowledge's Driver.
type Assistants interface {
	Ask(ctx context.Context, q knowledge.Question) (knowledge.Answer, error)
}

// Names lists what there is, by name. It answers from memory.
type Names interface {
	Knowledge() []string
	Assistants() []string
}

// Services is what answers.
type Services struct {
	Searcher   Searcher
	Texts      Texts
	Assistants Assistants
	Names      Names
	// Version is that of Leat.
	Version string
	Log     *slog.Logger
}

// Path is where the protocol is spoken.
const Path = "/mcp"

// maxBody bounds a request, in bytes.
const maxBody = 1 << 20

// Register lets callers in.
func Register(s *server.Server, services Services) {
	h := &handler{Services: services, schemas: sdk.NewSchemaCache()}
	h.protocol = sdk.NewStreamableHTTPHandler(h.serverOf, &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, PropagateRequestCancellation: true,
		// The front door looks at Host and Origin, and knows of keys and proxies.
		DisableLocalhostProtection: true,
	})
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		s.HandleRefused(method+" "+Path, h, refuse)
	}
	s.HandleOpen("GET "+metadataPath, http.HandlerFunc(describe))
	s.HandleOpen("GET "+metadataPath+Path, http.HandlerFunc(describe))
}

// handler answers requests. It is safe for many goroutines.
type handler struct {
	Services
	schemas  *sdk.SchemaCache
	protocol *sdk.StreamableHTTPHandler
}

type serverKey struct{}

// ServeHTTP answers one request, by a server of its own: which tools it has is
// the caller's grants' to say.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who, _ := identity.From(r.Context()) // without, there is nothing that they may
	w.Header().Set("X-Accel-Buffering", "no")
	if name, ok := decoded(r.Header.Get(nameHeader)); ok {
		r = r.Clone(r.Context()) // a header belongs to who made it
		r.Header.Set(nameHeader, name)
	}
	x := h.exchange(r.Context(), who, r.Header.Get("Mcp-Protocol-Version"))
	h.protocol.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), serverKey{}, x.server())))
}

// nameHeader has the name of the tool or resource that a request is about.
const nameHeader = "Mcp-Name"

// decoded is the text of a header that is written in base64 because it is more
// than ASCII, as the addresses of resources may be. The SDK compares such a
// header with the body as it stands.
func decoded(value string) (string, bool) {
	encoded, ok := strings.CutPrefix(value, "=?base64?")
	if !ok {
		return "", false
	}
	encoded, ok = strings.CutSuffix(encoded, "?=")
	text, err := base64.StdEncoding.DecodeString(encoded)
	return string(text), ok && err == nil && utf8.Valid(text)
}

// serverOf is the server of a request.
func (h *handler) serverOf(r *http.Request) *sdk.Server {
	s, _ := r.Context().Value(serverKey{}).(*sdk.Server)
	return s
}
