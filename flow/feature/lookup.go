package feature

import (
	"context"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/frame"
)

// Lookup gives the values of entities. It is safe for many goroutines.
//
// Values is given one array for each of the table's Keys, all of rows rows,
// and returns one for each of its Columns, of as many rows and in the same
// order; an entity that is not known, or whose key is NULL, has NULLs. The
// caller releases what is returned; the keys stay the caller's.
type Lookup interface {
	Values(ctx context.Context, keys []arrow.Array, rows int) ([]arrow.Array, error)
}

// Table is a Lookup with its columns.
type Table struct {
	Keys    []frame.Column // the view's entity, in its order
	Columns []frame.Column // the values
	Lookup  Lookup
}
