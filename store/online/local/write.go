package local

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

const (
	// stripes is the number of locks that the keys share; those of a batch are
	// one word of bits.
	stripes = 64
	// batchBytes bounds what is written in one step of the tree.
	batchBytes = 4 << 20
)

// Put writes entries.
func (s *Store) Put(ctx context.Context, table string, entries []online.Entry) (int, error) {
	if err := online.CheckPut(table, entries); err != nil {
		return 0, err
	}
	all := len(entries)
	entries = online.Newest(entries)
	older := all - len(entries)
	err := s.write(ctx, table, len(entries), func(i int) *online.Entry { return &entries[i] }, func(i int, old head) uint64 {
		if old.version != 0 && old.at > entries[i].At {
			older++
			return 0
		}
		return online.NewVersion()
	})
	return older, err
}

// Swap writes changes.
func (s *Store) Swap(ctx context.Context, table string, changes []online.Change) ([]int, error) {
	if err := online.CheckSwap(table, changes); err != nil {
		return nil, err
	}
	var lost []int
	err := s.write(ctx, table, len(changes), func(i int) *online.Entry { return &changes[i].Entry }, func(i int, old head) uint64 {
		c := &changes[i]
		switch old.version {
		case c.From:
			return c.To
		case c.To: // written by the call that this one repeats
			return 0
		}
		lost = append(lost, i)
		return 0
	})
	return lost, err
}

// write writes n entries, each of another key, in batches. decide is asked for each, with what is
// there, for the version that it shall have, or 0 to leave it out.
func (s *Store) write(ctx context.Context, table string, n int, entry func(int) *online.Entry, decide func(int, head) uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	if n == 0 {
		return nil
	}
	if err := s.disk.check(); err != nil {
		return err
	}
	w := writer{Store: s, table: table, entry: entry, decide: decide}
	for first := 0; first < n; {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "online features")
		}
		last, bytes := first, 0
		for last < n && (last == first || bytes < batchBytes) {
			bytes += headBytes + len(entry(last).Key) + len(entry(last).Value)
			last++
		}
		if err := w.batch(first, last); err != nil {
			return err
		}
		first = last
	}
	return nil
}

// writer is one call of write.
type writer struct {
	*Store
	table  string
	entry  func(int) *online.Entry
	decide func(int, head) uint64
}

// batch writes the entries from first to before last in one step: all or none.
func (w *writer) batch(first, last int) error {
	b := w.db.NewBatch()
	defer b.Close()
	held := w.lock(first, last)
	err := w.fill(b, first, last)
	if err == nil {
		// Applied here, so that whoever has the stripe next sees it; the disk
		// is waited for below.
		err = wrap(w.db.ApplyNoSyncWait(b, pebble.Sync))
	}
	w.unlock(held)
	if err != nil {
		return err
	}
	return wrap(b.SyncWait())
}

func (w *writer) fill(b *pebble.Batch, first, last int) error {
	now := w.config.Clock.Now().UnixMilli()
	var place, value []byte
	for i := first; i < last; i++ {
		e := w.entry(i)
		place = append(appendTable(place[:0], w.table), e.Key...)
		old, _, err := w.read(place, now, nil)
		if err != nil {
			return err
		}
		version := w.decide(i, old)
		if version == 0 {
			continue
		}
		h := head{at: e.At, version: version, expires: expiry(e.Expires)}
		value = append(h.append(value[:0]), e.Value...)
		if err := b.Set(place, value, nil); err != nil {
			return wrap(err)
		}
	}
	return nil
}

// lock takes the stripes of some entries, in one order for everybody, and
// returns which.
func (w *writer) lock(first, last int) uint64 {
	var held uint64
	for i := first; i < last; i++ {
		held |= 1 << (maphash.Bytes(w.seed, w.entry(i).Key) % stripes)
	}
	for i := range w.stripes {
		if held&(1<<i) != 0 {
			w.stripes[i].Lock()
		}
	}
	return held
}

func (w *writer) unlock(held uint64) {
	for i := range w.stripes {
		if held&(1<<i) != 0 {
			w.stripes[i].Unlock()
		}
	}
}

// space watches that the device does not run full, which ends the tree.
type space struct {
	path    string
	reserve uint64
	clock   clock.Clock
	usage   func(path string) (vfs.DiskUsage, error)

	mu   sync.Mutex
	next time.Time // when to look again
	err  error     // of the last look
}

// check looks at most once a second.
func (s *space) check() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if now.Before(s.next) {
		return s.err
	}
	s.next, s.err = now.Add(time.Second), nil
	if usage, err := s.usage(s.path); err == nil && usage.AvailBytes < s.reserve {
		s.err = fault.New(fault.Full, "online features are not written any more: the device has %d MiB left", usage.AvailBytes>>20).
			Hint("free space on the device of the server's home; what is there can be read")
	}
	return s.err
}
