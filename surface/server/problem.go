package server

import (
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/limit"
)

// Problem is how the native API tells of an error: RFC 9457, with the kind,
// the hint and, for several mistakes of one input, each of them.
type Problem struct {
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail"`
	Kind   string    `json:"kind"`
	Hint   string    `json:"hint,omitempty"`
	Where  string    `json:"where,omitempty"`
	Errors []Mistake `json:"errors,omitempty"`
}

// Mistake is one of several.
type Mistake struct {
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
	Where  string `json:"where,omitempty"`
}

// Error makes a Problem an error, as the API's framework and client ask.
func (p *Problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type of a problem document.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// NewProblem describes an error. What is not a fault, and what a fault wraps
// of Internal kind, is not told to callers.
func NewProblem(err error) *Problem {
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		err = fault.New(fault.TooLarge, "the body is over %d bytes", tooLarge.Limit)
	}
	kind := fault.KindOf(err)
	p := &Problem{
		Type:   "about:blank",
		Title:  http.StatusText(kind.HTTP()),
		Status: kind.HTTP(),
		Kind:   string(kind),
		Hint:   fault.HintOf(err),
		Detail: err.Error(),
	}
	f, isFault := errors.AsType[*fault.Error](err)
	switch many, several := errors.AsType[*fault.Many](err); {
	case several:
		p.Detail = "there are several mistakes"
		for _, e := range many.Errs {
			p.Errors = append(p.Errors, mistake(e))
		}
	case kind == fault.Internal && isFault:
		p.Detail = f.What
	case kind == fault.Internal:
		p.Detail = "something went wrong inside the server"
	case isFault:
		p.Where = f.Where
	}
	return p
}

func mistake(err error) Mistake {
	m := Mistake{Detail: err.Error(), Hint: fault.HintOf(err)}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		m.Where = f.Where
	}
	return m
}

// WriteProblem answers a request with an error.
func WriteProblem(w http.ResponseWriter, err error) {
	SetRetryAfter(w.Header(), err)
	NewProblem(err).write(w)
}

func (p *Problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	// The client may be gone; there is nobody to tell then.
	_ = json.NewEncoder(w).Encode(p)
}

// everythingElse is the pattern of what no surface has registered.
const everythingElse = "/"

// nowhere answers what nobody registered. Whether another method would have
// been answered is only looked for here, where nobody is in a hurry.
func (s *Server) nowhere(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != everythingElse {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		WriteProblem(w, fault.New(fault.NotFound, "there is nothing at %.200s", r.URL.Path).Hint("GET /openapi.json lists what there is"))
		return
	}
	p := NewProblem(fault.New(fault.Invalid, "%.20s is not a method of %.200s", r.Method, r.URL.Path).Hint("use %s", strings.Join(allowed, " or ")))
	p.Status, p.Title = http.StatusMethodNotAllowed, http.StatusText(http.StatusMethodNotAllowed)
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	p.write(w)
}

// SetRetryAfter says when to come back, for kinds that pass.
func SetRetryAfter(h http.Header, err error) {
	if wait := retryAfter(err); wait > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
}

// retryAfter is how long to wait before the same call may succeed; 0: it
// cannot.
func retryAfter(err error) time.Duration {
	if !fault.KindOf(err).Retryable() {
		return 0
	}
	if wait, ok := limit.After(err); ok {
		return wait
	}
	return time.Second
}

// Sentence is all that a protocol may tell of an error whose errors are a
// single text: what Problem tells in several fields.
func Sentence(err error) string {
	p := NewProblem(err)
	text := p.Detail
	for _, m := range p.Errors {
		text += "; " + m.Detail
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}
