package mlflow

import (
	"encoding/json"
	"net/http"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/surface/server"
)

// wireError is how the protocol tells of an error.
type wireError struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
}

// code is the protocol's word for a kind of fault, and its HTTP status.
func code(k fault.Kind) (word string, status int) {
	switch k {
	case fault.Invalid, fault.Rejected, fault.TooLarge:
		return "INVALID_PARAMETER_VALUE", http.StatusBadRequest
	case fault.NotFound:
		return "RESOURCE_DOES_NOT_EXIST", http.StatusNotFound
	case fault.Conflict:
		return "RESOURCE_ALREADY_EXISTS", http.StatusBadRequest
	case fault.Unauthenticated:
		return "UNAUTHENTICATED", http.StatusUnauthorized
	case fault.Forbidden:
		return "PERMISSION_DENIED", http.StatusForbidden
	case fault.Limited:
		return "REQUEST_LIMIT_EXCEEDED", http.StatusTooManyRequests
	case fault.Overloaded, fault.Unavailable, fault.Timeout:
		return "TEMPORARILY_UNAVAILABLE", http.StatusServiceUnavailable
	case fault.Unsupported:
		return "NOT_IMPLEMENTED", http.StatusNotImplemented
	case fault.Full:
		return "INTERNAL_ERROR", http.StatusInsufficientStorage
	}
	return "INTERNAL_ERROR", http.StatusInternalServerError
}

// writeError answers a request with an error. What the native API does not
// tell callers is not told here either.
func writeError(w http.ResponseWriter, err error) {
	word, status := code(fault.KindOf(err))
	p := server.NewProblem(err)
	text := p.Detail
	for _, m := range p.Errors {
		text += "; " + m.Detail
	}
	if p.Hint != "" {
		text += ": " + p.Hint
	}
	server.SetRetryAfter(w.Header(), err)
	writeAs(w, status, wireError{word, text})
}

func writeAs(w http.ResponseWriter, status int, e wireError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(e) // a client that is gone has nobody to tell
}

// missing is the fault of a message without a field that it needs.
func missing(field string) error {
	return fault.New(fault.Invalid, "Missing value for required parameter '%s'", field)
}
