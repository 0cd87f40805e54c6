package local

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/onlinetest"
)

func open(t testing.TB, c Config) *Store {
	t.Helper()
	if c.Path == "" {
		c.Path = filepath.Join(t.TempDir(), "online")
	}
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, Config{}) })
}

// TestSmallMemory runs the suite where nearly nothing is kept in memory, so
// that reads and races go through files.
func TestSmallMemory(t *testing.T) {
	onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, Config{Cache: 1 << 16, Memtable: 1 << 17}) })
}

// turned is a clock that a test turns.
type turned struct{ seconds atomic.Int64 }

func (c *turned) Now() time.Time { return time.Unix(1e9+c.seconds.Load(), 0).UTC() }

func TestSweep(t *testing.T) {
	c := &turned{}
	s := open(t, Config{Clock: c})
	const n = 2500
	var entries []online.Entry
	for i := range n {
		e := online.Entry{Key: fmt.Append(nil, i), Value: []byte("x")}
		if i%5 != 0 {
			e.Expires = c.Now().Add(time.Duration(1+i%2) * time.Minute)
		}
		entries = append(entries, e)
	}
	if _, err := s.Put(t.Context(), "view", entries); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		seconds int64
		deleted int
	}{{30, 0}, {90, n * 2 / 5}, {130, n * 2 / 5}, {200, 0}} {
		c.seconds.Store(step.seconds)
		if got, err := s.sweep(t.Context()); err != nil || got != step.deleted {
			t.Errorf("after %d s: %d deleted, %v; want %d", step.seconds, got, err, step.deleted)
		}
	}
	found, err := s.Get(t.Context(), []online.Key{{Table: "view", Key: []byte("5")}, {Table: "view", Key: []byte("6")}}, nil)
	if err != nil || !found[0].OK || found[1].OK {
		t.Errorf("after the sweeps: %+v, %v", found, err)
	}
}

func TestFull(t *testing.T) {
	c := &turned{}
	s := open(t, Config{Clock: c, Reserve: 1000})
	left := uint64(999)
	s.disk.usage = func(string) (vfs.DiskUsage, error) { return vfs.DiskUsage{AvailBytes: left}, nil }
	entries := []online.Entry{{Key: []byte("a")}}
	if _, err := s.Put(t.Context(), "view", entries); !fault.Is(err, fault.Full) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Full with a hint", err)
	}
	left = 1000
	c.seconds.Add(2)
	if _, err := s.Put(t.Context(), "view", entries); err != nil {
		t.Errorf("with space again: %v", err)
	}
}

func TestReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "online")
	s := open(t, Config{Path: path})
	if _, err := Open(t.Context(), Config{Path: path}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a folder that is in use: %v", err)
	}
	if _, err := s.Put(t.Context(), "view", []online.Entry{{Key: []byte("a"), Value: []byte("one"), At: 3}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, Config{Path: path})
	found, err := s.Get(t.Context(), []online.Key{{Table: "view", Key: []byte("a")}}, nil)
	if err != nil || string(found[0].Value) != "one" || found[0].At != 3 {
		t.Errorf("after a restart: %+v, %v", found, err)
	}
}

func TestConfig(t *testing.T) {
	if _, err := Open(t.Context(), Config{Cache: -1, Memtable: 2 << 30, Sweep: -1}); !fault.Is(err, fault.Invalid) && len(strings.Split(err.Error(), "\n")) != 5 {
		t.Errorf("got %v, want four mistakes", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, Config{})
	const n = 200_000
	value := []byte(strings.Repeat("v", 500))
	for first := 0; first < n; first += 1000 {
		entries := make([]online.Entry, 1000)
		for i := range entries {
			entries[i] = online.Entry{Key: fmt.Append(nil, first+i), Value: value}
		}
		if _, err := s.Put(b.Context(), "view", entries); err != nil {
			b.Fatal(err)
		}
	}
	for _, keys := range []int{1, 50} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			b.ReportAllocs()
			asked, found := make([]online.Key, keys), []online.Found(nil)
			for b.Loop() {
				for i := range asked {
					asked[i] = online.Key{Table: "view", Key: fmt.Append(asked[i].Key[:0], rand.IntN(n))}
				}
				var err error
				if found, err = s.Get(context.Background(), asked, found[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for _, size := range []int{1, 1000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := open(b, Config{})
			value := []byte(strings.Repeat("v", 200))
			for i := 0; b.Loop(); i++ {
				entries := make([]online.Entry, size)
				for k := range entries {
					entries[k] = online.Entry{Key: fmt.Append(nil, rand.IntN(1_000_000)), Value: value, At: int64(i)}
				}
				if _, err := s.Put(b.Context(), "view", entries); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}
