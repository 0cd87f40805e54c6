package past

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

// Records come out in one order, whatever the memory, and entities that share a
// hash stay apart.
func TestRecordsComeInOneOrder(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		d, err := newDisk(Options{Scratch: dir})
		if err != nil {
			rt.Fatal(err)
		}
		defer d.close()
		s := newSorter(d, 0)
		s.budget = rapid.SampledFrom([]int{64, 200, 4000, 1 << 20}).Draw(rt, "budget")
		var want []record
		for i := range rapid.IntRange(0, 400).Draw(rt, "records") {
			r := record{
				hash:    rapid.Uint64Range(0, 2).Draw(rt, "hash"),
				order:   rapid.Int64Range(-2, 2).Draw(rt, "order"),
				key:     []byte(rapid.SampledFrom([]string{"", "a", "b", "bb"}).Draw(rt, "key")),
				payload: []byte(fmt.Sprint(i)),
			}
			if err := s.add(&r); err != nil {
				rt.Fatal(err)
			}
			want = append(want, r)
		}
		order := func(a, b record) int { return cmp.Or(compareKeys(&a, &b), cmp.Compare(a.order, b.order)) }
		byPayload := func(a, b record) int { return cmp.Or(order(a, b), bytes.Compare(a.payload, b.payload)) }
		slices.SortFunc(want, byPayload)
		var got []record
		c := s.finish().open()
		for {
			r, err := c.next()
			if err != nil {
				rt.Fatal(err)
			}
			if r == nil {
				break
			}
			if n := len(got); n > 0 && order(got[n-1], *r) > 0 {
				rt.Fatalf("record %d is out of order", n)
			}
			got = append(got, record{r.hash, r.order, bytes.Clone(r.key), bytes.Clone(r.payload)})
		}
		slices.SortFunc(got, byPayload)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			rt.Fatalf("%d records came out of %d", len(got), len(want))
		}
	})
}

func TestTheDiskIsBounded(t *testing.T) {
	d, err := newDisk(Options{Scratch: t.TempDir(), Disk: 1000})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	s := newSorter(d, 0)
	for i := range 10_000 {
		if err = s.add(&record{hash: uint64(i), key: []byte("key")}); err != nil {
			break
		}
	}
	if !fault.Is(err, fault.TooLarge) || fault.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
}
