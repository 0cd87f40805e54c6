package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/resilience"
)

// server is where a model is asked. It is safe for many goroutines.
type server struct {
	config   Config
	manifest Manifest
	client   *http.Client
	address  *url.URL
}

func newServer(c Config, m Manifest) (*server, error) {
	if c.Client == nil {
		return nil, fault.New(fault.Unsupported, "no other server may be asked from here")
	}
	u, err := url.Parse(m.URL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the model server is not one")
	}
	return &server{config: c, manifest: m, client: c.Client(int64(m.MaxResponse)), address: u.JoinPath(m.path(u.Path))}, nil
}

// path is what the protocol adds to the address, unless it is there already.
func (m Manifest) path(given string) string {
	add := ""
	switch m.Protocol {
	case MLflow:
		add = "/invocations"
	case OpenAI:
		add = "/embeddings"
	case OIP:
		return m.modelPath() + "/infer"
	}
	if strings.HasSuffix(given, add) {
		return ""
	}
	return add
}

// modelPath is where an Open Inference server has the model.
func (m Manifest) modelPath() string {
	path := "/v2/models/" + url.PathEscape(m.Model)
	if m.ModelVersion != "" {
		path += "/versions/" + url.PathEscape(m.ModelVersion)
	}
	return path
}

func (s *server) host() string { return s.address.Host }

// post sends a body and returns the answer's, if it is one to read.
func (s *server) post(ctx context.Context, body []byte) ([]byte, error) {
	return s.exchange(ctx, http.MethodPost, s.address, body)
}

func (s *server) exchange(parent context.Context, method string, to *url.URL, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(parent, s.manifest.Timeout.Std())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, to.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the address of the model server cannot be asked")
	}
	secret, err := s.sign(ctx, r.Header)
	if err != nil {
		return nil, resilience.Final(err)
	}
	s.describe(ctx, r.Header)
	answer, err := s.client.Do(r)
	if err != nil && answer != nil { // a redirect, whose body is closed already
		return nil, resilience.Final(fault.New(fault.Unavailable, "the model server %s sends elsewhere, where nobody follows", s.host()).
			Hint("name the address that it sends to in the Model resource, if it is one to trust"))
	}
	if err != nil {
		return nil, s.failed(parent, ctx, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return nil, s.refusal(parent, answer, secret)
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, s.failed(parent, ctx, err)
	}
	return content, nil
}

// deadlineHeader tells a server how long the caller will wait, in
// milliseconds, as proxies of the Envoy family do.
const deadlineHeader = "X-Envoy-Expected-Rq-Timeout-Ms"

func (s *server) describe(ctx context.Context, h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json")
	if at, ok := ctx.Deadline(); ok {
		h.Set(deadlineHeader, strconv.FormatInt(max(time.Until(at).Milliseconds(), 1), 10))
	}
	if s.manifest.Deployment != "" {
		h.Set("azureml-model-deployment", s.manifest.Deployment)
	}
}

// sign shows who asks; it returns the secret, to keep it out of errors.
func (s *server) sign(ctx context.Context, h http.Header) (secret string, err error) {
	a := s.manifest.Auth
	if a.Secret != "" {
		if s.config.Secret == nil {
			return "", fault.New(fault.Unsupported, "the model server wants a secret, and none can be resolved here")
		}
		if secret, err = s.config.Secret(ctx, a.Secret); err != nil {
			return "", fault.Wrap(err, fault.Unavailable, "the secret of the model server")
		}
	}
	switch a.Kind {
	case Bearer:
		h.Set("Authorization", "Bearer "+secret)
	case Header:
		h.Set(a.Header, secret)
	case Entra:
		if s.config.Token == nil {
			return "", fault.New(fault.Unsupported, "the model server wants a token of Entra, and none can be had here")
		}
		token, err := s.config.Token(ctx, Identity{Tenant: a.Tenant, Client: a.Client, Secret: secret}, a.Scope)
		if err != nil {
			return "", fault.Wrap(err, fault.Unavailable, "the token for the model server")
		}
		h.Set("Authorization", "Bearer "+token)
		return token, nil
	}
	return secret, nil
}

// failed makes a fault of an exchange that broke off. The address, which may
// have more in it than others should know, is left out.
func (s *server) failed(parent, ctx context.Context, err error) error {
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err
	}
	switch kind := fault.KindOf(err); {
	case parent.Err() != nil:
		return fault.Wrap(parent.Err(), fault.KindOf(parent.Err()), "the model server %s was not asked to the end", s.host())
	case ctx.Err() != nil:
		return fault.New(fault.Timeout, "the model server %s did not answer within %s", s.host(), s.manifest.Timeout)
	case kind == fault.Forbidden || kind == fault.TooLarge || kind == fault.Invalid:
		// The policy, or a bound: another try ends the same. The rows are not
		// to blame, so it is not the kind of a caller's mistake.
		wrapped := fault.New(fault.Unavailable, "the model server %s cannot be used", s.host()).Because(err)
		return resilience.Final(wrapped.Hint("%s", fault.HintOf(err)))
	}
	return fault.Wrap(err, fault.Unavailable, "the model server %s does not answer", s.host())
}

// Bounds of what is read of a refusal, and of how long it may ask to wait.
const (
	maxRefusal = 8 << 10
	maxShown   = 300
	maxWait    = 30 * time.Second
)

// refusal makes a fault of a status.
func (s *server) refusal(ctx context.Context, answer *http.Response, secret string) error {
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxRefusal)) // what came of it is shown
	shown := said(text)
	if secret != "" {
		shown = strings.ReplaceAll(shown, secret, "***")
	}
	kind, final := s.meaning(answer)
	err := fault.New(kind, "the model server %s answers %d", s.host(), answer.StatusCode)
	if shown != "" {
		err.Because(errors.New(shown))
	}
	if kind == fault.Unavailable && final {
		err.Hint("look at the address, the name and the secret in the Model resource")
	}
	if final {
		return resilience.Final(err)
	}
	wait := retryAfter(answer.Header)
	if at, ok := ctx.Deadline(); wait > maxWait || ok && wait > time.Until(at) {
		return resilience.Final(err)
	}
	return resilience.After(err, wait)
}

// meaning is the kind of a status, and whether another try is no use.
func (s *server) meaning(answer *http.Response) (kind fault.Kind, final bool) {
	switch status := answer.StatusCode; {
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return fault.Invalid, true
	case status == http.StatusRequestEntityTooLarge:
		return fault.TooLarge, true
	case status == http.StatusRequestTimeout || status == http.StatusGatewayTimeout:
		return fault.Timeout, false
	case status == http.StatusTooManyRequests:
		return fault.Limited, false
	case status == http.StatusFailedDependency: // Azure ML: the model itself failed
		if theirs, err := strconv.Atoi(answer.Header.Get("ms-azureml-model-error-statuscode")); err == nil && theirs >= 400 && theirs < 500 {
			return fault.Invalid, true
		}
		return fault.Internal, true
	case status >= 500 || status == http.StatusConflict:
		return fault.Unavailable, false
	}
	return fault.Unavailable, true // no such model, not allowed, sent elsewhere
}

// said finds the sentence in a refusal.
func said(text []byte) string {
	var known map[string]json.RawMessage
	if json.Unmarshal(text, &known) == nil {
		for _, name := range []string{"message", "error", "detail", "error_code"} {
			var sentence string
			var inner struct {
				Message string `json:"message"`
			}
			if json.Unmarshal(known[name], &sentence) != nil && json.Unmarshal(known[name], &inner) == nil {
				sentence = inner.Message
			}
			if sentence != "" {
				return shorten(sentence)
			}
		}
	}
	return shorten(string(text))
}

func shorten(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
	if len(s) > maxShown {
		return strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}

// retryAfter is how long a server asks to wait; 0 where it does not say.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 {
		return time.Duration(min(seconds, 3600)) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
