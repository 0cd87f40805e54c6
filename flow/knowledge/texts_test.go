package knowledge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// shelf is where texts lie: each is its digest over and over. It notes what is
// open at a time.
type shelf struct {
	size    int64
	opened  atomic.Int64
	reading atomic.Int64 // bytes
	peak    atomic.Int64
	wait    chan struct{} // a read goes on once it is closed
}

func (s *shelf) text(d blob.Digest) []byte {
	return bytes.Repeat([]byte(d), int(s.size)/len(d)+1)[:s.size]
}

func (s *shelf) open(ctx context.Context, d blob.Digest) (io.ReadCloser, error) {
	s.opened.Add(1)
	now := s.reading.Add(s.size)
	for peak := s.peak.Load(); now > peak; peak = s.peak.Load() {
		s.peak.CompareAndSwap(peak, now)
	}
	if s.wait != nil {
		select {
		case <-s.wait:
		case <-ctx.Done():
			s.reading.Add(-s.size)
			return nil, ctx.Err()
		}
	}
	return &opened{Reader: bytes.NewReader(s.text(d)), shelf: s}, nil
}

type opened struct {
	io.Reader
	shelf *shelf
}

func (o *opened) Close() error {
	o.shelf.reading.Add(-o.shelf.size)
	return nil
}

// Many read many texts at once: all get what they asked for, and neither what
// is kept nor what is being read is ever more than it may be.
func TestTextsAreBounded(t *testing.T) {
	const size, most, reading = 1000, 4 * 1000, 3*1000 + 500
	s := &shelf{size: size}
	texts := newTexts(s.open, most, reading)
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(i), 1))
			for range 200 {
				d := blob.Digest(fmt.Sprintf("text %d ", random.IntN(12)))
				text, err := texts.get(t.Context(), d, size)
				if err != nil || !bytes.Equal(text, s.text(d)) {
					t.Errorf("%q: %d bytes, %v", d, len(text), err)
					return
				}
				texts.mu.Lock()
				held := int64(0)
				for e := texts.recent.Front(); e != nil; e = e.Next() {
					held += int64(len(e.Value.(kept).text))
				}
				if held > most || held != texts.size || texts.recent.Len() != len(texts.by) {
					t.Errorf("%d bytes are kept, %d are said to be", held, texts.size)
				}
				texts.mu.Unlock()
			}
		})
	}
	all.Wait()
	if peak := s.peak.Load(); peak > reading {
		t.Errorf("%d bytes were read at a time, not %d", peak, reading)
	}
	if len(texts.reads) != 0 || s.reading.Load() != 0 {
		t.Errorf("%d reads and %d bytes are left over", len(texts.reads), s.reading.Load())
	}
}

// All who ask for a text while it is read get it of one read, which outlives
// the one who asked first, and ends with the last.
func TestOneReadForAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{size: 10, wait: make(chan struct{})}
		texts := newTexts(s.open, 100, 100)
		ask := func(ctx context.Context) chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := texts.get(ctx, "a", 10)
				answer <- err
			}()
			synctest.Wait()
			return answer
		}
		first, leave := context.WithCancel(t.Context())
		a, b := ask(first), ask(t.Context())
		leave()
		if err := <-a; !errors.Is(err, context.Canceled) {
			t.Errorf("who left is told %v", err)
		}
		close(s.wait)
		if err := <-b; err != nil {
			t.Error(err)
		}
		if err := <-ask(t.Context()); err != nil || s.opened.Load() != 1 {
			t.Errorf("it was read %d times, %v", s.opened.Load(), err)
		}
		s.wait = make(chan struct{})
		last, leave := context.WithCancel(t.Context())
		answer := make(chan error, 1)
		go func() {
			_, err := texts.get(last, "b", 10)
			answer <- err
		}()
		synctest.Wait()
		leave()
		<-answer
		synctest.Wait()
		if s.reading.Load() != 0 || len(texts.reads) != 0 {
			t.Error("what nobody waits for is still read")
		}
	})
}

// A text that is larger than all that is kept is read each time, and one that
// is not as long as it was is not given.
func TestTextsThatAreNotKept(t *testing.T) {
	s := &shelf{size: 101}
	texts := newTexts(s.open, 100, 1000)
	for range 3 {
		if text, err := texts.get(t.Context(), "a", 101); err != nil || len(text) != 101 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
	}
	if s.opened.Load() != 3 || texts.size != 0 {
		t.Errorf("read %d times, %d bytes are kept", s.opened.Load(), texts.size)
	}
	for _, size := range []int64{-1, 50, 150} {
		if _, err := texts.get(t.Context(), "a", size); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if _, err := texts.get(t.Context(), "a", maxText+1); !fault.Is(err, fault.TooLarge) {
		t.Error(err)
	}
}
