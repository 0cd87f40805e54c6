package feature

import (
	"context"
	"math"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Lookup gives the values of entities. It is safe for many goroutines.
//
// Values is given one array for each of the table's Keys, all of rows rows,
// and returns one for each of its Columns, of as many rows and in the same
// order; an entity that is not known, or whose key is NULL, has NULLs. The
// caller releases what is returned; the keys stay the caller's.
//
// Where Table.Dated is set, at has the time of each row in microseconds since
// 1970, and the values are those as of that time; a row of NoTime has NULLs.
// Otherwise at is nil.
type Lookup interface {
	Values(ctx context.Context, keys []arrow.Array, at []int64, rows int) ([]arrow.Array, error)
}

// NoTime is the time of a row that has none.
const NoTime int64 = math.MinInt64

// Table is a Lookup with its columns.
type Table struct {
	Keys    []frame.Column // the view's entity, in its order
	Columns []frame.Column // the values
	Dated   bool           // the values depend on the time of the row
	Ready   bool           // the columns are the features, and not what they are computed from
	Lookup  Lookup
}

// Asked is what the features of some rows are computed with besides the rows.
// The zero Asked is what a caller has who knows nothing more.
type Asked struct {
	// At is the time of rows that have none of their own: that of the request.
	// Without it such rows have NULLs of what is looked up as of a time.
	At time.Time
	// Found are values that the caller has looked up already, by view: what its
	// Lookup would give for these rows. They stay the caller's.
	Found map[string][]arrow.Array
}

// Slice is what was asked for some of the rows. The caller releases it.
func (a Asked) Slice(from, to int) Asked {
	if a.Found == nil {
		return a
	}
	found := make(map[string][]arrow.Array, len(a.Found))
	for view, columns := range a.Found {
		part := make([]arrow.Array, len(columns))
		for i, c := range columns {
			part[i] = array.NewSlice(c, int64(from), int64(to))
		}
		found[view] = part
	}
	return Asked{At: a.At, Found: found}
}

// Release lets the values of a Slice go.
func (a Asked) Release() {
	for _, columns := range a.Found {
		for _, c := range columns {
			c.Release()
		}
	}
}

// Looked says how a view of a Set is looked up.
type Looked struct {
	View    string
	Keys    []frame.Column // columns of Inputs
	Columns []frame.Column // what is found
	Dated   bool
}

// Lookups lists the views that are looked up.
func (s *Set) Lookups() []Looked {
	list := make([]Looked, len(s.lookups))
	for i, l := range s.lookups {
		list[i] = Looked{View: l.view, Keys: l.table.Keys, Columns: l.table.Columns, Dated: l.table.Dated}
	}
	return list
}

// Time is the column of Inputs that has the time of a row; false means that
// rows have none, or that no view asks for it.
func (s *Set) Time() (frame.Column, bool) {
	if s.time < 0 {
		return frame.Column{}, false
	}
	return s.inputs[s.time], true
}

// times gives each row its time: that of its own, or else that of the request.
func (s *Set) times(slots []arrow.Array, a Asked, rows int) ([]int64, error) {
	at, asked := make([]int64, rows), NoTime
	if !a.At.IsZero() {
		asked = a.At.UnixMicro()
	}
	for i := range at {
		at[i] = asked
	}
	if s.time < 0 {
		return at, nil
	}
	column, ok := slots[s.time].(*array.Timestamp)
	if !ok {
		return nil, fault.New(fault.Invalid, "column %q has no times", s.inputs[s.time].Name)
	}
	for i, t := range column.TimestampValues() {
		if column.IsValid(i) {
			at[i] = int64(t)
		}
	}
	return at, nil
}
