// Package onlinetest is the suite that every store of online features passes.
// A backend's test opens its server and calls Run, and Recovery where the
// store is a server that may go away.
package onlinetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// Run runs the suite; open returns an empty store each time.
func Run(t *testing.T, open func(t *testing.T) online.Store) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, online.Store)
	}{
		{"what is put comes back", testPut},
		{"many keys of many tables are read at once", testMany},
		{"an older value never replaces a newer one", testOlder},
		{"of one key among the entries the newest is put", testRepeated},
		{"of racing writers the newest value stays", testRace},
		{"a swap needs the version that was read", testSwap},
		{"a swap that is repeated is done once", testSwapAgain},
		{"racing swaps lose no addition", testSwapRace},
		{"put and swap see each other", testMixed},
		{"what has expired is gone", testExpiry},
		{"a table that is dropped is empty, and no other is", testDrop},
		{"tables whose names begin alike are apart", testApart},
		{"keys are bytes", testBinary},
		{"values may be empty and large", testLarge},
		{"times may be far away", testTimes},
		{"a large batch goes in", testBatch},
		{"what is beyond the bounds is refused", testBounds},
		{"a cancelled context ends the call", testCancel},
		{"what was read stays as it is", testOwned},
		{"close is safe twice", testClose},
		{"random operations give what a map gives", testModel},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			test.run(t, s)
		})
	}
}

// Recovery checks that a store whose server goes away says so, and answers
// again, with what was put, once it is back.
func Recovery(t *testing.T, s online.Store, stop, start func()) {
	put(t, s, "view", entry("a", "one", 1))
	stop()
	keys := []online.Key{{Table: "view", Key: []byte("a")}}
	for _, call := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"Get", func(ctx context.Context) error { _, err := s.Get(ctx, keys, nil); return err }},
		{"Put", func(ctx context.Context) error {
			_, err := s.Put(ctx, "view", []online.Entry{entry("b", "two", 1)})
			return err
		}},
		{"Swap", func(ctx context.Context) error {
			_, err := s.Swap(ctx, "view", []online.Change{{Entry: entry("c", "three", 1), To: 7}})
			return err
		}},
		{"Drop", func(ctx context.Context) error { return s.Drop(ctx, "other") }},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		if err := call.run(ctx); !fault.Is(err, fault.Unavailable) || fault.HintOf(err) == "" {
			t.Errorf("%s without a server: got %v, want an Unavailable fault with a hint", call.name, err)
		}
		cancel()
	}
	start()
	deadline := time.Now().Add(time.Minute)
	for {
		found, err := s.Get(t.Context(), keys, nil)
		if err == nil {
			if got := text(found[0]); got != "one" {
				t.Errorf("after the server came back: %q, want %q", got, "one")
			}
			return
		}
		if !fault.Is(err, fault.Unavailable) || time.Now().After(deadline) {
			t.Fatalf("after the server came back: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func entry(key, value string, at int64) online.Entry {
	return online.Entry{Key: []byte(key), Value: []byte(value), At: at}
}

func put(t *testing.T, s online.Store, table string, entries ...online.Entry) int {
	t.Helper()
	older, err := s.Put(t.Context(), table, entries)
	if err != nil {
		t.Fatal(err)
	}
	return older
}

func get(t *testing.T, s online.Store, table, key string) online.Found {
	t.Helper()
	found, err := s.Get(t.Context(), []online.Key{{Table: table, Key: []byte(key)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 {
		t.Fatalf("%d values for one key", len(found))
	}
	return found[0]
}

// text is a value for people: what it holds, or that there is none.
func text(f online.Found) string {
	if !f.OK {
		if f.Value != nil || f.At != 0 || f.Version != 0 {
			return fmt.Sprintf("not there, and yet %+v", f)
		}
		return "(none)"
	}
	if f.Version == 0 {
		return "there, and yet without a version"
	}
	return string(f.Value)
}

func want(t *testing.T, s online.Store, table, key, value string) {
	t.Helper()
	if got := text(get(t, s, table, key)); got != value {
		t.Errorf("%s/%q holds %.60q, want %.60q", table, key, got, value)
	}
}
