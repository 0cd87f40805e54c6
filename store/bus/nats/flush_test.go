package nats

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// disk remembers what was flushed: how long each file was, and which names
// each folder had. A power cut may take everything else.
type disk struct {
	mu      sync.Mutex
	lengths map[string]int64
	names   map[string][]string
	flushes int
}

func newDisk() *disk { return &disk{lengths: map[string]int64{}, names: map[string][]string{}} }

// flush notes what there is before it is flushed: what comes meanwhile may be
// lost.
func (d *disk) flush(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	var names []string
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil {
			return err
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
	}
	if err := flush(path); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushes++
	if info.IsDir() {
		d.names[path] = names
	} else {
		d.lengths[path] = info.Size()
	}
	return nil
}

// image copies what a power cut leaves below a folder now. before is called
// while nothing is flushed.
func (d *disk) image(t *testing.T, root string, before func()) string {
	t.Helper()
	d.mu.Lock()
	before()
	lengths, names := map[string]int64{}, map[string][]string{}
	for path, length := range d.lengths {
		lengths[path] = length
	}
	for path, all := range d.names {
		names[path] = all
	}
	d.mu.Unlock()
	reachable := func(path string) bool {
		for path != root {
			if !slices.Contains(names[filepath.Dir(path)], filepath.Base(path)) {
				return false
			}
			path = filepath.Dir(path)
		}
		return true
	}
	image := t.TempDir()
	for path, length := range lengths {
		if !reachable(path) {
			continue
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		copyPart(t, path, filepath.Join(image, relative), length)
	}
	return image
}

func copyPart(t *testing.T, from, to string, length int64) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.CopyN(out, in, length); err != nil {
		t.Fatal(err)
	}
}

// ids is a set that many goroutines add to.
type ids struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *ids) add(events ...bus.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range events {
		s.all[e.ID] = true
	}
}

func (s *ids) copy() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]bool{}
	for id := range s.all {
		all[id] = true
	}
	return all
}

// traffic writes and reads a topic until the context ends.
func traffic(ctx context.Context, t *testing.T, s *Server, acknowledged, read *ids) (wait func()) {
	t.Helper()
	b, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := b.Writer(t.Context(), "power")
	if err != nil {
		t.Fatal(err)
	}
	r, err := b.Reader(t.Context(), "power", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var events []bus.Event
				for j := range 1 + n%5 {
					events = append(events, bus.Event{ID: fmt.Sprint(i, "-", n, "-", j), Body: make([]byte, 4000)})
				}
				if err := w.Write(t.Context(), events); err != nil {
					t.Errorf("writing: %v", err)
					return
				}
				acknowledged.add(events...)
			}
		})
	}
	group.Go(func() {
		for {
			events, err := r.Next(ctx, 100)
			if err != nil {
				return
			}
			read.add(events...)
		}
	})
	return func() { group.Wait(); _ = b.Close() }
}

// powerCut takes the power away a few times and counts what is missing of what
// was acknowledged or read.
func powerCut(t *testing.T, c ServerConfig, cuts int) (missing, flushes int) {
	t.Helper()
	c.Folder = t.TempDir()
	s, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := newDisk()
	s.flush = d.flush
	acknowledged, read := &ids{all: map[string]bool{}}, &ids{all: map[string]bool{}}
	ctx, cancel := context.WithCancel(t.Context())
	wait := traffic(ctx, t, s, acknowledged, read)
	defer wait()
	defer cancel()
	for range cuts {
		time.Sleep(150 * time.Millisecond)
		var promised map[string]bool
		image := d.image(t, filepath.Dir(c.Folder), func() {
			promised = acknowledged.copy()
			for id := range read.copy() {
				promised[id] = true
			}
		})
		left := recovered(t, filepath.Join(image, filepath.Base(c.Folder)))
		for id := range promised {
			if !left[id] {
				missing++
			}
		}
		if len(promised) == 0 {
			t.Error("nothing was acknowledged before the power went")
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return missing, d.flushes
}

// recovered starts a server on what a power cut left, and lists the IDs.
func recovered(t *testing.T, folder string) map[string]bool {
	t.Helper()
	s, err := Start(t.Context(), ServerConfig{Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r, err := b.Reader(t.Context(), "power", bus.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		lag, err := r.Lag(ctx)
		if fault.Is(err, fault.Unavailable) {
			cancel()
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if lag == 0 {
			cancel()
			return all
		}
		events, err := r.Next(ctx, 1000)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			all[e.ID] = true
		}
	}
}

func TestPowerCut(t *testing.T) {
	missing, flushes := powerCut(t, ServerConfig{}, 4)
	if missing > 0 {
		t.Errorf("%d events are gone that were acknowledged or read", missing)
	}
	if flushes == 0 {
		t.Error("nothing was flushed")
	}
}

// TestPowerCutTakesWhatIsNotFlushed holds the test above to account.
func TestPowerCutTakesWhatIsNotFlushed(t *testing.T) {
	if missing, _ := powerCut(t, ServerConfig{Sync: time.Hour}, 1); missing == 0 {
		t.Error("a power cut took nothing from a bus that flushes once an hour")
	}
}

// TestFailedFlush fails a flush: no event is acknowledged any more.
func TestFailedFlush(t *testing.T) {
	s, err := Start(t.Context(), ServerConfig{Folder: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var broken atomic.Bool
	s.flush = func(path string) error {
		if broken.Load() {
			return errors.New("input/output error")
		}
		return flush(path)
	}
	b, err := s.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	w, err := b.Writer(t.Context(), "disk")
	if err != nil {
		t.Fatal(err)
	}
	write := func(id string) error { return w.Write(t.Context(), []bus.Event{{ID: id, Body: []byte(id)}}) }
	if err := write("before"); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	if err := write("during"); err == nil {
		t.Error("an event was acknowledged that is not on the disk")
	}
	broken.Store(false) // the kernel says it once
	if err := write("after"); err == nil {
		t.Error("the bus goes on after a failed flush")
	}
}
