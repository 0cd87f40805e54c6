package track

import (
	"context"
	"slices"
	"strconv"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// An index keeps rows of the catalog in memory for searches, in groups: the
// runs of each experiment. A group holds all of its rows or none. Every change
// of a row gives it the group's next number, and numbers are committed in
// their order (catalog.Next), so a group is up to date once it has read the
// rows above the last number it saw; that is done in every search's own
// transaction. Rows are immutable and shared.

// sequence names the numbers of the changes of a group.
func sequence(table string, group int64) string {
	return "track/" + table + "/" + strconv.FormatInt(group, 10)
}

// changed is a row with the number of its last change and the memory, in
// bytes, that it takes, more or less.
type changed[T any] struct {
	seq  int64
	row  *T
	size int64
}

// reader reads at most limit rows of a group that changed after a number, in
// the order of their changes.
type reader[T any] func(ctx context.Context, tx catalog.Tx, group, after int64, limit int) ([]changed[T], error)

// chunk is how many rows are read at a time, and searched before somebody looks
// whether the answer is still waited for.
const chunk = 1000

type index[T any] struct {
	memory  int64
	read    reader[T]
	id      func(*T) string
	compare func(a, b *T) int // the natural order, without ties

	mu     sync.Mutex
	groups map[int64]*group[T]
	used   int64 // bytes, of all groups
	turn   int64 // counts uses, to find the group that was not used longest
}

type group[T any] struct {
	mu    sync.Mutex
	seq   int64 // of the last change that was read
	rows  []*T  // in the natural order; replaced, never changed
	known map[string]changed[T]
	size  int64
	large bool // too large to be kept

	last    int64 // turn of its last use; this and counted belong to index.mu
	counted int64 // what of size is in index.used
}

func newIndex[T any](memory int64, read reader[T], id func(*T) string, compare func(a, b *T) int) *index[T] {
	return &index[T]{memory: memory, read: read, id: id, compare: compare, groups: map[int64]*group[T]{}}
}

// each calls f with the rows of a group until it returns false. sorted tells,
// before the first call, whether they come in their natural order.
func (x *index[T]) each(ctx context.Context, tx catalog.Tx, key int64, f func(row *T, sorted bool) bool) error {
	rows, kept, err := x.current(ctx, tx, key)
	if err != nil {
		return err
	}
	if !kept {
		return x.stream(ctx, tx, key, func(row *T) bool { return f(row, false) })
	}
	for i, row := range rows {
		if i%chunk == 0 && ctx.Err() != nil {
			return fault.Wrap(context.Cause(ctx), fault.KindOf(ctx.Err()), "the search was not finished in time")
		}
		if !f(row, true) {
			break
		}
	}
	return nil
}

// current brings a group up to date. kept is false for one that is too large.
func (x *index[T]) current(ctx context.Context, tx catalog.Tx, key int64) (rows []*T, kept bool, err error) {
	g := x.group(key)
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.large {
		some, err := x.read(ctx, tx, key, g.seq, chunk)
		if err != nil {
			return nil, false, err
		}
		for _, c := range some {
			g.seq = c.seq
			g.size += c.size - g.known[x.id(c.row)].size
			g.known[x.id(c.row)] = c
		}
		if g.size > x.memory {
			g.large, g.rows, g.known, g.size = true, nil, nil, 0
			break
		}
		if len(some) > 0 {
			x.merge(g, some)
		}
		if len(some) < chunk {
			break
		}
	}
	x.account(key, g)
	return g.rows, !g.large, nil
}

// merge puts news among the rows of a group.
func (x *index[T]) merge(g *group[T], news []changed[T]) {
	rows := make([]*T, 0, len(g.known))
	fresh := make(map[string]bool, len(news))
	latest := make([]*T, 0, len(news))
	for _, c := range slices.Backward(news) { // the last change of a row is the one that counts
		if id := x.id(c.row); !fresh[id] {
			fresh[id] = true
			latest = append(latest, c.row)
		}
	}
	slices.SortFunc(latest, x.compare)
	for _, row := range g.rows {
		if fresh[x.id(row)] {
			continue
		}
		for len(latest) > 0 && x.compare(latest[0], row) < 0 {
			rows, latest = append(rows, latest[0]), latest[1:]
		}
		rows = append(rows, row)
	}
	g.rows = append(rows, latest...)
}

func (x *index[T]) group(key int64) *group[T] {
	x.mu.Lock()
	defer x.mu.Unlock()
	g := x.groups[key]
	if g == nil {
		g = &group[T]{known: map[string]changed[T]{}}
		x.groups[key] = g
	}
	x.turn++
	g.last = x.turn
	return g
}

// account counts the memory of a group, and lets go of those that were not
// used longest when all together are over the bound.
func (x *index[T]) account(key int64, g *group[T]) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.groups[key] != g { // let go while it was read: nobody will find it again
		return
	}
	x.used += g.size - g.counted
	g.counted = g.size
	for x.used > x.memory || len(x.groups) > maxGroups {
		oldest := key
		for k, other := range x.groups {
			if k != key && (oldest == key || other.last < x.groups[oldest].last) {
				oldest = k
			}
		}
		if oldest == key {
			return
		}
		x.used -= x.groups[oldest].counted
		delete(x.groups, oldest)
	}
}

// maxGroups bounds how many groups are kept, empty ones included.
const maxGroups = 10_000

// stream calls f with the rows of a group as they are read.
func (x *index[T]) stream(ctx context.Context, tx catalog.Tx, key int64, f func(*T) bool) error {
	for after := int64(0); ; {
		some, err := x.read(ctx, tx, key, after, chunk)
		if err != nil {
			return err
		}
		for _, c := range some {
			after = c.seq
			if !f(c.row) {
				return nil
			}
		}
		if len(some) < chunk {
			return nil
		}
	}
}
