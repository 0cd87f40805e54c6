package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
)

// Names of segments in the folder: one that is written ends in .open, a
// finished one in .seg. One in which damage was found is kept in the folder
// damaged once its records are in the lake.
const (
	suffixOpen    = ".open"
	suffixSealed  = ".seg"
	folderDamaged = "damaged"
)

// file is what segments need of an *os.File opened for appending.
type file interface {
	Write(p []byte) (int, error)
	Sync() error
	Truncate(size int64) error
	Close() error
}

type creator func(path string) (file, error)

func createFile(path string) (file, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// segments is the folder and the segment that is written. Its methods but
// list and open are for one goroutine at a time.
type segments struct {
	dir      string
	seed     uint64
	create   creator
	clock    clock.Clock
	repaired int64 // bytes of torn tails that Open cut off

	present file // nil: none yet
	name    string
	size    int64
	begun   time.Time
	synced  time.Time
	dirty   bool // written and not synced
}

func openSegments(o Options, seed uint64) (*segments, error) {
	s := &segments{dir: o.Dir, seed: seed, create: o.create, clock: o.Clock}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of the decision log cannot be made")
	}
	names, err := s.list()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, suffixOpen) {
			if err := s.repair(name); err != nil {
				return nil, describe(fmt.Errorf("segment %s: %w", name, err))
			}
		}
	}
	return s, nil
}

// repair cuts off what a crash left behind the last whole record of a
// segment, and finishes it.
func (s *segments) repair(name string) error {
	path := filepath.Join(s.dir, name)
	data, err := readSegment(path)
	if err != nil {
		return err
	}
	found, err := scanSegment(data)
	switch {
	case err != nil && len(data) > headSize: // more than a crash does: somebody should look at it
		s.repaired += int64(len(data))
		return putAside(s.dir, name)
	case err != nil || len(found.payloads) == 0: // it had only been begun
		s.repaired += int64(max(0, len(data)-headSize))
		return os.Remove(path)
	}
	if torn := found.torn(data); torn > 0 {
		s.repaired += torn
		if err := os.Truncate(path, int64(found.end)); err != nil {
			return err
		}
	}
	return s.rename(name)
}

// putAside moves a damaged segment to where nothing reads it any more, for
// somebody to look at.
func putAside(dir, name string) error {
	folder := filepath.Join(dir, folderDamaged)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	return os.Rename(filepath.Join(dir, name), filepath.Join(folder, name))
}

// rename marks a segment as finished.
func (s *segments) rename(name string) error {
	sealed := strings.TrimSuffix(name, suffixOpen) + suffixSealed
	if err := os.Rename(filepath.Join(s.dir, name), filepath.Join(s.dir, sealed)); err != nil {
		return err
	}
	return syncDir(s.dir)
}

// list names the segments of the folder, oldest first.
func (s *segments) list() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the folder of the decision log cannot be read")
	}
	var names []string
	for _, e := range entries {
		if n := e.Name(); strings.HasSuffix(n, suffixOpen) || strings.HasSuffix(n, suffixSealed) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names, nil
}

// write appends blocks of records to the present segment, and makes one when
// there is none. When one does not go in whole, all of them are taken back.
func (s *segments) write(blocks [][]byte, sync bool) error {
	if len(blocks) > 0 {
		if err := s.append(blocks); err != nil {
			return err
		}
	}
	if s.dirty && (sync || s.clock.Now().Sub(s.synced) >= time.Second) {
		return s.sync()
	}
	return nil
}

func (s *segments) append(blocks [][]byte) error {
	if s.present == nil {
		if err := s.begin(); err != nil {
			return err
		}
	}
	size := s.size
	for _, block := range blocks {
		n, err := s.present.Write(block)
		size += int64(n)
		if err == nil {
			continue
		}
		if undo := s.present.Truncate(s.size); undo != nil {
			return fmt.Errorf("%w: %w", errSync, errors.Join(err, undo))
		}
		return err
	}
	s.size, s.dirty = size, true
	return nil
}

// begin makes a segment. It has its name on disk before anything in it is
// acknowledged.
func (s *segments) begin() error {
	now := s.clock.Now()
	name := newID(now) + suffixOpen
	path := filepath.Join(s.dir, name)
	f, err := s.create(path)
	if err != nil {
		return err
	}
	if _, err = f.Write(head(s.seed)); err == nil {
		err = syncDir(s.dir)
	}
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(path))
	}
	s.present, s.name, s.size, s.begun, s.synced = f, name, int64(headSize), now, now
	return nil
}

func (s *segments) sync() error {
	if err := s.present.Sync(); err != nil {
		return fmt.Errorf("%w: %w", errSync, err)
	}
	s.dirty, s.synced = false, s.clock.Now()
	return nil
}

// due tells whether the present segment is large or old enough.
func (s *segments) due(o Options) bool {
	if s.present == nil || s.size <= int64(headSize) {
		return false
	}
	return s.size >= o.SegmentMax || s.clock.Now().Sub(s.begun) >= o.SegmentAge
}

// seal finishes the present segment, if it holds anything.
func (s *segments) seal() error {
	if s.present == nil || s.size <= int64(headSize) {
		return nil
	}
	if s.dirty {
		if err := s.sync(); err != nil {
			return err
		}
	}
	f := s.present
	s.present = nil
	return errors.Join(f.Close(), s.rename(s.name))
}

// abandon lets go of a segment that could not be synced. What it holds is
// read, but nothing more is written to it.
func (s *segments) abandon() error {
	if s.present == nil {
		return nil
	}
	f := s.present
	s.present, s.dirty = nil, false
	_ = f.Close() // its sync failed: it has nothing to say any more
	return s.rename(s.name)
}

// maxSegment bounds what is read into memory: a segment and the group that
// took it over its size.
const maxSegment = 1 << 30

func readSegment(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f)
}

func readAll(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSegment {
		return nil, fault.New(fault.TooLarge, "segment %s has %d bytes", filepath.Base(f.Name()), info.Size())
	}
	data := make([]byte, info.Size())
	n, err := f.ReadAt(data, 0)
	if n == len(data) {
		err = nil
	}
	return data[:n], err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
