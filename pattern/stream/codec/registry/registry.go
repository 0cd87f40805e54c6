// Package registry is the client of a schema registry that speaks Confluent's
// protocol, as Karapace, Apicurio, Redpanda and Confluent's own do: the
// schemas of messages by the ids that stand before them.
//
// Open makes one; it is what codec.Config.Registry wants. A schema of an id
// never changes, so it is asked for once and kept; that an id is not known is
// kept for a short time, so that a message with an invented id costs one
// request and not one a message. All of it is bounded.
package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/pattern/stream/codec"
)

const (
	mediaType  = "application/vnd.schemaregistry.v1+json"
	maxAnswer  = 4 << 20
	maxKept    = 1000
	maxImports = 64
	// missingFor is how long an unknown id is not asked for again.
	missingFor = 30 * time.Second
	timeout    = 10 * time.Second
)

// Config says where the registry is.
type Config struct {
	// URL such as https://registry.example.com, without a password.
	URL string
	// HTTP makes the requests: a client that keeps to the house's rules of
	// what may be dialled.
	HTTP *http.Client
	// Secret returns NAME:PASSWORD or a bearer token, or "" for none; nil for
	// none. It is asked before every request, so that it may change.
	Secret func(ctx context.Context) (string, error)
	// Now tells the time; time.Now when nil.
	Now func() time.Time
}

// Client asks a registry. It is safe for many goroutines.
type Client struct {
	base   *url.URL
	config Config

	mu      sync.Mutex
	schemas map[int]codec.RegisteredSchema
	missing map[int]time.Time
}

// Open makes a client. It asks nothing yet.
func Open(c Config) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(c.URL, "/"))
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.User != nil {
		return nil, fault.New(fault.Invalid, "a schema registry is an address like https://registry.example.com").
			Hint("what opens it goes into the secret of the stream")
	}
	if c.HTTP == nil {
		return nil, fault.New(fault.Internal, "a schema registry without an HTTP client")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{base: base, config: c, schemas: map[int]codec.RegisteredSchema{}, missing: map[int]time.Time{}}, nil
}

// wire is a schema as the protocol writes it.
type wire struct {
	ID         int    `json:"id,omitempty"`
	Subject    string `json:"subject,omitempty"`
	Version    int    `json:"version,omitempty"`
	Schema     string `json:"schema,omitempty"`
	Type       string `json:"schemaType,omitempty"` // absent for AVRO
	References []struct {
		Name    string `json:"name"`
		Subject string `json:"subject"`
		Version int    `json:"version"`
	} `json:"references,omitempty"`
}

// Schema returns the schema of an id. An id that the registry does not have is
// a NotFound fault; whatever else goes wrong may pass, and is Unavailable or
// another fault to try again after.
func (c *Client) Schema(ctx context.Context, id int) (codec.RegisteredSchema, error) {
	c.mu.Lock()
	s, ok := c.schemas[id]
	since, gone := c.missing[id]
	c.mu.Unlock()
	if ok {
		return s, nil
	}
	if gone && c.config.Now().Sub(since).Abs() < missingFor {
		return s, unknown(id)
	}
	var w wire
	err := c.ask(ctx, http.MethodGet, &w, nil, "schemas", "ids", fmt.Sprint(id))
	if fault.Is(err, fault.NotFound) {
		c.forget(id)
		return s, unknown(id)
	}
	if err == nil {
		w.ID = id
		s, err = c.keep(ctx, w)
	}
	// Whatever else keeps the schema from us (a login that is refused, an
	// address that may not be dialled) says nothing against the message.
	if err != nil && !fault.KindOf(err).Retryable() {
		err = fault.New(fault.Unavailable, "the schema %d cannot be had", id).Because(err).Hint("%s", fault.HintOf(err))
	}
	return s, err
}

func unknown(id int) error {
	return fault.New(fault.NotFound, "the schema registry has no schema %d", id)
}

// forget remembers that an id is not known.
func (c *Client) forget(id int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.missing) >= maxKept {
		clear(c.missing)
	}
	c.missing[id] = c.config.Now()
}

// keep completes a schema by what it refers to, and remembers it.
func (c *Client) keep(ctx context.Context, w wire) (codec.RegisteredSchema, error) {
	s := codec.RegisteredSchema{ID: w.ID, Type: cmp.Or(w.Type, "AVRO"), Text: w.Schema}
	if len(w.References) > 0 {
		s.References = map[string]string{}
		if err := c.imports(ctx, w, s.References); err != nil {
			return s, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.schemas) >= maxKept {
		clear(c.schemas)
	}
	c.schemas[w.ID] = s
	return s, nil
}

// imports finds the schemas that one refers to, and those that they do.
func (c *Client) imports(ctx context.Context, w wire, into map[string]string) error {
	for todo := []wire{w}; len(todo) > 0; todo = todo[1:] {
		for _, r := range todo[0].References {
			if _, ok := into[r.Name]; ok {
				continue
			}
			if len(into) >= maxImports {
				return fault.New(fault.TooLarge, "a schema refers to more than %d others", maxImports)
			}
			var next wire
			if err := c.ask(ctx, http.MethodGet, &next, nil, "subjects", r.Subject, "versions", fmt.Sprint(r.Version)); err != nil {
				return fault.Wrap(err, fault.KindOf(err), "the schema %q that another refers to", r.Name)
			}
			into[r.Name] = next.Schema
			todo = append(todo, next)
		}
	}
	return nil
}

// Latest returns the newest schema of a subject.
func (c *Client) Latest(ctx context.Context, subject string) (codec.RegisteredSchema, error) {
	var w wire
	if err := c.ask(ctx, http.MethodGet, &w, nil, "subjects", subject, "versions", "latest"); err != nil {
		return codec.RegisteredSchema{}, err
	}
	return c.keep(ctx, w)
}

// Register makes a schema the newest of a subject and returns its id; one that
// the registry takes for incompatible with those before is a Rejected fault.
func (c *Client) Register(ctx context.Context, subject string, s codec.RegisteredSchema) (int, error) {
	w := wire{Schema: s.Text, Type: s.Type}
	if s.Type == "AVRO" {
		w.Type = ""
	}
	var answer wire
	if err := c.ask(ctx, http.MethodPost, &answer, &w, "subjects", subject, "versions"); err != nil {
		return 0, err
	}
	return answer.ID, nil
}

// ask makes one request of the protocol.
func (c *Client) ask(ctx context.Context, method string, answer, body *wire, path ...string) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for i, p := range path {
		path[i] = url.PathEscape(p)
	}
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a schema cannot be written")
		}
		content = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.base.JoinPath(path...).String(), content)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the schema registry cannot be asked")
	}
	r.Header.Set("Accept", mediaType)
	if body != nil {
		r.Header.Set("Content-Type", mediaType)
	}
	if err := c.authorise(ctx, r); err != nil {
		return err
	}
	w, err := c.config.HTTP.Do(r)
	if err != nil {
		return silent(err)
	}
	defer func() { _ = w.Body.Close() }() // it was read, or is of no use
	text, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer+1))
	if err != nil {
		return silent(err)
	}
	if len(text) > maxAnswer {
		return fault.New(fault.TooLarge, "the schema registry answers with more than %d bytes", maxAnswer)
	}
	if w.StatusCode != http.StatusOK {
		return refused(w.StatusCode, text)
	}
	return fault.Wrap(json.Unmarshal(text, answer), fault.Unavailable, "what answers in place of the schema registry speaks another protocol")
}

func (c *Client) authorise(ctx context.Context, r *http.Request) error {
	if c.config.Secret == nil {
		return nil
	}
	secret, err := c.config.Secret(ctx)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the login of the schema registry")
	}
	if user, password, ok := strings.Cut(secret, ":"); ok {
		r.SetBasicAuth(user, password)
	} else if secret != "" {
		r.Header.Set("Authorization", "Bearer "+secret)
	}
	return nil
}

// silent is the fault of a registry that gave no answer, without its address.
func silent(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return f
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fault.Wrap(err, fault.Unavailable, "the schema registry does not answer")
}

// refused is the fault of a status.
func refused(status int, text []byte) error {
	var said struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(text, &said) != nil {
		said.Message = ""
	}
	if len(said.Message) > 300 {
		said.Message = strings.ToValidUTF8(said.Message[:300], "")
	}
	kind := fault.Unavailable
	switch status {
	case http.StatusNotFound:
		kind = fault.NotFound
	case http.StatusUnauthorized:
		kind = fault.Unauthenticated
	case http.StatusForbidden:
		kind = fault.Forbidden
	case http.StatusConflict:
		kind = fault.Rejected
	case http.StatusTooManyRequests:
		kind = fault.Limited
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		kind = fault.Invalid
	}
	return fault.New(kind, "the schema registry answers %d: %s", status, cmp.Or(said.Message, http.StatusText(status)))
}
