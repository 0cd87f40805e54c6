package webhook

import (
	"bytes"
	"context"
	"errors"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
	"github.com/leat-ai/leat/base/signature"
	"github.com/leat-ai/leat/store/bus"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// longestWait is how long a receiver's Retry-After is obeyed within a Write;
// for longer the caller is told to come back.
const longestWait = time.Minute

type writer struct {
	config Config
	url    string
	host   string
	caller *resilience.Caller

	mu     sync.RWMutex // read-held by each Write, so that Close waits for them
	closed bool
	done   *recent
}

// Write posts events and returns when all of them were taken.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fault.New(fault.Internal, "a writer is used that was closed")
	}
	for i, e := range events {
		if err := bus.CheckHeaders(e.Headers); err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
	}
	requests := w.config.requests(events)
	lanes := make([][]request, w.config.Parallel)
	for i, r := range requests {
		lane := i % len(lanes)
		if r.key != nil {
			h := fnv.New32a()
			_, _ = h.Write(r.key) // a hash takes everything
			lane = int(h.Sum32() % uint32(len(lanes)))
		}
		if w.config.Format == Batch {
			lane = 0
		}
		lanes[lane] = append(lanes[lane], r)
	}
	errs := make([]error, len(lanes))
	var stop atomic.Bool // what is under way is not cut off, so that little is sent twice
	var group sync.WaitGroup
	for i, lane := range lanes {
		group.Go(func() {
			for _, r := range lane {
				if stop.Load() {
					return
				}
				if errs[i] = w.send(ctx, r); errs[i] != nil {
					stop.Store(true)
					return
				}
			}
		})
	}
	group.Wait()
	return worst(errs)
}

// worst is the error to tell of: that of an event, of those the first one's;
// otherwise any.
func worst(errs []error) error {
	var first *bus.Refused
	var other error
	for _, err := range errs {
		if r, ok := errors.AsType[*bus.Refused](err); ok {
			if first == nil || r.Index < first.Index {
				first = r
			}
		} else if err != nil {
			other = err
		}
	}
	if first != nil {
		return first
	}
	return other
}

// Close waits for what is being sent.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	return nil
}

// send makes one request, again while it fails in a way that passes.
func (w *writer) send(ctx context.Context, r request) error {
	if r.known(w.done) {
		return nil
	}
	content, err := r.content()
	if err != nil {
		return &bus.Refused{Index: r.first, Err: err}
	}
	err = w.caller.Do(ctx, func(ctx context.Context) error { return w.post(ctx, r, content) })
	switch {
	case err == nil:
		r.remember(w.done)
		return nil
	case fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooLarge):
		return &bus.Refused{Index: r.first, Err: err}
	}
	return err
}

// maxAnswer bounds what is read of an answer, which says nothing here.
const maxAnswer = 64 << 10

// post makes one attempt.
func (w *writer) post(ctx context.Context, r request, content []byte) error {
	ctx, cancel := context.WithTimeout(ctx, w.config.Timeout)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(content))
	if err != nil {
		return fault.New(fault.Internal, "the address of the webhook at %s is not understood", w.host)
	}
	for name, value := range w.config.Headers {
		q.Header.Set(name, value)
	}
	r.headers(q.Header)
	if err := w.sign(ctx, q.Header, r.id, content); err != nil {
		return err
	}
	answer, err := w.config.Client.Do(q)
	if err != nil {
		return w.failed(ctx, err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer) // so that the connection can be used again
	return w.judge(answer)
}

func (w *writer) sign(ctx context.Context, h http.Header, id string, content []byte) error {
	timestamp := strconv.FormatInt(w.config.Clock.Now().Unix(), 10)
	h.Set(headerID, id)
	h.Set(headerTimestamp, timestamp)
	if w.config.Secret == nil {
		return nil
	}
	secret, err := w.config.Secret(ctx)
	if err != nil || secret == "" {
		return err
	}
	key, err := signature.Key(secret)
	if err != nil {
		return resilience.Final(fault.Wrap(err, fault.Unavailable, "requests cannot be signed")) // the event is not what is wrong
	}
	h.Set(headerSignature, signature.Sign(key, id, timestamp, content))
	return nil
}

// failed is what a request without an answer means. The address is not told:
// it may hold what others must not read.
func (w *writer) failed(ctx context.Context, err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Kind == fault.Forbidden { // it must not be dialled
		return resilience.Final(fault.Wrap(err, fault.Unavailable, "the webhook at %s is not asked", w.host))
	}
	if ctx.Err() != nil && errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return fault.Wrap(err, fault.Unavailable, "the webhook at %s does not answer", w.host)
}

// judge says what an answer means.
func (w *writer) judge(a *http.Response) error {
	status := a.StatusCode
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable:
		return w.later(a, fault.New(fault.Limited, "the webhook at %s is asked too often: it answered %d", w.host, status))
	case status == http.StatusRequestTimeout || status >= 500:
		return w.later(a, fault.New(fault.Unavailable, "the webhook at %s answered %d", w.host, status))
	case status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusProxyAuthRequired:
		return resilience.Final(fault.New(fault.Unavailable, "the webhook at %s does not let us in: it answered %d", w.host, status).
			Hint("look at the secret and at the headers of the webhook"))
	case status == http.StatusRequestEntityTooLarge:
		return fault.New(fault.TooLarge, "the event is too large for the webhook at %s", w.host)
	}
	return fault.New(fault.Invalid, "the webhook at %s refuses the event: it answered %d", w.host, status)
}

// later adds when the receiver wants to be asked again.
func (w *writer) later(a *http.Response, err error) error {
	wait := retryAfter(a.Header.Get("Retry-After"), w.config.Clock.Now())
	if wait > longestWait {
		return resilience.Final(err)
	}
	return resilience.After(err, wait)
}

// retryAfter reads seconds or a time; 0 for neither.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}

// recent remembers IDs: the last most of them at least, twice as many at the
// most.
type recent struct {
	mu          sync.Mutex
	now, before map[string]bool
}

const mostIDs = 50_000

func newRecent() *recent { return &recent{now: map[string]bool{}, before: map[string]bool{}} }

func (r *recent) has(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now[id] || r.before[id]
}

func (r *recent) add(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.now) >= mostIDs {
		r.before, r.now = r.now, map[string]bool{}
	}
	r.now[id] = true
}
