package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/llm/llmtest"
)

// llmHouse is an app with a home of its own, and what a test asks it.
type llmHouse struct {
	*testing.T
	*App
	dir string
}

func newLLMHouse(t *testing.T, dir, egress string) llmHouse {
	t.Helper()
	a, err := Start(t.Context(), Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true, Egress: egress})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return llmHouse{t, a, dir}
}

func (h llmHouse) apply(text string) {
	h.Helper()
	if _, err := h.Client().Apply(h.Context(), map[string]string{"llm.yaml": text}); err != nil {
		h.Fatal(err)
	}
}

// say asks an LLM as a caller with a grant of it.
func (h llmHouse) say(caller, name string) (string, gateway.Call, error) {
	h.Helper()
	ctx := identity.With(h.Context(), identity.Principal{Name: caller, Grants: []string{"chat:" + name}})
	s, err := h.gateway.Chat(ctx, name, llm.Request{Messages: []llm.Message{llm.Text(llm.User, "what is it?")}, MaxTokens: 100, Stream: true})
	if err != nil {
		failed, _ := errors.AsType[*gateway.Failed](err)
		if failed == nil {
			failed = &gateway.Failed{}
		}
		return "", failed.Call, err
	}
	a, err := llm.Collect(s)
	c, _ := gateway.CallOf(s)
	return a.Text(), c, err
}

func TestGatewayFollowsTheProject(t *testing.T) {
	server := httptest.NewServer(llmtest.Handler(func(a llmtest.Asked) llmtest.Reply {
		if a.Header.Get("Authorization") != "Bearer sk-of-the-file" {
			return llmtest.Reply{Status: http.StatusUnauthorized}
		}
		return llmtest.Reply{Text: "it is " + a.Model, Usage: &llm.Usage{Input: 10, Output: 20}}
	}))
	defer server.Close()
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("sk-of-the-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newLLMHouse(t, dir, "127.0.0.1")
	llmOf := func(more string) string {
		return fmt.Sprintf("kind: LLM\nname: gpt\ndeployments:\n  - {at: \"openai+http://%s/one\", secret: \"file:%s\"}\nprice: {input: 1, output: 2}\n%s", strings.TrimPrefix(server.URL, "http://"), key, more)
	}
	if _, _, err := h.say("ann", "gpt"); !fault.Is(err, fault.NotFound) {
		t.Errorf("before it is applied: %v", err)
	}
	h.apply(llmOf("budget: {usd: 0.001}\n"))
	text, call, err := h.say("ann", "gpt")
	if err != nil || text != "it is one" || call.Cost != 50_000 {
		t.Fatalf("%q, %+v, %v", text, call, err)
	}

	// The call is in the ledger, in the sums, in the log of decisions, and its
	// caller may see it.
	found, err := h.Client().LLMCall(t.Context(), call.ID)
	if err != nil || found.Caller != "ann" || found.Cost != call.Cost || found.Output != 20 || found.DurationUS == 0 {
		t.Errorf("%+v, %v", found, err)
	}
	spent, err := h.Client().LLMSpend(t.Context(), 1, "caller", "day")
	if err != nil || len(spent) != 1 || spent[0].Caller != "ann" || spent[0].Cost != call.Cost {
		t.Errorf("%+v, %v", spent, err)
	}
	list, err := h.Client().LLMs(t.Context())
	if err != nil || len(list) != 1 || list[0].Budget.Callers[0].Spent != call.Cost.USD() || list[0].Deployments[0].State != "ready" {
		t.Errorf("%+v, %v", list, err)
	}
	d, err := h.records.Find(t.Context(), call.ID)
	if err != nil || d.Pattern != "llm" || d.Endpoint != "gpt" || !strings.Contains(string(d.Output), "it is one") || !strings.Contains(string(d.Inputs), "what is it?") {
		t.Errorf("%+v, %v", d, err)
	}
	// What an assistant sends holds passages: the log of calls keeps none.
	s, err := h.gateway.Chat(gateway.Via(identity.With(t.Context(), identity.Principal{Name: "bob"}), "assistant/hr"), "gpt",
		llm.Request{Messages: []llm.Message{llm.Text(llm.User, "a secret passage")}, MaxTokens: 100})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := llm.Collect(s); err != nil {
		t.Fatal(err)
	}
	via, _ := gateway.CallOf(s)
	if _, err := h.gateway.Find(t.Context(), via.ID); err != nil { // records come with the ledger
		t.Fatal(err)
	}
	if d, err := h.records.Find(t.Context(), via.ID); err != nil || strings.Contains(string(d.Inputs), "secret") || !strings.Contains(string(d.Output), "it is one") {
		t.Errorf("%+v, %v", d, err)
	}

	// A new application changes it at once, and what was spent stays.
	for err = nil; err == nil; {
		_, _, err = h.say("ann", "gpt")
	}
	if r, _ := llm.RefusalOf(err); !fault.Is(err, fault.Limited) || r == nil || r.Code != "insufficient_quota" {
		t.Fatalf("at the end of the budget: %v", err)
	}
	h.apply(llmOf("budget: {usd: 1}\nallow: [staff]\n"))
	if _, _, err := h.say("ann", "gpt"); !fault.Is(err, fault.Forbidden) {
		t.Errorf("who is in no group: %v", err)
	}
	h.apply(llmOf("budget: {usd: 1}\n"))
	if _, _, err := h.say("ann", "gpt"); err != nil {
		t.Errorf("after the budget was raised: %v", err)
	}
}

// TestSpentOutlivesARestart ends a server and starts it anew.
func TestSpentOutlivesARestart(t *testing.T) {
	server := httptest.NewServer(llmtest.Handler(llmtest.Always(llmtest.Reply{Text: "yes", Usage: &llm.Usage{Input: 10, Output: 100}})))
	defer server.Close()
	dir := t.TempDir()
	text := fmt.Sprintf("kind: LLM\nname: gpt\ndeployments: [{at: \"openai+http://%s/one\"}]\nprice: {input: 0, output: 100}\nbudget: {usd: 0.05}\n", strings.TrimPrefix(server.URL, "http://"))
	made := 0
	for range 4 {
		t.Run("life", func(t *testing.T) {
			h := newLLMHouse(t, dir, "127.0.0.1")
			h.apply(text)
			for range 2 {
				if _, _, err := h.say("ann", "gpt"); err == nil {
					made++
				} else if !fault.Is(err, fault.Limited) {
					t.Fatal(err)
				}
			}
		})
	}
	if made != 5 { // of a cent each
		t.Errorf("%d calls of a cent were made of five cents, in four lives", made)
	}
}

// TestLoopbackIsNotAskedUnlessAllowed has a provider on this machine and an
// operator who allowed none.
func TestLoopbackIsNotAskedUnlessAllowed(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer server.Close()
	h := newLLMHouse(t, t.TempDir(), "")
	h.apply(fmt.Sprintf("kind: LLM\nname: gpt\ndeployments: [{at: \"openai+http://%s/one\"}]\n", strings.TrimPrefix(server.URL, "http://")))
	if _, _, err := h.say("ann", "gpt"); !fault.Is(err, fault.Unavailable) || asked > 0 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}
