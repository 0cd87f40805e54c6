package file

import (
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// cursor is how far a file was read.
type cursor struct {
	path      string
	partition string
	next      int64 // number of the next record
	from      int64 // the first one that is wanted
	pos       int64 // where it begins, in the unpacked bytes
	raw       int64 // bytes of the file that were read
	table     *table
	ended     bool // it is not read again
}

func (c *cursor) packed() bool { return strings.HasSuffix(c.path, gz) }

// reader reads the files of a topic, one after the other.
type reader struct {
	bus     *Bus
	topic   string
	format  Format
	options bus.ReadOptions

	closing sync.Once
	closed  chan struct{}

	mu      sync.Mutex // of what follows
	cursors []*cursor
	known   map[string]bool
	begun   bool // files that are found from now on are new
	open    *scan
	of      *cursor // whose scan it is
	gap     error
	read    int64 // records
	bytes   int64 // that they took in the files
}

func newReader(b *Bus, topic string, o bus.ReadOptions) *reader {
	return &reader{bus: b, topic: topic, format: b.format(topic), options: o, closed: make(chan struct{}), known: map[string]bool{}}
}

// look finds files that are new and asks where to begin them.
func (r *reader) look(ctx context.Context) error {
	files, err := r.bus.list(r.topic)
	if err != nil {
		return err
	}
	r.mu.Lock()
	var fresh []string
	for _, name := range files {
		wanted := len(r.options.Partitions) == 0 || slices.Contains(r.options.Partitions, name)
		if wanted && !r.known[name] {
			fresh = append(fresh, name)
		}
	}
	late := r.begun
	r.begun = true
	r.mu.Unlock()
	if len(fresh) == 0 {
		return nil
	}
	places := map[string]int64{}
	if r.options.Assigned != nil {
		if places, err = r.options.Assigned(ctx, fresh); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range fresh {
		at, ok := places[name]
		if !ok || at == bus.First || late && at == bus.Latest { // all of a file that is new comes from now on
			at = 0
		}
		c, err := r.begin(name, at)
		if err != nil {
			return err
		}
		r.known[name] = true
		r.cursors = append(r.cursors, c)
	}
	return nil
}

func (r *reader) begin(name string, at int64) (*cursor, error) {
	c := &cursor{path: r.bus.path(name), partition: name, from: at}
	if at != bus.Latest {
		return c, nil
	}
	c.from = 0
	for {
		_, more, err := r.step(c, 0)
		if err != nil || !more {
			c.from = c.next
			return c, err
		}
	}
}

// Next returns records of one file.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		select {
		case <-r.closed:
			return nil, fault.New(fault.Canceled, "the reader was closed")
		default:
		}
		events, err := r.take(ctx, max(1, most))
		if len(events) > 0 || err != nil {
			return events, err
		}
		if !r.bus.config.Follow {
			return nil, io.EOF
		}
		if err := r.wait(ctx); err != nil {
			return nil, err
		}
		if err := r.look(ctx); err != nil {
			return nil, err
		}
	}
}

func (r *reader) wait(ctx context.Context) error {
	timer := time.NewTimer(r.bus.config.Poll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.closed:
		return fault.New(fault.Canceled, "the reader was closed")
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// take reads what there is of the first file that has something.
func (r *reader) take(ctx context.Context, most int) ([]bus.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gap != nil {
		return nil, r.gap
	}
	for _, c := range r.cursors {
		if c.ended {
			continue
		}
		if err := r.changed(c); err != nil {
			return nil, err
		}
		events, err := r.drain(ctx, c, most)
		if len(events) > 0 || err != nil {
			return events, err
		}
	}
	return nil, nil
}

// drain reads records of one file, as many as are asked for and fit into the
// buffer.
func (r *reader) drain(ctx context.Context, c *cursor, most int) (events []bus.Event, err error) {
	held := int64(0)
	for steps := 0; len(events) < most && held < r.options.Buffer; steps++ {
		if steps%1024 == 0 && ctx.Err() != nil {
			break // what was read is returned; the rest comes with the next call
		}
		e, more, err := r.step(c, r.options.MaxEvent)
		if err != nil {
			if len(events) > 0 {
				return events, nil // it happens again
			}
			return nil, err
		}
		if !more {
			c.ended = !r.bus.config.Follow || c.packed()
			break
		}
		if e != nil {
			events = append(events, *e)
			held += int64(len(e.Body)) + 256
		}
	}
	if len(events) == 0 && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return events, nil
}

// changed finds a file that is not the one that was read: it may only grow.
func (r *reader) changed(c *cursor) error {
	info, err := os.Stat(c.path)
	if err == nil && (c.packed() || info.Size() >= c.pos) {
		return nil
	}
	if c.pos == 0 && err != nil {
		return fault.Wrap(err, fault.Unavailable, "the file %s is gone", c.partition)
	}
	r.gap = &bus.Gap{Topic: r.topic, Partition: c.partition, Asked: c.next, First: 0, Last: -1, Wiped: true}
	return r.gap
}

// step reads one record of a file. more is false at its end; the event is nil
// for a record that nobody wants: a blank line, or one before where the
// reading begins.
func (r *reader) step(c *cursor, limit int64) (e *bus.Event, more bool, err error) {
	s, err := r.scan(c)
	if err != nil || s == nil {
		return nil, false, err
	}
	line := limit
	if r.format == Events { // the body is within it, twice as long at the most when it is not base64
		line = 3 * max(limit, bus.DefaultMaxEvent)
	}
	text, size, whole, err := s.record(line)
	if err == io.EOF || err == nil && !whole && (r.bus.config.Follow && !c.packed() || r.format == Events) {
		r.drop() // a line that is being written
		return nil, false, nil
	}
	if err != nil {
		r.drop()
		return nil, false, packFault(err, c.partition)
	}
	number := c.next
	c.next++
	r.read, r.bytes = r.read+1, r.bytes+s.raw-c.raw
	c.pos, c.raw = s.pos, s.raw
	if number < c.from || len(text) == 0 && size == 0 {
		return nil, true, nil
	}
	return r.event(c, number, text, size, limit), true, nil
}

func (r *reader) event(c *cursor, number int64, text []byte, size, limit int64) *bus.Event {
	e := bus.Event{Body: text}
	switch {
	case text == nil:
		e = bus.TooLarge(e, size)
	case r.format == Events:
		e = bus.Bound(decode(text), limit)
	case r.format == CSV:
		e.Body = c.table.object(text)
	}
	e.Partition, e.Offset = c.partition, number
	return &e
}

// scan returns the open file of a cursor; nil when there is nothing in it yet.
func (r *reader) scan(c *cursor) (*scan, error) {
	if r.of == c {
		return r.open, nil
	}
	r.drop()
	s, err := openScan(c.path, c.pos, r.format == CSV)
	if err != nil {
		return nil, err
	}
	if r.format == CSV && c.table == nil {
		line, _, whole, err := s.record(bus.DefaultMaxEvent)
		if err == io.EOF || err == nil && !whole && r.bus.config.Follow && !c.packed() {
			s.close()
			return nil, nil
		}
		if err == nil {
			c.table, err = newTable(line)
		}
		if err != nil {
			s.close()
			return nil, fault.Wrap(err, fault.KindOf(err), "%s", c.partition)
		}
		c.pos, c.raw = s.pos, s.raw
	}
	r.open, r.of = s, c
	return s, nil
}

func (r *reader) drop() {
	if r.open != nil {
		r.open.close()
	}
	r.open, r.of = nil, nil
}

// Ack does nothing: a file keeps what was read.
func (r *reader) Ack(ctx context.Context, _ []bus.Event) error { return ctx.Err() }

// Lag is about how many records are left in the files that are known: their
// bytes over those of a record so far. It is exact at the end, and -1 before
// the first record.
func (r *reader) Lag(context.Context) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := int64(0)
	for _, c := range r.cursors {
		if info, err := os.Stat(c.path); err == nil && !c.ended {
			left += max(0, info.Size()-c.raw)
		}
	}
	switch {
	case left == 0:
		return 0, nil
	case r.bytes == 0:
		return -1, nil
	}
	return int64(float64(left) / (float64(r.bytes) / float64(r.read))), nil
}

// Close lets the files go.
func (r *reader) Close() error {
	r.closing.Do(func() {
		close(r.closed)
		r.bus.forget(r)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.drop()
	})
	return nil
}
