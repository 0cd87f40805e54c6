package cohere_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/surface/compat/cohere"
	"github.com/leat-ai/leat/surface/server"
)

// world ranks documents by their length.
type world struct{ asked []llm.RerankRequest }

// Rerank meets cohere.Reranker.
func (w *world) Rerank(_ context.Context, name string, r llm.RerankRequest) (llm.Ranking, gateway.Call, error) {
	w.asked = append(w.asked, r)
	switch name {
	case "busy":
		return llm.Ranking{}, gateway.Call{}, fault.New(fault.Overloaded, "there is too much to do")
	case "ranker":
	default:
		return llm.Ranking{}, gateway.Call{}, fault.New(fault.NotFound, "no LLM is called %q", name)
	}
	ranking := llm.Ranking{Model: name, Units: 2, Usage: llm.Usage{Input: 30}}
	for i, d := range r.Documents {
		ranking.Results = append(ranking.Results, llm.Ranked{Index: i, Score: float64(len(d)) / 100})
	}
	return ranking, gateway.Call{ID: "01RANK"}, nil
}

type keys struct{}

func (keys) Authenticate(_ context.Context, token string) (identity.Principal, error) {
	if token == "leat_ranker" {
		return identity.Principal{Name: "ann", Grants: []string{"chat:ranker", "chat:busy"}}, nil
	}
	return identity.Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
}

func start(t testing.TB, auth server.Auth) (*world, *server.Server) {
	t.Helper()
	tel, err := telemetry.New(t.Context(), telemetry.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Listen: "127.0.0.1:0", Auth: auth}, keys{}, tel)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{}
	cohere.Register(s, w)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop(context.WithoutCancel(t.Context())) })
	return w, s
}

func post(t testing.TB, s *server.Server, path, body, key string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// answer is what the protocol answers.
type answer struct {
	ID      string
	Results []struct {
		Index    int
		Score    float64 `json:"relevance_score"`
		Document map[string]any
	}
	Meta struct {
		APIVersion struct{ Version string } `json:"api_version"`
		Billed     struct {
			Units int `json:"search_units"`
		} `json:"billed_units"`
	}
}

func TestRerank(t *testing.T) {
	w, s := start(t, server.AuthLocal)
	for path, version := range map[string]string{"/rerank": "1", "/v1/rerank": "1", "/v2/rerank": "2"} {
		status, body := post(t, s, path, `{"model":"ranker","query":"q","documents":["a","ccc",{"text":"bb"}],"top_n":2,"max_tokens_per_doc":512,"made_up":1}`, "")
		var got answer
		if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.ID != "01RANK" || got.Meta.APIVersion.Version != version || got.Meta.Billed.Units != 2 {
			t.Fatalf("%s: %d %s %v", path, status, body, err)
		}
		if len(got.Results) != 2 || got.Results[0].Index != 1 || got.Results[1].Index != 2 || got.Results[0].Score != 0.03 || got.Results[0].Document != nil {
			t.Errorf("%s: %s", path, body)
		}
	}
	if want := (llm.RerankRequest{Model: "ranker", Query: "q", Documents: []string{"a", "ccc", "bb"}, Top: 2, Extra: llm.Extra{"max_tokens_per_doc": []byte("512")}}); !reflect.DeepEqual(w.asked[0], want) {
		t.Errorf("asked %+v", w.asked[0])
	}
	post(t, s, "/v1/rerank", `{"model":"ranker","query":"q","documents":[{"title":"T","text":"b","n":1},"aa"],"rank_fields":["title","text","n"]}`, "")
	if last := w.asked[len(w.asked)-1].Documents; !slices.Equal(last, []string{"T\nb\n1", "aa"}) {
		t.Errorf("ranked %q", last)
	}
	status, body := post(t, s, "/v1/rerank", `{"model":"ranker","query":"q","documents":[{"title":"T","text":"b"},"aa"],"return_documents":true}`, "")
	if status != 200 || !strings.Contains(body, `"document":{"text":"aa"}`) || !strings.Contains(body, `"document":{"title":"T","text":"b"}`) {
		t.Errorf("%d %s", status, body)
	}
}

func TestMistakes(t *testing.T) {
	w, s := start(t, server.AuthKeys)
	for body, want := range map[string]int{
		`{"model":"ranker","query":"q","documents":["a"]}`:           200,
		`{"model":"secret","query":"q","documents":["a"]}`:           403,
		`{"model":"busy","query":"q","documents":["a"]}`:             503,
		`{"model":"ranker","query":"","documents":["a"]}`:            400,
		`{"model":"ranker","query":"q","documents":[]}`:              400,
		`{"model":"ranker","query":"q"}`:                             400,
		`{"query":"q","documents":["a"]}`:                            400,
		`{"model":"ranker","query":"q","documents":[7]}`:             400,
		`{"model":"ranker","query":"q","documents":[{"x":1}]}`:       400,
		`{"model":"ranker","query":"q","documents":["a"],"top_n":0}`: 400,
		`[`: 400,
		`{"model":"ranker","query":"q","documents":` + strings.Repeat("[", 1e5):                  400,
		`{"model":"ranker","query":"q","documents":["` + strings.Repeat("a", 17<<20) + `"]}`:     413,
		`{"model":"ranker","query":"q","documents":[` + strings.Repeat(`"a",`, 10_000) + `"a"]}`: 400,
	} {
		status, text := post(t, s, "/v2/rerank", body, "leat_ranker")
		var v struct{ Message string }
		if err := json.Unmarshal([]byte(text), &v); err != nil || status != want || status != 200 && v.Message == "" {
			t.Errorf("%.80s: %d %.300s", body, status, text)
		}
	}
	if status, text := post(t, s, "/v2/rerank", `{}`, "leat_unknown"); status != 401 || !strings.Contains(text, `"message"`) {
		t.Errorf("%d %s", status, text)
	}
	if len(w.asked) != 2 {
		t.Errorf("%d were asked", len(w.asked))
	}
}

// TestStockClient ranks with Cohere's own client, both versions of it.
func TestStockClient(t *testing.T) {
	python := filepath.Join(os.Getenv("LEAT_TOOLS"), "venv", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		t.Fatalf("there is no stock client of Cohere: set LEAT_TOOLS and run internal/tools/install.sh test: %v", err)
	}
	_, s := start(t, server.AuthLocal)
	cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "stock.py"), s.URL())
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "PYTHONDONTWRITEBYTECODE=1")
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func FuzzRerank(f *testing.F) {
	f.Add(`{"model":"ranker","query":"q","documents":["a",{"text":"b"}],"return_documents":true,"top_n":1,"rank_fields":["text"]}`)
	w, s := start(f, server.AuthLocal)
	f.Fuzz(func(t *testing.T, body string) {
		before := len(w.asked)
		status, text := post(t, s, "/v1/rerank", body, "")
		if !json.Valid([]byte(text)) || status >= 500 && status != 503 || status == 200 && len(w.asked) != before+1 {
			t.Errorf("%d %s", status, text)
		}
	})
}
