package nats

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/leat-ai/leat/base/fault"
)

// syncer puts what a stream of the server within the process has written onto
// the disk. The server itself flushes every message by itself, or a batch
// after it has stored it twice; here many writers and readers wait for one
// flush of the files, as databases commit in groups.
//
// It relies on this: when the server has acknowledged or delivered a message,
// it has written it to a block of the stream, the file msgs/N.blk with the
// highest N, and it never writes to a block with a lower one again but to take
// old events out of it. Those files and the folder are what is flushed.
type syncer struct {
	folder string // that of the stream
	flush  func(path string) error

	mu      sync.Mutex
	done    uint64 // sequences up to this one are on the disk
	asked   uint64 // the highest that somebody waits for
	running bool
	round   chan struct{} // closed when the flush at work ends, and made anew
	failed  error         // a flush failed: nothing is sure any more
	block   int           // the block with the highest number that was flushed; 0: none yet
}

func newSyncer(folder string, flush func(path string) error) *syncer {
	return &syncer{folder: folder, flush: flush, round: make(chan struct{})}
}

// ensure returns once a sequence that was written is on the disk.
func (s *syncer) ensure(ctx context.Context, sequence uint64) error {
	s.mu.Lock()
	for s.done < sequence && s.failed == nil {
		s.asked = max(s.asked, sequence)
		if !s.running {
			s.running = true
			go s.work()
		}
		round := s.round
		s.mu.Unlock()
		select {
		case <-round:
		case <-ctx.Done():
			return translate(ctx.Err(), "waiting for the disk")
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.done >= sequence {
		return nil
	}
	return s.failed
}

// work flushes until nobody waits.
func (s *syncer) work() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.done < s.asked && s.failed == nil {
		target := s.asked
		s.mu.Unlock()
		err := s.files()
		s.mu.Lock()
		if err != nil {
			// The kernel may have thrown away what it could not write, and says
			// so once: what it says the next time means nothing.
			s.failed = fault.New(fault.Unavailable, "the disk failed under the bus; it takes no more events").
				Hint("look after the disk and start again").Because(err)
		} else {
			s.done = target
		}
		close(s.round)
		s.round = make(chan struct{})
	}
	s.running = false
}

// files flushes every block that may have been written to since the last time.
func (s *syncer) files() error {
	folder := filepath.Join(s.folder, "msgs")
	if s.block == 0 {
		if err := s.first(folder); err != nil {
			return err
		}
	}
	for {
		err := s.flush(filepath.Join(folder, fmt.Sprintf("%d.blk", s.block)))
		if errors.Is(err, os.ErrNotExist) { // it became too old meanwhile
			return s.first(folder)
		}
		if err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(folder, fmt.Sprintf("%d.blk", s.block+1))); err != nil {
			return nil
		}
		s.block++
		if err := s.flush(folder); err != nil {
			return err
		}
	}
}

// first flushes all that there is: the blocks, what says how the stream is
// configured, and the folders that lead there.
func (s *syncer) first(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var blocks []int
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimSuffix(e.Name(), ".blk")); err == nil {
			blocks = append(blocks, n)
		}
	}
	if len(blocks) == 0 {
		return fault.New(fault.Corrupt, "the topic has no file in %s", filepath.Base(s.folder))
	}
	slices.Sort(blocks)
	for _, n := range blocks {
		if err := s.flush(filepath.Join(folder, fmt.Sprintf("%d.blk", n))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	paths := []string{filepath.Join(s.folder, "meta.inf"), filepath.Join(s.folder, "meta.sum"), folder, s.folder}
	for dir, i := s.folder, 0; i < 5; i++ { // streams, account, jetstream, the bus, the home
		dir = filepath.Dir(dir)
		paths = append(paths, dir)
	}
	for _, path := range paths {
		if err := s.flush(path); err != nil {
			return err
		}
	}
	s.block = blocks[len(blocks)-1]
	return nil
}

// flush makes the system write a file or folder to the disk.
func flush(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
