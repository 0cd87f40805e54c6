package llm

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Access is how a provider's server may be asked: what the protocols' own
// configurations have in common.
type Access struct {
	// Client dials only what may be dialled, and bounds bodies. Its redirects
	// are not followed: a key is for one host.
	Client *http.Client
	// Key resolves the key that shows who asks, for each call anew; nil:
	// there is none.
	Key func(ctx context.Context) (string, error)
	// Token gets an access token of Entra for a scope; nil: there are none.
	Token func(ctx context.Context, scope string) (string, error)
	// Stall is how long the server may be silent before its answer and within
	// it; 5 minutes when 0.
	Stall time.Duration
}

const defaultStall = 5 * time.Minute

// Server is where a provider is asked, by JSON over HTTP. It is for the
// folders of protocols, and safe for many goroutines.
type Server struct {
	base   *url.URL
	client *http.Client
	sign   Sign
	stall  time.Duration
}

// Sign shows in a request's headers who asks, and returns the secret in them,
// so that it is kept out of errors.
type Sign func(ctx context.Context, h http.Header) (secret string, err error)

// NewServer makes the server at a base address.
func NewServer(base string, a Access, sign Sign) (*Server, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fault.New(fault.Invalid, "the address of the language model is not one").Hint("write it like https://api.openai.com/v1")
	case u.User != nil:
		return nil, fault.New(fault.Invalid, "the address of the language model has a user or password in it").Hint("name a secret instead")
	case a.Client == nil:
		return nil, fault.New(fault.Unsupported, "no other server may be asked from here")
	case a.Stall < 0:
		return nil, fault.New(fault.Invalid, "the time that a language model may be silent is negative")
	}
	client := *a.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Server{base: u, client: &client, sign: sign, stall: cmp.Or(a.Stall, defaultStall)}, nil
}

// Host is whom faults name.
func (s *Server) Host() string { return s.base.Host }

// Close ends connections that no call uses.
func (s *Server) Close() error {
	s.client.CloseIdleConnections()
	return nil
}

// Post sends a body of JSON to a path below the base and returns the reply if
// it is one to read. A path may have a query. Anything else is a fault, as
// Refusal describes.
func (s *Server) Post(ctx context.Context, path string, body []byte, events bool) (*Reply, error) {
	asking, cancel := context.WithCancelCause(ctx)
	reply := &Reply{server: s, parent: ctx, ctx: asking, cancel: cancel}
	reply.silence = time.AfterFunc(s.stall, func() { cancel(errSilent) })
	if err := s.exchange(reply, path, body, events); err != nil {
		_ = reply.Close() // what is wrong is known
		return nil, err
	}
	return reply, nil
}

func (s *Server) exchange(reply *Reply, path string, body []byte, events bool) error {
	path, query, _ := strings.Cut(path, "?")
	to := *s.base
	to.Path, to.RawPath = strings.TrimSuffix(s.base.Path, "/")+path, ""
	to.RawQuery = query
	r, err := http.NewRequestWithContext(reply.ctx, http.MethodPost, to.String(), bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Invalid, "the address of the language model cannot be asked")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	if events {
		r.Header.Set("Accept", "text/event-stream, application/json")
	}
	r.Header.Set("User-Agent", "leat")
	if reply.secret, err = s.sign(reply.ctx, r.Header); err != nil {
		return reply.failed(err)
	}
	answer, err := s.client.Do(r) //nolint:bodyclose // Reply.Close does
	if err != nil {
		return reply.failed(err)
	}
	reply.body, reply.Header = answer.Body, answer.Header
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(reply, maxRefusal)) // what came of it is shown
		return s.refusal(answer.StatusCode, answer.Header, text, reply.secret)
	}
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")) // one that cannot be read is none
	reply.Events = kind == "text/event-stream"
	return nil
}

// maxRefusal bounds what is read of a refusal.
const maxRefusal = 16 << 10

var errSilent = errors.New("it is silent")

// Reply is what a server answers. Its reads end in faults.
type Reply struct {
	Header http.Header
	Events bool // the body is a stream of events

	server      *Server
	parent, ctx context.Context
	cancel      context.CancelCauseFunc
	silence     *time.Timer
	secret      string

	mu     sync.Mutex // guards Close
	body   io.ReadCloser
	ended  bool // the body was read to its end
	closed bool
	whole  bool // see Whole
}

// Read reads the body.
func (r *Reply) Read(p []byte) (int, error) {
	r.silence.Reset(r.server.stall)
	n, err := r.body.Read(p)
	switch err { //nolint:errorlint // a stream's end is this very value
	case nil:
	case io.EOF:
		r.mu.Lock()
		r.ended = true
		r.mu.Unlock()
	default:
		err = r.failed(err)
	}
	return n, err
}

// All reads a body of at most so many bytes to its end and closes it.
func (r *Reply) All(most int) ([]byte, error) {
	defer r.Close()
	content, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err == nil && len(content) > most {
		err = fault.New(fault.TooLarge, "the language model at %s answered more than %d bytes", r.server.Host(), most)
	}
	return content, err
}

// Whole says that nothing more is expected of the body, so that the
// connection may be used again.
func (r *Reply) Whole() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole = true
}

// lastWait is how long Close waits for the end of a body that is whole, and
// maxLast how much of it is read.
const (
	lastWait = 50 * time.Millisecond
	maxLast  = 4 << 10
)

// Close frees the connection. It is safe to call twice, and while another
// goroutine reads.
func (r *Reply) Close() error {
	r.mu.Lock()
	again, drain := r.closed, r.whole && !r.ended
	r.closed = true
	r.mu.Unlock()
	if again {
		return nil
	}
	if drain {
		r.silence.Reset(lastWait)
		_, _ = io.CopyN(io.Discard, r.body, maxLast) // for the connection's sake only
	}
	r.silence.Stop()
	r.cancel(context.Canceled)
	if r.body != nil {
		_ = r.body.Close() // it was read as far as anybody wants
	}
	return nil
}

// failed makes a fault of an exchange that broke off. The address, which may
// have more in it than others should know, is left out.
func (r *Reply) failed(err error) error {
	host := r.server.Host()
	if asked, ok := errors.AsType[*url.Error](err); ok {
		err = asked.Err
	}
	switch kind := fault.KindOf(err); {
	case r.parent.Err() != nil:
		return fault.Wrap(r.parent.Err(), fault.KindOf(r.parent.Err()), "the language model at %s was not asked to the end", host)
	case context.Cause(r.ctx) == errSilent: //nolint:errorlint // it is that very value
		return fault.New(fault.Timeout, "the language model at %s was silent for %s", host, r.server.stall)
	case kind == fault.Forbidden || kind == fault.TooLarge || kind == fault.Invalid || kind == fault.NotFound || kind == fault.Unsupported:
		// The policy, the secret or a bound: it is not the kind of a caller's
		// mistake, and another try ends the same.
		wrapped := fault.New(fault.Unavailable, "the language model at %s cannot be used", host)
		return wrapped.Because(&Refusal{Message: err.Error(), Final: true}).Hint("%s", fault.HintOf(err))
	}
	return fault.New(fault.Unavailable, "the language model at %s does not answer", host).Because(err)
}

// Broken is the fault of an answer that is none: what follows says why.
func (s *Server) Broken(format string, args ...any) error {
	return fault.New(fault.Unavailable, "the language model at %s gave no answer to read", s.Host()).Because(fault.New(fault.Unavailable, format, args...))
}
