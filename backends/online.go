package backends

import (
	"context"
	"log/slog"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/local"
	onlinepostgres "github.com/leat-ai/leat/store/online/postgres"
	"github.com/leat-ai/leat/store/online/redis"
)

// Online opens the store of online features at an address: redis://…,
// rediss://…, postgres://…, or the path of a folder, which one server at a time
// has open.
func Online(ctx context.Context, address string, log *slog.Logger) (online.Store, error) {
	switch scheme, path, remote := strings.Cut(address, "://"); {
	case !remote:
		return local.Open(ctx, local.Config{Path: address, Log: log})
	case scheme == "file":
		return local.Open(ctx, local.Config{Path: path, Log: log})
	case scheme == "redis", scheme == "rediss":
		return redis.Open(ctx, redis.Config{URL: address})
	case scheme == "postgres", scheme == "postgresql":
		return onlinepostgres.Open(ctx, onlinepostgres.Config{URL: address, Log: log})
	default:
		return nil, fault.New(fault.Unsupported, "online features cannot be at %s://", scheme).
			Hint("use a folder, redis://…, rediss://… or postgres://…")
	}
}
