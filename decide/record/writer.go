package record

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
)

// Options say where a writer writes and bound it; zero values mean what their
// comments say. One folder has one writer.
type Options struct {
	Dir        string
	QueueBytes int           // 64 MiB
	QueueCount int           // 100,000 entries
	SegmentMax int64         // 64 MiB, then a new segment
	SegmentAge time.Duration // 1 minute, then a new segment
	Linger     time.Duration // 20 ms: how long an entry that nobody waits for may wait for others
	Clock      clock.Clock   // the system's
	Log        *slog.Logger  // none

	create creator // tests put a disk that fails in its place
}

func (o Options) withDefaults() Options {
	o.QueueBytes = orElse(o.QueueBytes, 64<<20)
	o.QueueCount = orElse(o.QueueCount, 100_000)
	o.SegmentMax = orElse(o.SegmentMax, 64<<20)
	o.SegmentAge = orElse(o.SegmentAge, time.Minute)
	o.Linger = orElse(o.Linger, 20*time.Millisecond)
	if o.Clock == nil {
		o.Clock = clock.System{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.create == nil {
		o.create = createFile
	}
	return o
}

func orElse[T int | int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}

// Writer writes entries to segments. It is safe for many goroutines.
type Writer struct {
	options Options
	seed    uint64
	encoder encoder
	scratch sync.Pool // of *[]byte

	mu     sync.Mutex
	queue  [][]byte // blocks of records ready to be written
	free   [][]byte // empty blocks
	bytes  int      // in queue
	count  int      // records in queue
	rows   int64    // decisions in them
	group  *group   // who waits for the queue to be written
	closed bool
	failed error // of a sync: nothing is written until Reopen

	some   chan struct{} // the queue is no longer empty
	urgent chan struct{} // somebody waits, or the queue is long
	ended  chan struct{} // the goroutine has ended

	disk   sync.Mutex // held while segment is used
	segs   *segments
	moving sync.RWMutex // held for writing while a segment is in the lake and in the log

	compacting sync.Mutex // held by the one Compact

	recorded, dropped, refused, damaged atomic.Int64
}

// group is the entries that are written together.
type group struct {
	done chan struct{}
	err  error
	sync bool // somebody needs it durable, not only written
	seal bool // end the segment after it
}

func newGroup() *group { return &group{done: make(chan struct{})} }

// Open repairs the segments of a folder, which it makes when absent, and
// begins to write.
func Open(o Options) (*Writer, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, fault.New(fault.Invalid, "the decision log needs a folder")
	}
	seed := rand.Uint64()
	segs, err := openSegments(o, seed)
	if err != nil {
		return nil, err
	}
	w := &Writer{
		options: o, seed: seed, segs: segs, group: newGroup(),
		some: make(chan struct{}, 1), urgent: make(chan struct{}, 1), ended: make(chan struct{}),
		scratch: sync.Pool{New: func() any { return new([]byte) }},
	}
	w.damaged.Store(segs.repaired)
	go w.work()
	return w, nil
}

// Record queues an entry. Unless it is required, what cannot be queued is
// dropped and counted, and the error may be ignored. For a required entry nil
// means that it is on disk; after an error it may be there or not.
func (w *Writer) Record(ctx context.Context, e *Entry) error {
	buffer := w.scratch.Get().(*[]byte)
	defer w.scratch.Put(buffer)
	record, err := w.encoder.append(begin((*buffer)[:0]), e)
	if cap(record) <= 1<<20 { // one huge request does not keep its memory
		*buffer = record
	}
	if err == nil && len(record)-frameSize > maxPayload {
		err = fault.New(fault.TooLarge, "a decision record of %d bytes", len(record))
	}
	if err != nil {
		w.dropped.Add(int64(len(e.IDs)))
		return err
	}
	finish(record, w.seed)
	g, err := w.enqueue(record, len(e.IDs), e.Required)
	if err != nil || g == nil {
		return err
	}
	return wait(ctx, g)
}

// Run records a durable run, and returns once that is on disk.
func (w *Writer) Run(ctx context.Context, r Run) error { return w.Record(ctx, r.entry()) }

// enqueue puts a record into the queue, and returns the group to wait for if
// it is required.
func (w *Writer) enqueue(record []byte, decisions int, required bool) (*group, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.room(len(record)); err != nil {
		w.dropped.Add(int64(decisions))
		return nil, err
	}
	w.push(record)
	w.count++
	w.rows += int64(decisions)
	if w.count == 1 {
		notify(w.some)
	}
	if required {
		w.group.sync = true
	}
	if required || w.bytes >= blockSize {
		notify(w.urgent)
	}
	if required {
		return w.group, nil
	}
	return nil, nil
}

// Blocks are what is queued and written in one piece, so that a long queue
// grows without being copied.
const (
	blockSize = 256 << 10
	maxFree   = 32
)

// push copies a record to the end of the queue.
func (w *Writer) push(record []byte) {
	last := len(w.queue) - 1
	if last < 0 || len(w.queue[last])+len(record) > cap(w.queue[last]) {
		w.queue = append(w.queue, w.block(len(record)))
		last++
	}
	w.queue[last] = append(w.queue[last], record...)
	w.bytes += len(record)
}

func (w *Writer) block(size int) []byte {
	if n := len(w.free); n > 0 && size <= blockSize {
		b := w.free[n-1]
		w.free = w.free[:n-1]
		return b
	}
	return make([]byte, 0, max(size, blockSize))
}

// recycle takes back blocks that are written.
func (w *Writer) recycle(blocks [][]byte) {
	for _, b := range blocks {
		if cap(b) == blockSize && len(w.free) < maxFree {
			w.free = append(w.free, b[:0])
		}
	}
}

func (w *Writer) room(size int) error {
	switch {
	case w.closed:
		return fault.New(fault.Unavailable, "the decision log is closed")
	case w.failed != nil:
		return w.failed
	case w.count >= w.options.QueueCount || w.bytes+size > w.options.QueueBytes && w.count > 0:
		return fault.New(fault.Overloaded, "the decision log does not keep up").
			Hint("the disk is too slow for this many decisions")
	}
	return nil
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // told already
	}
}

func wait(ctx context.Context, g *group) error {
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the decision was not recorded in time")
	}
}

// flush waits until everything queued so far is in segments; sync, on disk;
// seal, in finished ones.
func (w *Writer) flush(ctx context.Context, sync, seal bool) error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	g := w.group
	g.sync = g.sync || sync
	g.seal = g.seal || seal
	notify(w.urgent)
	w.mu.Unlock()
	return wait(ctx, g)
}

// Seal finishes the present segment, so that Compact can move what was
// recorded until now.
func (w *Writer) Seal(ctx context.Context) error { return w.flush(ctx, true, true) }

// work is the one goroutine that writes.
func (w *Writer) work() {
	defer close(w.ended)
	age := time.NewTicker(w.options.SegmentAge/4 + time.Millisecond)
	defer age.Stop()
	for {
		select {
		case <-w.urgent:
		case <-w.some:
			select {
			case <-w.urgent:
			case <-time.After(w.options.Linger):
			}
		case <-age.C:
		}
		if last := w.round(); last {
			return
		}
	}
}

// round writes what is queued, and tells who waits. last means that the
// writer was closed before.
func (w *Writer) round() (last bool) {
	w.mu.Lock()
	batch, g, rows := w.queue, w.group, w.rows
	w.queue, w.group, w.bytes, w.count, w.rows = nil, newGroup(), 0, 0, 0
	last = w.closed
	failed := w.failed
	w.mu.Unlock()

	if failed == nil {
		failed = w.write(batch, g, last)
	}
	g.err = failed
	if failed != nil {
		w.refused.Add(rows)
	} else {
		w.recorded.Add(rows)
	}
	w.mu.Lock()
	w.recycle(batch)
	w.mu.Unlock()
	close(g.done)
	return last
}

// write puts a batch into the present segment and ends that when it is due.
func (w *Writer) write(batch [][]byte, g *group, last bool) error {
	w.disk.Lock()
	defer w.disk.Unlock()
	err := w.segs.write(batch, g.sync)
	if err == nil && (last || g.seal || w.segs.due(w.options)) {
		err = w.segs.seal()
	}
	if errors.Is(err, errSync) {
		w.fail(err)
	}
	return describe(err)
}

// fail ends the writer after a failed sync.
func (w *Writer) fail(err error) {
	w.options.Log.Error("the decision log stops: a sync failed", "folder", w.options.Dir, "error", err)
	w.mu.Lock()
	w.failed = describe(err)
	w.mu.Unlock()
}

// errSync marks an error after which nobody knows what is on disk.
var errSync = errors.New("the device did not keep what was written")

func describe(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errSync):
		return fault.New(fault.Unavailable, "the decision log has stopped, because its disk failed").
			Because(err).Hint("look at the disk, then restart")
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.Full, "the disk of the decision log is full").
			Because(err).Hint("make room, or move the log to the lake more often")
	}
	return fault.New(fault.Unavailable, "the decision log could not be written").Because(err)
}

// Reopen begins a new segment after a failed sync. Call it when somebody has
// looked at the disk.
func (w *Writer) Reopen() error {
	w.disk.Lock()
	defer w.disk.Unlock()
	if err := w.segs.abandon(); err != nil {
		return describe(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = nil
	return nil
}

// Stats counts what the writer did since Open.
type Stats struct {
	Recorded int64 // decisions written
	Dropped  int64 // decisions that were not queued
	Failed   int64 // decisions queued that the disk did not take
	Damaged  int64 // bytes in segments that are no records: torn by a crash or changed later
	Segments int   // not in the lake yet
	Queued   int   // bytes
	Stopped  bool  // a sync failed; see Reopen
}

// Stats returns the counts since Open.
func (w *Writer) Stats() Stats {
	names, _ := w.segs.list()
	w.mu.Lock()
	defer w.mu.Unlock()
	return Stats{
		Recorded: w.recorded.Load(), Dropped: w.dropped.Load(), Failed: w.refused.Load(), Damaged: w.damaged.Load(),
		Segments: len(names), Queued: w.bytes, Stopped: w.failed != nil,
	}
}

// Close writes what is queued, finishes the segment and ends the writer. It
// is safe to call twice.
func (w *Writer) Close() error {
	w.mu.Lock()
	g := w.group
	if w.closed {
		w.mu.Unlock()
		<-w.ended
		return nil
	}
	w.closed = true
	g.sync = true
	notify(w.urgent)
	w.mu.Unlock()
	<-w.ended
	return g.err
}

// newID names a segment: names sort by time.
func newID(now time.Time) string { return fmt.Sprintf("%014x-%016x", now.UnixMicro(), rand.Uint64()) }
