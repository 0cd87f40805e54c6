// Package fault is the one error of Leat: a kind for machines, a sentence for
// people, a hint what to do next.
//
// It stands at the bottom of the house (base/), so every package can return
// it. Make one with New or Wrap, add to it with Hint and At, and ask for its
// kind with KindOf; never test the text of an error. Kind.HTTP, Kind.GRPC and
// Kind.Exit are the only tables from a kind to a status or an exit code.
//
// A sentence and a hint are shown to callers: they hold no secret, no stack
// trace and no name from inside the process.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind says what sort of thing went wrong, for machines to branch on.
type Kind string

// The kinds. Each has one HTTP status, one code of gRPC and one exit code.
const (
	Invalid         Kind = "invalid"         // the input is wrong; the same call cannot succeed
	Unauthenticated Kind = "unauthenticated" // nobody known is asking
	Forbidden       Kind = "forbidden"       // somebody known may not
	NotFound        Kind = "not_found"       // the named thing does not exist
	Conflict        Kind = "conflict"        // the thing changed meanwhile, or exists already
	TooLarge        Kind = "too_large"       // a body, row count or file is over its bound
	Limited         Kind = "limited"         // the caller is over its rate or budget; retry later
	Overloaded      Kind = "overloaded"      // the service is over its capacity; retry later
	Timeout         Kind = "timeout"         // the deadline passed
	Canceled        Kind = "canceled"        // the caller went away
	Unavailable     Kind = "unavailable"     // something needed does not answer; retry later
	Full            Kind = "full"            // no space left on a device
	Corrupt         Kind = "corrupt"         // stored bytes are not what was stored
	Rejected        Kind = "rejected"        // a gate or rule said no
	Unsupported     Kind = "unsupported"     // understood, but not something Leat does
	Internal        Kind = "internal"        // a defect of Leat
)

type codes struct{ http, exit, grpc int }

var table = map[Kind]codes{
	Invalid:         {400, 2, 3},
	Unauthenticated: {401, 3, 16},
	Forbidden:       {403, 3, 7},
	NotFound:        {404, 4, 5},
	Conflict:        {409, 5, 10},
	TooLarge:        {413, 2, 3},
	Limited:         {429, 6, 8},
	Overloaded:      {503, 6, 14},
	Timeout:         {504, 7, 4},
	Canceled:        {499, 130, 1},
	Unavailable:     {503, 7, 14},
	Full:            {507, 8, 8},
	Corrupt:         {500, 9, 15},
	Rejected:        {422, 10, 9},
	Unsupported:     {501, 2, 12},
	Internal:        {500, 1, 13},
}

// HTTP returns the status code that answers a request with this kind.
func (k Kind) HTTP() int { return table[k.known()].http }

// GRPC returns the code of google.rpc.Code that answers a call with this kind.
func (k Kind) GRPC() int { return table[k.known()].grpc }

// Exit returns the exit code of a command that ends with this kind.
func (k Kind) Exit() int { return table[k.known()].exit }

// Retryable tells whether the same call may succeed later.
func (k Kind) Retryable() bool {
	switch k {
	case Limited, Overloaded, Timeout, Unavailable:
		return true
	}
	return false
}

func (k Kind) known() Kind {
	if _, ok := table[k]; ok {
		return k
	}
	return Internal
}

// Kinds lists every kind, for generated reference pages.
func Kinds() []Kind {
	return []Kind{Invalid, Unauthenticated, Forbidden, NotFound, Conflict, TooLarge, Limited,
		Overloaded, Timeout, Canceled, Unavailable, Full, Corrupt, Rejected, Unsupported, Internal}
}

// Error is an error with a kind, a sentence and, where one is known, a hint
// and a place. The zero Where and Advice mean that there is none.
type Error struct {
	Kind   Kind
	What   string // a sentence for people, without a trailing period
	Where  string // "file.yaml:12:3", a column, a row: where the mistake stands
	Advice string // what to do next
	Err    error  // the cause; its text is shown after What
}

// New returns an error of a kind with a formatted sentence.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, What: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of a kind with a sentence and a cause. With a nil
// cause it returns nil, so that it can end a function.
func Wrap(err error, kind Kind, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, What: fmt.Sprintf(format, args...), Err: err}
}

// Hint sets what to do next and returns the same error.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Advice = fmt.Sprintf(format, args...)
	return e
}

// At sets where the mistake stands and returns the same error.
func (e *Error) At(format string, args ...any) *Error {
	e.Where = fmt.Sprintf(format, args...)
	return e
}

// Because sets the cause and returns the same error.
func (e *Error) Because(err error) *Error {
	e.Err = err
	return e
}

// Error gives the place, the sentence and the cause, without the hint.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Where != "" {
		b.WriteString(e.Where + ": ")
	}
	b.WriteString(e.What)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of the outermost fault in err's chain; for an ended
// context Timeout or Canceled; for anything else Internal; for nil "".
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Canceled
	}
	return Internal
}

// HintOf returns the first hint in err's chain, or "".
func HintOf(err error) string {
	for err != nil {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			return ""
		}
		if e.Advice != "" {
			return e.Advice
		}
		err = e.Err
	}
	return ""
}

// Is reports whether the kind of err is kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
