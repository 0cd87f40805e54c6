package backends

import (
	"context"

	"github.com/leat-ai/leat/store/query"
	"github.com/leat-ai/leat/store/query/duckdb"
)

// Engine opens the SQL engine over the files of some folders; temp is for what
// does not fit into memory.
func Engine(ctx context.Context, temp string, folders ...string) (query.Engine, error) {
	return duckdb.Open(ctx, duckdb.Config{Temp: temp, Dirs: folders})
}
