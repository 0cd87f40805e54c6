package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/signature"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver keeps what it takes, and checks who sent it.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	took   []string // bodies
	ids    []string
	times  []time.Time
	answer func(n int, r *http.Request, body string) int
}

func newReceiver(t testing.TB) *receiver {
	t.Helper()
	c := &receiver{}
	key, err := signature.Key(secret)
	if err != nil {
		t.Fatal(err)
	}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h := r.Header
		if h.Get("Webhook-Signature") != signature.Sign(key, h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), body) {
			t.Errorf("the signature of %s is wrong", body)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.times = append(c.times, time.Now())
		status := http.StatusNoContent
		if c.answer != nil {
			status = c.answer(len(c.times), r, string(body))
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "1")
		}
		if status < 300 {
			c.took, c.ids = append(c.took, string(body)), append(c.ids, h.Get("Webhook-Id"))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(c.Close)
	return c
}

func writer(t testing.TB, url string, c webhook.Config) bus.Writer {
	t.Helper()
	c.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.Secret = func(context.Context) (string, error) { return secret, nil }
	if c.First == 0 {
		c.First = time.Millisecond
	}
	b, err := webhook.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	w, err := b.Writer(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func events(n int) []bus.Event {
	all := make([]bus.Event, n)
	for i := range all {
		all[i] = bus.Event{ID: fmt.Sprintf("e%03d", i), Key: fmt.Appendf(nil, "k%d", i%7), Body: fmt.Appendf(nil, `{"n":%d}`, i)}
	}
	return all
}

// TestTroubled: a receiver that fails now and then gets everything, in the
// order of keys.
func TestTroubled(t *testing.T) {
	for _, format := range []webhook.Format{webhook.Binary, webhook.JSON, webhook.Structured, webhook.Batch} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			c := newReceiver(t)
			c.answer = func(n int, _ *http.Request, _ string) int {
				if n%5 == 2 {
					return []int{500, 503, 408, 502}[n/5%4]
				}
				return 202
			}
			w := writer(t, c.URL, webhook.Config{Format: format, BatchEvents: 7})
			all := events(100)
			for {
				err := w.Write(t.Context(), all)
				if err == nil {
					break
				}
				if !fault.KindOf(err).Retryable() {
					t.Fatal(err)
				}
			}
			if err := w.Write(t.Context(), all[50:]); err != nil { // what was taken is not sent again
				t.Fatal(err)
			}
			if format == webhook.Batch {
				if len(c.took) != 15 {
					t.Errorf("%d requests", len(c.took))
				}
				return
			}
			if len(c.took) != 100 {
				t.Fatalf("%d were taken", len(c.took))
			}
			last := map[int]int{}
			for _, id := range c.ids {
				if format == webhook.Structured {
					break
				}
				var n int
				if _, err := fmt.Sscanf(id, "e%d", &n); err != nil {
					t.Fatal(err)
				}
				if before, ok := last[n%7]; ok && n < before {
					t.Fatalf("%d came after %d", n, before)
				}
				last[n%7] = n
			}
		})
	}
}

func TestRefused(t *testing.T) {
	c := newReceiver(t)
	c.answer = func(_ int, _ *http.Request, body string) int {
		if body == `{"n":5}` {
			return http.StatusUnprocessableEntity
		}
		return 200
	}
	w := writer(t, c.URL, webhook.Config{})
	all := events(10)
	err := w.Write(t.Context(), all)
	refused, ok := errors.AsType[*bus.Refused](err)
	if !ok || refused.Index != 5 || !fault.Is(err, fault.Invalid) {
		t.Fatalf("%v", err)
	}
	if err := w.Write(t.Context(), slices.Delete(all, 5, 6)); err != nil { // as whoever writes goes on
		t.Fatal(err)
	}
	slices.Sort(c.ids)
	if len(slices.Compact(slices.Clone(c.ids))) != 9 || len(c.ids) != 9 {
		t.Errorf("%q", c.ids)
	}
	injected := []bus.Event{{ID: "x", Headers: []bus.Header{{Name: "ce-subject", Value: "a\r\nSet-Cookie: b"}}}}
	if _, ok := errors.AsType[*bus.Refused](w.Write(t.Context(), injected)); !ok {
		t.Error("a header was injected")
	}
}

// TestAway: what is not the event's fault is no refusal.
func TestAway(t *testing.T) {
	c := newReceiver(t)
	status := 0
	c.answer = func(int, *http.Request, string) int { return status }
	for _, status = range []int{401, 403, 500, 503} {
		w := writer(t, c.URL, webhook.Config{Attempts: 2})
		err := w.Write(t.Context(), events(1))
		if _, refused := errors.AsType[*bus.Refused](err); refused || !fault.KindOf(err).Retryable() {
			t.Errorf("%d: %v", status, err)
		}
	}
	c.Close()
	err := writer(t, c.URL+"/path?token=hidden", webhook.Config{Attempts: 1}).Write(t.Context(), events(1))
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hidden") {
		t.Error(err)
	}
}

func TestRetryAfter(t *testing.T) {
	c := newReceiver(t)
	c.answer = func(n int, _ *http.Request, _ string) int {
		if n == 1 {
			return http.StatusTooManyRequests // and says: in a second
		}
		return 200
	}
	if err := writer(t, c.URL, webhook.Config{}).Write(t.Context(), events(1)); err != nil {
		t.Fatal(err)
	}
	if len(c.times) != 2 || c.times[1].Sub(c.times[0]) < time.Second {
		t.Errorf("it was asked again too early: %v", c.times)
	}
}

// TestPolicy: what the client must not dial is not dialled, and a redirect is
// not followed.
func TestPolicy(t *testing.T) {
	c := newReceiver(t)
	forbidden := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return nil, fault.New(fault.Forbidden, "not there")
	}}}
	b, err := webhook.Open(t.Context(), webhook.Config{Client: forbidden, First: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Writer(t.Context(), c.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), events(1)); !fault.Is(err, fault.Unavailable) || len(c.times) != 0 {
		t.Error(err)
	}
	c.answer = func(int, *http.Request, string) int { return http.StatusFound }
	if err := writer(t, c.URL, webhook.Config{}).Write(t.Context(), events(1)); err == nil {
		t.Error("a redirect is a delivery")
	}
	for _, address := range []string{"ftp://x/", "https://a:b@x/", "x", "https:///p"} {
		if _, err := b.Writer(t.Context(), address); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if err := (webhook.Config{}).Validate(); err == nil {
		t.Error("without a client nothing is kept from anywhere")
	}
}
