// Package bus is the contract of what carries events: topics of brokers,
// queues, webhooks, files and tables, as the stream pattern sees them.
//
// A Bus opens Readers and Writers of topics. A Reader gives events in batches
// and is told which of them are dealt with; a Writer publishes. The bus is
// transport and nothing more: what was decided, how far a stream has come and
// what its windows hold is kept in the catalog, in one transaction, and a
// reader begins where that says. So there are two sorts of readers, told apart
// by Positioned:
//
//   - a log (NATS JetStream, Kafka, files, tables) has partitions, and each
//     event an offset that rises within its partition. Assigned says where to
//     begin; Ack only lets the broker forget.
//   - a queue (AMQP, MQTT, webhooks) has no place to go back to: an event that
//     was not acknowledged is delivered again, and one that was is gone. Ack is
//     what makes it so, and is called after the commit.
//
// Every event is delivered at least once, in the order of its partition (a
// queue promises no order). Readers and writers bound what they hold in
// memory. Backends are the folders below; bustest is their conformance suite.
package bus

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// Event is one message on its way.
type Event struct {
	// ID is what its producer calls it, or "": two events of one ID are the
	// same event.
	ID string
	// Key decides the partition, and with it the order; it may be nil.
	Key []byte
	// Time is when the producer or the broker says that it happened, or zero.
	Time time.Time
	// Headers are the metadata that came with it. A name may stand once.
	Headers []Header
	// Body is the payload. It is the receiver's to keep, not to change.
	Body []byte
	// Partition and Offset are where a log has it: the next event of the
	// partition has a higher offset. A queue says its own handle of the
	// delivery.
	Partition string
	Offset    int64
	// Attempt counts the deliveries of the event as the broker does, from
	// 1; 0 where it does not count.
	Attempt int
}

// Header is one entry of an event's metadata.
type Header struct{ Name, Value string }

// Header returns the value of a header, or "". Names compare without case.
func (e *Event) Header(name string) string {
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

// Reader reads one topic. Next and Ack are called by one goroutine at a time,
// Lag by any.
type Reader interface {
	// Next waits for events and returns between 1 and most of them as soon as
	// there are some, in the order of their partitions. io.EOF (compared by ==)
	// says that a file or table has come to its end. After an Unavailable fault
	// it may be called again; the reader reconnects by itself.
	Next(ctx context.Context, most int) ([]Event, error)
	// Ack says that events are dealt with for good. Of a log, those before
	// them in their partitions are so as well.
	Ack(ctx context.Context, events []Event) error
	// Lag is how many events wait behind those that Next returned, or -1
	// where the broker does not tell.
	Lag(ctx context.Context) (int64, error)
	// Close lets the topic and its partitions go. It is safe to call twice.
	Close() error
}

// Rejecter is a Reader that can tell its broker to deliver an event again.
type Rejecter interface {
	// Reject gives events back, to be delivered again after a time.
	Reject(ctx context.Context, events []Event, after time.Duration) error
}

// Writer publishes to one topic. It is safe for many goroutines.
type Writer interface {
	// Write publishes events in their order and returns once the broker has
	// them as durably as it is configured to. An event whose ID the broker
	// already has, as far as it remembers, is not published twice. After an
	// error any of them may be published or not: write all of them again. Only
	// a *Refused says that none of them was published, and which one is the
	// reason.
	Write(ctx context.Context, events []Event) error
	// Close waits for what is being written. It is safe to call twice.
	Close() error
}

// ReadOptions say how a topic is read.
type ReadOptions struct {
	// Group names those who share the work: each partition is read by one of
	// them. Durable names on the broker are made of it.
	Group string
	// Assigned is called when partitions come to this reader, before their
	// first event, and returns the offset of the next event to read for each:
	// First, Latest, or one more than that of the last event dealt with. nil
	// means First. Queues do not call it.
	Assigned func(ctx context.Context, partitions []string) (map[string]int64, error)
	// Lost is called when partitions go to somebody else; no event of theirs
	// comes from Next after it returned. It may be nil.
	Lost func(partitions []string)
	// Buffer bounds the bytes that are read ahead; 16 MiB when 0.
	Buffer int64
	// MaxEvent bounds the body of one event; 16 MiB when 0. A larger one comes
	// as an event without a body and with the header HeaderTooLarge.
	MaxEvent int64
	// Partitions are those to read, and no group shares them out. When empty,
	// those that the broker assigns to the reader, and where it assigns none
	// (see Divider), all.
	Partitions []string
}

// Bounds of ReadOptions where they are 0, in bytes.
const (
	DefaultBuffer   = 16 << 20
	DefaultMaxEvent = 16 << 20
)

// WithDefaults returns the options with the bounds that are meant by 0.
func (o ReadOptions) WithDefaults() ReadOptions {
	if o.Buffer <= 0 {
		o.Buffer = DefaultBuffer
	}
	if o.MaxEvent <= 0 {
		o.MaxEvent = DefaultMaxEvent
	}
	return o
}

// Places to begin that are no offsets.
const (
	First  int64 = -1 // the oldest event there is
	Latest int64 = -2 // those that come from now on
)

// HeaderTooLarge marks an event whose body was left behind; its value is the
// size of the body in bytes.
const HeaderTooLarge = "leat-too-large"

// Bus opens topics. Its methods are safe for many goroutines.
type Bus interface {
	// Reader begins to read a topic.
	Reader(ctx context.Context, topic string, o ReadOptions) (Reader, error)
	// Writer begins to publish to a topic, which it makes where the broker
	// lets it.
	Writer(ctx context.Context, topic string) (Writer, error)
	// Positioned tells whether topics are logs, with offsets to begin at, or
	// queues.
	Positioned() bool
	// Close closes what is left open. It is safe to call twice.
	Close() error
}

// Divider is a Bus of logs whose broker does not share partitions out among
// the readers of a group: those who share them agree among themselves who
// reads which, and say so in ReadOptions.Partitions.
type Divider interface {
	// Partitions lists the partitions of a topic.
	Partitions(ctx context.Context, topic string) ([]string, error)
}

// Refused is why a Write published nothing: one of its events is such that
// the broker never takes it, because it is too large or its headers cannot be
// written. Its kind is that of the fault within, TooLarge or Invalid.
type Refused struct {
	Index int // of the event among those of the Write
	Err   error
}

// Error says which event it was and what is wrong with it.
func (r *Refused) Error() string {
	return fmt.Sprintf("event %d cannot be published: %v", r.Index, r.Err)
}

// Unwrap returns what is wrong with the event.
func (r *Refused) Unwrap() error { return r.Err }

// Gap says that a log no longer has what a reader was to read: events were
// removed before they were read, or the broker lost what it had. Next returns
// it instead of waiting for events that never come, and returns it again until
// the reader is closed: whoever reads decides whether to begin at First, at
// Last+1, or to fill the log again. Its kind is Corrupt.
type Gap struct {
	Topic     string
	Partition string
	Asked     int64 // the offset that was to be read next
	First     int64 // that of the oldest event that the log has
	Last      int64 // that of the newest; First-1 when it has none
	Wiped     bool  // the log is another than the one that was read: offsets say nothing about it
}

// Error tells what is there and what is not.
func (g *Gap) Error() string {
	if g.Wiped {
		return fmt.Sprintf("partition %s of %s was wiped: what was behind offset %d is gone", g.Partition, g.Topic, g.Asked)
	}
	return fmt.Sprintf("partition %s of %s has the offsets %d to %d and not %d, which comes next",
		g.Partition, g.Topic, g.First, g.Last, g.Asked)
}

// Unwrap returns the fault that gives a Gap its kind.
func (g *Gap) Unwrap() error {
	return fault.New(fault.Corrupt, "the log has a gap").Hint("begin at the oldest event that is left, or fill the topic again from its source")
}

// Partition names a partition of a log by its number and the identity of the
// log, so that a topic that is deleted and made again, or wiped, has other
// partitions than before: an offset of the old one is never taken for one of
// the new. number comes back from Number.
func Partition(number int, identity string) string {
	if identity == "" {
		return strconv.Itoa(number)
	}
	return strconv.Itoa(number) + "@" + identity
}

// Number returns the number and the identity in the name of a partition, and
// whether it is one that Partition made.
func Number(partition string) (number int, identity string, ok bool) {
	digits, identity, _ := strings.Cut(partition, "@")
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), identity, err == nil
}
