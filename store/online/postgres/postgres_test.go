package postgres

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/onlinetest"
)

func open(t testing.TB, c Config) *Store {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := testserver.Postgres(t)
	onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, Config{URL: server.URL(t)}) })
}

func TestRecovery(t *testing.T) {
	server := testserver.Postgres(t)
	onlinetest.Recovery(t, open(t, Config{URL: server.URL(t)}), func() { server.Stop(t) }, func() { server.Start(t) })
}

// TestTogether has servers start at once on an empty database.
func TestTogether(t *testing.T) {
	url := testserver.Postgres(t).URL(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Open(t.Context(), Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	wg.Wait()
}

type turned struct{ seconds atomic.Int64 }

func (c *turned) Now() time.Time { return time.Unix(1e9+c.seconds.Load(), 0).UTC() }

func TestSweep(t *testing.T) {
	c := &turned{}
	s := open(t, Config{URL: testserver.Postgres(t).URL(t), Clock: c})
	var entries []online.Entry
	for i := range 100 {
		e := online.Entry{Key: fmt.Append(nil, i)}
		if i%4 == 0 {
			e.Expires = c.Now().Add(time.Minute)
		}
		entries = append(entries, e)
	}
	if _, err := s.Put(t.Context(), "view", entries); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		seconds int64
		deleted int
	}{{59, 0}, {60, 25}, {61, 0}} {
		c.seconds.Store(step.seconds)
		if got, err := s.sweep(t.Context()); err != nil || got != step.deleted {
			t.Errorf("after %d s: %d deleted, %v; want %d", step.seconds, got, err, step.deleted)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, url := range []string{"", "http://localhost/secret", "postgres://user:secret word@host:notaport/db"} {
		err := Config{URL: url, Conns: -1, Sweep: -1}.Validate()
		if err == nil || !fault.Is(err, fault.Internal) && !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	url := testserver.Postgres(t).URL(t)
	if _, err := Open(t.Context(), Config{URL: url[:strings.LastIndex(url, "/")] + "/absent?sslmode=disable"}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a database that is not there: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, Config{URL: testserver.Postgres(b).URL(b)})
	var entries []online.Entry
	for i := range 10_000 {
		entries = append(entries, online.Entry{Key: fmt.Append(nil, i), Value: make([]byte, 2000)})
	}
	if _, err := s.Put(b.Context(), "view", entries); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			keys := make([]online.Key, n)
			for i := range keys {
				keys[i] = online.Key{Table: "view", Key: entries[i*7].Key}
			}
			var found []online.Found
			for b.Loop() {
				var err error
				if found, err = s.Get(context.Background(), keys, found[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
