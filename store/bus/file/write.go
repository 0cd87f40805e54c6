package file

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// writer appends to one log.
type writer struct {
	bus *Bus
	log *log

	mu     sync.RWMutex // read-held by each Write, so that Close waits for them
	closed bool
}

// Write appends events to the newest file and flushes it.
func (w *writer) Write(ctx context.Context, events []bus.Event) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return fault.New(fault.Internal, "a writer is used that was closed")
	}
	if err := ctx.Err(); err != nil || len(events) == 0 {
		return err
	}
	lines := make([][]byte, len(events))
	for i, e := range events {
		err := bus.CheckHeaders(e.Headers)
		if err == nil {
			if w.log.format == Events {
				lines[i], err = encode(e)
			} else {
				lines[i], err = oneLine(e.Body)
			}
		}
		if err != nil {
			return &bus.Refused{Index: i, Err: err}
		}
	}
	return w.log.append(events, lines)
}

// Close waits for what is being written.
func (w *writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.bus.forget(w)
	return nil
}

// log is a file and those that follow it. Its file is open only while it is
// written, under a lock that other processes respect.
type log struct {
	base    string
	format  Format
	maxFile int64

	mu     sync.Mutex
	number int   // of the newest file
	size   int64 // that this process left it with
	ids    *recent
	loaded bool // the IDs of the newest file are known
	failed error
}

// append writes the lines of events that are not there yet.
func (l *log) append(events []bus.Event, lines [][]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return l.failed
	}
	f, err := l.openNewest()
	if err != nil {
		return err
	}
	defer f.Close() // what was written is flushed before
	var all []byte
	fresh := map[string]bool{}
	for i, e := range events {
		if e.ID != "" && (l.ids.has(e.ID) || fresh[e.ID]) {
			continue
		}
		all = append(all, lines[i]...)
		if e.ID != "" {
			fresh[e.ID] = true
		}
	}
	if len(all) == 0 {
		return nil
	}
	if n, err := f.Write(all); err != nil {
		// Half of a line must not stay; what cannot be undone now is cut off
		// by the next that opens the file.
		_ = f.Truncate(l.size)
		return writeFault(err, "%d of %d bytes were written to %s", n, len(all), filepath.Base(l.base))
	}
	if err := f.Sync(); err != nil {
		// Nobody knows what is on the disk after this: it is not tried again.
		l.failed = fault.Wrap(err, fault.Internal, "%s could not be flushed to the disk", filepath.Base(l.base))
		return l.failed
	}
	l.size += int64(len(all))
	for id := range fresh {
		l.ids.add(id)
	}
	return nil
}

func writeFault(err error, format string, args ...any) error {
	kind := fault.Unavailable
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		kind = fault.Full
	}
	return fault.Wrap(err, kind, format, args...)
}

// openNewest returns the newest file, locked, whole and not full, at its end.
func (l *log) openNewest() (*os.File, error) {
	if l.number == 0 {
		if err := l.find(); err != nil {
			return nil, err
		}
	}
	for {
		f, err := l.open()
		if err != nil {
			return nil, err
		}
		if l.size < l.maxFile {
			return f, nil
		}
		_ = f.Close() // nothing was written
		l.number++
	}
}

// find looks which file is the newest, and makes the folder.
func (l *log) find() error {
	if err := os.MkdirAll(filepath.Dir(l.base), 0o755); err != nil {
		return writeFault(err, "the folder of %s cannot be made", filepath.Base(l.base))
	}
	files, err := numbered(l.base)
	if err != nil {
		return err
	}
	l.number = max(1, len(files))
	if len(files) > 0 {
		l.number = numberOf(filepath.Base(l.base), filepath.Base(files[len(files)-1]))
	}
	return nil
}

func (l *log) open() (*os.File, error) {
	path := nameOf(l.base, l.number)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, writeFault(err, "%s cannot be written", filepath.Base(path))
	}
	if err := l.prepare(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

// prepare locks a file and mends its end. The lock goes with the file.
func (l *log) prepare(f *os.File) error {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return fault.New(fault.Invalid, "%s is not a file", f.Name())
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be locked", f.Name())
	}
	if info, err = f.Stat(); err != nil {
		return fault.Wrap(err, fault.Unavailable, "%s cannot be read", f.Name())
	}
	if info.Size() == 0 {
		if err := syncFolder(filepath.Dir(f.Name())); err != nil {
			return err
		}
	}
	if info.Size() == l.size && l.loaded {
		return nil // as this process left it
	}
	if l.size, err = mend(f, info.Size()); err != nil {
		return writeFault(err, "the end of %s cannot be mended", f.Name())
	}
	if l.format == Events {
		if err := l.load(f); err != nil {
			return err
		}
	}
	l.loaded = true
	return nil
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return writeFault(err, "the folder %s cannot be opened", path)
	}
	defer d.Close()
	return writeFault(d.Sync(), "the folder %s cannot be flushed to the disk", path)
}

// mend cuts off a line without an end and returns the size that is left.
func mend(f *os.File, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(end, int64(len(block)))
		if _, err := f.ReadAt(block[:n], end-n); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(block[:n], '\n'); at >= 0 {
			whole := end - n + int64(at) + 1
			if whole == size {
				return size, nil
			}
			return whole, errors.Join(f.Truncate(whole), f.Sync())
		}
		end -= n
	}
	if size == 0 {
		return 0, nil
	}
	return 0, errors.Join(f.Truncate(0), f.Sync())
}

// remembered is how much of the end of a file of events is read for the IDs
// that it has.
const remembered = 16 << 20

func (l *log) load(f *os.File) error {
	from := max(0, l.size-remembered)
	s := &scan{file: f}
	if err := s.begin(f.Name(), from); err != nil {
		return err
	}
	for first := true; ; first = false {
		line, _, whole, err := s.record(3 * bus.DefaultMaxEvent)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "%s cannot be read", f.Name())
		}
		if !whole || first && from > 0 { // perhaps half of one
			continue
		}
		if e := decode(line); e.ID != "" {
			l.ids.add(e.ID)
		}
	}
}

// recent remembers IDs: the last most of them at least, twice as many at the
// most.
type recent struct{ now, before map[string]bool }

const mostIDs = 100_000

func newRecent() *recent { return &recent{now: map[string]bool{}, before: map[string]bool{}} }

func (r *recent) has(id string) bool { return r.now[id] || r.before[id] }

func (r *recent) add(id string) {
	if len(r.now) >= mostIDs {
		r.before, r.now = r.now, map[string]bool{}
	}
	r.now[id] = true
}
