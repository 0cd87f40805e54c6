package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

const (
	// quiet is after how long without an event a reader looks whether the topic
	// is still the one that it reads.
	quiet = 3 * time.Second
	// sessionTimeout is after how long without a sign of life the group gives a
	// reader's partitions to others.
	sessionTimeout = 30 * time.Second
)

// Reader begins to read a topic, as a member of a group or, where partitions
// are named, alone. Assigned and Lost of a member are called by a goroutine of
// the reader's own, never while Next's events are being looked at.
func (b *Bus) Reader(ctx context.Context, topic string, o bus.ReadOptions) (bus.Reader, error) {
	detail, err := b.ensure(ctx, topic)
	if err != nil {
		return nil, err
	}
	r := &reader{bus: b, topic: topic, identity: identity(detail), options: o.WithDefaults(), next: map[int32]int64{}}
	fetch := int32(min(max(r.options.Buffer/4, 1<<10), 1<<30)) // what comes may be packed
	options := append(b.options(),
		kgo.FetchMaxBytes(fetch), kgo.FetchMaxPartitionBytes(fetch),
		kgo.BrokerMaxReadBytes(largestMaxEvent+64<<20), kgo.MaxDecompressBatchBytes(largestMaxEvent), kgo.MaxConcurrentFetches(1), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	)
	if len(o.Partitions) > 0 {
		direct, err := r.direct(ctx)
		if err != nil {
			return nil, err
		}
		options = append(options, direct)
	} else {
		r.group = true
		options = append(options, r.member()...)
	}
	if r.client, err = kgo.NewClient(options...); err != nil {
		return nil, translate(err, "reading "+topic)
	}
	if err := b.keep(r); err != nil {
		r.client.Close()
		return nil, err
	}
	return r, nil
}

// member are the options of a member of a group.
func (r *reader) member() []kgo.Opt {
	gone := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { r.lose(lost[r.topic]) }
	return []kgo.Opt{
		kgo.ConsumerGroup(r.options.Group), kgo.ConsumeTopics(r.topic), kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.BlockRebalanceOnPoll(), kgo.AutoCommitMarks(), kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(2 * time.Second),
		kgo.OnPartitionsRevoked(gone), kgo.OnPartitionsLost(gone), kgo.AdjustFetchOffsetsFn(r.adjust),
	}
}

// reader reads partitions of a topic.
type reader struct {
	bus      *Bus
	topic    string
	identity string
	options  bus.ReadOptions
	client   *kgo.Client
	group    bool

	mu     sync.Mutex
	next   map[int32]int64 // offset that comes next of each partition that the reader has
	gap    *bus.Gap        // told by every Next
	looked time.Time       // when the topic was looked at last
	closed bool
}

func (r *reader) name(partition int32) string { return bus.Partition(int(partition), r.identity) }

// direct is the option that reads named partitions.
func (r *reader) direct(ctx context.Context) (kgo.Opt, error) {
	var numbers []int32
	for _, name := range r.options.Partitions {
		n, identity, ok := bus.Number(name)
		if !ok {
			return nil, fault.New(fault.NotFound, "the topic %s has no partition %q", r.topic, name)
		}
		if identity != r.identity {
			return nil, &bus.Gap{Topic: r.topic, Partition: name, Wiped: true}
		}
		numbers = append(numbers, int32(n))
	}
	at, err := r.begin(ctx, numbers)
	return kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{r.topic: at}), err
}

// adjust says where the partitions begin that the group gave to the reader.
func (r *reader) adjust(ctx context.Context, given map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	numbers := slices.Sorted(maps.Keys(given[r.topic]))
	at, err := r.begin(ctx, numbers)
	if err != nil {
		return nil, err
	}
	return map[string]map[int32]kgo.Offset{r.topic: at}, nil
}

// begin asks where to begin in partitions, and finds the offsets that First
// and Latest mean now.
func (r *reader) begin(ctx context.Context, numbers []int32) (map[int32]kgo.Offset, error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	var names []string
	for _, n := range numbers {
		names = append(names, r.name(n))
	}
	asked := map[string]int64{}
	if r.options.Assigned != nil {
		var err error
		if asked, err = r.options.Assigned(ctx, names); err != nil {
			return nil, err
		}
	}
	first, err := r.bus.admin.ListStartOffsets(ctx, r.topic)
	if err = errors.Join(err, first.Error()); err != nil {
		return nil, translate(err, "asking where "+r.topic+" begins")
	}
	end, err := r.bus.admin.ListEndOffsets(ctx, r.topic)
	if err = errors.Join(err, end.Error()); err != nil {
		return nil, translate(err, "asking where "+r.topic+" ends")
	}
	at := map[int32]kgo.Offset{}
	for _, n := range numbers {
		oldest, _ := first.Lookup(r.topic, n)
		newest, _ := end.Lookup(r.topic, n)
		offset, ok := asked[r.name(n)]
		switch {
		case !ok || offset == bus.First:
			offset = oldest.Offset
		case offset == bus.Latest:
			offset = newest.Offset
		case offset < 0:
			return nil, fault.New(fault.Invalid, "%d is no offset", offset)
		case offset < oldest.Offset || offset > newest.Offset:
			r.tell(&bus.Gap{Topic: r.topic, Partition: r.name(n), Asked: offset, First: oldest.Offset, Last: newest.Offset - 1})
		}
		at[n] = kgo.NewOffset().At(offset)
		r.mu.Lock()
		r.next[n] = offset
		r.mu.Unlock()
	}
	return at, nil
}

// tell keeps the first gap.
func (r *reader) tell(g *bus.Gap) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gap == nil {
		r.gap = g
	}
}

func (r *reader) lose(numbers []int32) {
	if len(numbers) == 0 {
		return
	}
	var names []string
	r.mu.Lock()
	for _, n := range numbers {
		delete(r.next, n)
		names = append(names, r.name(n))
	}
	r.mu.Unlock()
	if r.options.Lost != nil {
		r.options.Lost(names)
	}
}

// Next waits for events. That it is called says that those before were looked
// at, so that the group may move partitions.
func (r *reader) Next(ctx context.Context, most int) ([]bus.Event, error) {
	for {
		if r.group {
			r.client.AllowRebalance()
		}
		r.mu.Lock()
		gap, closed := r.gap, r.closed
		r.mu.Unlock()
		switch {
		case closed:
			return nil, fault.New(fault.Unavailable, "the reader of %s is closed", r.topic)
		case gap != nil:
			return nil, gap
		case ctx.Err() != nil:
			return nil, translate(ctx.Err(), "reading "+r.topic)
		}
		polling, cancel := context.WithTimeout(ctx, quiet)
		fetches := r.client.PollRecords(polling, max(most, 1))
		cancel()
		if events := r.events(fetches); len(events) > 0 {
			return events, nil
		}
		if err := r.trouble(ctx, fetches); err != nil {
			return nil, err
		}
	}
}

func (r *reader) events(fetches kgo.Fetches) []bus.Event {
	var events []bus.Event
	r.mu.Lock()
	defer r.mu.Unlock()
	fetches.EachRecord(func(record *kgo.Record) {
		e := event(record)
		e.Partition = r.name(record.Partition)
		events = append(events, bus.Bound(e, r.options.MaxEvent))
		r.next[record.Partition] = record.Offset + 1
	})
	return events
}

// trouble looks at a poll without events: what went wrong, and, when there was
// nothing for long, whether the topic is still there.
func (r *reader) trouble(ctx context.Context, fetches kgo.Fetches) error {
	var first error
	look := false
	fetches.EachError(func(_ string, partition int32, err error) {
		switch {
		case errors.Is(err, kgo.ErrClientClosed):
			first = fault.New(fault.Unavailable, "the reader of %s is closed", r.topic)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		case errors.Is(err, kerr.OffsetOutOfRange):
			r.outOfRange(ctx, partition)
		default:
			look = true
			if first == nil {
				first = translate(err, "reading "+r.topic)
			}
		}
	})
	if look || time.Since(r.looked) > quiet {
		r.looked = time.Now()
		if err := r.recognize(ctx); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// outOfRange tells the gap of a partition that does not have what comes next.
func (r *reader) outOfRange(ctx context.Context, partition int32) {
	g := &bus.Gap{Topic: r.topic, Partition: r.name(partition)}
	r.mu.Lock()
	g.Asked = r.next[partition]
	r.mu.Unlock()
	if first, err := r.bus.admin.ListStartOffsets(ctx, r.topic); err == nil {
		o, _ := first.Lookup(r.topic, partition)
		g.First = o.Offset
	}
	if end, err := r.bus.admin.ListEndOffsets(ctx, r.topic); err == nil {
		o, _ := end.Lookup(r.topic, partition)
		g.Last = o.Offset - 1
	}
	r.tell(g)
}

// recognize looks whether the topic is the one that is read, and what it has
// reaches as far as what was read.
func (r *reader) recognize(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	detail, err := r.bus.find(ctx, r.topic)
	missing := fault.Is(err, fault.NotFound)
	if err != nil && !missing {
		return nil // a cluster that is away is waited for
	}
	if missing || identity(detail) != r.identity {
		r.mu.Lock()
		g := &bus.Gap{Topic: r.topic, Wiped: true}
		for n, next := range r.next {
			if next > g.Asked || g.Partition == "" {
				g.Partition, g.Asked = r.name(n), next
			}
		}
		r.mu.Unlock()
		r.tell(g)
		return nil
	}
	end, err := r.bus.admin.ListEndOffsets(ctx, r.topic)
	if err != nil {
		return nil
	}
	r.behind(end)
	return nil
}

// behind tells a gap when a partition ends before what was read.
func (r *reader) behind(end kadm.ListedOffsets) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, next := range r.next {
		if o, ok := end.Lookup(r.topic, n); ok && o.Err == nil && o.Offset < next && r.gap == nil {
			r.gap = &bus.Gap{Topic: r.topic, Partition: r.name(n), Asked: next, Last: o.Offset - 1}
		}
	}
}

// Ack notes how far the group is, which is told to Kafka every few seconds.
func (r *reader) Ack(_ context.Context, events []bus.Event) error {
	if !r.group {
		return nil
	}
	far := map[int32]int64{}
	for _, e := range events {
		if n, identity, ok := bus.Number(e.Partition); ok && identity == r.identity {
			far[int32(n)] = max(far[int32(n)], e.Offset+1)
		}
	}
	marks := map[int32]kgo.EpochOffset{}
	r.mu.Lock()
	for n, offset := range far {
		if _, mine := r.next[n]; mine {
			marks[n] = kgo.EpochOffset{Epoch: -1, Offset: offset}
		}
	}
	r.mu.Unlock()
	r.client.MarkCommitOffsets(map[string]map[int32]kgo.EpochOffset{r.topic: marks})
	return nil
}

// Lag counts what stands behind what Next returned, in the reader's partitions.
func (r *reader) Lag(ctx context.Context) (int64, error) {
	end, err := r.bus.admin.ListEndOffsets(ctx, r.topic)
	if err = errors.Join(err, end.Error()); err != nil {
		return -1, translate(err, "asking where "+r.topic+" ends")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var lag int64
	for n, next := range r.next {
		if o, ok := end.Lookup(r.topic, n); ok {
			lag += max(0, o.Offset-next)
		}
	}
	return lag, nil
}

// Close leaves the group.
func (r *reader) Close() error {
	r.bus.forget(r)
	r.mu.Lock()
	closed := r.closed
	r.closed = true
	r.mu.Unlock()
	if closed {
		return nil
	}
	if r.group {
		r.client.CloseAllowingRebalance() // it tells which partitions are lost
		return nil
	}
	r.client.Close()
	r.lose(slices.Sorted(maps.Keys(r.next)))
	return nil
}
