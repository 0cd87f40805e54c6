package llm

import (
	"errors"
	"time"
)

// Refusal is what a provider said instead of an answer. It stands in the
// chain of the fault that a call returns, whose kind is
//
//   - Invalid for a request that is wrong, TooLarge for one that is too long
//     for the model, Rejected for one that a content filter stopped,
//     NotFound for a model that is not there;
//   - Limited for a rate or quota, Overloaded for a provider that has too much
//     to do, Unavailable for one that fails or does not know our key (which
//     is no matter of the caller's), Timeout for one that took too long.
//
// What breaks off or is no answer at all is Unavailable, without a Refusal.
type Refusal struct {
	Status  int    // of HTTP; 0 where it came within an answer
	Code    string // such as "context_length_exceeded"; "" where there is none
	Type    string // such as "invalid_request_error"
	Param   string // which member of the request is wrong
	Message string // the provider's sentence, shortened, without our key
	// RetryAfter is how long the provider asks to wait before another call; 0
	// where it does not say.
	RetryAfter time.Duration
	// Final says that the same call to the same provider is of no use.
	Final bool
}

// Error returns the provider's sentence.
func (r *Refusal) Error() string { return r.Message }

// RefusalOf returns the refusal in the chain of an error.
func RefusalOf(err error) (*Refusal, bool) { return errors.AsType[*Refusal](err) }

// RetryAfter is how long the provider asks to wait before another call; 0
// where it does not say.
func RetryAfter(err error) time.Duration {
	if r, ok := RefusalOf(err); ok {
		return r.RetryAfter
	}
	return 0
}
