package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/server"
)

// wire answers requests without a network: with each error in turn, nil being
// the answer body.
type wire struct {
	errs  []error
	body  string
	sent  []*http.Request
	texts []string
	times []time.Time
}

var errCut = errors.New("connection reset")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	at := len(w.sent)
	w.sent, w.texts, w.times = append(w.sent, r), append(w.texts, string(text)), append(w.times, time.Now())
	answer := httptest.NewRecorder()
	switch {
	case at >= len(w.errs) || w.errs[at] == nil:
		_, _ = answer.WriteString(w.body)
	case errors.Is(w.errs[at], errCut):
		return nil, w.errs[at]
	default:
		server.WriteProblem(answer, w.errs[at])
	}
	return answer.Result(), nil
}

func over(t *testing.T, w *wire) *Client {
	t.Helper()
	c, err := New("http://leat.example/", Options{Key: "leat_key", Transport: w})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// passing is an error that passes; lasting one that does not.
var (
	passing = fault.New(fault.Overloaded, "too much at once")
	lasting = fault.New(fault.Invalid, "a column is missing").Hint("send it")
)

func TestOnlyWhatIsSafeIsSentAgain(t *testing.T) {
	score := func(key string) func(*Client) error {
		return func(c *Client) error {
			_, err := c.Score(context.Background(), "fraud", []Row{{"amount": 1}}, key)
			return err
		}
	}
	read := func(c *Client) error { _, err := c.Status(context.Background()); return err }
	change := func(c *Client) error {
		_, err := post[api.Status](context.Background(), c, "/v1/endpoints/fraud/rollback", nil)
		return err
	}
	for name, c := range map[string]struct {
		call func(*Client) error
		errs []error
		sent int
		kind fault.Kind // "": it succeeds
	}{
		"a read that fails in passing":         {read, []error{passing, passing}, 3, ""},
		"a read that is cut off":               {read, []error{errCut}, 2, ""},
		"a read, and a server that stays away": {read, slices.Repeat([]error{errCut}, 9), attempts, fault.Unavailable},
		"a read that is wrong":                 {read, []error{lasting}, 1, fault.Invalid},
		"a read of what breaks the server":     {read, []error{errors.New("broken")}, 1, fault.Internal},
		"a score without a key":                {score(""), []error{passing}, 1, fault.Overloaded},
		"a score that is cut off":              {score(""), []error{errCut}, 1, fault.Unavailable},
		"a score with a key":                   {score("order-1"), []error{passing, errCut}, 3, ""},
		"a score with a key that is wrong":     {score("order-1"), []error{lasting}, 1, fault.Invalid},
		"a change":                             {change, []error{passing}, 1, fault.Overloaded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := &wire{errs: c.errs, body: "{}"}
				err := c.call(over(t, w))
				if len(w.sent) != c.sent || fault.KindOf(err) != c.kind {
					t.Errorf("sent %d times, %v", len(w.sent), err)
				}
				for i := range w.sent {
					if w.texts[i] != w.texts[0] || w.sent[i].Header.Get(api.IdempotencyKey) != w.sent[0].Header.Get(api.IdempotencyKey) {
						t.Errorf("attempt %d is another request: %q", i, w.texts[i])
					}
				}
			})
		})
	}
}

func TestServersThatAskToWaitAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wire{errs: []error{passing}, body: "{}"} // Retry-After: 1
		if _, err := over(t, w).Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		if waited := w.times[1].Sub(w.times[0]); waited < time.Second || waited > 2*time.Second {
			t.Errorf("it came back after %v", waited)
		}
	})
	for text, want := range map[string]time.Duration{"3": 3 * time.Second, "": 0, "-1": 0, "soon": 0, "99999999": 0} {
		if got := retryAfter(http.Header{"Retry-After": {text}}); got != want {
			t.Errorf("Retry-After %q is %v", text, got)
		}
	}
}

func TestEndedContextEndsTheWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		w := &wire{errs: slices.Repeat([]error{passing}, 9)}
		begin := time.Now()
		if _, err := over(t, w).Status(ctx); err == nil || time.Since(begin) > time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

func TestFaultsComeThroughAsTheyWere(t *testing.T) {
	for _, kind := range fault.Kinds() {
		sent := fault.New(kind, "the thing is wrong").Hint("mend it")
		w := &wire{errs: []error{sent}}
		_, err := over(t, w).Score(t.Context(), "fraud", nil, "")
		if !fault.Is(err, kind) || err.Error() != sent.Error() || fault.HintOf(err) != "mend it" {
			t.Errorf("%s came through as %s: %v (%s)", kind, fault.KindOf(err), err, fault.HintOf(err))
		}
	}
	var l fault.List
	l.Add(fault.New(fault.Invalid, "one").At("a.yaml:1:1").Hint("first"))
	l.Add(fault.New(fault.Invalid, "two").At("a.yaml:2:1"))
	_, err := over(t, &wire{errs: []error{l.Err()}}).Score(t.Context(), "fraud", nil, "")
	var got []string
	fault.Each(err, func(e error) { got = append(got, e.Error()+" "+fault.HintOf(e)) })
	if strings.Join(got, "|") != "a.yaml:1:1: one first|a.yaml:2:1: two " {
		t.Errorf("%q", got)
	}
}

// plainly answers as something other than a Leat server does.
type plainly struct {
	status int
	body   string
}

func (p plainly) RoundTrip(*http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	w.WriteHeader(p.status)
	_, _ = w.WriteString(p.body)
	return w.Result(), nil
}

func TestAnswersOfOthersHaveAKind(t *testing.T) {
	for _, c := range []struct {
		answer plainly
		kind   fault.Kind
	}{
		{plainly{502, "<html>bad gateway</html>"}, fault.Unavailable},
		{plainly{404, ""}, fault.NotFound},
		{plainly{422, `{"detail":"a field is wrong"}`}, fault.Invalid},
		{plainly{418, "{}"}, fault.Invalid},
		{plainly{304, ""}, fault.Invalid},
		{plainly{500, `{"kind":"surprise","detail":"x"}`}, "surprise"},
		{plainly{200, "<html>"}, fault.Internal},
	} {
		client, err := New("http://leat.example", Options{Transport: c.answer})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Score(t.Context(), "fraud", nil, ""); fault.KindOf(err) != c.kind {
			t.Errorf("%+v is %s: %v", c.answer, fault.KindOf(err), err)
		}
	}
}

func TestRequestsCarryWhatTheyMust(t *testing.T) {
	w := &wire{body: `{"endpoint":"a b/c","decisions":[{"id":"x","score":0.5,"decision":"review"},{"id":"y","error":{"kind":"invalid","message":"no amount"}}]}`}
	got, err := over(t, w).Score(t.Context(), "a b/c", []Row{{"amount": 1.5}}, "order-1")
	if err != nil {
		t.Fatal(err)
	}
	r := w.sent[0]
	if r.URL.EscapedPath() != "/v1/endpoints/a%20b%2Fc/score" || r.Header.Get("Authorization") != "Bearer leat_key" ||
		r.Header.Get(api.IdempotencyKey) != "order-1" || w.texts[0] != `{"rows":[{"amount":1.5}]}` {
		t.Errorf("%s %v %s", r.URL, r.Header, w.texts[0])
	}
	if d := got.Decisions; len(d) != 2 || d[0].ID != "x" || d[0].Values["score"] != 0.5 || len(d[0].Values) != 2 || d[1].Error.Kind != "invalid" {
		t.Errorf("%+v", got)
	}
	text, err := json.Marshal(got.Decisions[1])
	if err != nil || string(text) != `{"error":{"kind":"invalid","message":"no amount"},"id":"y"}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"http://127.0.0.1:8080": true, "https://leat.example/": true,
		"127.0.0.1:8080": false, "ftp://leat.example": false, "http://": false, "": false, "http://a b": false,
	} {
		if _, err := New(address, Options{}); (err == nil) != good || !good && !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", address, err)
		}
	}
}
