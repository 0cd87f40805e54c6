package stream

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/catalog"
)

// control is what people have said about a stream.
type control struct {
	paused     bool
	revision   int64
	begin      int64
	beginTime  int64
	generation int64
	deadCount  int64
	deadBytes  int64
}

// control reads what people have said.
func (l *ledger) control(ctx context.Context) (c control, err error) {
	err = l.db.Read(ctx, func(tx catalog.Tx) (err error) {
		c, err = l.controlIn(ctx, tx)
		return err
	})
	return c, err
}

func (l *ledger) controlIn(ctx context.Context, tx catalog.Tx) (c control, err error) {
	err = tx.Row(ctx, `SELECT paused, revision, begin_at, begin_time, generation, dead_count, dead_bytes FROM streams WHERE name = ?`,
		[]any{l.stream}, &c.paused, &c.revision, &c.begin, &c.beginTime, &c.generation, &c.deadCount, &c.deadBytes)
	if fault.Is(err, fault.NotFound) {
		return control{begin: bus.First}, nil
	}
	return c, err
}

// pause holds the stream, or lets it go on.
func (l *ledger) pause(ctx context.Context, paused bool, by string) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO streams (name, paused, revision, changed_at, changed_by) VALUES (?, ?, 1, ?, ?)
			ON CONFLICT (name) DO UPDATE SET paused = excluded.paused, revision = streams.revision + 1,
			changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
			l.stream, paused, catalog.Micros(l.clock.Now()), by)
		return err
	})
}

// Place is where a stream is to go on.
type Place struct {
	// Partition that is meant; all when empty.
	Partition string
	// Offset is bus.First, bus.Latest or that of the next event to read.
	Offset int64
	// Time, where it is set, passes over events that the bus says are older;
	// Offset is First then.
	Time time.Time
}

// ParsePlace reads first, latest, a time (RFC 3339), an offset, or
// PARTITION:OFFSET.
func ParsePlace(text string) (Place, error) {
	switch text {
	case "first":
		return Place{Offset: bus.First}, nil
	case "latest":
		return Place{Offset: bus.Latest}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return Place{Offset: bus.First, Time: at}, nil
	}
	p := Place{}
	number := text
	if i := strings.LastIndexByte(text, ':'); i > 0 {
		p.Partition, number = text[:i], text[i+1:]
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 {
		return p, fault.New(fault.Invalid, "%q is no place in a topic", shortened(text)).
			Hint("write first, latest, an offset, PARTITION:OFFSET, or a time such as 2026-01-31T08:00:00Z")
	}
	p.Offset = n
	return p, nil
}

// Sought says what a seek came to.
type Sought struct {
	Partitions int  `json:"partitions"` // that were read before
	Again      bool `json:"again"`      // events may be decided again that were already
	// Note says for people what was cleared.
	Note string `json:"note"`
}

// seek lets the stream go on at another place. It fences whoever reads now.
// Windows do not survive it: they would have a gap, or see events twice. The
// ids of what was decided are forgotten where events are to be decided again.
func (l *ledger) seek(ctx context.Context, to Place, by string) (s Sought, err error) {
	err = l.db.Write(ctx, func(tx catalog.Tx) error {
		all, err := catalog.Collect(ctx, tx, scanPosition, `SELECT `+positionColumns+` FROM stream_partitions WHERE stream = ?`, l.stream)
		if err != nil {
			return err
		}
		s = Sought{}
		for _, p := range all {
			if to.Partition != "" && to.Partition != p.part {
				continue
			}
			s.Partitions++
			s.Again = s.Again || to.Offset != bus.Latest && (to.Offset < p.next || to.Offset == bus.First)
		}
		if to.Partition != "" && s.Partitions == 0 {
			return fault.New(fault.NotFound, "stream %q has read no partition %q", l.stream, to.Partition)
		}
		for _, p := range all {
			if to.Partition == "" || to.Partition == p.part {
				if err := l.seekPartition(ctx, tx, p.part, to, s.Again); err != nil {
					return err
				}
			}
		}
		return l.seekStream(ctx, tx, to, s.Again, by)
	})
	s.Note = "windows begin anew"
	if s.Again {
		s.Note += ", and events that were decided before are decided again, under new decision ids"
	}
	return s, err
}

func (l *ledger) seekPartition(ctx context.Context, tx catalog.Tx, part string, to Place, again bool) error {
	_, err := tx.Exec(ctx, `UPDATE stream_partitions SET epoch = epoch + 1, beat = beat + 1, next_at = ?, skip_before = ?, cut_at = -1,
		newest = ?, snapshot = 0 WHERE stream = ? AND part = ?`, to.Offset, catalog.Micros(to.Time), int64(never), l.stream, part)
	tables := []string{"stream_deltas", "stream_snapshots"}
	if again {
		tables = append(tables, "stream_ids")
	}
	for _, table := range tables {
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM `+table+` WHERE stream = ? AND part = ?`, l.stream, part)
		}
	}
	return err
}

func (l *ledger) seekStream(ctx context.Context, tx catalog.Tx, to Place, again bool, by string) error {
	generation := 0
	if again {
		generation = 1
	}
	begin, beginTime := to.Offset, catalog.Micros(to.Time)
	if begin >= 0 || to.Partition != "" { // an offset says nothing about partitions that nobody has read
		begin, beginTime = bus.First, 0
	}
	_, err := tx.Exec(ctx, `INSERT INTO streams (name, revision, generation, begin_at, begin_time, changed_at, changed_by) VALUES (?, 1, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET revision = streams.revision + 1, generation = streams.generation + excluded.generation,
		begin_at = excluded.begin_at, begin_time = excluded.begin_time, changed_at = excluded.changed_at, changed_by = excluded.changed_by`,
		l.stream, generation, begin, beginTime, catalog.Micros(l.clock.Now()), by)
	return err
}
