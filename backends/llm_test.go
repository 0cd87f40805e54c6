package backends

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/llm/llmtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// upstream is a scripted server and its address as a deployment.
func upstream(t *testing.T, s llmtest.Script) string {
	t.Helper()
	server := httptest.NewServer(llmtest.Handler(s))
	t.Cleanup(server.Close)
	return "openai+http://" + strings.TrimPrefix(server.URL, "http://") + "/m"
}

// throughGateway is a gateway that asks real servers on loopback.
func throughGateway(t *testing.T, allow string, list ...*spec.LLM) *gateway.Gateway {
	t.Helper()
	policy, err := egress.Parse(allow)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	resolver := secret.NewResolver(nil)
	open := LLMs{Policy: policy, Secret: func(ctx context.Context, reference string) (string, error) {
		ref, err := secret.Parse(reference)
		if err != nil {
			return "", err
		}
		v, err := resolver.Resolve(ctx, ref)
		return v.Reveal(), err
	}}
	g, err := gateway.New(t.Context(), gateway.Deps{
		DB: db, Space: "default", Open: open.Open, Clock: clock.System{}, Log: slog.New(slog.DiscardHandler),
		Who: func(context.Context) gateway.Caller {
			return gateway.Caller{Name: "ann", May: func(string, string) bool { return true }}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range list {
		if err := spec.Validate(l); err != nil {
			t.Fatal(err)
		}
	}
	g.Converge(list)
	t.Cleanup(func() {
		if err := errors.Join(g.Close(context.WithoutCancel(t.Context())), db.Close()); err != nil {
			t.Error(err)
		}
	})
	return g
}

func places(at ...string) (list []spec.LLMDeployment) {
	for _, a := range at {
		list = append(list, spec.LLMDeployment{At: a})
	}
	return list
}

func question(stream bool) llm.Request {
	return llm.Request{Messages: []llm.Message{llm.Text(llm.User, "what is it?")}, Stream: stream}
}

const loopbackHosts = "127.0.0.1"

// TestNoBrokenAnswerIsWhole lets an upstream break in every way, with a sound
// one beside it: either the answer is whole, from the sound one, or it is an
// error after a beginning.
func TestNoBrokenAnswerIsWhole(t *testing.T) {
	const text = "The answer to this question is not short, so that there is a middle of it to break in."
	for _, f := range llmtest.Breaking() {
		for _, stream := range []bool{true, false} {
			name := string(f)
			if stream {
				name += ", streamed"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				bad := upstream(t, llmtest.Always(llmtest.Reply{Text: text, Fault: f}))
				good := upstream(t, llmtest.Say(text))
				g := throughGateway(t, loopbackHosts,
					&spec.LLM{Name: "gpt", Deployments: places(bad), Fallback: []string{"other"}, Attempts: 1,
						Timeouts: spec.LLMTimeouts{First: spec.Duration(300 * time.Millisecond), Total: spec.Duration(900 * time.Millisecond)}},
					&spec.LLM{Name: "other", Deployments: places(good)})
				s, err := g.Chat(t.Context(), "gpt", question(stream))
				if err != nil {
					if !stream && fault.Is(err, fault.Timeout) { // the whole time went into the one that hangs
						return
					}
					t.Fatalf("no fallback: %v", err)
				}
				a, err := llm.Collect(s)
				c, _ := gateway.CallOf(s)
				switch {
				case err == nil && (a.Text() != text || c.Served != "other"):
					t.Errorf("a broken answer is whole: %q from %s", a.Text(), c.Served)
				case err != nil && (err == io.EOF || a.Text() == "" || c.Error == ""):
					t.Errorf("%q, %+v: %v", a.Text(), c, err)
				}
			})
		}
	}
}

// TestStorm has an upstream that refuses everything for its rate.
func TestStorm(t *testing.T) {
	var asked atomic.Int64
	at := upstream(t, func(llmtest.Asked) llmtest.Reply {
		asked.Add(1)
		return llmtest.Reply{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"17"}}, Body: `{"error":{"message":"slow down","code":"rate_limit_exceeded"}}`}
	})
	g := throughGateway(t, loopbackHosts, &spec.LLM{Name: "gpt", Deployments: places(at)})
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() {
			_, err := g.Chat(t.Context(), "gpt", question(true))
			if after := llm.RetryAfter(err); err == nil || after < 15*time.Second || after > 17*time.Second {
				t.Errorf("%v, after %s", err, after)
			}
		})
	}
	all.Wait()
	if _, err := g.Chat(t.Context(), "gpt", question(true)); err == nil {
		t.Error("it worked")
	}
	if n := asked.Load(); n > 200 {
		t.Errorf("an upstream that asked to be left alone was asked %d times", n)
	}
}

// TestKeyIsRotatedUnderLoad replaces a provider's key in its file, while calls
// are made and both keys are known for a moment.
func TestKeyIsRotatedUnderLoad(t *testing.T) {
	var valid atomic.Pointer[[]string]
	valid.Store(&[]string{"old"})
	var seen sync.Map
	at := upstream(t, func(a llmtest.Asked) llmtest.Reply {
		key := strings.TrimPrefix(a.Header.Get("Authorization"), "Bearer ")
		seen.Store(key, true)
		for _, v := range *valid.Load() {
			if v == key {
				return llmtest.Reply{Text: "yes"}
			}
		}
		return llmtest.Reply{Status: http.StatusUnauthorized, Body: `{"error":{"message":"wrong key"}}`}
	})
	file := filepath.Join(t.TempDir(), "key")
	put := func(key string) {
		t.Helper()
		next := file + ".next"
		if err := errors.Join(os.WriteFile(next, []byte(key), 0o600), os.Rename(next, file)); err != nil {
			t.Fatal(err)
		}
	}
	put("old")
	g := throughGateway(t, loopbackHosts, &spec.LLM{Name: "gpt", Deployments: []spec.LLMDeployment{{At: at, Secret: "file:" + file}}})
	stop := make(chan struct{})
	var calls atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s, err := g.Chat(t.Context(), "gpt", question(true))
				if err == nil {
					_, err = llm.Collect(s)
				}
				if err != nil {
					t.Errorf("a call failed while the key was rotated: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	wait := func(n int64) {
		for until := calls.Load() + n; calls.Load() < until && !t.Failed(); {
			time.Sleep(time.Millisecond)
		}
	}
	wait(50)
	valid.Store(&[]string{"old", "new"})
	put("new")
	wait(50)
	valid.Store(&[]string{"new"})
	wait(50)
	close(stop)
	all.Wait()
	if _, ok := seen.Load("new"); !ok {
		t.Error("the new key was never shown")
	}
}

// TestProvidersAreNoWayIn asks deployments at addresses that are not public.
func TestProvidersAreNoWayIn(t *testing.T) {
	var reached atomic.Int64
	inside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	defer inside.Close()
	_, port, err := net.SplitHostPort(strings.TrimPrefix(inside.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "2130706433", "0x7f.1", "0.0.0.0", "169.254.169.254"} {
		for _, scheme := range []string{"openai+http", "openai", "azure-openai+http", "anthropic+http", "cohere+http"} {
			address := scheme + "://" + host + ":" + port + "/m"
			g := throughGateway(t, "", &spec.LLM{Name: "gpt", Deployments: places(address), Attempts: 1})
			if _, err := g.Chat(t.Context(), "gpt", question(false)); err == nil {
				t.Errorf("%s was asked", address)
			}
			if _, _, err := g.Rerank(t.Context(), "gpt", llm.RerankRequest{Query: "q", Documents: []string{"d"}}); err == nil {
				t.Errorf("%s was asked", address)
			}
		}
	}
	// Nor does one that may be asked lead there.
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inside.URL, http.StatusTemporaryRedirect)
	}))
	defer redirect.Close()
	g := throughGateway(t, loopbackHosts, &spec.LLM{Name: "gpt", Deployments: places("openai+http://" + strings.TrimPrefix(redirect.URL, "http://") + "/m"), Attempts: 1})
	if _, err := g.Chat(t.Context(), "gpt", question(false)); err == nil {
		t.Error("a redirect was followed")
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("the server inside was reached %d times", n)
	}
}

// TestEveryProtocol asks one of each through the gateway.
func TestEveryProtocol(t *testing.T) {
	server := httptest.NewServer(llmtest.Handler(llmtest.Say("here it is")))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	g := throughGateway(t, loopbackHosts,
		&spec.LLM{Name: "openai", Deployments: places("openai+http://" + host + "/m")},
		&spec.LLM{Name: "azure", Deployments: []spec.LLMDeployment{{At: "azure-openai+http://" + host + "/m", Options: map[string]string{"api-version": "2024-10-21"}}}},
		&spec.LLM{Name: "anthropic", Deployments: places("anthropic+http://" + host + "/m"), MaxTokens: 100},
		&spec.LLM{Name: "cohere", Deployments: places("cohere+http://" + host + "/m")})
	for _, name := range []string{"openai", "azure", "anthropic"} {
		s, err := g.Chat(t.Context(), name, question(true))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a, err := llm.Collect(s); err != nil || a.Text() != "here it is" {
			t.Errorf("%s: %q, %v", name, a.Text(), err)
		}
		if c, _ := gateway.CallOf(s); c.Usage.Output == 0 || c.Estimated {
			t.Errorf("%s: %+v", name, c)
		}
	}
	for _, name := range []string{"openai", "azure"} {
		if e, c, err := g.Embed(t.Context(), name, llm.EmbedRequest{Inputs: []string{"a", "b"}}); err != nil || len(e.Vectors) != 2 || c.Usage.Input == 0 {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
	if r, c, err := g.Rerank(t.Context(), "cohere", llm.RerankRequest{Query: "cat", Documents: []string{"a dog", "a cat"}}); err != nil || r.Results[0].Index != 1 || c.Error != "" {
		t.Errorf("cohere: %+v, %v", r, err)
	}
}
