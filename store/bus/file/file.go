// Package file is the bus of files: a log to be read again from any place, for
// backfill and replay, and a sink of JSON lines.
//
// A topic is the path of a file or a glob. Each file is a partition, named by
// its path, and the offset of an event is the number of its record in the
// file, from 0: the third line of a file of lines has the offset 2. Files are
// read in the order of their names, one after the other, and Next ends with
// io.EOF behind the last; with Config.Follow it waits for more lines and for
// more files instead. What is unpacked (.gz) is never followed.
//
// Written files are lines. Every Write ends with a flush to the disk; a file
// that is full is followed by one with a number in its name (out.jsonl,
// out-000002.jsonl, …), and the topic out.jsonl means all of them. A line that
// a crash left half is cut off before anything is appended. Writers of several
// processes take turns by a lock on the file.
//
// Files have no broker that shares them out: the readers of a group agree
// among themselves who reads which (bus.Divider). A line of other people's
// files has no ID, no key and no time; Format Events keeps them.
package file

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Format is how records stand in files.
type Format string

// The formats.
const (
	// Lines are bodies, one a line; blank lines are passed over. A body of JSON
	// is written in one line, another must be one.
	Lines Format = "lines"
	// CSV is comma-separated text under a line of names. A record is read as a
	// JSON object of texts by their names, null where a cell is empty. It is
	// not written.
	CSV Format = "csv"
	// Events are lines of JSON with everything that an event has, for archives
	// and replays.
	Events Format = "events"
)

// FormatOf says how the records stand in a file that has no other Format:
// CSV for .csv, Events for .events.jsonl, otherwise Lines; .gz does not count.
func FormatOf(topic string) Format {
	name := strings.ToLower(strings.TrimSuffix(topic, gz))
	switch {
	case strings.HasSuffix(name, ".csv"):
		return CSV
	case strings.HasSuffix(name, ".events.jsonl"):
		return Events
	}
	return Lines
}

const gz = ".gz"

// Config says where files are and how they are read and written.
type Config struct {
	// Root is the folder that relative topics stand in; the working folder
	// when empty.
	Root string
	// Format of the records; FormatOf the topic when empty.
	Format Format
	// Follow waits at the end for what is appended.
	Follow bool
	// Poll is how often files are looked at that are followed; 200 ms when 0.
	Poll time.Duration
	// MaxFile is how many bytes a written file has before the next is begun;
	// 256 MiB when 0.
	MaxFile int64
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	switch c.Format {
	case "", Lines, CSV, Events:
	default:
		l.Add(fault.New(fault.Invalid, "no format of files is called %.40q", string(c.Format)).Hint("use lines, csv or events"))
	}
	if c.Poll < 0 || c.MaxFile < 0 {
		l.Add(fault.New(fault.Invalid, "the pause and the size of files must not be negative"))
	}
	return l.Err()
}

// Bus is a folder of files.
type Bus struct {
	config Config

	mu     sync.Mutex
	closed bool
	open   map[io.Closer]bool
	logs   map[string]*log // that are written, by path
}

var (
	_ bus.Bus     = (*Bus)(nil)
	_ bus.Divider = (*Bus)(nil)
)

// Open returns a bus of files.
func Open(_ context.Context, c Config) (*Bus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Poll == 0 {
		c.Poll = 200 * time.Millisecond
	}
	if c.MaxFile == 0 {
		c.MaxFile = 256 << 20
	}
	return &Bus{config: c, open: map[io.Closer]bool{}, logs: map[string]*log{}}, nil
}

// Positioned is true: files are logs.
func (b *Bus) Positioned() bool { return true }

// Partitions lists the files that a topic has at present.
func (b *Bus) Partitions(_ context.Context, topic string) ([]string, error) {
	return b.list(topic)
}

// Reader begins to read a topic. Without Follow a topic without a file is a
// NotFound fault.
func (b *Bus) Reader(ctx context.Context, topic string, o bus.ReadOptions) (bus.Reader, error) {
	if err := b.check(topic); err != nil {
		return nil, err
	}
	r := newReader(b, topic, o.WithDefaults())
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	if len(r.cursors) == 0 && !b.config.Follow {
		return nil, fault.New(fault.NotFound, "there is no file %s", topic).Hint("paths that are not absolute stand in the project's folder")
	}
	return r, b.keep(r)
}

// Writer begins to append to a topic, whose folder is made when it is not
// there.
func (b *Bus) Writer(_ context.Context, topic string) (bus.Writer, error) {
	if err := b.check(topic); err != nil {
		return nil, err
	}
	format := b.format(topic)
	switch {
	case format == CSV:
		return nil, fault.New(fault.Unsupported, "events are not written as CSV").Hint("write to a file that ends in .jsonl")
	case isGlob(topic):
		return nil, fault.New(fault.Invalid, "events cannot be written to a pattern of files").Hint("name one file: it is followed by others when it is full")
	case strings.HasSuffix(topic, gz):
		return nil, fault.New(fault.Unsupported, "events are not written packed").Hint("write to a file that ends in .jsonl, and pack what is full")
	}
	w := &writer{bus: b, log: b.log(b.path(topic), format)}
	return w, b.keep(w)
}

// Close closes what is left open.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	left := b.open
	b.open = map[io.Closer]bool{}
	b.mu.Unlock()
	var mistakes fault.List
	for each := range left {
		mistakes.Add(each.Close())
	}
	return mistakes.Err()
}

func (b *Bus) keep(c io.Closer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return fault.New(fault.Internal, "a bus is used that was closed")
	}
	b.open[c] = true
	return nil
}

func (b *Bus) forget(c io.Closer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.open, c)
}

// log is the one log of a path, whose writers share what is known of it.
func (b *Bus) log(path string, f Format) *log {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.logs[path]
	if !ok {
		l = &log{base: path, format: f, maxFile: b.config.MaxFile, ids: newRecent()}
		b.logs[path] = l
	}
	return l
}

func (b *Bus) format(topic string) Format {
	if b.config.Format != "" {
		return b.config.Format
	}
	return FormatOf(topic)
}

func (b *Bus) check(topic string) error {
	if topic == "" || strings.ContainsRune(topic, 0) {
		return fault.New(fault.Invalid, "%.100q is not the name of a file", topic)
	}
	return nil
}

func (b *Bus) path(topic string) string {
	topic = filepath.FromSlash(strings.TrimPrefix(topic, "file://"))
	if filepath.IsAbs(topic) {
		return filepath.Clean(topic)
	}
	return filepath.Join(b.config.Root, topic)
}
