package nats

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// metaPartitions is where a stream's metadata says how many partitions it has.
const metaPartitions = "leat-partitions"

// topic is what is known of the stream behind a subject.
type topic struct {
	name       string // the subject
	stream     string
	identity   string // another one after the stream was made anew
	partitions int
	atomic     bool // whether it takes atomic batches
	foreign    bool // made by others: partitions mean nothing
}

// subject is where an event of a partition is published.
func (t *topic) subject(partition int) string {
	if t.partitions == 1 {
		return t.name
	}
	return t.name + "." + strconv.Itoa(partition)
}

// filter lists the subjects of some partitions.
func (t *topic) filter(partitions []int) []string {
	if t.foreign || t.partitions == 1 {
		return []string{t.name}
	}
	if len(partitions) == t.partitions {
		return nil
	}
	var all []string
	for _, p := range partitions {
		all = append(all, t.subject(p))
		if p == 0 {
			all = append(all, t.name)
		}
	}
	return all
}

// partitionOf tells the partition by the subject of an event.
func (t *topic) partitionOf(subject string) int {
	if t.partitions == 1 || len(subject) <= len(t.name) {
		return 0
	}
	n, err := strconv.Atoi(subject[len(t.name)+1:])
	if err != nil || n < 0 || n >= t.partitions {
		return 0
	}
	return n
}

// choose is the partition of a key; without one, turn decides.
func (t *topic) choose(key []byte, turn uint32) int {
	if t.partitions == 1 {
		return 0
	}
	if len(key) > 0 {
		h := fnv.New32a()
		_, _ = h.Write(key) // never fails
		turn = h.Sum32()
	}
	return int(turn % uint32(t.partitions))
}

func (t *topic) partition(number int) string { return bus.Partition(number, t.identity) }

// checkTopic tells whether a name can be a subject; wild whether it may stand
// for many.
func checkTopic(name string, wild bool) error {
	bad := func(why string) error {
		return fault.New(fault.Invalid, "%.100q cannot be a topic of NATS: %s", name, why).
			Hint("write words with dots between them, such as orders.new")
	}
	if len(name) > 200 {
		return bad("it is too long")
	}
	if strings.HasPrefix(name, "$") || strings.HasPrefix(name, "_INBOX") {
		return bad("such subjects are the server's own")
	}
	tokens := strings.Split(name, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return bad("a word is empty")
		case token == "*" || token == ">" && i == len(tokens)-1:
			if !wild {
				return bad("it stands for many")
			}
		case strings.ContainsAny(token, "*>") || strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }):
			return bad("a word has characters that mean something else")
		}
	}
	return nil
}

func wild(name string) bool { return strings.ContainsAny(name, "*>") }

// streamName is what the stream of a topic is called that the bus makes. Names
// of streams have no dots; what stands for them is written out.
func streamName(topic string) string {
	var b strings.Builder
	for _, r := range topic {
		switch {
		case r == '.':
			b.WriteByte('-')
		case r == '_' || r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "=%x", r)
		}
	}
	return b.String()
}

// find looks a topic up; NotFound when no stream keeps it.
func (b *Bus) find(ctx context.Context, name string) (*topic, *jetstream.StreamInfo, error) {
	stream, err := b.js.StreamNameBySubject(ctx, name)
	if err != nil {
		return nil, nil, translate(b.offline(err), "looking for the topic "+name)
	}
	s, err := b.js.Stream(ctx, stream)
	if err != nil {
		return nil, nil, translate(b.offline(err), "asking for the topic "+name)
	}
	info := s.CachedInfo()
	t := &topic{
		name: name, stream: stream, partitions: 1, atomic: info.Config.AllowAtomicPublish,
		identity: strconv.FormatInt(info.Created.UnixMilli(), 36), foreign: true,
	}
	n, err := strconv.Atoi(info.Config.Metadata[metaPartitions])
	if err == nil && n > 0 && n <= maxPartitions && slices.Contains(info.Config.Subjects, name) {
		t.partitions, t.foreign = n, false
	}
	return t, info, nil
}

// offline tells of an error whether it is the connection that is away.
func (b *Bus) offline(err error) error {
	if b.conn.Status() == nats.CONNECTED || errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	b.mu.Lock()
	why := b.trouble
	b.mu.Unlock()
	if why == nil {
		why = err
	}
	return fault.New(fault.Unavailable, "NATS does not answer").Because(why)
}

// ensure looks a topic up and makes it when it is not there.
func (b *Bus) ensure(ctx context.Context, name string) (*topic, *jetstream.StreamInfo, error) {
	t, info, err := b.find(ctx, name)
	if !fault.Is(err, fault.NotFound) {
		return t, info, err
	}
	if wild(name) {
		return nil, nil, fault.New(fault.NotFound, "no stream keeps the subjects %s", name).
			Hint("make the stream on the server, or name one subject")
	}
	c := b.config.Topics
	config := jetstream.StreamConfig{
		Name: streamName(name), Subjects: []string{name}, Storage: jetstream.FileStorage,
		Discard: jetstream.DiscardNew, MaxAge: c.Age, MaxBytes: c.Bytes, Duplicates: c.Dedupe, Replicas: c.Replicas,
		AllowDirect: true, AllowAtomicPublish: atLeast(b.conn.ConnectedServerVersion(), 2, 12),
		Metadata: map[string]string{metaPartitions: strconv.Itoa(c.Partitions)},
	}
	if c.Bytes <= 0 {
		config.MaxBytes = -1
	}
	if c.Partitions > 1 {
		for p := range c.Partitions {
			config.Subjects = append(config.Subjects, name+"."+strconv.Itoa(p))
		}
	}
	_, err = b.js.CreateStream(ctx, config)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // somebody was quicker
		return nil, nil, translate(b.offline(err), "making the topic "+name)
	}
	return b.find(ctx, name)
}

// atLeast compares the version of a server.
func atLeast(version string, major, minor int) bool {
	var a, b int
	if _, err := fmt.Sscanf(version, "%d.%d", &a, &b); err != nil {
		return false
	}
	return a > major || a == major && b >= minor
}

// Partitions lists the partitions of a topic, which is made when it is not
// there.
func (b *Bus) Partitions(ctx context.Context, name string) ([]string, error) {
	if err := checkTopic(name, true); err != nil {
		return nil, err
	}
	t, _, err := b.ensure(ctx, name)
	if err != nil {
		return nil, err
	}
	all := make([]string, t.partitions)
	for p := range all {
		all[p] = t.partition(p)
	}
	return all, nil
}
