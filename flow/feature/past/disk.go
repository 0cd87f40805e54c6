package past

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/leat-ai/leat/base/fault"
)

// disk gives out the files of a join, and counts what is written to them.
type disk struct {
	dir     string
	most    int64 // 0: no bound
	written atomic.Int64

	mu    sync.Mutex
	files []*os.File
}

func newDisk(o Options) (*disk, error) {
	if o.Scratch != "" {
		if err := os.MkdirAll(o.Scratch, 0o700); err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "the folder for what does not fit in memory cannot be made")
		}
	}
	return &disk{dir: o.Scratch, most: o.Disk}, nil
}

// spill is one file that is appended to, by one goroutine, and read in parts.
type spill struct {
	disk *disk
	file *os.File
	size int64
}

// file makes a file. It loses its name at once, so that it goes with the
// process.
func (d *disk) file() (*spill, error) {
	f, err := os.CreateTemp(d.dir, "join-*")
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "a file for what does not fit in memory cannot be made")
	}
	_ = os.Remove(f.Name()) // where a file in use cannot be removed, close does
	d.mu.Lock()
	d.files = append(d.files, f)
	d.mu.Unlock()
	return &spill{disk: d, file: f}, nil
}

// close lets all files go.
func (d *disk) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	d.files = nil
}

// write appends to the file and returns where.
func (s *spill) write(p []byte) (at int64, err error) {
	total := s.disk.written.Add(int64(len(p)))
	if s.disk.most > 0 && total > s.disk.most {
		return 0, fault.New(fault.TooLarge, "the join needs more than the %d MiB of disk that it may have", s.disk.most>>20).
			Hint("join fewer rows at a time, or with views that read fewer columns")
	}
	at = s.size
	n, err := s.file.WriteAt(p, at)
	s.size += int64(n)
	if errors.Is(err, syscall.ENOSPC) {
		return at, fault.New(fault.Full, "there is no room on the disk for what does not fit in memory").Because(err).
			Hint("make room, or set the scratch folder to a larger disk")
	}
	return at, fault.Wrap(err, fault.Unavailable, "what does not fit in memory cannot be written")
}

// read fills p from a place in the file.
func (s *spill) read(p []byte, at int64) error {
	_, err := s.file.ReadAt(p, at)
	if errors.Is(err, fs.ErrClosed) {
		return fault.New(fault.Canceled, "the join was closed").Because(err)
	}
	return fault.Wrap(err, fault.Corrupt, "what was written of the join cannot be read")
}
