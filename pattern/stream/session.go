package stream

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/bus"
)

// session is one stretch of a stream's work, from the claims of partitions to
// a pause, a seek, the end of the topic or a failure. Three goroutines share
// it, with no more than one batch in the hands of each: fetch reads and
// acknowledges, work prepares, finish publishes and commits.
type session struct {
	deps      Deps
	spec      spec.Stream
	ledger    *ledger
	log       *slog.Logger
	report    *report
	metrics   *metrics
	principal identity.Principal
	control   control
	run       string // of decision ids
	again     string // what ids of published events end with, after a seek back
	bounds    deadBounds

	source     Source
	reader     bus.Reader
	positioned bool
	others     []string // partitions that somebody else has
	codec      codec.Codec
	json       codec.Codec
	steps      []step
	columns    []frame.Column // after the steps
	idColumn   int            // of columns; -1: none
	timeColumn int
	keyColumn  int
	lateness   int64 // microseconds
	targets    []target
	routes     []route
	to         int // of targets; -1: none
	late       int
	keepTarget int

	views       []*window.Plan
	plans       string // names the definitions of views
	reads       []frame.Column
	readsAt     []int // of columns
	readsSchema *arrow.Schema

	joinedSchema *arrow.Schema
	boundTo      *arrow.Schema
	bound        []*expr.Program

	mu    sync.Mutex // parts
	parts map[string]*partition

	seenMu sync.Mutex
	seen   *seen

	chunks     chan []bus.Event
	replays    chan []Letter
	loads      chan load
	acks       chan []bus.Event
	held       map[string][]*entry // of partitions that wait for the end of a batch that was begun
	lastReplay int64               // dead letter that was tried again last
	ending     chan struct{}       // closed: fetch no more
	endOnce    sync.Once
	ended      error // why, guarded by endOnce
}

// load is a micro-batch on its way to be published.
type load struct {
	lanes []*lane
	begun time.Time
}

// step is a compiled step: one of where, function, or programs by column.
type step struct {
	where    *expr.Program
	function Transform
	programs []*expr.Program
	copied   []int // for each column that of the rows before, or -1
	columns  []frame.Column
	schema   *arrow.Schema
}

type target struct {
	name string
	Target
	exact bool
	rows  bool // it takes rows
}

type route struct {
	when   *expr.Expr
	target int
}

// end lets what is under way come to its end, and nothing more begin.
func (s *session) end(why error) {
	s.endOnce.Do(func() {
		s.ended = why
		close(s.ending)
	})
}

// work runs the session to its end. nil means that the topic has come to its
// own, or ctx.
func (s *session) work(ctx context.Context) error {
	s.chunks, s.replays, s.loads = make(chan []bus.Event), make(chan []Letter, 1), make(chan load)
	s.acks, s.held = make(chan []bus.Event, 4), map[string][]*entry{}
	hard, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var all sync.WaitGroup
	begin := func(f func(context.Context) error) {
		all.Go(func() {
			if err := f(hard); err != nil {
				s.end(err)
				cancel(err)
			}
		})
	}
	begin(s.fetch)
	begin(s.prepareAll)
	finished := make(chan struct{})
	all.Go(func() {
		defer close(finished)
		if err := s.finishAll(hard); err != nil {
			s.end(err)
			cancel(err)
		}
	})
	watching, stop := context.WithCancel(hard)
	defer stop()
	all.Go(func() { s.watch(watching) })
	select {
	case <-ctx.Done():
		s.end(ctx.Err())
	case <-s.ending:
	case <-finished:
	}
	late := time.AfterFunc(s.deps.Drain, func() { cancel(context.Canceled) })
	<-finished
	late.Stop()
	stop()
	cancel(nil)
	all.Wait()
	s.end(nil)
	return s.ended
}

// fetch reads events, one chunk ahead of the work, and acknowledges those that
// were committed: the two must not be called at the same time.
func (s *session) fetch(ctx context.Context) error {
	defer close(s.chunks)
	for failures := 0; ; {
		select {
		case <-s.ending:
			return nil
		case <-ctx.Done():
			return nil
		default:
		}
		if err := s.acknowledge(ctx); err != nil {
			return err
		}
		events, err := s.next(ctx)
		switch {
		case err == io.EOF:
			return nil
		case errors.Is(err, errNothing):
			continue
		case err != nil && fault.KindOf(err).Retryable():
			if err := s.wait(ctx, failures, "fetch", err); err != nil {
				return nil
			}
			failures++
			continue
		case err != nil:
			return err
		}
		if failures > 0 {
			failures = 0
			s.report.works()
		}
		if !s.hand(ctx, events) {
			return nil
		}
	}
}

// errNothing says that there were no events for a while.
var errNothing = errors.New("nothing came")

// nap is how long to wait for events before looking whether there is something
// to acknowledge.
const nap = 200 * time.Millisecond

func (s *session) next(ctx context.Context) ([]bus.Event, error) {
	napping, cancel := context.WithTimeout(ctx, nap)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-s.ending:
			cancel()
		case <-stop:
		}
	}()
	events, err := s.reader.Next(napping, s.spec.Batch)
	if len(events) > 0 {
		return events, nil
	}
	if napping.Err() != nil || err == nil {
		return nil, errNothing
	}
	return nil, err
}

// hand gives a chunk to the work, and acknowledges while it waits.
func (s *session) hand(ctx context.Context, events []bus.Event) bool {
	for {
		select {
		case s.chunks <- events:
			return true
		case done := <-s.acks:
			if err := s.reader.Ack(ctx, done); err != nil {
				s.log.Warn("events could not be acknowledged; they will come again", "error", err)
			}
		case <-s.ending:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// acknowledge tells the bus of everything that was committed. What it does not
// hear of comes again and is known.
func (s *session) acknowledge(ctx context.Context) error {
	for {
		select {
		case done := <-s.acks:
			if err := s.reader.Ack(ctx, done); err != nil && ctx.Err() == nil {
				s.log.Warn("events could not be acknowledged; they will come again", "error", err)
			}
		default:
			return nil
		}
	}
}

// maxChunk bounds the bytes of the bodies that are worked on together, but for
// the last chunk that was read.
const maxChunk = 4 << 20

// prepareAll makes loads of chunks.
func (s *session) prepareAll(ctx context.Context) error {
	defer close(s.loads)
	for {
		events, letters, open, err := s.take(ctx)
		if err != nil {
			return err
		}
		l := load{begun: time.Now()}
		for _, g := range s.group(events, !open) {
			b, err := s.prepare(ctx, g.part, g.entries)
			if err != nil {
				return ignoreEnd(ctx, err)
			}
			l.lanes = append(l.lanes, b)
		}
		if b, err := s.replay(ctx, letters); err != nil {
			return ignoreEnd(ctx, err)
		} else if b != nil {
			l.lanes = append(l.lanes, b)
		}
		if len(l.lanes) > 0 {
			select {
			case s.loads <- l:
			case <-ctx.Done():
				return nil
			}
		}
		if !open {
			return nil
		}
	}
}

// ignoreEnd is nil for an error that is only the end of the session.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// take waits for events, and takes what came meanwhile up to the bounds of a
// batch. open is false at the end.
func (s *session) take(ctx context.Context) (events []bus.Event, letters []Letter, open bool, err error) {
	for _, held := range s.held {
		if len(held) > 0 && s.complete(held) {
			return nil, nil, true, nil
		}
	}
	size := 0
	more := func(chunk []bus.Event) bool {
		for i := range chunk {
			size += len(chunk[i].Body)
		}
		events = append(events, chunk...)
		return size < maxChunk && len(events) < s.spec.Batch
	}
	select {
	case chunk, ok := <-s.chunks:
		if !ok {
			return nil, nil, false, nil
		}
		if !more(chunk) {
			return events, nil, true, nil
		}
	case letters = <-s.replays:
		return nil, letters, true, nil
	case <-ctx.Done():
		return nil, nil, false, nil
	}
	var lingered <-chan time.Time
	if d := s.spec.Linger.Std(); d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		lingered = timer.C
	}
	for {
		select {
		case chunk, ok := <-s.chunks:
			if !ok || !more(chunk) {
				return events, nil, ok, nil
			}
			continue
		default:
		}
		if lingered == nil {
			return events, nil, true, nil
		}
		select {
		case chunk, ok := <-s.chunks:
			if !ok || !more(chunk) {
				return events, nil, ok, nil
			}
		case <-lingered:
			return events, nil, true, nil
		case <-ctx.Done():
			return nil, nil, false, nil
		}
	}
}

// group is the events of one partition in a batch.
type group struct {
	part    *partition
	entries []*entry
}

// queuePart is the partition of a topic that has none: one for each server.
func (s *session) queuePart() string { return "queue/" + s.ledger.owner }

// group sorts events by partition. A partition of which a batch was begun for
// an exact target waits until that batch is there as it was.
func (s *session) group(events []bus.Event, atEnd bool) []group {
	byPart := s.held
	s.held = map[string][]*entry{}
	for i := range events {
		name := events[i].Partition
		if !s.positioned {
			name = s.queuePart()
		}
		byPart[name] = append(byPart[name], &entry{event: &events[i]})
	}
	var groups []group
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, entries := range byPart {
		p := s.parts[name]
		if p == nil || p.lost.Load() {
			continue // whoever has it reads them
		}
		if p.cut >= 0 {
			now, later := s.split(p, entries)
			if len(now) == 0 && !atEnd {
				s.held[name] = later
				continue
			}
			if p.cut = -1; len(now) > 0 {
				entries = now
				s.held[name] = later
			}
		}
		if len(entries) > 0 {
			groups = append(groups, group{p, entries})
		}
	}
	slices.SortFunc(groups, func(a, b group) int { return compareNames(a.part.name, b.part.name) })
	return groups
}

// complete tells whether events that were held back can go on now.
func (s *session) complete(held []*entry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.parts[held[0].event.Partition]
	return p == nil || p.cut < 0 || held[len(held)-1].event.Offset >= p.cut
}

// split parts the events of a batch that was begun from those after it. It
// gives none while the batch is not complete.
func (s *session) split(p *partition, entries []*entry) (now, later []*entry) {
	for i, e := range entries {
		if e.event.Offset > p.cut {
			return entries[:i], entries[i:]
		}
	}
	if entries[len(entries)-1].event.Offset == p.cut {
		return entries, nil
	}
	return nil, entries
}

func compareNames(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// replay prepares dead letters that are to be tried again, as a batch of their
// own of one partition.
func (s *session) replay(ctx context.Context, letters []Letter) (*lane, error) {
	if len(letters) == 0 {
		return nil, nil
	}
	var p *partition
	s.mu.Lock()
	for _, q := range s.parts {
		if p == nil || q.name == letters[0].Partition {
			p = q
		}
	}
	s.mu.Unlock()
	if p == nil {
		return nil, nil
	}
	entries := make([]*entry, len(letters))
	for i := range letters {
		event := letters[i].event()
		entries[i] = &entry{event: &event, name: letters[i].Event, named: true, letter: letters[i].ID}
	}
	b, err := s.prepare(ctx, p, entries)
	return b, err
}

// assigned is called by the reader for partitions that come to it. Where that
// fails for good the session ends: without its place nothing can be read.
func (s *session) assigned(ctx context.Context, names []string) (map[string]int64, error) {
	for attempt := 0; ; attempt++ {
		offsets, err := s.acquire(ctx, names)
		switch {
		case err == nil || ctx.Err() != nil:
			return offsets, err
		case !fault.KindOf(err).Retryable():
			s.end(err)
			return nil, err
		}
		if err := s.wait(ctx, attempt, "claim", err); err != nil {
			return nil, err
		}
	}
}

// lost is called by the reader for partitions that go to somebody else.
func (s *session) lost(names []string) {
	var gone []*partition
	s.mu.Lock()
	for _, name := range names {
		if p := s.parts[name]; p != nil {
			p.lost.Store(true)
			gone = append(gone, p)
			delete(s.parts, name)
		}
	}
	s.mu.Unlock()
	s.giveBack(gone)
}

// giveBack lets others claim partitions at once.
func (s *session) giveBack(parts []*partition) {
	if len(parts) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.deps.Drain)
	defer cancel()
	if err := s.ledger.release(ctx, parts); err != nil {
		s.log.Warn("partitions were not given back; others take them over after a while", "error", err)
	}
}
