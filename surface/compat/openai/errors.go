package openai

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide/limit"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

// wrong is an error of a request that is about one of its members.
type wrong struct {
	param string
	err   *fault.Error
}

func (e *wrong) Error() string { return e.err.Error() }
func (e *wrong) Unwrap() error { return e.err }

// bad is an Invalid fault about a member of a request.
func bad(param, format string, args ...any) *wrong {
	return &wrong{param, fault.New(fault.Invalid, format, args...)}
}

// hint says what to do next, and returns the same error.
func (e *wrong) hint(format string, args ...any) *wrong {
	e.err.Advice = fmt.Sprintf(format, args...)
	return e
}

// because says what caused it, and returns the same error.
func (e *wrong) because(err error) *wrong {
	e.err.Err = err
	return e
}

// unread is an Invalid fault about a body that is not the protocol's.
func unread(err error) error {
	return fault.New(fault.Invalid, "the body is not what the operation takes").Because(err)
}

// problem is an error as the protocol tells of it.
type problem struct {
	status        int
	message, kind string
	param, code   string // "" is null
	again         bool   // the same call may succeed later
	wait          time.Duration
}

// problemOf describes an error.
func problemOf(err error) problem {
	kind := fault.KindOf(err)
	p := problem{status: server.NewProblem(err).Status, message: server.Sentence(err), kind: "invalid_request_error", again: kind.Retryable(), wait: waitOf(err)}
	if w, ok := errors.AsType[*wrong](err); ok {
		p.param = w.param
	}
	refusal, refused := llm.RefusalOf(err)
	if refused && refusal.Param != "" {
		p.param = refusal.Param
	}
	switch kind {
	case fault.Unauthenticated:
		p.code = "invalid_api_key"
	case fault.Forbidden:
		p.kind, p.code = "permission_error", "insufficient_permissions"
	case fault.NotFound:
		p.code = "not_found"
	case fault.TooLarge:
		p.code = "request_too_large"
		if refused { // clients know a question that is too long by this status
			p.status, p.code = http.StatusBadRequest, "context_length_exceeded"
		}
	case fault.Rejected:
		p.status, p.code = http.StatusBadRequest, "content_filter"
	case fault.Unsupported:
		p.status, p.code = http.StatusBadRequest, "unsupported"
	case fault.Limited:
		p.kind, p.code = "rate_limit_error", "rate_limit_exceeded"
	case fault.Overloaded, fault.Unavailable, fault.Timeout:
		p.kind, p.code = "server_error", string(kind)
	case fault.Internal, fault.Corrupt, fault.Full:
		p.kind, p.code = "server_error", string(kind)
	}
	if _, ok := errors.AsType[unknownModel](err); ok {
		p.param, p.code = "model", "model_not_found"
	}
	if refused && refusal.Code != "" && kind != fault.Unavailable {
		p.code = refusal.Code
	}
	if p.code == noBudget { // there is none for longer than clients wait
		p.kind, p.again = noBudget, false
	}
	return p
}

// noBudget is the code of a budget that is spent.
const noBudget = "insufficient_quota"

// waitOf is how long to wait before the same call may succeed; 0: it cannot,
// or nobody knows.
func waitOf(err error) time.Duration {
	if !fault.KindOf(err).Retryable() {
		return 0
	}
	if wait, ok := limit.After(err); ok {
		return wait
	}
	if wait := llm.RetryAfter(err); wait > 0 {
		return wait
	}
	return time.Second
}

// longestWait is the longest that clients wait when they are told how long;
// told longer, they come back sooner.
const longestWait = time.Minute

// headers are how clients decide whether and when to try again.
func (p problem) headers(h http.Header) {
	if p.wait > 0 {
		h.Set("Retry-After", strconv.FormatInt(int64((p.wait+time.Second-1)/time.Second), 10))
		h.Set("Retry-After-Ms", strconv.FormatInt(max(p.wait.Milliseconds(), 1), 10))
	}
	h.Set("X-Should-Retry", strconv.FormatBool(p.again && p.wait <= longestWait))
}

// appendTo writes the object that tells of the error.
func (p problem) appendTo(dst []byte) []byte {
	dst = compat.AppendString(append(dst, `{"error":{"message":`...), p.message)
	dst = compat.AppendString(append(dst, `,"type":`...), p.kind)
	dst = appendOrNull(append(dst, `,"param":`...), p.param)
	dst = appendOrNull(append(dst, `,"code":`...), p.code)
	return append(dst, "}}"...)
}

func appendOrNull(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return compat.AppendString(dst, s)
}

// refuse answers a request with an error.
func refuse(w http.ResponseWriter, err error) {
	p := problemOf(err)
	h := w.Header()
	p.headers(h)
	if f, ok := errors.AsType[*gateway.Failed](err); ok {
		tell(h, f.Call)
	}
	h.Del("Content-Length")
	h.Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_, _ = w.Write(append(p.appendTo(nil), '\n')) // a client that is gone has nobody to tell
}
