package llmtest

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// call is one call of a provider, of whatever sort.
type call func(ctx context.Context) error

// RunEmbedder runs the suite of llm.Embedder against upstreams of a provider's
// protocol.
func RunEmbedder(t *testing.T, open Open[llm.Embedder]) {
	t.Run("vectors", func(t *testing.T) {
		noLeaks(t)
		e, _ := start(t, open, Say(""))
		CheckEmbedder(t, e, "test-model")
	})
	t.Run("each text has its own vector", func(t *testing.T) {
		e, u := start(t, open, Say(""))
		got, err := e.Embed(t.Context(), llm.EmbedRequest{Model: "test-model", Inputs: []string{"red house", "blue é 😀 \" \\", "red house", ""}})
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range u.Asked()[0].Inputs {
			if !slices.Equal(got.Vectors[i], Vector(text)) {
				t.Errorf("%q: %v", text, got.Vectors[i])
			}
		}
		if got.Usage.Input != 9 || got.Usage.Output != 0 || got.Model != "test-model" {
			t.Errorf("%+v by %q", got.Usage, got.Model)
		}
	})
	runPlain(t, func(t *testing.T, url string, a llm.Access) call {
		e := open(t, url, a)
		return func(ctx context.Context) error {
			_, err := e.Embed(ctx, llm.EmbedRequest{Model: "test-model", Inputs: []string{"a", "b"}})
			return err
		}
	})
}

// CheckEmbedder checks what every llm.Embedder promises, be it a server or a
// model in the process.
func CheckEmbedder(t *testing.T, e llm.Embedder, model string) {
	t.Helper()
	texts := []string{"Staff may book hotels.", "a", "Zürich — 東京 😀", strings.Repeat("long text with many words ", 200), "a"}
	whole, err := e.Embed(t.Context(), llm.EmbedRequest{Model: model, Inputs: texts})
	if err != nil {
		t.Fatal(err)
	}
	if len(whole.Vectors) != len(texts) {
		t.Fatalf("%d vectors for %d texts", len(whole.Vectors), len(texts))
	}
	for i, v := range whole.Vectors {
		if len(v) == 0 || len(v) != len(whole.Vectors[0]) {
			t.Fatalf("the vector of %.20q has %d dimensions", texts[i], len(v))
		}
		for _, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				t.Fatalf("the vector of %.20q has a number that is none", texts[i])
			}
		}
		alone, err := e.Embed(t.Context(), llm.EmbedRequest{Model: model, Inputs: texts[i : i+1]})
		if err != nil || len(alone.Vectors) != 1 || !near(alone.Vectors[0], v) {
			t.Errorf("%.20q alone has another vector than among others (%v)", texts[i], err)
		}
	}
	if !near(whole.Vectors[1], whole.Vectors[4]) || near(whole.Vectors[0], whole.Vectors[2]) {
		t.Error("equal texts have different vectors, or different ones equal vectors")
	}
	if none, err := e.Embed(t.Context(), llm.EmbedRequest{Model: model}); err != nil || len(none.Vectors) != 0 {
		t.Errorf("no texts have %d vectors, %v", len(none.Vectors), err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Embed(ended, llm.EmbedRequest{Model: model, Inputs: texts}); !fault.Is(err, fault.Canceled) {
		t.Errorf("a caller that went away gets %v", err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			got, err := e.Embed(t.Context(), llm.EmbedRequest{Model: model, Inputs: texts[i%5 : i%5+1]})
			if err != nil || !near(got.Vectors[0], whole.Vectors[i%5]) {
				t.Errorf("at once with others %.20q has another vector (%v)", texts[i%5], err)
			}
		})
	}
	group.Wait()
}

// near tells whether vectors point the same way: sums are not made in the same
// order wherever texts are embedded together.
func near(a, b []float32) bool {
	var dot, aa, bb float64
	for i := range a {
		dot += float64(a[i]) * float64(b[i])
		aa += float64(a[i]) * float64(a[i])
		bb += float64(b[i]) * float64(b[i])
	}
	return dot > 0.9999*math.Sqrt(aa*bb)
}

// RunReranker runs the suite of llm.Reranker against upstreams of a provider's
// protocol.
func RunReranker(t *testing.T, open Open[llm.Reranker]) {
	documents := []string{"trains to Bern", "hotels in Bern cost 180", "hotels", "", "é \" \\ 😀"}
	t.Run("documents are ordered", func(t *testing.T) {
		noLeaks(t)
		r, u := start(t, open, Say(""))
		got, err := r.Rerank(t.Context(), llm.RerankRequest{Model: "test-model", Query: "what do hotels in Bern cost", Documents: documents})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(u.Asked()[0].Inputs, documents) || got.Model != "test-model" || len(got.Results) != len(documents) {
			t.Errorf("%q, %+v", u.Asked()[0].Inputs, got)
		}
		for i, ranked := range got.Results {
			if want := Overlap(u.Asked()[0].Query, documents[ranked.Index]); ranked.Score != want {
				t.Errorf("%q has %v instead of %v", documents[ranked.Index], ranked.Score, want)
			}
			if i > 0 && ranked.Score > got.Results[i-1].Score {
				t.Errorf("%v are not in order", got.Results)
			}
		}
		if got.Results[0].Index != 1 {
			t.Errorf("the best is %q", documents[got.Results[0].Index])
		}
	})
	t.Run("only the best", func(t *testing.T) {
		r, _ := start(t, open, Say(""))
		got, err := r.Rerank(t.Context(), llm.RerankRequest{Model: "test-model", Query: "hotels in Bern", Documents: documents, Top: 2})
		if err != nil || len(got.Results) != 2 || got.Results[0].Index != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if none, err := r.Rerank(t.Context(), llm.RerankRequest{Model: "test-model", Query: "x"}); err != nil || len(none.Results) != 0 {
			t.Errorf("%+v, %v", none, err)
		}
	})
	runPlain(t, func(t *testing.T, url string, a llm.Access) call {
		r := open(t, url, a)
		return func(ctx context.Context) error {
			_, err := r.Rerank(ctx, llm.RerankRequest{Model: "test-model", Query: "q", Documents: documents})
			return err
		}
	})
}

// runPlain runs what every call that is answered at once promises.
func runPlain(t *testing.T, open Open[call]) {
	t.Run("a broken answer is an error", func(t *testing.T) {
		noLeaks(t)
		for _, f := range Breaking() {
			if f == Hang || f == HangMidway {
				continue
			}
			ask, _ := start(t, open, Always(Reply{Fault: f}))
			if err := ask(t.Context()); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s: %v", f, err)
			}
		}
	})
	t.Run("a deadline is kept", func(t *testing.T) {
		noLeaks(t)
		const wait = 300 * time.Millisecond
		for _, f := range []Fault{Hang, HangMidway, Trickle} {
			ask, u := start(t, open, Always(Reply{Fault: f}))
			ctx, cancel := context.WithTimeout(t.Context(), wait)
			began := time.Now()
			err := ask(ctx)
			cancel()
			if took := time.Since(began); !fault.Is(err, fault.Timeout) || took > wait*11/10+100*time.Millisecond {
				t.Errorf("%s: a deadline of %s took %s: %v", f, wait, took, err)
			}
			free(t, u)
		}
	})
	t.Run("refusals have their kinds", func(t *testing.T) {
		for status, kind := range map[int]fault.Kind{400: fault.Invalid, 401: fault.Unavailable, 404: fault.NotFound, 429: fault.Limited, 500: fault.Unavailable, 503: fault.Overloaded} {
			ask, u := start(t, open, Always(Reply{Status: status, Header: http.Header{"Retry-After": {"3"}}, Body: fmt.Sprintf(`{"message":"no, %s"}`, Key)}))
			err := ask(t.Context())
			r, ok := llm.RefusalOf(err)
			if !fault.Is(err, kind) || !ok || r.Status != status || r.RetryAfter != 3*time.Second || strings.Contains(err.Error(), Key) {
				t.Errorf("%d: %+v, %v", status, r, err)
			}
			if got := u.Asked()[0].Header.Get("Authorization") + u.Asked()[0].Header.Get("Api-Key"); !strings.HasSuffix(got, Key) {
				t.Errorf("it shows %q", got)
			}
		}
	})
}
