package llm

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// refusal makes a fault of a status.
func (s *Server) refusal(status int, h http.Header, body []byte, secret string) error {
	r := said(body)
	r.Status = status
	r.RetryAfter = retryAfter(h)
	return s.refused(r, secret, h.Get("X-Should-Retry"))
}

// Refused makes a fault of an error that came within an answer.
func (s *Server) Refused(body []byte, reply *Reply) error {
	return s.refused(said(body), reply.secret, "")
}

func (s *Server) refused(r *Refusal, secret, retry string) error {
	if secret != "" {
		for _, text := range []*string{&r.Message, &r.Code, &r.Type, &r.Param} {
			*text = strings.ReplaceAll(*text, secret, "***")
		}
	}
	kind, final := r.meaning()
	switch retry {
	case "true":
		final = false
	case "false":
		final = true
	}
	r.Final = final
	r.Message = cmp.Or(r.Message, r.Code, r.Type, http.StatusText(r.Status), "it does not say why")
	err := fault.New(kind, "the language model at %s answers with an error", s.Host()).Because(r)
	if r.Status != 0 {
		err.What = fmt.Sprintf("the language model at %s answers %d", s.Host(), r.Status)
	}
	switch {
	case r.Status == http.StatusUnauthorized || r.Status == http.StatusForbidden:
		err.Hint("look at the secret of the deployment, and at what it may be used for")
	case r.Status >= 300 && r.Status < 400:
		err.Hint("the server sends elsewhere, where nobody follows with a key: name the address that it sends to, if it is one to trust")
	case kind == fault.NotFound:
		err.Hint("look at the address and at the name of the model or deployment")
	}
	return err
}

// meaning is the fault's kind, and whether another try is of no use.
func (r *Refusal) meaning() (kind fault.Kind, final bool) {
	if kind, final, ok := r.byCode(); ok {
		return kind, final
	}
	if r.Status == 0 || r.Status == http.StatusOK {
		if status, err := strconv.Atoi(r.Code); err == nil {
			return byStatus(status)
		}
		return fault.Unavailable, false
	}
	return byStatus(r.Status)
}

func byStatus(status int) (kind fault.Kind, final bool) {
	switch {
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity || status == http.StatusUnsupportedMediaType:
		return fault.Invalid, true
	case status == http.StatusNotFound:
		return fault.NotFound, true
	case status == http.StatusRequestEntityTooLarge:
		return fault.TooLarge, true
	case status == http.StatusRequestTimeout || status == http.StatusGatewayTimeout:
		return fault.Timeout, false
	case status == http.StatusTooManyRequests:
		return fault.Limited, false
	case status == http.StatusPaymentRequired:
		return fault.Limited, true
	case status == http.StatusServiceUnavailable || status == statusOverloaded:
		return fault.Overloaded, false
	case status >= 500 || status == http.StatusConflict || status == http.StatusTooEarly:
		return fault.Unavailable, false
	}
	return fault.Unavailable, true // our key, a redirect, a method: nothing that passes, nor the caller's
}

// statusOverloaded is Anthropic's.
const statusOverloaded = 529

// byCode goes by what a refusal is called, where that says more than its
// status or there is none.
func (r *Refusal) byCode() (kind fault.Kind, final, ok bool) {
	for _, name := range []string{r.Code, r.Type} {
		switch name {
		case "context_length_exceeded", "exceed_context_size_error", "request_too_large", "string_above_max_length":
			return fault.TooLarge, true, true
		case "content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation":
			return fault.Rejected, true, true
		case "insufficient_quota", "billing_hard_limit_reached", "billing_error", "quota_exceeded":
			return fault.Limited, true, true
		case "model_not_found", "DeploymentNotFound", "not_found_error":
			return fault.NotFound, true, true
		case "invalid_api_key", "authentication_error", "permission_error":
			return fault.Unavailable, true, true
		case "rate_limit_exceeded", "rate_limit_error":
			return fault.Limited, false, true
		case "overloaded_error", "overloaded":
			return fault.Overloaded, false, true
		case "timeout_error":
			return fault.Timeout, false, true
		}
	}
	switch {
	case tooLong(r.Message):
		return fault.TooLarge, true, true
	case r.Status == http.StatusForbidden && strings.Contains(strings.ToLower(r.Message), "quota"): // API Management's
		return fault.Limited, true, true
	case r.Status == 0 && r.Type == "invalid_request_error":
		return fault.Invalid, true, true
	}
	return "", false, false
}

// tooLong tells by its sentence that a request is too long for the model,
// which several servers say by nothing else.
func tooLong(message string) bool {
	message = strings.ToLower(message)
	for _, phrase := range []string{"maximum context length", "prompt is too long", "the context length", "available context size", "context window", "maximum model length"} {
		if strings.Contains(message, phrase) {
			return true
		}
	}
	return false
}

// said reads what a refusal says, in any of the shapes that are known:
// OpenAI's and Azure's {"error": {…}}, Anthropic's with a type beside it,
// {"error": "…"}, {"message": "…"}, {"detail": …}, or plain text.
func said(body []byte) *Refusal {
	var outer map[string]json.RawMessage
	if json.Unmarshal(body, &outer) != nil {
		return &Refusal{Message: shorten(string(body))}
	}
	inner := outer
	var object map[string]json.RawMessage
	if json.Unmarshal(outer["error"], &object) == nil && object != nil {
		inner = object
	}
	r := &Refusal{Code: scalar(inner["code"]), Type: scalar(inner["type"]), Param: scalar(inner["param"])}
	if r.Type == "" {
		r.Type = scalar(inner["error_type"])
	}
	for _, m := range []json.RawMessage{inner["message"], outer["error"], outer["message"], outer["detail"], outer["error_description"]} {
		if r.Message = shorten(sentence(m)); r.Message != "" {
			break
		}
	}
	var deeper struct{ Code string }
	if json.Unmarshal(inner["innererror"], &deeper) == nil && deeper.Code == "ResponsibleAIPolicyViolation" {
		r.Code = deeper.Code
	}
	if r.Message == "" {
		r.Message = shorten(string(body))
	}
	return r
}

// scalar is a string or number as text.
func scalar(m json.RawMessage) string {
	var text string
	if json.Unmarshal(m, &text) == nil {
		return limit(text, 100)
	}
	var number json.Number
	if json.Unmarshal(m, &number) == nil {
		return limit(number.String(), 100)
	}
	return ""
}

// sentence is a string, or the JSON of a list (FastAPI's detail).
func sentence(m json.RawMessage) string {
	var text string
	if json.Unmarshal(m, &text) == nil {
		return text
	}
	if len(m) > 0 && m[0] == '[' {
		return string(m)
	}
	return ""
}

// maxShown bounds the sentence of a refusal.
const maxShown = 500

func shorten(s string) string {
	return limit(strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD"), maxShown)
}

func limit(s string, most int) string {
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// maxWait bounds what a provider may ask to wait.
const maxWait = 24 * time.Hour

// retryAfter is how long a provider asks to wait; 0 where it does not say.
func retryAfter(h http.Header) time.Duration {
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return bounded(ms * float64(time.Millisecond))
	}
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return bounded(seconds * float64(time.Second))
	}
	if at, err := http.ParseTime(text); err == nil {
		return bounded(float64(time.Until(at)))
	}
	return 0
}

func bounded(wait float64) time.Duration {
	if !(wait > 0) { // NaN too
		return 0
	}
	return time.Duration(min(wait, float64(maxWait)))
}
