// Package client is the Go client of a Leat server, and the one that the CLI
// itself uses.
//
// New makes a Client of an address; its methods are the operations of the
// native API (surface/api) with the types that the server answers with. An
// answer that is an error becomes a fault with the server's kind, sentence and
// hint. Requests that failed in passing are sent again, a few times, when that
// is safe: reads, and scoring with an idempotency key. A server that says how
// long to wait is waited for, up to some seconds.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/server"
)

// Client speaks with one server. It is safe for many goroutines.
type Client struct {
	base string
	key  string
	http *http.Client
}

// Options change how a client connects. The zero value is good.
type Options struct {
	Key       string            // API key
	Transport http.RoundTripper // http.DefaultTransport when nil
}

// New returns a client of the server at an address such as
// http://127.0.0.1:8080.
func New(address string, o Options) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fault.New(fault.Invalid, "%q is not the address of a server", address).Hint("write http://host:port")
	}
	return &Client{base: strings.TrimRight(address, "/"), key: o.Key, http: &http.Client{Transport: o.Transport}}, nil
}

// call is one exchange.
type call struct {
	method, path string
	query        url.Values
	body         any
	header       http.Header
	again        bool // may be sent again after a failure in passing
}

// attempts bounds how often a call that may be sent again is sent.
const attempts = 4

// maxAnswer bounds the bytes of an answer.
const maxAnswer = 256 << 20

func (c *Client) do(ctx context.Context, k call, into any) error {
	var body []byte
	if k.body != nil {
		var err error
		if body, err = json.Marshal(k.body); err != nil {
			return fault.Wrap(err, fault.Invalid, "the request cannot be written as JSON")
		}
	}
	k.again = k.again || k.method == http.MethodGet
	for attempt := 1; ; attempt++ {
		answer, wait, err := c.once(ctx, k, body)
		if err == nil {
			return decode(answer, into)
		}
		if !k.again || attempt == attempts || !fault.KindOf(err).Retryable() || ctx.Err() != nil || wait > maxWait {
			return err
		}
		pause(ctx, attempt, wait)
	}
}

// maxWait is the longest that a server may ask a client to wait; who is asked
// for more is told the error instead.
const maxWait = 5 * time.Second

// pause waits as long as the server asked for, and 0.1, 0.2, 0.4 s, half of it
// by chance, so that clients which failed together do not come back together.
func pause(ctx context.Context, attempt int, wait time.Duration) {
	d := 50 * time.Millisecond << attempt
	select {
	case <-ctx.Done():
	case <-time.After(wait + d/2 + rand.N(d/2)):
	}
}

// retryAfter is what an answer says in whole seconds, or 0.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

func decode(answer []byte, into any) error {
	if into == nil || len(answer) == 0 {
		return nil
	}
	return fault.Wrap(json.Unmarshal(answer, into), fault.Internal, "the server's answer is not understood")
}

// once sends a call one time. Beside an error it returns how long the server
// asks to wait.
func (c *Client) once(ctx context.Context, k call, body []byte) (answer []byte, wait time.Duration, err error) {
	address := c.base + k.path
	if len(k.query) > 0 {
		address += "?" + k.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, k.method, address, bytes.NewReader(body))
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.Invalid, "the request cannot be made")
	}
	for name, values := range k.header {
		req.Header[name] = values
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, 0, unreachable(ctx, c.base, err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, 0, fault.Wrap(err, fault.Unavailable, "the server's answer broke off")
	}
	if res.StatusCode >= 300 {
		return nil, retryAfter(res.Header), problem(res.StatusCode, answer)
	}
	return answer, 0, nil
}

func unreachable(ctx context.Context, base string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		err = urlError.Err
	}
	return fault.New(fault.Unavailable, "the server at %s does not answer", base).Because(err).
		Hint("is it running? `leat up` starts one")
}

// problem turns an error answer into the fault that it was on the server.
func problem(status int, answer []byte) error {
	var p server.Problem
	if err := json.Unmarshal(answer, &p); err != nil || p.Detail == "" {
		return fault.New(kindOf(status), "the server answered with status %d", status)
	}
	kind := fault.Kind(p.Kind)
	if p.Kind == "" {
		kind = kindOf(status)
	}
	if len(p.Errors) == 0 {
		f := fault.New(kind, "%s", p.Detail)
		f.Advice = p.Hint
		return f
	}
	var many fault.List
	for _, m := range p.Errors {
		f := fault.New(kind, "%s", m.Detail)
		f.Advice = m.Hint
		many.Add(f)
	}
	return many.Err()
}

// kindOf is the kind of an answer that does not name one.
func kindOf(status int) fault.Kind {
	switch status {
	case http.StatusUnprocessableEntity:
		return fault.Invalid
	case http.StatusBadGateway: // a proxy's, while the server starts anew
		return fault.Unavailable
	}
	for _, k := range fault.Kinds() {
		if k.HTTP() == status {
			return k
		}
	}
	if status < 500 {
		return fault.Invalid
	}
	return fault.Internal
}
