package stream

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/catalog"
)

// Letter is an event that could not be dealt with.
type Letter struct {
	ID        int64         `json:"id"`
	Event     string        `json:"event"` // what names the event
	Partition string        `json:"partition"`
	Offset    int64         `json:"offset"`
	Stage     string        `json:"stage"` // where it failed: decode, step, decide, publish, …
	Kind      fault.Kind    `json:"kind"`
	Reason    string        `json:"reason"`
	Attempts  int           `json:"attempts"`
	FailedAt  time.Time     `json:"failed_at"`
	Time      time.Time     `json:"time,omitzero"` // that the bus told
	Key       []byte        `json:"key,omitempty"`
	Headers   []LetterField `json:"headers,omitempty"`
	Body      []byte        `json:"body,omitempty"`
	Size      int64         `json:"size"`   // of the body, in bytes
	Replay    bool          `json:"replay"` // it waits to be tried again
}

// LetterField is one header of a letter.
type LetterField struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// deadBounds is how much the dead letters may hold.
type deadBounds struct {
	max   int64
	bytes int64
}

// letter is an event on its way to the dead letters.
type letter struct {
	event    *bus.Event
	name     string
	stage    string
	err      error
	attempts int
	replayed int64 // the letter that it was before, or 0
}

// maxReason bounds the text that is kept of a reason.
const maxReason = 1000

// bury puts what failed in lanes among the dead letters, and takes those away
// that were replayed.
func (l *ledger) bury(ctx context.Context, tx catalog.Tx, lanes []*lane, bounds deadBounds) error {
	var letters []letter
	var gone []int64
	for _, b := range lanes {
		letters = append(letters, b.letters...)
		gone = append(gone, b.replayed...)
	}
	if len(letters) == 0 && len(gone) == 0 {
		return nil
	}
	for _, n := range gone {
		if err := l.unbury(ctx, tx, n); err != nil {
			return err
		}
	}
	for _, d := range letters {
		if err := l.buryOne(ctx, tx, d); err != nil {
			return err
		}
	}
	var count, bytes int64
	err := tx.Row(ctx, `SELECT dead_count, dead_bytes FROM streams WHERE name = ?`, []any{l.stream}, &count, &bytes)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if len(letters) > 0 && (count > bounds.max || bytes > bounds.bytes) {
		return errFull(l.stream)
	}
	return nil
}

// unbury deletes a letter.
func (l *ledger) unbury(ctx context.Context, tx catalog.Tx, letter int64) error {
	var size int64
	err := tx.Row(ctx, `DELETE FROM stream_dead WHERE stream = ? AND id = ? RETURNING size`, []any{l.stream, letter}, &size)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil {
		_, err = tx.Exec(ctx, `UPDATE streams SET dead_count = dead_count - 1, dead_bytes = dead_bytes - ? WHERE name = ?`, size, l.stream)
	}
	return err
}

func (l *ledger) buryOne(ctx context.Context, tx catalog.Tx, d letter) error {
	var number int64
	size := int64(len(d.event.Body) + len(d.event.Key))
	err := tx.Row(ctx, `INSERT INTO streams (name, letters, dead_count, dead_bytes) VALUES (?, 1, 1, ?)
		ON CONFLICT (name) DO UPDATE SET letters = streams.letters + 1, dead_count = streams.dead_count + 1,
		dead_bytes = streams.dead_bytes + excluded.dead_bytes RETURNING letters`, []any{l.stream, size}, &number)
	if err != nil {
		return err
	}
	headers := make([]LetterField, len(d.event.Headers))
	for i, h := range d.event.Headers {
		headers[i] = LetterField{cleanText(h.Name), cleanText(h.Value)}
	}
	text, err := json.Marshal(headers)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the headers of an event")
	}
	_, err = tx.Exec(ctx, `INSERT INTO stream_dead (stream, id, part, place, event, stage, kind, reason, attempts, failed_at,
		happened_at, key, headers, body, size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		l.stream, number, d.event.Partition, d.event.Offset, cleanText(d.name), d.stage, string(fault.KindOf(d.err)),
		shortened(reasonOf(d.err)), d.attempts, catalog.Micros(l.clock.Now()), catalog.Micros(d.event.Time),
		notNil(d.event.Key), string(text), notNil(d.event.Body), size)
	return err
}

// reasonOf is a fault as people read it, with what to do about it.
func reasonOf(err error) string {
	if hint := fault.HintOf(err); hint != "" {
		return err.Error() + " (" + hint + ")"
	}
	return err.Error()
}

func shortened(s string) string {
	s = cleanText(s)
	if len(s) <= maxReason {
		return s
	}
	for cut := maxReason; ; cut-- {
		if utf8.RuneStart(s[cut]) {
			return s[:cut] + "…"
		}
	}
}

// cleanText makes text of bytes that anybody may have sent: what the catalog
// can hold.
func cleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

const letterColumns = `id, event, part, place, stage, kind, reason, attempts, failed_at, happened_at, key, headers, body, size, replay`

func scanLetter(rows *sql.Rows) (d Letter, err error) {
	var failed, happened int64
	var headers string
	err = rows.Scan(&d.ID, &d.Event, &d.Partition, &d.Offset, &d.Stage, &d.Kind, &d.Reason, &d.Attempts, &failed, &happened,
		&d.Key, &headers, &d.Body, &d.Size, &d.Replay)
	if err != nil {
		return d, err
	}
	d.FailedAt, d.Time = catalog.Time(failed), catalog.Time(happened)
	return d, fault.Wrap(json.Unmarshal([]byte(headers), &d.Headers), fault.Corrupt, "the headers of dead letter %d", d.ID)
}

// event makes the event of a letter that it was.
func (d *Letter) event() bus.Event {
	e := bus.Event{ID: d.Event, Key: d.Key, Time: d.Time, Body: d.Body, Partition: d.Partition, Offset: d.Offset}
	for _, h := range d.Headers {
		e.Headers = append(e.Headers, bus.Header{Name: h.Name, Value: h.Value})
	}
	return e
}

// letters lists dead letters after one, oldest first, without their bodies
// unless asked for.
func (l *ledger) letters(ctx context.Context, after int64, limit int, where string) (found []Letter, err error) {
	err = l.db.Read(ctx, func(tx catalog.Tx) (err error) {
		found, err = catalog.Collect(ctx, tx, scanLetter,
			`SELECT `+letterColumns+` FROM stream_dead WHERE stream = ? AND id > ? `+where+` ORDER BY id LIMIT ?`, l.stream, after, limit)
		return err
	})
	return found, err
}

// letter returns one dead letter.
func (l *ledger) letter(ctx context.Context, number int64) (Letter, error) {
	found, err := l.letters(ctx, number-1, 1, "")
	if err == nil && (len(found) == 0 || found[0].ID != number) {
		err = fault.New(fault.NotFound, "stream %q has no dead letter %d", l.stream, number).Hint("`leat stream dead %s` lists them", l.stream)
	}
	if err != nil {
		return Letter{}, err
	}
	return found[0], nil
}

// edit replaces the body of a dead letter.
func (l *ledger) edit(ctx context.Context, number int64, body []byte) error {
	return l.db.Write(ctx, func(tx catalog.Tx) error {
		var before int64
		err := tx.Row(ctx, `SELECT size FROM stream_dead WHERE stream = ? AND id = ?`, []any{l.stream, number}, &before)
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "stream %q has no dead letter %d", l.stream, number)
		}
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE stream_dead SET body = ?, size = ? + LENGTH(key) WHERE stream = ? AND id = ?`,
			notNil(body), len(body), l.stream, number)
		if err == nil {
			_, err = tx.Exec(ctx, `UPDATE streams SET dead_bytes = (SELECT COALESCE(SUM(size), 0) FROM stream_dead WHERE stream = ?) WHERE name = ?`,
				l.stream, l.stream)
		}
		return err
	})
}

// each runs f for the given letters, or for all, and returns for how many it
// did something.
func (l *ledger) each(ctx context.Context, numbers []int64, f func(tx catalog.Tx, number int64) (int64, error)) (n int64, err error) {
	err = l.db.Write(ctx, func(tx catalog.Tx) (err error) {
		n = 0
		these := numbers
		if len(these) == 0 {
			these, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (n int64, err error) { return n, rows.Scan(&n) },
				`SELECT id FROM stream_dead WHERE stream = ? ORDER BY id`, l.stream)
			if err != nil {
				return err
			}
		}
		for _, number := range these {
			did, err := f(tx, number)
			if err != nil {
				return err
			}
			n += did
		}
		return nil
	})
	return n, err
}

// replay marks letters to be tried again; no numbers means all.
func (l *ledger) replay(ctx context.Context, numbers []int64) (int64, error) {
	return l.each(ctx, numbers, func(tx catalog.Tx, number int64) (int64, error) {
		return tx.Exec(ctx, `UPDATE stream_dead SET replay = TRUE WHERE stream = ? AND id = ?`, l.stream, number)
	})
}

// drop deletes letters; no numbers means all.
func (l *ledger) drop(ctx context.Context, numbers []int64) (int64, error) {
	return l.each(ctx, numbers, func(tx catalog.Tx, number int64) (int64, error) {
		var found int64
		err := tx.Row(ctx, `SELECT COUNT(*) FROM stream_dead WHERE stream = ? AND id = ?`, []any{l.stream, number}, &found)
		if err != nil || found == 0 {
			return 0, err
		}
		return 1, l.unbury(ctx, tx, number)
	})
}
