package postgres

import (
	"context"
	"errors"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// classify says what an error of the server, or of the way to it, means.
// Codes are those of the manual's appendix "PostgreSQL Error Codes".
func classify(err error) (catalog.Class, bool) {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return byCode(e.Code), true
	}
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		return catalog.Class{Kind: fault.Internal, What: "the catalog rolled a transaction back, because a statement in it had failed"}, true
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return catalog.Class{Kind: fault.Unavailable, What: "the catalog's server cannot be reached", Hint: "look whether PostgreSQL runs and the URL is right"}, true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return catalog.Class{}, false // the caller's doing, though it looks like the network's
	}
	if _, ok := errors.AsType[net.Error](err); ok || pgconn.Timeout(err) {
		return catalog.Class{Kind: fault.Unavailable, What: "the connection to the catalog's server broke"}, true
	}
	return catalog.Class{}, false
}

func byCode(code string) catalog.Class {
	switch code {
	case "40001", "40P01", "55P03": // serialization, deadlock, lock not available
		return catalog.Class{Kind: fault.Unavailable, Retry: true, What: "another transaction of the catalog changed the same rows"}
	case "23505":
		return catalog.Class{Kind: fault.Conflict, What: "the catalog has this already"}
	case "23503":
		return catalog.Class{Kind: fault.Conflict, What: "the catalog has nothing that this could point at, or something still points at this"}
	case "53100":
		return catalog.Class{Kind: fault.Full, What: "no space is left on the catalog's server", Hint: "free space on its disk; nothing was changed"}
	case "57014":
		return catalog.Class{Kind: fault.Timeout, What: "a statement of the catalog took too long", Hint: "raise the statement timeout, or look what locks the server"}
	case "3D000":
		return catalog.Class{Kind: fault.NotFound, What: "the catalog's database does not exist", Hint: "make it with CREATE DATABASE"}
	case "25006":
		return catalog.Class{Kind: fault.Unavailable, What: "the catalog's server takes no writes at present", Hint: "point the URL at the primary"}
	case "XX001", "XX002":
		return catalog.Class{Kind: fault.Corrupt, What: "the catalog's server reports damaged data", Hint: "restore a backup"}
	}
	return byGroup(code)
}

func byGroup(code string) catalog.Class {
	switch {
	case strings.HasPrefix(code, "23"), strings.HasPrefix(code, "22"):
		return catalog.Class{Kind: fault.Invalid, What: "the catalog's tables do not allow this value"}
	case strings.HasPrefix(code, "54"):
		return catalog.Class{Kind: fault.TooLarge, What: "a value is too large for the catalog"}
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "53"), strings.HasPrefix(code, "57"), strings.HasPrefix(code, "58"):
		return catalog.Class{Kind: fault.Unavailable, What: "the catalog's server does not answer at present"}
	case strings.HasPrefix(code, "28"), code == "42501":
		return catalog.Class{Kind: fault.Forbidden, What: "the catalog's server refuses this user", Hint: "look at the user, the password and the user's rights"}
	}
	return catalog.Class{Kind: fault.Internal, What: "the catalog refused a statement"}
}
