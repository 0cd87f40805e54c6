package redis

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/onlinetest"
)

func open(t testing.TB, url string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := testserver.Redis(t)
	var database atomic.Int64
	onlinetest.Run(t, func(t *testing.T) online.Store { return open(t, server.URL(int(database.Add(1)))) })
}

func TestRecovery(t *testing.T) {
	server := testserver.Redis(t)
	onlinetest.Recovery(t, open(t, server.URL(0)), func() { server.Stop(t) }, func() { server.Start(t) })
}

func TestForeignKeys(t *testing.T) {
	s := open(t, testserver.Redis(t).URL(0))
	if err := s.client.Set(t.Context(), s.name("view", []byte("a")), "short", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), []online.Key{{Table: "view", Key: []byte("a")}}, nil); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a value that is none: %v", err)
	}
	if err := s.client.Set(t.Context(), "leat:other", "stays", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(t.Context(), "view"); err != nil {
		t.Fatal(err)
	}
	if got := s.client.Get(t.Context(), "leat:other").Val(); got != "stays" {
		t.Errorf("a drop took another's key: %q", got)
	}
}

func TestFull(t *testing.T) {
	s := open(t, testserver.Redis(t).URL(0))
	if err := s.client.ConfigSet(t.Context(), "maxmemory", "2mb").Err(); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; i < 100 && err == nil; i++ {
		_, err = s.Put(t.Context(), "view", []online.Entry{{Key: fmt.Append(nil, i), Value: make([]byte, 1<<16)}})
	}
	if !fault.Is(err, fault.Full) || fault.HintOf(err) == "" {
		t.Errorf("got %v, want Full with a hint", err)
	}
}

func TestConfig(t *testing.T) {
	for _, url := range []string{"", "http://localhost", "redis://user:secret word@host", "redis://h/notanumber?password=secret"} {
		err := Config{URL: url, Conns: -1}.Validate()
		if !fault.Is(err, fault.Invalid) && err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", url, err)
		}
	}
	server := testserver.Redis(t)
	_, err := Open(t.Context(), Config{URL: "redis://nobody:wrong@" + server.Address})
	if !fault.Is(err, fault.Forbidden) {
		t.Errorf("a wrong password: %v", err)
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, testserver.Redis(b).URL(0))
	var entries []online.Entry
	for i := range 50 {
		entries = append(entries, online.Entry{Key: fmt.Append(nil, i), Value: make([]byte, 2000)})
	}
	if _, err := s.Put(b.Context(), "view", entries); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			keys := make([]online.Key, n)
			for i := range keys {
				keys[i] = online.Key{Table: "view", Key: entries[i].Key}
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
