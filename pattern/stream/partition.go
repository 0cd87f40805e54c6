package stream

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/store/bus"
)

// partition is one that this process has claimed. Its fields are those of the
// goroutine that prepares, but for lost.
type partition struct {
	name  string
	epoch int64
	lost  atomic.Bool // to somebody else: nothing of it is committed any more

	next       int64
	skipBefore int64
	cut        int64
	newest     int64
	seq        int64
	snapshot   int64
	plans      string // the definitions that the windows are of
	windows    []*window.State
	grown      int64 // bytes of deltas since the snapshot
	size       int64 // bytes of the snapshot
}

// lane is what becomes of the events of one partition in one micro-batch.
type lane struct {
	part     *partition
	seq      int64
	next     int64 // offset to go on at
	last     int64 // offset of the last event
	newest   int64
	snapshot int64
	counts   Counts
	ids      []id
	delta    []byte
	pieces   [][]byte // a snapshot; nil: none was due
	letters  []letter
	replayed []int64
	events   []bus.Event // to acknowledge
	out      []outgoing
	fed      delta // what the windows took, for the online store; without rows where that is not asked for
}

// outgoing is what a lane has for one target.
type outgoing struct {
	target int
	Publication
	of []*bus.Event // what each event was made of
}

// fail puts an event among the dead letters.
func (b *lane) fail(e *entry, stage string, attempts int, err error) {
	b.letters = append(b.letters, letter{event: e.event, name: e.name, stage: stage, err: err, attempts: attempts, replayed: e.letter})
	b.counts.Dead++
}

// acquire claims partitions and loads what they hold. It waits for those whose
// owner is alive or not yet known to be dead.
func (s *session) acquire(ctx context.Context, names []string) (map[string]int64, error) {
	offsets := make(map[string]int64, len(names))
	for _, name := range names {
		pos, err := s.claim(ctx, name)
		if err != nil {
			return nil, err
		}
		p, err := s.load(ctx, pos)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		s.parts[name] = p
		s.mu.Unlock()
		offsets[name] = p.next
	}
	return offsets, nil
}

// claim claims one partition, by waiting where somebody else has it until
// they gave no sign of life for the time of a lease. That time is measured
// here and by a clock that nobody can set, so steps of wall clocks neither
// shorten nor lengthen it.
func (s *session) claim(ctx context.Context, name string) (position, error) {
	dead, since := int64(-1), time.Duration(0)
	var watched int64
	for first := true; ; first = false {
		pos, ok, err := s.ledger.claim(ctx, name, dead)
		if err != nil || ok {
			return pos, err
		}
		now := s.deps.Elapsed()
		switch {
		case first || pos.beat != watched:
			watched, since, dead = pos.beat, now, -1
			s.report.waits("partition " + name + " is worked on by " + pos.owner)
		case now-since >= s.deps.Lease:
			dead = pos.beat
			continue
		}
		select {
		case <-time.After(s.deps.Lease / 20):
		case <-ctx.Done():
			return pos, ctx.Err()
		}
	}
}

// load brings back what a partition remembers: ids and windows.
func (s *session) load(ctx context.Context, pos position) (*partition, error) {
	p := &partition{
		name: pos.part, epoch: pos.epoch, next: pos.next, skipBefore: pos.skipBefore, cut: pos.cut,
		newest: pos.newest, seq: pos.seq, snapshot: pos.snapshot, plans: s.plans,
	}
	s.seenMu.Lock()
	err := s.ledger.ids(ctx, p.name, s.seen.add)
	s.seenMu.Unlock()
	if err != nil {
		return nil, err
	}
	for _, plan := range s.views {
		p.windows = append(p.windows, window.NewState(plan, window.Bounds{}))
	}
	if len(p.windows) == 0 || pos.seq == 0 {
		return p, nil
	}
	if pos.plans != s.plans {
		s.log.Warn("windows begin anew, because a feature view has changed", "partition", p.name)
		p.plans = s.plans
		return p, nil
	}
	return p, s.loadWindows(ctx, p, pos)
}

func (s *session) loadWindows(ctx context.Context, p *partition, pos position) error {
	err := s.ledger.snapshot(ctx, pos, func(piece []byte) error {
		p.size += int64(len(piece))
		return readPiece(piece, p.windows)
	})
	if err != nil {
		return err
	}
	return s.ledger.deltas(ctx, pos, func(text []byte) error {
		p.grown += int64(len(text))
		d, err := readDelta(s.reads, text)
		if err != nil {
			return err
		}
		defer d.rows.Release()
		return s.apply(p, d)
	})
}

// apply adds what was added before.
func (s *session) apply(p *partition, d delta) error {
	for _, w := range p.windows {
		if _, err := w.Add(d.rows, d.ids); err != nil {
			return err
		}
		w.Advance(d.newest)
	}
	return nil
}

// smallSnapshot is how many bytes of deltas are worth a snapshot at least.
const smallSnapshot = 4 << 20

// save takes a snapshot of the windows where the deltas have grown as large as
// the last one: so what is written is at most twice what is kept, and a start
// reads at most twice the state.
func (p *partition) save(b *lane) error {
	p.grown += int64(len(b.delta))
	if p.grown < max(smallSnapshot, p.size) {
		return nil
	}
	p.size = 0
	b.pieces = [][]byte{}
	for i, w := range p.windows {
		err := appendPieces(i, w, b.newest, func(piece []byte) {
			b.pieces = append(b.pieces, piece)
			p.size += int64(len(piece))
		})
		if err != nil {
			return err
		}
	}
	p.grown, p.snapshot = 0, b.seq
	b.snapshot = b.seq
	return nil
}
