package stream

import (
	"context"
	"database/sql"
	"math"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// ledger is what the catalog keeps of one stream.
type ledger struct {
	db     catalog.Database
	clock  clock.Clock
	stream string
	owner  string
	keep   int // ids
}

// Counts are what happened to the events of a stream.
type Counts struct {
	Decided  int64 `json:"decided"`
	Known    int64 `json:"known"`    // delivered again
	Filtered int64 `json:"filtered"` // by a where step, or older than a seek
	Late     int64 `json:"late"`
	Dead     int64 `json:"dead"` // went to the dead letters
}

func (c *Counts) add(d Counts) {
	c.Decided += d.Decided
	c.Known += d.Known
	c.Filtered += d.Filtered
	c.Late += d.Late
	c.Dead += d.Dead
}

// never is the newest event time of a partition that has had no event.
const never = math.MinInt64

// position is the row of a partition.
type position struct {
	part       string
	owner      string
	epoch      int64
	beat       int64
	next       int64
	skipBefore int64
	cut        int64 // the last offset of a batch that was begun for an exact target; -1
	newest     int64
	seq        int64
	snapshot   int64
	plans      string
	counts     Counts
	updated    int64
}

const positionColumns = `part, owner, epoch, beat, next_at, skip_before, cut_at, newest, seq, snapshot, plans,
	decided, known, filtered, late, dead, updated_at`

func (p *position) dest() []any {
	return []any{&p.part, &p.owner, &p.epoch, &p.beat, &p.next, &p.skipBefore, &p.cut, &p.newest, &p.seq, &p.snapshot, &p.plans,
		&p.counts.Decided, &p.counts.Known, &p.counts.Filtered, &p.counts.Late, &p.counts.Dead, &p.updated}
}

func scanPosition(rows *sql.Rows) (p position, err error) {
	return p, rows.Scan(p.dest()...)
}

// positions lists the partitions of the stream.
func (l *ledger) positions(ctx context.Context) (all []position, err error) {
	err = l.db.Read(ctx, func(tx catalog.Tx) (err error) {
		all, err = catalog.Collect(ctx, tx, scanPosition,
			`SELECT `+positionColumns+` FROM stream_partitions WHERE stream = ? ORDER BY part`, l.stream)
		return err
	})
	return all, err
}

// claim makes the owner that of a partition and raises its epoch, if it is
// free, ours already, or has the beat of one that is given up for dead (-1
// for none). ok is false when somebody else has it, as p says.
func (l *ledger) claim(ctx context.Context, part string, deadBeat int64) (p position, ok bool, err error) {
	err = l.db.Write(ctx, func(tx catalog.Tx) error {
		c, err := l.controlIn(ctx, tx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO stream_partitions (stream, part, owner, epoch, next_at, skip_before, newest, updated_at)
			VALUES (?, ?, '', 0, ?, ?, ?, ?) ON CONFLICT (stream, part) DO NOTHING`,
			l.stream, part, c.begin, c.beginTime, int64(never), catalog.Micros(l.clock.Now()))
		if err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `UPDATE stream_partitions SET owner = ?, epoch = epoch + 1, beat = beat + 1
			WHERE stream = ? AND part = ? AND (owner = '' OR owner = ? OR beat = ?)`, l.owner, l.stream, part, l.owner, deadBeat)
		if err != nil {
			return err
		}
		ok = n == 1
		p = position{}
		return tx.Row(ctx, `SELECT `+positionColumns+` FROM stream_partitions WHERE stream = ? AND part = ?`, []any{l.stream, part}, p.dest()...)
	})
	return p, ok, err
}

// release gives partitions back, as far as they are still those of the claims.
func (l *ledger) release(ctx context.Context, parts []*partition) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		for _, p := range parts {
			_, err := tx.Exec(ctx, `UPDATE stream_partitions SET owner = '', beat = beat + 1 WHERE stream = ? AND part = ? AND epoch = ?`,
				l.stream, p.name, p.epoch)
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// live gives a sign of life of every partition that the owner has.
func (l *ledger) live(ctx context.Context) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE stream_partitions SET beat = beat + 1 WHERE stream = ? AND owner = ?`, l.stream, l.owner)
		return err
	})
}

// ids calls each with the ids that partitions remember, oldest first.
func (l *ledger) ids(ctx context.Context, part string, each func(id)) error {
	return l.blobs(ctx, `SELECT ids FROM stream_ids WHERE stream = ? AND part = ? ORDER BY seq`,
		func(packed []byte) error { return unpack(packed, each) }, l.stream, part)
}

// snapshot calls each with the pieces of a partition's snapshot.
func (l *ledger) snapshot(ctx context.Context, p position, each func(piece []byte) error) error {
	return l.blobs(ctx, `SELECT state FROM stream_snapshots WHERE stream = ? AND part = ? AND seq = ? ORDER BY piece`,
		each, l.stream, p.part, p.snapshot)
}

// deltas calls each with what was added to a partition's windows since its
// snapshot.
func (l *ledger) deltas(ctx context.Context, p position, each func(delta []byte) error) error {
	return l.blobs(ctx, `SELECT added FROM stream_deltas WHERE stream = ? AND part = ? AND seq > ? ORDER BY seq`,
		each, l.stream, p.part, p.snapshot)
}

func (l *ledger) blobs(ctx context.Context, query string, each func([]byte) error, args ...any) error {
	return l.db.Read(ctx, func(tx catalog.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var blob sql.RawBytes
			if err := rows.Scan(&blob); err != nil {
				return fault.Wrap(err, fault.KindOf(err), "the state of stream %q cannot be read", l.stream)
			}
			if err := each(blob); err != nil {
				return err
			}
		}
		return fault.Wrap(rows.Err(), fault.Unavailable, "the state of stream %q cannot be read", l.stream)
	})
}

// cut notes where the next batch of each partition ends, before it is
// published to an exact target.
func (l *ledger) cut(ctx context.Context, lanes []*lane) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		for _, b := range lanes {
			n, err := tx.Exec(ctx, `UPDATE stream_partitions SET cut_at = ? WHERE stream = ? AND part = ? AND epoch = ?`,
				b.last, l.stream, b.part.name, b.part.epoch)
			if err != nil {
				return err
			}
			if n == 0 {
				return fenced(b.part.name)
			}
		}
		return nil
	})
}

// fenced says that somebody else has a partition.
func fenced(part string) error {
	return fault.New(fault.Conflict, "another server has taken partition %q", part)
}

// errFull says that the dead letters have no more room.
func errFull(stream string) error {
	return fault.New(fault.Full, "the dead letters of stream %q are full, and the stream stands still", stream).
		Hint("`leat stream dead %s` lists them; replay or drop some, or raise `dead` in the resource", stream)
}

// commit writes down what became of lanes, whole or not at all. It may be
// called again with the same after an error that does not tell what happened.
// A Conflict fault says that a partition is somebody else's, a Full fault that
// the dead letters are.
func (l *ledger) commit(ctx context.Context, lanes []*lane, bounds deadBounds) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		done, err := l.advance(ctx, tx, lanes)
		if err != nil || done {
			return err
		}
		for _, b := range lanes {
			if err := l.remember(ctx, tx, b); err != nil {
				return err
			}
			if err := l.window(ctx, tx, b); err != nil {
				return err
			}
		}
		return l.bury(ctx, tx, lanes, bounds)
	})
}

// advance moves the partitions on, under their epochs. done says that an
// earlier call has done all of it.
func (l *ledger) advance(ctx context.Context, tx catalog.Tx, lanes []*lane) (done bool, err error) {
	now := catalog.Micros(l.clock.Now())
	for _, b := range lanes {
		c := b.counts
		n, err := tx.Exec(ctx, `UPDATE stream_partitions SET next_at = ?, newest = ?, seq = ?, snapshot = ?, plans = ?, cut_at = -1,
			decided = decided + ?, known = known + ?, filtered = filtered + ?, late = late + ?, dead = dead + ?,
			beat = beat + 1, updated_at = ? WHERE stream = ? AND part = ? AND epoch = ? AND seq = ?`,
			b.next, b.newest, b.seq, b.snapshot, b.part.plans, c.Decided, c.Known, c.Filtered, c.Late, c.Dead,
			now, l.stream, b.part.name, b.part.epoch, b.seq-1)
		if err != nil {
			return false, err
		}
		if n == 1 {
			continue
		}
		var epoch, seq int64
		err = tx.Row(ctx, `SELECT epoch, seq FROM stream_partitions WHERE stream = ? AND part = ?`, []any{l.stream, b.part.name}, &epoch, &seq)
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return false, err
		case err == nil && epoch == b.part.epoch && seq == b.seq:
			return true, nil // the call before this one came through, and nobody heard of it
		}
		return false, fenced(b.part.name)
	}
	return false, nil
}

// merge is how many batches come together in one row of ids.
const merge = 512

// remember keeps the ids of a lane, and forgets the oldest. Many small rows
// become one now and then, so that they are soon read again after a start.
func (l *ledger) remember(ctx context.Context, tx catalog.Tx, b *lane) error {
	if len(b.ids) > 0 {
		_, err := tx.Exec(ctx, `INSERT INTO stream_ids (stream, part, seq, ids) VALUES (?, ?, ?, ?)`, l.stream, b.part.name, b.seq, pack(b.ids))
		if err != nil {
			return err
		}
	}
	if b.seq%merge != 0 {
		return nil
	}
	if err := l.mergeIDs(ctx, tx, b); err != nil {
		return err
	}
	return l.forget(ctx, tx, b)
}

// mergeIDs makes one row of those of the last batches.
func (l *ledger) mergeIDs(ctx context.Context, tx catalog.Tx, b *lane) error {
	const of = ` FROM stream_ids WHERE stream = ? AND part = ? AND seq > ? AND seq <= ?`
	args := []any{l.stream, b.part.name, b.seq - merge, b.seq}
	packed, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (packed []byte, err error) { return packed, rows.Scan(&packed) },
		`SELECT ids`+of+` ORDER BY seq`, args...)
	if err != nil || len(packed) < 2 {
		return err
	}
	var all []byte
	for _, p := range packed {
		all = append(all, p...)
	}
	if _, err := tx.Exec(ctx, `DELETE`+of, args...); err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO stream_ids (stream, part, seq, ids) VALUES (?, ?, ?, ?)`, l.stream, b.part.name, b.seq, all)
	return err
}

// forget deletes rows of ids that are older than twice as many as are kept.
func (l *ledger) forget(ctx context.Context, tx catalog.Tx, b *lane) error {
	type row struct{ seq, n int64 }
	rows, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (r row, err error) { return r, rows.Scan(&r.seq, &r.n) },
		`SELECT seq, LENGTH(ids) FROM stream_ids WHERE stream = ? AND part = ? ORDER BY seq DESC`, l.stream, b.part.name)
	if err != nil {
		return err
	}
	left := 2 * int64(l.keep) * int64(len(id{}))
	for _, r := range rows {
		if left > 0 {
			left -= r.n
			continue
		}
		_, err := tx.Exec(ctx, `DELETE FROM stream_ids WHERE stream = ? AND part = ? AND seq <= ?`, l.stream, b.part.name, r.seq)
		return err
	}
	return nil
}

// window keeps what a lane added to the windows, or a snapshot of them, which
// takes the place of everything before.
func (l *ledger) window(ctx context.Context, tx catalog.Tx, b *lane) error {
	if b.pieces == nil {
		if len(b.delta) == 0 {
			return nil
		}
		_, err := tx.Exec(ctx, `INSERT INTO stream_deltas (stream, part, seq, added) VALUES (?, ?, ?, ?)`, l.stream, b.part.name, b.seq, b.delta)
		return err
	}
	for _, table := range []string{"stream_deltas", "stream_snapshots"} {
		if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE stream = ? AND part = ?`, l.stream, b.part.name); err != nil {
			return err
		}
	}
	for i, piece := range b.pieces {
		_, err := tx.Exec(ctx, `INSERT INTO stream_snapshots (stream, part, seq, piece, state) VALUES (?, ?, ?, ?, ?)`,
			l.stream, b.part.name, b.seq, i, piece)
		if err != nil {
			return err
		}
	}
	return nil
}
