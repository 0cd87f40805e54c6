package nats

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leat-ai/leat/base/fault"
)

// Codes of JetStream's errors that mean something to us.
const (
	codeNoResources    = 10023 // the server's bound of memory or disk is reached
	codeStoreFailed    = 10077 // the stream's own bound is reached, or the disk failed
	codeNameExists     = 10058
	codeOverlap        = 10065
	codeAtomicDisabled = 10174
	codeDuplicate      = 10201 // an atomic batch holds an ID that is known
	codeTooManyBatches = 10210
	codeAccountLimit   = 10002
)

// translate makes a fault of an error of the client or of a server. What may
// pass is Unavailable.
func translate(err error, doing string) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	kind := fault.Unavailable
	var api *jetstream.APIError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return fault.Wrap(err, fault.KindOf(err), "%s", doing)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		kind = fault.Unauthenticated
	case errors.Is(err, nats.ErrPermissionViolation):
		kind = fault.Forbidden
	case errors.Is(err, nats.ErrMaxPayload):
		kind = fault.TooLarge
	case errors.Is(err, jetstream.ErrStreamNotFound):
		kind = fault.NotFound
	case errors.As(err, &api):
		kind = kindOf(api)
	}
	f := fault.New(kind, "%s", doing).Because(err)
	switch kind {
	case fault.Full:
		f.Hint("make room, or let the bus keep more: nothing is dropped meanwhile")
	case fault.Unauthenticated:
		f.Hint("check the secret of the bus")
	}
	return f
}

func kindOf(api *jetstream.APIError) fault.Kind {
	switch int(api.ErrorCode) {
	case codeNoResources, codeStoreFailed, codeAccountLimit:
		return fault.Full
	case codeNameExists, codeOverlap:
		return fault.Conflict
	}
	if api.Code == 400 {
		return fault.Invalid
	}
	return fault.Unavailable
}
