package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/surface/server"
)

// Knowledge is asked, shown and kept: flow/knowledge. Who asks is in the
// context.
type Knowledge interface {
	Search(ctx context.Context, q knowledge.Search) (knowledge.Found, error)
	KnowledgeShown
	KnowledgeKept
}

// KnowledgeShown shows what a knowledge has.
type KnowledgeShown interface {
	List(ctx context.Context) ([]knowledge.Status, error)
	Status(ctx context.Context, name string) (knowledge.Status, error)
	History(ctx context.Context, name string) (knowledge.History, error)
	DocumentsShown
}

// DocumentsShown shows documents, their versions, and the bytes of them that
// are cited.
type DocumentsShown interface {
	Documents(ctx context.Context, name, after string, limit int, failed bool) ([]knowledge.Document, error)
	Errors(ctx context.Context, name, after string, limit int) ([]knowledge.Document, error)
	Versions(ctx context.Context, name, document string) ([]knowledge.Version, error)
	Verify(ctx context.Context, c knowledge.Citation) (knowledge.Proof, error)
}

// KnowledgeKept changes what a knowledge has.
type KnowledgeKept interface {
	Push(ctx context.Context, name string, p knowledge.Pushed, body io.Reader, by string) (knowledge.Pushed, error)
	Remove(ctx context.Context, name, document string) error
	Rollback(ctx context.Context, name, to, by string) (knowledge.Change, error)
}

// Searched is a question to a knowledge.
type Searched struct {
	Query      string          `json:"query" minLength:"1" maxLength:"32768"`
	K          int             `json:"k,omitempty" minimum:"1" maximum:"1000" default:"10" doc:"how many passages at most"`
	Filter     json.RawMessage `json:"filter,omitempty" doc:"a condition on fields, such as {\"field\": \"team\", \"eq\": \"sales\"}"`
	Snapshot   string          `json:"snapshot,omitempty" doc:"the live one when absent"`
	AsOf       time.Time       `json:"as_of,omitzero" doc:"the snapshot that was live then"`
	Neighbours int             `json:"neighbours,omitempty" minimum:"0" maximum:"10" doc:"passages before and after each"`
	Explain    bool            `json:"explain,omitempty" doc:"with the scores of each stage"`
}

// SearchFound is what a knowledge answers.
type SearchFound struct {
	Knowledge string          `json:"knowledge"`
	Snapshot  string          `json:"snapshot"`
	Passages  []SearchPassage `json:"passages"`
	Notes     []string        `json:"notes,omitempty"` // what could not be done
	Millis    float64         `json:"ms"`
}

// SearchPassage is a passage, with where it stands: bytes of the text of a
// version of its document.
type SearchPassage struct {
	ID      string          `json:"id"`
	Source  string          `json:"source"`  // the document
	Version string          `json:"version"` // SHA-256 of its bytes
	Start   int             `json:"start"`
	End     int             `json:"end"`
	Title   string          `json:"title,omitempty"`
	Heading string          `json:"heading,omitempty"`
	Page    int             `json:"page,omitempty"`
	URL     string          `json:"url,omitempty"`
	Text    string          `json:"text"`
	Score   float64         `json:"score,omitempty"`
	Fields  map[string]any  `json:"fields,omitempty"`
	Explain *SearchExplain  `json:"explain,omitempty"`
	Before  []SearchPassage `json:"before,omitempty"`
	After   []SearchPassage `json:"after,omitempty"`
}

// SearchExplain has the scores of each stage.
type SearchExplain struct {
	Place    int          `json:"place"` // before the reranker
	Fused    float64      `json:"fused,omitempty"`
	Text     *SearchStage `json:"text,omitempty"`
	Vector   *SearchStage `json:"vector,omitempty"`
	Reranked *float64     `json:"reranked,omitempty"`
}

// SearchStage is the place of a passage in one ranking.
type SearchStage struct {
	Rank  int          `json:"rank"`
	Score float64      `json:"score"` // BM25, or the cosine
	Terms []SearchTerm `json:"terms,omitempty"`
}

// SearchTerm is what one word of the question added. Passages and IDF count
// the whole snapshot, those passages too that the caller may not read: who may
// search alone is not told them.
type SearchTerm struct {
	Term     string  `json:"term"`
	Passages int     `json:"passages,omitempty" doc:"that have it, of the whole snapshot; for those with the grant read or knowledge"`
	IDF      float64 `json:"idf,omitempty" doc:"weight of a rare word, by that count; for those with the grant read or knowledge"`
	Score    float64 `json:"score"`
}

// SyncStarted names the run that brings a knowledge up to date.
type SyncStarted struct {
	Run string `json:"run"`
}

type knowledgeNamed struct {
	Name string `path:"name"`
}

// pageOf is a page of documents.
type pageOf struct {
	Name  string `path:"name"`
	After string `query:"after" doc:"the id of the last one seen"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

const knowledgeTag = "knowledge"

func (a *API) knowledge(s *server.Server) {
	k := a.services.Knowledge
	type noInput struct{}
	named := func(in *knowledgeNamed) string { return in.Name }
	register(a, route{http.MethodGet, "/v1/knowledge", "list-knowledge", "List what is known, and how current it is", knowledgeTag, verbRead}, anything,
		func(ctx context.Context, _ identity.Principal, _ *noInput) ([]knowledge.Status, error) {
			return k.List(ctx)
		})
	register(a, route{http.MethodGet, "/v1/knowledge/{name}", "get-knowledge", "Show how a knowledge is", knowledgeTag, verbRead}, named,
		func(ctx context.Context, _ identity.Principal, in *knowledgeNamed) (knowledge.Status, error) {
			return k.Status(ctx, in.Name)
		})
	register(a, route{http.MethodPost, "/v1/knowledge/{name}/sync", "sync-knowledge", "Bring a knowledge up to date", knowledgeTag, verbRun}, named,
		func(ctx context.Context, p identity.Principal, in *knowledgeNamed) (SyncStarted, error) {
			id, err := a.services.Starter.Start(ctx, spec.KindKnowledge, in.Name, p.Name)
			return SyncStarted{id}, err
		})
	register(a, route{http.MethodGet, "/v1/knowledge/{name}/history", "get-knowledge-history", "Show the snapshots of a knowledge, and what was live when", knowledgeTag, verbRead}, named,
		func(ctx context.Context, _ identity.Principal, in *knowledgeNamed) (knowledge.History, error) {
			return k.History(ctx, in.Name)
		})
	type knowledgeRollback struct {
		Name string `path:"name"`
		Body struct {
			To string `json:"to,omitempty" maxLength:"200" doc:"a snapshot; the one before the live one when absent; latest ends a rollback"`
		}
	}
	register(a, route{http.MethodPost, "/v1/knowledge/{name}/rollback", "rollback-knowledge", "Make an earlier snapshot live", knowledgeTag, verbKnowledge},
		func(in *knowledgeRollback) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *knowledgeRollback) (knowledge.Change, error) {
			return k.Rollback(ctx, in.Name, in.Body.To, p.Name)
		})
	a.knowledgeSearch()
	a.knowledgeDocuments()
	a.knowledgePush(s)
}

func (a *API) knowledgeSearch() {
	k := a.services.Knowledge
	type ask struct {
		Name string `path:"name"`
		Body Searched
	}
	register(a, route{http.MethodPost, "/v1/knowledge/{name}/search", "search-knowledge", "Find the passages that answer best", knowledgeTag, verbSearch},
		func(in *ask) string { return in.Name },
		func(ctx context.Context, p identity.Principal, in *ask) (SearchFound, error) {
			q := knowledge.Search{Knowledge: in.Name, Text: in.Body.Query, K: in.Body.K, Snapshot: in.Body.Snapshot, AsOf: in.Body.AsOf,
				Neighbours: in.Body.Neighbours, Explain: in.Body.Explain}
			if len(in.Body.Filter) > 0 {
				var err error
				if q.Filter, err = index.ParseFilter(in.Body.Filter); err != nil {
					return SearchFound{}, err
				}
			}
			began := time.Now()
			found, err := k.Search(ctx, q)
			if err != nil {
				return SearchFound{}, err
			}
			counts := p.May(verbRead, in.Name) || p.May(verbKnowledge, in.Name)
			return foundOf(found, counts, time.Since(began)), nil
		})
	type cite struct {
		Name    string `path:"name"`
		Source  string `query:"source" required:"true" maxLength:"2048" doc:"the document"`
		Version string `query:"version" required:"true" maxLength:"64" doc:"SHA-256 of its bytes"`
		Start   int    `query:"start" minimum:"0"`
		End     int    `query:"end" minimum:"0"`
		Quote   string `query:"quote" maxLength:"16384" doc:"compared with what stands there"`
		Text    string `query:"text" maxLength:"64" doc:"SHA-256 of the text, where a version was rendered more than once"`
	}
	register(a, route{http.MethodGet, "/v1/knowledge/{name}/citations", "get-citation", "Give what stands at a citation, with the proof", knowledgeTag, verbSearch},
		func(in *cite) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *cite) (knowledge.Proof, error) {
			return k.Verify(ctx, knowledge.Citation{Knowledge: in.Name, Source: in.Source, Version: in.Version, Start: in.Start, End: in.End,
				Quote: in.Quote, Text: in.Text})
		})
}

func (a *API) knowledgeDocuments() {
	k := a.services.Knowledge
	register(a, route{http.MethodGet, "/v1/knowledge/{name}/documents", "list-documents", "List the documents that the caller may read", knowledgeTag, verbSearch},
		func(in *pageOf) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *pageOf) ([]knowledge.Document, error) {
			return k.Documents(ctx, in.Name, in.After, in.Limit, false)
		})
	register(a, route{http.MethodGet, "/v1/knowledge/{name}/errors", "list-document-errors", "List the documents that could not be read, and why", knowledgeTag, verbKnowledge},
		func(in *pageOf) string { return in.Name },
		func(ctx context.Context, _ identity.Principal, in *pageOf) ([]knowledge.Document, error) {
			return k.Errors(ctx, in.Name, in.After, in.Limit)
		})
	type one struct {
		Name string `path:"name"`
		ID   string `path:"id" doc:"with / written as %2F"`
	}
	named := func(in *one) string { return in.Name }
	register(a, route{http.MethodGet, "/v1/knowledge/{name}/documents/{id}/versions", "list-document-versions", "List the versions of a document", knowledgeTag, verbSearch},
		named, func(ctx context.Context, _ identity.Principal, in *one) ([]knowledge.Version, error) {
			return k.Versions(ctx, in.Name, in.ID)
		})
	type removed struct {
		Removed string `json:"removed"`
	}
	register(a, route{http.MethodDelete, "/v1/knowledge/{name}/documents/{id}", "delete-document", "Take a document that was sent out of every answer, at once", knowledgeTag, verbKnowledge},
		named, func(ctx context.Context, _ identity.Principal, in *one) (removed, error) {
			return removed{in.ID}, k.Remove(ctx, in.Name, in.ID)
		})
}

// foundOf writes what was found; with counts, also those of the whole snapshot.
func foundOf(f knowledge.Found, counts bool, took time.Duration) SearchFound {
	out := SearchFound{Knowledge: f.Knowledge, Snapshot: f.Snapshot, Passages: []SearchPassage{}, Notes: f.Notes,
		Millis: float64(took.Microseconds()) / 1000}
	for _, p := range f.Passages {
		w := passageOf(p.Passage)
		w.Score, w.URL = p.Score, p.URL
		for _, b := range p.Before {
			w.Before = append(w.Before, passageOf(b))
		}
		for _, b := range p.After {
			w.After = append(w.After, passageOf(b))
		}
		if p.Explain != nil {
			w.Explain = explainOf(*p.Explain, counts)
		}
		out.Passages = append(out.Passages, w)
	}
	return out
}

func passageOf(p index.Passage) SearchPassage {
	w := SearchPassage{ID: p.ID, Source: p.Document, Version: p.Version, Start: p.Start, End: p.End, Title: p.Title, Heading: p.Heading,
		Page: p.Page, Text: p.Text, Fields: map[string]any{}}
	for _, f := range p.Fields {
		v := valueOf(f.Value)
		switch before := w.Fields[f.Name].(type) {
		case nil:
			w.Fields[f.Name] = v
		case []any:
			w.Fields[f.Name] = append(before, v)
		default:
			w.Fields[f.Name] = []any{before, v}
		}
	}
	return w
}

func valueOf(v index.Value) any {
	switch v.Kind {
	case index.Bool:
		return v.Int == 1
	case index.Int:
		return v.Int
	case index.Double:
		return v.Double
	case index.Timestamp:
		return time.UnixMicro(v.Int).UTC()
	}
	return v.Text
}

func explainOf(e knowledge.Explain, counts bool) *SearchExplain {
	out := &SearchExplain{Place: e.Place, Fused: e.Fused, Reranked: e.Reranked}
	if e.Text != nil {
		out.Text = &SearchStage{Rank: e.Text.Rank, Score: e.Text.Score}
		for _, t := range e.Text.Terms {
			term := SearchTerm{Term: t.Term, Score: t.Score}
			if counts {
				term.Passages, term.IDF = t.Passages, t.IDF
			}
			out.Text.Terms = append(out.Text.Terms, term)
		}
	}
	if e.Vector != nil {
		out.Vector = &SearchStage{Rank: e.Vector.Rank, Score: e.Vector.Cosine}
	}
	return out
}

const pushRoute = "/v1/knowledge/{name}/documents/{id}"

// knowledgePush is a route of its own: the body is the document, byte for byte.
func (a *API) knowledgePush(s *server.Server) {
	s.HandleLarge("PUT "+pushRoute, document.DefaultLimits().Source, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pushed, err := a.pushDocument(w, r)
		if err != nil {
			server.WriteProblem(w, err)
			return
		}
		text, err := json.Marshal(pushed)
		if err != nil {
			server.WriteProblem(w, fault.Wrap(err, fault.Internal, "the document cannot be described"))
			return
		}
		w.Header().Set("Content-Type", jsonType)
		if !pushed.Same {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(text) // a client that is gone has nobody to tell
	}))
	a.huma.OpenAPI().AddOperation(pushOperation(a.huma.OpenAPI().Components.Schemas))
}

func (a *API) pushDocument(w http.ResponseWriter, r *http.Request) (knowledge.Pushed, error) {
	name := r.PathValue("name")
	p, err := allowed(r.Context(), verbKnowledge, name)
	if err != nil {
		return knowledge.Pushed{}, err
	}
	// In the tests of handlers there is no connection that could be slow.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	query := r.URL.Query()
	doc := knowledge.Pushed{ID: r.PathValue("id"), MIME: r.Header.Get("Content-Type"), Title: query.Get("title"), URL: query.Get("url")}
	if readers, ok := query["readers"]; ok {
		doc.Readers = []string{}
		for _, r := range readers {
			doc.Readers = append(doc.Readers, strings.Split(r, ",")...)
		}
	}
	for key, values := range query {
		if field, ok := strings.CutPrefix(key, "field."); ok {
			if doc.Fields == nil {
				doc.Fields = map[string]string{}
			}
			doc.Fields[field] = listText(values)
		}
	}
	return a.services.Knowledge.Push(r.Context(), name, doc, r.Body, p.Name)
}

// listText writes several values of a field as the list that they are.
func listText(values []string) string {
	if len(values) == 1 {
		return values[0]
	}
	text, err := json.Marshal(values)
	if err != nil {
		return strings.Join(values, ",")
	}
	return string(text)
}

func pushOperation(schemas huma.Registry) *huma.Operation {
	text := &huma.Schema{Type: huma.TypeString}
	param := func(name, in, doc string) *huma.Param {
		return &huma.Param{Name: name, In: in, Description: doc, Required: in == "path", Schema: text}
	}
	return &huma.Operation{
		Method: http.MethodPut, Path: pushRoute, OperationID: "put-document", Summary: "Send a document, byte for byte", Tags: []string{knowledgeTag},
		Security: needs(verbKnowledge),
		Parameters: []*huma.Param{param("name", "path", ""), param("id", "path", "with / written as %2F"), param("title", "query", ""),
			param("url", "query", "where a reader is sent to"),
			param("readers", "query", "who may read it: *, user:NAME, group:NAME, with commas between them; those of the source when absent"),
			param("field.NAME", "query", "the value of a field")},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"*/*": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}},
		Responses: map[string]*huma.Response{
			"200": {Description: "It was there just like that"},
			"201": {Description: "It is kept, and found once the run is through", Content: map[string]*huma.MediaType{
				jsonType: {Schema: schemas.Schema(reflect.TypeFor[knowledge.Pushed](), true, "Pushed")}}},
		},
	}
}
