package onlinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

func testPut(t *testing.T, s online.Store) {
	want(t, s, "view", "a", "(none)")
	put(t, s, "view", entry("a", "one", 5), entry("b", "two", -7))
	if f := get(t, s, "view", "a"); text(f) != "one" || f.At != 5 {
		t.Errorf("got %q of %d", text(f), f.At)
	}
	if f := get(t, s, "view", "b"); text(f) != "two" || f.At != -7 {
		t.Errorf("got %q of %d", text(f), f.At)
	}
	want(t, s, "view", "c", "(none)")
	if older := put(t, s, "view"); older != 0 {
		t.Errorf("of no entries %d are older", older)
	}
	if found, err := s.Get(t.Context(), nil, nil); err != nil || len(found) != 0 {
		t.Errorf("no keys: %v, %v", found, err)
	}
}

func testMany(t *testing.T, s online.Store) {
	var keys []online.Key
	for table := range 5 {
		var entries []online.Entry
		for k := range 40 {
			keys = append(keys, online.Key{Table: fmt.Sprint("view", table), Key: []byte(fmt.Sprint("key", k))})
			if (k+table)%3 != 0 {
				entries = append(entries, entry(fmt.Sprint("key", k), fmt.Sprint(table, "/", k), int64(k)))
			}
		}
		put(t, s, fmt.Sprint("view", table), entries...)
	}
	keys = append(keys, keys[1], online.Key{Table: "nowhere", Key: []byte("key")})
	found, err := s.Get(t.Context(), keys, []online.Found{{Value: []byte("before"), Version: 1, OK: true}})
	if err != nil || len(found) != len(keys)+1 {
		t.Fatalf("%d keys: %d values, %v", len(keys), len(found), err)
	}
	if text(found[0]) != "before" {
		t.Errorf("what was there became %q", text(found[0]))
	}
	for i, f := range found[1:] {
		table, k := i/40, i%40
		if i == len(keys)-2 {
			table, k = 0, 1
		}
		expect := fmt.Sprint(table, "/", k)
		if (k+table)%3 == 0 || i == len(keys)-1 {
			expect = "(none)"
		}
		if text(f) != expect {
			t.Errorf("%s/%s holds %q, want %q", keys[i].Table, keys[i].Key, text(f), expect)
		}
	}
}

func testExpiry(t *testing.T, s online.Store) {
	soon := entry("soon", "short", 100)
	soon.Expires = time.Now().Add(300 * time.Millisecond)
	late := entry("late", "long", 100)
	late.Expires = time.Now().Add(time.Hour)
	past := entry("past", "gone", 100)
	past.Expires = time.Now().Add(-time.Second)
	put(t, s, "view", soon, late, entry("never", "stays", 100), past)
	want(t, s, "view", "past", "(none)")
	deadline := time.Now().Add(time.Minute)
	for get(t, s, "view", "soon").OK {
		if time.Now().After(deadline) {
			t.Fatal("an entry is there long after it expired")
		}
		time.Sleep(10 * time.Millisecond)
	}
	want(t, s, "view", "late", "long")
	want(t, s, "view", "never", "stays")
	// What has expired is as if it had never been, for either way to write.
	if older := put(t, s, "view", entry("soon", "older", 1)); older != 0 {
		t.Error("an entry was older than one that has expired")
	}
	want(t, s, "view", "soon", "older")
	soon.Key, soon.Expires = []byte("swapped"), time.Now().Add(-time.Second)
	put(t, s, "view", soon)
	lost, err := s.Swap(t.Context(), "view", []online.Change{{Entry: entry("swapped", "new", 1), To: 5}})
	if err != nil || len(lost) != 0 {
		t.Errorf("a swap over what has expired: lost %v, %v", lost, err)
	}
	want(t, s, "view", "swapped", "new")
}

func testDrop(t *testing.T, s online.Store) {
	var many []online.Entry
	for k := range 3000 {
		many = append(many, entry(fmt.Sprint(k), "x", 1))
	}
	put(t, s, "view", many...)
	put(t, s, "view2", entry("a", "stays", 1))
	put(t, s, "vie", entry("w", "stays", 1))
	if err := s.Drop(t.Context(), "view"); err != nil {
		t.Fatal(err)
	}
	for k := 0; k < 3000; k += 77 {
		want(t, s, "view", fmt.Sprint(k), "(none)")
	}
	want(t, s, "view2", "a", "stays")
	want(t, s, "vie", "w", "stays")
	put(t, s, "view", entry("5", "after", 0))
	want(t, s, "view", "5", "after")
	if err := s.Drop(t.Context(), "never-was"); err != nil {
		t.Errorf("a table that is not there: %v", err)
	}
}

func testApart(t *testing.T, s online.Store) {
	names := []string{"a", "ab", "a*", "a?", "a[b]", "a%", `a\`, "a:b", "a_b", strings.Repeat("n", online.MaxTable)}
	for _, name := range names {
		put(t, s, name, entry("b", name, 1), entry(":b", name+"2", 1))
	}
	for _, name := range names {
		want(t, s, name, "b", name)
		want(t, s, name, ":b", name+"2")
	}
	if err := s.Drop(t.Context(), "a*"); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if name == "a*" {
			want(t, s, name, "b", "(none)")
			continue
		}
		want(t, s, name, "b", name)
	}
}

func testBinary(t *testing.T, s online.Store) {
	keys := []string{"\x00", "\x00\x00", "\xff", "\xff\xfe", "a\x00b", "a", "ö", "'; DROP", "\n", strings.Repeat("\xff", online.MaxKey)}
	var entries []online.Entry
	for i, k := range keys {
		entries = append(entries, entry(k, fmt.Sprintf("\x00%d\xff", i), 1))
	}
	put(t, s, "view", entries...)
	for i, k := range keys {
		want(t, s, "view", k, fmt.Sprintf("\x00%d\xff", i))
	}
}

func testLarge(t *testing.T, s online.Store) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	put(t, s, "view", online.Entry{Key: []byte("large"), Value: large, At: 1}, online.Entry{Key: []byte("empty"), At: 1})
	if f := get(t, s, "view", "large"); !bytes.Equal(f.Value, large) {
		t.Errorf("a large value came back with %d bytes, of %d", len(f.Value), len(large))
	}
	if f := get(t, s, "view", "empty"); !f.OK || len(f.Value) != 0 {
		t.Errorf("an empty value came back as %+v", f)
	}
}

func testTimes(t *testing.T, s online.Store) {
	times := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 53, -1, 0, 1, 1<<53 + 1, 1<<53 + 2, math.MaxInt64 - 1, math.MaxInt64}
	for i, at := range times {
		if older := put(t, s, "view", entry("up", fmt.Sprint(i), at)); older != 0 {
			t.Errorf("%d was older than the time before", at)
		}
		if f := get(t, s, "view", "up"); f.At != at || text(f) != fmt.Sprint(i) {
			t.Errorf("time %d came back as %d with %q", at, f.At, text(f))
		}
		if i > 0 {
			if older := put(t, s, "view", entry("up", "older", times[i-1])); older != 1 {
				t.Errorf("%d replaced %d", times[i-1], at)
			}
		}
	}
}

func testBatch(t *testing.T, s online.Store) {
	const n = 20_000
	entries := make([]online.Entry, n)
	for i := range entries {
		entries[i] = entry(fmt.Sprint("key", i), strings.Repeat(fmt.Sprint(i, " "), 10), int64(i))
	}
	put(t, s, "view", entries...)
	for i := 0; i < n; i += 997 {
		want(t, s, "view", fmt.Sprint("key", i), string(entries[i].Value))
	}
}

func testBounds(t *testing.T, s online.Store) {
	for _, test := range []struct {
		table, key string
		value      int
		kind       fault.Kind
	}{
		{"", "a", 1, fault.Invalid},
		{"two words", "a", 1, fault.Invalid},
		{strings.Repeat("t", online.MaxTable+1), "a", 1, fault.Invalid},
		{"view", "", 1, fault.Invalid},
		{"view", strings.Repeat("k", online.MaxKey+1), 1, fault.TooLarge},
		{"view", "a", online.MaxValue + 1, fault.TooLarge},
	} {
		e := online.Entry{Key: []byte(test.key), Value: make([]byte, test.value)}
		good := entry("good", "x", 1)
		if _, err := s.Put(t.Context(), test.table, []online.Entry{good, e}); !fault.Is(err, test.kind) {
			t.Errorf("put %.20q/%.20q of %d bytes: %v, want %s", test.table, test.key, test.value, err, test.kind)
		}
		if _, err := s.Swap(t.Context(), test.table, []online.Change{{Entry: good, To: 1}, {Entry: e, To: 1}}); !fault.Is(err, test.kind) {
			t.Errorf("swap %.20q/%.20q of %d bytes: %v, want %s", test.table, test.key, test.value, err, test.kind)
		}
	}
	twice := []online.Change{{Entry: entry("a", "x", 1), To: 1}, {Entry: entry("a", "y", 1), To: 2}}
	if _, err := s.Swap(t.Context(), "view", twice); !fault.Is(err, fault.Invalid) {
		t.Errorf("one key twice in a swap: %v", err)
	}
	if _, err := s.Swap(t.Context(), "view", []online.Change{{Entry: entry("a", "x", 1)}}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a swap to version 0: %v", err)
	}
	want(t, s, "view", "good", "(none)")
	want(t, s, "view", "a", "(none)")
}

func testCancel(t *testing.T, s online.Store) {
	put(t, s, "view", entry("a", "one", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, []online.Key{{Table: "view", Key: []byte("a")}}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("get: %v", err)
	}
	if _, err := s.Put(ctx, "view", []online.Entry{entry("a", "two", 2)}); !errors.Is(err, context.Canceled) {
		t.Errorf("put: %v", err)
	}
	if _, err := s.Swap(ctx, "view", []online.Change{{Entry: entry("b", "two", 2), To: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("swap: %v", err)
	}
	if err := s.Drop(ctx, "view"); !errors.Is(err, context.Canceled) {
		t.Errorf("drop: %v", err)
	}
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	if _, err := s.Get(late, []online.Key{{Table: "view", Key: []byte("a")}}, nil); !fault.Is(err, fault.Timeout) {
		t.Errorf("get after the deadline: %v", err)
	}
	want(t, s, "view", "a", "one")
}

func testOwned(t *testing.T, s online.Store) {
	value := []byte("one")
	put(t, s, "view", online.Entry{Key: []byte("a"), Value: value, At: 1}, entry("b", "two", 1))
	copy(value, "xxx")
	found, err := s.Get(t.Context(), []online.Key{{Table: "view", Key: []byte("a")}, {Table: "view", Key: []byte("b")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = append(found[0].Value, "overrun"...)
	put(t, s, "view", entry("a", "new", 2), entry("b", "new", 2))
	for i := range 100 { // whatever the store keeps values in is used again
		put(t, s, "view", entry(fmt.Sprint(i), "three", 1))
		get(t, s, "view", fmt.Sprint(i))
	}
	if text(found[0]) != "one" || text(found[1]) != "two" {
		t.Errorf("what was read became %q and %q", text(found[0]), text(found[1]))
	}
}

func testClose(t *testing.T, s online.Store) {
	put(t, s, "view", entry("a", "one", 1))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.Get(t.Context(), []online.Key{{Table: "view", Key: []byte("a")}}, nil); !fault.Is(err, fault.Unavailable) {
		t.Errorf("get after close: %v", err)
	}
	if _, err := s.Put(t.Context(), "view", []online.Entry{entry("a", "two", 2)}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("put after close: %v", err)
	}
}

// testModel holds the store against a map, over random puts and swaps of few
// keys.
func testModel(t *testing.T, s online.Store) {
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		table := fmt.Sprint("run", run)
		model := map[string]online.Found{}
		for range rapid.IntRange(1, 6).Draw(r, "operations") {
			if rapid.Bool().Draw(r, "swap") {
				modelSwap(t, r, s, table, model)
			} else {
				modelPut(t, r, s, table, model)
			}
			for _, k := range modelKeys {
				got, expect := get(t, s, table, k), model[k]
				if text(got) != text(expect) || got.At != expect.At {
					r.Fatalf("%q: %q of %d, want %q of %d", k, text(got), got.At, text(expect), expect.At)
				}
				model[k] = got // the version of a put is the store's to choose
			}
		}
	})
}

var modelKeys = []string{"a", "b", "c"}

func modelPut(t *testing.T, r *rapid.T, s online.Store, table string, model map[string]online.Found) {
	var entries []online.Entry
	seen, older := map[string]bool{}, 0
	for range rapid.IntRange(1, 4).Draw(r, "entries") {
		e := entry(rapid.SampledFrom(modelKeys).Draw(r, "key"), rapid.StringN(0, 5, -1).Draw(r, "value"), rapid.Int64Range(-3, 3).Draw(r, "at"))
		entries = append(entries, e)
		old := model[string(e.Key)]
		if old.OK && old.At > e.At {
			older++
			continue
		}
		if seen[string(e.Key)] { // it takes the place of one of the same call
			older++
		}
		seen[string(e.Key)] = true
		model[string(e.Key)] = online.Found{Value: e.Value, At: e.At, Version: 1, OK: true}
	}
	if got := put(t, s, table, entries...); got != older {
		r.Fatalf("%d entries were older, want %d", got, older)
	}
}

func modelSwap(t *testing.T, r *rapid.T, s online.Store, table string, model map[string]online.Found) {
	var changes []online.Change
	var lost []int
	for i, k := range rapid.Permutation(modelKeys).Draw(r, "keys")[:rapid.IntRange(1, 3).Draw(r, "changes")] {
		c := online.Change{Entry: entry(k, rapid.StringN(0, 5, -1).Draw(r, "value"), rapid.Int64Range(-3, 3).Draw(r, "at")), To: online.NewVersion()}
		c.From = model[k].Version
		if rapid.Bool().Draw(r, "wrong") {
			c.From++
			lost = append(lost, i)
		} else {
			model[k] = online.Found{Value: c.Value, At: c.At, Version: c.To, OK: true}
		}
		changes = append(changes, c)
	}
	got, err := s.Swap(t.Context(), table, changes)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(lost) {
		r.Fatalf("lost %v, %v; want %v", got, err, lost)
	}
}
