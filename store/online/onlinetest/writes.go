package onlinetest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/leat-ai/leat/store/online"
)

func testOlder(t *testing.T, s online.Store) {
	if older := put(t, s, "view", entry("a", "new", 20)); older != 0 {
		t.Errorf("%d entries were older than nothing", older)
	}
	if older := put(t, s, "view", entry("a", "old", 10), entry("b", "other", 10)); older != 1 {
		t.Errorf("%d entries were older, want 1", older)
	}
	want(t, s, "view", "a", "new")
	want(t, s, "view", "b", "other")
	before := get(t, s, "view", "a").Version
	if older := put(t, s, "view", entry("a", "same time", 20)); older != 0 {
		t.Errorf("%d entries of the same time were older", older)
	}
	want(t, s, "view", "a", "same time")
	if after := get(t, s, "view", "a").Version; after == before {
		t.Error("a value that was replaced kept its version")
	}
}

func testRepeated(t *testing.T, s online.Store) {
	older := put(t, s, "view", entry("a", "1", 10), entry("a", "2", 30), entry("b", "x", 5),
		entry("a", "3", 20), entry("a", "4", 30), entry("b", "y", 4))
	if older != 4 {
		t.Errorf("%d entries were left out, want 4", older)
	}
	if older := put(t, s, "view", entry("a", "5", 29), entry("a", "6", 28), entry("b", "z", 5)); older != 2 {
		t.Errorf("%d entries were left out, want 2", older)
	}
	want(t, s, "view", "b", "z")
	put(t, s, "view", entry("b", "x", 5))
	want(t, s, "view", "a", "4")
	want(t, s, "view", "b", "x")
}

// testRace has writers put the same keys with times of their own, in batches
// that cross, and looks that the newest of all is left.
func testRace(t *testing.T, s online.Store) {
	const writers, rounds, keys = 8, 30, 20
	newest := make([]int64, keys)
	var times [writers][rounds][keys]int64
	for w := range times {
		for r := range times[w] {
			for k := range times[w][r] {
				times[w][r][k] = rand.Int64N(1 << 40)
				newest[k] = max(newest[k], times[w][r][k])
			}
		}
	}
	each(t, writers, func(w int) error {
		for r := range rounds {
			var entries []online.Entry
			for _, k := range rand.Perm(keys) {
				at := times[w][r][k]
				entries = append(entries, entry(fmt.Sprint("key", k), fmt.Sprint(at), at))
			}
			if _, err := s.Put(t.Context(), "view", entries); err != nil {
				return err
			}
		}
		return nil
	})
	for k, at := range newest {
		if f := get(t, s, "view", fmt.Sprint("key", k)); f.At != at || text(f) != fmt.Sprint(at) {
			t.Errorf("key%d has %q of time %d, want that of %d", k, text(f), f.At, at)
		}
	}
}

func testSwap(t *testing.T, s online.Store) {
	swap := func(changes ...online.Change) []int {
		t.Helper()
		lost, err := s.Swap(t.Context(), "view", changes)
		if err != nil {
			t.Fatal(err)
		}
		return lost
	}
	put(t, s, "view", entry("a", "one", 50))
	a := get(t, s, "view", "a").Version
	lost := swap(
		online.Change{Entry: entry("a", "wrong", 60), From: a + 1, To: 11},
		online.Change{Entry: entry("b", "new", 1), To: 12},
		online.Change{Entry: entry("c", "of nothing", 1), From: 99, To: 13},
	)
	if !slices.Equal(lost, []int{0, 2}) {
		t.Errorf("lost %v, want 0 and 2", lost)
	}
	want(t, s, "view", "a", "one")
	want(t, s, "view", "b", "new")
	want(t, s, "view", "c", "(none)")
	// The time of a change does not matter: a state may tell of less.
	if lost := swap(online.Change{Entry: entry("a", "two", 40), From: a, To: 14}); len(lost) != 0 {
		t.Errorf("lost %v of a version that is there", lost)
	}
	if f := get(t, s, "view", "a"); text(f) != "two" || f.At != 40 || f.Version != 14 {
		t.Errorf("after the swap: %q of %d, version %d", text(f), f.At, f.Version)
	}
	if lost := swap(online.Change{Entry: entry("b", "again", 2), To: 15}); !slices.Equal(lost, []int{0}) {
		t.Errorf("a swap of what should not be there lost %v", lost)
	}
}

func testSwapAgain(t *testing.T, s online.Store) {
	first := online.Change{Entry: entry("a", "one", 1), To: 21}
	second := online.Change{Entry: entry("a", "two", 2), From: 21, To: 22}
	for _, c := range []online.Change{first, first, second, second} {
		if lost, err := s.Swap(t.Context(), "view", []online.Change{c}); err != nil || len(lost) != 0 {
			t.Fatalf("%s: lost %v, %v", c.Value, lost, err)
		}
	}
	want(t, s, "view", "a", "two")
	if lost, err := s.Swap(t.Context(), "view", []online.Change{first}); err != nil || !slices.Equal(lost, []int{0}) {
		t.Errorf("a change that was replaced meanwhile: lost %v, %v", lost, err)
	}
}

// testSwapRace counts in the store: writers add one to several keys at once,
// and read again where they lost. No addition may be missing.
func testSwapRace(t *testing.T, s online.Store) {
	const writers, rounds, keys = 8, 15, 4
	each(t, writers, func(int) error {
		for range rounds {
			if err := increment(t, s, keys); err != nil {
				return err
			}
		}
		return nil
	})
	for k := range keys {
		f := get(t, s, "counts", fmt.Sprint("key", k))
		if got := binary.BigEndian.Uint64(f.Value); got != writers*rounds {
			t.Errorf("key%d counts %d, want %d", k, got, writers*rounds)
		}
	}
}

// increment adds one to each of the keys.
func increment(t *testing.T, s online.Store, keys int) error {
	open := make([]online.Key, keys)
	for k := range keys {
		open[k] = online.Key{Table: "counts", Key: []byte(fmt.Sprint("key", k))}
	}
	for len(open) > 0 {
		found, err := s.Get(t.Context(), open, nil)
		if err != nil {
			return err
		}
		changes := make([]online.Change, len(open))
		for i, f := range found {
			var n uint64
			if f.OK {
				n = binary.BigEndian.Uint64(f.Value)
			}
			changes[i] = online.Change{From: f.Version, To: online.NewVersion(),
				Entry: online.Entry{Key: open[i].Key, Value: binary.BigEndian.AppendUint64(nil, n+1)}}
		}
		lost, err := s.Swap(t.Context(), "counts", changes)
		if err != nil {
			return err
		}
		var again []online.Key
		for _, i := range lost {
			again = append(again, open[i])
		}
		open = again
	}
	return nil
}

func testMixed(t *testing.T, s online.Store) {
	if _, err := s.Swap(t.Context(), "view", []online.Change{{Entry: entry("a", "swapped", 10), To: 31}}); err != nil {
		t.Fatal(err)
	}
	if older := put(t, s, "view", entry("a", "older", 9)); older != 1 {
		t.Error("a put replaced the newer value of a swap")
	}
	put(t, s, "view", entry("a", "newer", 11))
	lost, err := s.Swap(t.Context(), "view", []online.Change{{Entry: entry("a", "late", 12), From: 31, To: 32}})
	if err != nil || len(lost) != 1 {
		t.Errorf("a swap over a put: lost %v, %v", lost, err)
	}
	want(t, s, "view", "a", "newer")
}

// each runs f by so many goroutines at once.
func each(t *testing.T, n int, f func(int) error) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}
