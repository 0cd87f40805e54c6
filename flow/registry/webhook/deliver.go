package webhook

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/signature"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/store/catalog"
)

// How deliveries are made.
const (
	poll           = time.Second
	together       = 8 // deliveries at one time
	requestTimeout = 30 * time.Second
	lease          = 2 * requestTimeout // after which another replica tries what one took on and lost
	firstPause     = 2 * time.Second
	longestPause   = 5 * time.Minute
	maxAnswer      = 64 << 10
)

// The headers of a delivery, as MLflow names them.
const (
	HeaderID        = "X-MLflow-Delivery-Id"
	HeaderTimestamp = "X-MLflow-Timestamp"
	HeaderSignature = "X-MLflow-Signature"
)

// Sign returns the signature of a delivery: "v1," and the base64 of the
// HMAC-SHA256 of "<delivery id>.<timestamp>.<payload>" under the secret. The
// timestamp is in seconds since 1970.
func Sign(key secret.Value, id, timestamp, payload string) string {
	return signature.Sign([]byte(key.Reveal()), id, timestamp, []byte(payload))
}

// Run delivers until ctx ends, and returns its error.
func (h *Hooks) Run(ctx context.Context) error {
	defer h.client.CloseIdleConnections()
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		more, err := h.round(ctx)
		if err != nil && ctx.Err() == nil {
			h.Log.Warn("webhooks are not told of changes for now", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// delivery is a row of the outbox.
type delivery struct {
	id, hook, payload string
	attempts          int // with the one that is about to be made
}

// round makes the deliveries that are due, as many as go together, and tells
// whether there may be more.
func (h *Hooks) round(ctx context.Context) (more bool, err error) {
	due, err := h.take(ctx)
	if err != nil {
		return false, err
	}
	var wg sync.WaitGroup
	for _, d := range due {
		wg.Go(func() {
			if err := h.deliver(ctx, d); err != nil && ctx.Err() == nil {
				h.Log.Warn("what became of a delivery could not be kept", "delivery", d.id, "error", err)
			}
		})
	}
	wg.Wait()
	return len(due) == together, nil
}

// take takes on deliveries that are due: nobody else does until the lease
// ends.
func (h *Hooks) take(ctx context.Context) (due []delivery, err error) {
	now := h.Clock.Now()
	query := func(tx catalog.Tx) error {
		due, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (d delivery, err error) {
			err = rows.Scan(&d.id, &d.hook, &d.payload, &d.attempts)
			d.attempts++
			return d, err
		}, `SELECT id, webhook, payload, attempts FROM webhook_outbox WHERE due_at <= ? ORDER BY due_at, id LIMIT ?`,
			catalog.Micros(now), together)
		return err
	}
	if err := h.DB.Read(ctx, query); err != nil || len(due) == 0 {
		return nil, err // mostly there is nothing, and nothing is written
	}
	err = h.DB.Write(ctx, func(tx catalog.Tx) error {
		if err := query(tx); err != nil {
			return err
		}
		for _, d := range due {
			_, err := tx.Exec(ctx, `UPDATE webhook_outbox SET due_at = ?, attempts = ? WHERE id = ?`,
				catalog.Micros(now.Add(lease)), d.attempts, d.id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	return due, err
}

// deliver makes one attempt and keeps what became of it.
func (h *Hooks) deliver(ctx context.Context, d delivery) error {
	k, err := h.receiver(ctx, d.hook)
	if fault.Is(err, fault.NotFound) || err == nil && !k.Active {
		return h.settle(ctx, d, "given_up")
	}
	if err != nil && d.attempts < Attempts {
		return err // the lease ends, and somebody tries again
	}
	var a Answer
	if err == nil {
		a, err = h.send(ctx, k, d.id, d.payload)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // the lease ends, and somebody tries again
	case err == nil && a.Delivered():
		return h.settle(ctx, d, "delivered")
	case d.attempts >= Attempts || err == nil && !a.again() || fault.Is(err, fault.Forbidden):
		h.Log.Warn("a webhook was not told of a change", "webhook", k.Name, "delivery", d.id, "attempts", d.attempts, "status", a.Status, "error", err)
		return h.settle(ctx, d, "given_up")
	}
	h.Deliveries.Add(1, "retried")
	due := catalog.Micros(h.Clock.Now().Add(max(a.after, pause(d.attempts))))
	return h.DB.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE webhook_outbox SET due_at = ? WHERE id = ?`, due, d.id)
		return err
	})
}

// receiver finds who a delivery is for: a hook, or the webhook of a trigger.
func (h *Hooks) receiver(ctx context.Context, id string) (kept, error) {
	name, ok := strings.CutPrefix(id, ofTrigger)
	if !ok {
		return h.find(ctx, id)
	}
	if h.Trigger == nil {
		return kept{}, fault.New(fault.NotFound, "there are no triggers")
	}
	r, err := h.Trigger(ctx, name)
	return kept{Hook: Hook{ID: id, Name: id, URL: r.URL, Active: true}, secret: r.Secret, standard: true}, err
}

// pause is how long to wait after a number of attempts: twice as long each
// time, and a little by chance, so that many do not come back together.
func pause(attempts int) time.Duration {
	p := min(longestPause, firstPause<<min(attempts-1, 20))
	return p + rand.N(p/2)
}

// settle takes a delivery out of the outbox.
func (h *Hooks) settle(ctx context.Context, d delivery, outcome string) error {
	h.Deliveries.Add(1, outcome)
	return h.DB.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM webhook_outbox WHERE id = ?`, d.id)
		return err
	})
}

// Answer is what a receiver said.
type Answer struct {
	Status int
	Body   string // its beginning
	after  time.Duration
}

// Delivered tells whether the receiver took it.
func (a Answer) Delivered() bool { return a.Status >= 200 && a.Status < 300 }

// again tells whether the same delivery may be taken later.
func (a Answer) again() bool {
	switch a.Status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// send makes one request.
func (h *Hooks) send(ctx context.Context, k kept, id, payload string) (Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, k.URL, bytes.NewReader([]byte(payload)))
	if err != nil {
		return Answer{}, fault.New(fault.Invalid, "the address of webhook %s is not understood", k.Name)
	}
	timestamp := strconv.FormatInt(h.Clock.Now().Unix(), 10)
	if err := k.sign(r.Header, id, timestamp, payload); err != nil {
		return Answer{}, err
	}
	answer, err := h.client.Do(r)
	if err != nil {
		return Answer{}, egress.Clean(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil && !fault.Is(err, fault.TooLarge) {
		return Answer{}, egress.Clean(err)
	}
	a := Answer{Status: answer.StatusCode, Body: string(body)}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		a.after = min(time.Duration(min(seconds, 3600))*time.Second, longestPause)
	}
	return a, nil
}

// sign sets the headers that say what is sent and who sends it.
func (k *kept) sign(header http.Header, id, timestamp, payload string) error {
	if k.standard {
		header.Set("Content-Type", "application/cloudevents+json; charset=UTF-8")
		header.Set("Webhook-Id", id)
		header.Set("Webhook-Timestamp", timestamp)
		if k.secret.Reveal() == "" {
			return nil
		}
		key, err := signature.Key(k.secret.Reveal())
		header.Set("Webhook-Signature", signature.Sign(key, id, timestamp, []byte(payload)))
		return err
	}
	header.Set("Content-Type", "application/json")
	// Written as MLflow writes them, for receivers that ask in that case only.
	header[HeaderID] = []string{id}
	header[HeaderTimestamp] = []string{timestamp}
	if k.secret.Reveal() != "" {
		header[HeaderSignature] = []string{Sign(k.secret, id, timestamp, payload)}
	}
	return nil
}

// Test sends an example of an event, the hook's first when "", and returns
// what the receiver says. Nothing is repeated.
func (h *Hooks) Test(ctx context.Context, id string, e Event) (Answer, error) {
	k, err := h.find(ctx, id)
	if err != nil {
		return Answer{}, err
	}
	if e == "" {
		e = k.Events[0]
	}
	if !slices.Contains(Events(), e) {
		return Answer{}, fault.New(fault.Invalid, "no event is called %.80q", e)
	}
	text, err := payloadOf(e, example(h.Clock.Now()))
	if err != nil {
		return Answer{}, err
	}
	return h.send(ctx, k, newID(), text)
}

// example is a change that never happened.
func example(now time.Time) registry.Event {
	return registry.Event{Model: "example_model", Version: 1, At: now, Key: "example_key", Value: "example_value",
		Description: "An example", Tags: map[string]string{"example_key": "example_value"}, Run: "abcd1234abcd5678", Source: "models:/m-example"}
}
