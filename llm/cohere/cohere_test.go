package cohere_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/cohere"
	"github.com/leat-ai/leat/llm/llmtest"
)

func open(t testing.TB, c cohere.Config) *cohere.Provider {
	t.Helper()
	p, err := cohere.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func TestReranker(t *testing.T) {
	for _, style := range []cohere.Style{"", cohere.V1, cohere.TEI} {
		t.Run("style "+string(style), func(t *testing.T) {
			llmtest.RunReranker(t, func(t *testing.T, url string, access llm.Access) llm.Reranker {
				return open(t, cohere.Config{URL: url + "/v2", Access: access, Style: style})
			})
		})
	}
}

// served answers every request with a text, and says what was asked.
func served(t testing.TB, answer string) (url string, asked func() string) {
	var got string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = r.URL.String() + " " + string(body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() string { return got }
}

// The answers are those that the servers are documented to give.
func TestAnswersOfServers(t *testing.T) {
	for name, c := range map[string]struct {
		style  cohere.Style
		answer string
		want   []llm.Ranked
		units  int
		input  int
	}{
		"cohere": {cohere.V2, `{"id":"07","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.1}],"meta":{"api_version":{"version":"2"},"billed_units":{"search_units":1}}}`,
			[]llm.Ranked{{Index: 1, Score: .9}, {Index: 0, Score: .1}}, 1, 0},
		"cohere v1 with documents": {cohere.V1, `{"id":"07","results":[{"document":{"text":"b"},"index":1,"relevance_score":0.9}],"meta":{"billed_units":{"search_units":1.0}}}`,
			[]llm.Ranked{{Index: 1, Score: .9}}, 1, 0},
		"jina":                 {cohere.V2, `{"model":"jina-reranker-v3","object":"list","usage":{"total_tokens":81},"results":[{"index":0,"relevance_score":0.2,"document":{"text":"a"}}]}`, []llm.Ranked{{Index: 0, Score: .2}}, 0, 81},
		"voyage":               {cohere.V2, `{"object":"list","data":[{"relevance_score":0.4375,"index":0},{"relevance_score":0.4,"index":1}],"model":"rerank-2.5","usage":{"total_tokens":26}}`, []llm.Ranked{{Index: 0, Score: .4375}, {Index: 1, Score: .4}}, 0, 26},
		"vllm, out of order":   {cohere.V2, `{"id":"score-1","model":"bge","usage":{"prompt_tokens":9,"total_tokens":9},"results":[{"index":0,"document":{"text":"a"},"relevance_score":-3.5},{"index":1,"relevance_score":2}]}`, []llm.Ranked{{Index: 1, Score: 2}, {Index: 0, Score: -3.5}}, 0, 9},
		"embeddings-inference": {cohere.TEI, `[{"index":1,"score":0.99},{"index":0,"score":0.01}]`, []llm.Ranked{{Index: 1, Score: .99}, {Index: 0, Score: .01}}, 0, 0},
	} {
		url, asked := served(t, c.answer)
		p := open(t, cohere.Config{URL: url, Style: c.style, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
		got, err := p.Rerank(t.Context(), llm.RerankRequest{Query: "q", Documents: []string{"a", "b"}, Extra: llm.Extra{"max_tokens_per_doc": []byte("99"), "query": []byte(`"no"`)}})
		if err != nil || !slices.Equal(got.Results, c.want) || got.Units != c.units || got.Usage.Input != c.input {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		want := map[cohere.Style]string{
			cohere.V2:  `/rerank {"model":"m","query":"q","documents":["a","b"],"max_tokens_per_doc":99}`,
			cohere.V1:  `/rerank {"model":"m","query":"q","documents":["a","b"],"return_documents":false,"max_tokens_per_doc":99}`,
			cohere.TEI: `/rerank {"query":"q","texts":["a","b"],"truncate":true,"max_tokens_per_doc":99}`,
		}[c.style]
		if asked() != want {
			t.Errorf("%s: asked %s", name, asked())
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, answer := range []string{
		`{"results":[]}`, `{"results":[{"index":2,"relevance_score":1}]}`, `{"results":[{"index":-1,"relevance_score":1}]}`, `{"results":[{"relevance_score":1}]}`,
		`{"results":[{"index":0}]}`, `{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}`, `{"results":[{"index":0,"relevance_score":1e999}]}`,
		`{"results":[{"index":0,"relevance_score":"high"}]}`, `{}`, `[]`, `null`, `7`, `{"results":null}`, `{"error":"no"}`, `{"results":`, `{"message":"no"}`,
	} {
		url, _ := served(t, answer)
		p := open(t, cohere.Config{URL: url, Model: "m", Access: llm.Access{Client: http.DefaultClient}})
		if got, err := p.Rerank(t.Context(), llm.RerankRequest{Query: "q", Documents: []string{"a", "b"}}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("%s: %+v, %v", answer, got, err)
		}
	}
}

func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		"cohere://rerank-v4":                                      "https://api.cohere.com/v2 rerank-v4 v2",
		"cohere://api.cohere.com/rerank-v4?style=v1":              "https://api.cohere.com/v1 rerank-v4 v1",
		"cohere+http://127.0.0.1:8000/BAAI/bge-reranker?base=/v1": "http://127.0.0.1:8000/v1 BAAI/bge-reranker v2",
		"cohere+http://tei:80/any?style=tei":                      "http://tei:80 any tei",
		"cohere://api.jina.ai/jina-reranker-v3?base=/v1":          "https://api.jina.ai/v1 jina-reranker-v3 v2",
		"cohere://h/m?style=odd":                                  "",
		"cohere://h/m?odd=1":                                      "",
		"cohere://h/m?base=odd":                                   "",
		"openai://h/m":                                            "",
	} {
		a, err := llm.ParseAddress(text)
		if err != nil {
			t.Fatal(err)
		}
		c, err := cohere.Parse(a)
		if got := strings.Join([]string{c.URL, c.Model, string(c.Style)}, " "); err == nil && got != want || err != nil && (want != "" || !fault.Is(err, fault.Invalid)) {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{`{"results":[{"index":1,"relevance_score":0.9}]}`, `[{"index":0,"score":1}]`, `{"data":[{"index":0,"relevance_score":1}],"meta":{"billed_units":{"search_units":1e300}}}`} {
		f.Add(seed)
	}
	var answer string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
	f.Cleanup(s.Close)
	p := open(f, cohere.Config{URL: s.URL, Model: "m", Access: llm.Access{Client: s.Client()}})
	documents := []string{"a", "b", "c"}
	f.Fuzz(func(t *testing.T, text string) {
		answer = text
		got, err := p.Rerank(t.Context(), llm.RerankRequest{Query: "q", Documents: documents})
		if err != nil {
			if kind := fault.KindOf(err); kind == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		seen := map[int]bool{}
		for i, r := range got.Results {
			if r.Index < 0 || r.Index >= len(documents) || seen[r.Index] || i > 0 && r.Score > got.Results[i-1].Score {
				t.Fatalf("%+v", got.Results)
			}
			seen[r.Index] = true
		}
	})
}
