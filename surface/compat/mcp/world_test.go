package mcp_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	store "github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/compat/mcp"
	"github.com/leat-ai/leat/surface/server"
)

// world is two knowledge of a few documents, one of which only the user "ann"
// reads, and two assistants.
type world struct {
	versions map[string][]string // texts by KNOWLEDGE/DOCUMENT, the newest first
	asked    chan store.Search
	slow     chan struct{} // closed when somebody who waits was let go
}

func newWorld() *world {
	return &world{asked: make(chan store.Search, 100), slow: make(chan struct{}), versions: map[string][]string{
		"handbook/docs/travel.md":     {"Hotels cost up to 180 € a night.\nTrains are booked in second class.\n", "Hotels cost up to 150 € a night.\n"},
		"handbook/odd @ na/me?.md":    {"Hotels have odd names.\n"},
		"handbook/secret.md":          {"Hotels are bought by ann.\n"},
		"wiki/https://wiki.example/h": {"Hotels are buildings.\n"},
		"private/x.md":                {"Hotels of nobody.\n"},
		"handbook/long.md":            {strings.Repeat("é", 200_000)},
	}}
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func reads(ctx context.Context, document string) bool {
	p, ok := identity.From(ctx)
	return ok && (document != "secret.md" || p.Name == "ann")
}

// Search meets mcp.Searcher: every document that has a word of the query.
func (w *world) Search(ctx context.Context, s store.Search) (store.Found, error) {
	w.asked <- s
	switch s.Text {
	case "wait":
		<-ctx.Done()
		close(w.slow)
		return store.Found{}, fault.Wrap(ctx.Err(), fault.Canceled, "nobody waits any more")
	case "panic":
		panic("at the disco")
	case "defect":
		return store.Found{}, fault.Wrap(io.ErrUnexpectedEOF, fault.Internal, "the table knowledge_versions has a hole")
	}
	if s.Knowledge == "broken" {
		return store.Found{}, fault.New(fault.NotFound, "%q has no snapshot yet", s.Knowledge).Hint("`leat knowledge sync broken` reads its sources")
	}
	found := store.Found{Knowledge: s.Knowledge, Snapshot: "s1"}
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range w.versions {
			if !yield(name) {
				return
			}
		}
	}) {
		k, document, _ := strings.Cut(name, "/")
		text := w.versions[name][0]
		if k != s.Knowledge || !reads(ctx, document) || !strings.Contains(strings.ToLower(text), strings.ToLower(s.Text)) {
			continue
		}
		p := store.Scored{Score: 1, Passage: index.Passage{ID: document + "#0", Document: document, Version: digest(text), End: len(text), Title: "About " + document, Text: text}}
		if strings.HasPrefix(document, "https:") {
			p.URL = document
		}
		if s.Neighbours > 0 {
			p.After = []index.Passage{{Start: 5, End: 9, Text: "more"}}
		}
		found.Passages = append(found.Passages, p)
	}
	found.Passages = found.Passages[:min(len(found.Passages), s.K)]
	return found, nil
}

func (w *world) find(ctx context.Context, k, document, version string) (string, bool, error) {
	for i, text := range w.versions[k+"/"+document] {
		if digest(text) == version && reads(ctx, document) {
			return text, i == 0, nil
		}
	}
	return "", false, fault.New(fault.NotFound, "%q has no document %q", k, document).Hint("or you may not read it")
}

// Text meets mcp.Texts.
func (w *world) Text(ctx context.Context, k, document, version string) ([]byte, string, error) {
	text, _, err := w.find(ctx, k, document, version)
	return []byte(text), digest(text), err
}

// Versions meets mcp.Texts.
func (w *world) Versions(ctx context.Context, k, document string) (all []store.Version, err error) {
	for i, text := range w.versions[k+"/"+document] {
		all = append(all, store.Version{Document: document, Version: digest(text), Current: i == 0})
	}
	if len(all) == 0 || !reads(ctx, document) {
		return nil, fault.New(fault.NotFound, "%q has no document %q", k, document)
	}
	return all, nil
}

// Verify meets mcp.Texts.
func (w *world) Verify(ctx context.Context, c store.Citation) (store.Proof, error) {
	text, current, err := w.find(ctx, c.Knowledge, c.Source, c.Version)
	if err != nil {
		return store.Proof{}, err
	}
	p := store.Proof{Citation: c, Bytes: []byte(text[c.Start:c.End]), Title: "About " + c.Source, Format: "markdown", Current: current, URL: "https://docs.example/" + c.Source}
	p.Verified = c.Quote == "" || c.Quote == string(p.Bytes)
	return p, nil
}

// Ask meets mcp.Assistants.
func (w *world) Ask(_ context.Context, q knowledge.Question) (knowledge.Answer, error) {
	if q.Text == "too much" {
		return knowledge.Answer{}, fault.New(fault.Limited, "the assistant %q is asked too often", q.Assistant).Hint("try again in a second")
	}
	text := w.versions["handbook/docs/travel.md"][0]
	quote := "Hotels cost up to 180 € a night."
	return knowledge.Answer{
		ID: "decision-1", Release: "release-1", Text: q.Assistant + " says 180 € [1].", Model: "extractive",
		Sentences: []knowledge.Sentence{{End: 20, Supported: true, Citations: []int{1}}},
		Citations: []knowledge.Citation{{Number: 1, Knowledge: "handbook", Source: "docs/travel.md", Version: digest(text), End: len(quote), Quote: quote, SHA256: digest(quote), Verified: true}},
	}, nil
}

// Knowledge meets mcp.Names.
func (w *world) Knowledge() []string { return []string{"broken", "handbook", "private", "wiki"} }

// Assistants meets mcp.Names.
func (w *world) Assistants() []string { return []string{"guide", "helper"} }

// keys takes NAME/GRANT,GRANT for a key.
type keys struct{}

func (keys) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	name, grants, ok := strings.Cut(token, "/")
	if !ok {
		return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
	}
	return identity.Principal{Name: name, Grants: strings.Split(grants, ",")}, nil
}

// all is a key for all that the tests use; nobody has private.
const all = "ann/search:handbook,search:wiki,search:broken,ask:guide,ask:helper"

func start(t testing.TB, auth server.Auth) (*world, string) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	mcp.Register(s, mcp.Services{Searcher: w, Texts: w, Assistants: w, Names: w, Version: "1.2.3", Log: slog.New(slog.DiscardHandler)})
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	return w, s.URL()
}

// answer is what a request was answered.
type answer struct {
	status int
	header http.Header
	body   string
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
		Data    json.RawMessage
	}
}

// post sends a request of JSON-RPC.
func post(ctx context.Context, t testing.TB, url, key, body string, header http.Header) (answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/mcp", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for name, values := range header {
		r.Header[name] = values
	}
	client := &http.Client{Timeout: 20 * time.Second}
	reply, err := client.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer reply.Body.Close()
	content, err := io.ReadAll(reply.Body)
	a := answer{status: reply.StatusCode, header: reply.Header, body: string(content)}
	if err == nil && len(content) > 0 && content[0] == '{' {
		err = json.Unmarshal(content, &a)
	}
	return a, err
}
