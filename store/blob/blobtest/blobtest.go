// Package blobtest is the suite that every bucket passes, and the Store on
// top of it. A backend's test opens its server and calls Run.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// Run runs the suite; open returns an empty bucket each time.
func Run(t *testing.T, open func(t *testing.T) blob.Bucket) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, blob.Bucket)
	}{
		{"what is put comes back", testPut},
		{"names that are none are refused", testNames},
		{"names may be odd", testOddNames},
		{"a missing object is not found", testMissing},
		{"a part can be read", testRange},
		{"a fresh name is given once", testFresh},
		{"of a race for a name one wins", testRace},
		{"writers of one name do not mix", testMix},
		{"a list is in order", testList},
		{"a failed reader leaves nothing", testFailedReader},
		{"what is cancelled leaves nothing", testCancel},
		{"a big object streams", testBig},
		{"close is safe twice", testClose},
		{"store: content comes back checked", testStore},
		{"store: damage is found", testDamage},
		{"store: damage is healed by putting again", testHeal},
		{"store: many put the same at once", testSame},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := open(t)
			t.Cleanup(func() { _ = b.Close() })
			test.run(t, b)
		})
	}
}

func put(t *testing.T, b blob.Bucket, name, content string) {
	t.Helper()
	if err := b.Put(t.Context(), name, strings.NewReader(content), false); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, b blob.Bucket, name string, offset, length int64) (string, error) {
	t.Helper()
	r, err := b.Open(t.Context(), name, offset, length)
	if err != nil {
		return "", err
	}
	defer r.Close()
	content, err := io.ReadAll(r)
	return string(content), err
}

func want(t *testing.T, b blob.Bucket, name, content string) {
	t.Helper()
	if got, err := read(t, b, name, 0, -1); err != nil || got != content {
		t.Errorf("%q holds %.60q, %v; want %.60q", name, got, err, content)
	}
}

func list(t *testing.T, b blob.Bucket, prefix string) (names []string) {
	t.Helper()
	err := b.List(t.Context(), prefix, func(o blob.Object) error {
		names = append(names, o.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func testPut(t *testing.T, b blob.Bucket) {
	for _, content := range []string{"first", "", "second, which is longer", "3"} {
		put(t, b, "a/b/c", content)
		want(t, b, "a/b/c", content)
		err := b.List(t.Context(), "a/b/c", func(o blob.Object) error {
			if o.Name != "a/b/c" || o.Size != int64(len(content)) || o.Modified.IsZero() {
				t.Errorf("the list says %+v", o)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := b.Delete(t.Context(), "a/b/c"); err != nil {
		t.Error(err)
	}
	if names := list(t, b, ""); len(names) != 0 {
		t.Errorf("after the delete there is %q", names)
	}
}

// Bad are names that every method refuses, together with those of them that
// cannot be the beginning of a name either.
var bad = []string{
	"../secret", "a/../../secret", "a/..", "..", ".", "./a", "a/./b", "/etc/passwd", "a//b", "\\windows", `a\..\b`,
	"a\x00b", "a\nb", "a\x7fb", "\xff", "%2e%2e/secret", "a/%2E%2e/b", "%252e%252e%252fsecret", "a%00b", "a%2500b",
	"a%5cb", "%2fetc/passwd", "a__0x2e__b", strings.Repeat("a/", 600) + "a", strings.Repeat("a", 300),
}

func testNames(t *testing.T, b blob.Bucket) {
	for _, name := range append([]string{"", "a/"}, bad...) {
		_, opened := b.Open(t.Context(), name, 0, -1)
		for what, err := range map[string]error{
			"open":   opened,
			"put":    b.Put(t.Context(), name, strings.NewReader("x"), false),
			"fresh":  b.Put(t.Context(), name, strings.NewReader("x"), true),
			"delete": b.Delete(t.Context(), name),
		} {
			if !fault.Is(err, fault.Invalid) {
				t.Errorf("%s %.40q gives %v, want Invalid", what, name, err)
			}
		}
	}
	for _, prefix := range bad {
		if err := b.List(t.Context(), prefix, func(blob.Object) error { return nil }); !fault.Is(err, fault.Invalid) {
			t.Errorf("the prefix %.40q gives %v, want Invalid", prefix, err)
		}
	}
	if names := list(t, b, ""); len(names) != 0 {
		t.Errorf("a refused name left %q", names)
	}
}

func testOddNames(t *testing.T, b blob.Bucket) {
	odd := []string{"day=2026-11-22/part 1.parquet", "50%", "a%41b", "a+b&c=d;e", "quote\"'", "hash#?query", "~$*", "Grüße/日本/👋", "...", ".hidden", "a..b", "-", "CON"}
	for _, name := range odd {
		put(t, b, name, name)
	}
	for _, name := range odd {
		want(t, b, name, name)
	}
	got := list(t, b, "")
	slices.Sort(got)
	slices.Sort(odd)
	if !slices.Equal(got, odd) {
		t.Errorf("the list has %q\nwant %q", got, odd)
	}
}

func testMissing(t *testing.T, b blob.Bucket) {
	put(t, b, "folder/object", "")
	for _, name := range []string{"absent", "folder", "folder/absent", "folder/object/below", "absent/far/below"} {
		for _, length := range []int64{-1, 0, 1} {
			if _, err := read(t, b, name, 0, length); !fault.Is(err, fault.NotFound) && !(name == "folder/object/below" && fault.Is(err, fault.Conflict)) {
				t.Errorf("%d bytes of %q give %v, want NotFound", length, name, err)
			}
		}
		if err := b.Delete(t.Context(), name); err != nil {
			t.Errorf("deleting %q: %v", name, err)
		}
	}
	want(t, b, "folder/object", "")
}

func testRange(t *testing.T, b blob.Bucket) {
	put(t, b, "ten", "0123456789")
	put(t, b, "none", "")
	for _, test := range []struct {
		name           string
		offset, length int64
		want           string
	}{
		{"ten", 0, -1, "0123456789"}, {"ten", 0, 10, "0123456789"}, {"ten", 0, 99, "0123456789"}, {"ten", 0, 0, ""}, {"ten", 0, 1, "0"},
		{"ten", 3, 4, "3456"}, {"ten", 9, 1, "9"}, {"ten", 9, -1, "9"}, {"ten", 9, 5, "9"}, {"ten", 10, -1, ""}, {"ten", 10, 1, ""},
		{"ten", 1 << 40, -1, ""}, {"ten", 1 << 40, 7, ""}, {"none", 0, -1, ""}, {"none", 0, 5, ""}, {"none", 0, 0, ""}, {"none", 3, -1, ""},
	} {
		if got, err := read(t, b, test.name, test.offset, test.length); err != nil || got != test.want {
			t.Errorf("%d bytes of %s from %d are %q, %v; want %q", test.length, test.name, test.offset, got, err, test.want)
		}
	}
	if _, err := b.Open(t.Context(), "ten", -1, 1); !fault.Is(err, fault.Invalid) {
		t.Errorf("a negative offset gives %v, want Invalid", err)
	}
}

func testFresh(t *testing.T, b blob.Bucket) {
	if err := b.Put(t.Context(), "lock", strings.NewReader("mine"), true); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), "lock", strings.NewReader("yours"), true); !fault.Is(err, fault.Conflict) {
		t.Errorf("the second gets %v, want Conflict", err)
	}
	big := io.MultiReader(bytes.NewReader(make([]byte, 20<<20)), strings.NewReader("yours"))
	if err := b.Put(t.Context(), "lock", big, true); !fault.Is(err, fault.Conflict) {
		t.Errorf("a big one gets %v, want Conflict", err)
	}
	want(t, b, "lock", "mine")
}

func testRace(t *testing.T, b blob.Bucket) {
	var mu sync.Mutex
	var winners []string
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			content := fmt.Sprint("writer ", i)
			switch err := b.Put(t.Context(), "race", strings.NewReader(content), true); {
			case err == nil:
				mu.Lock()
				winners = append(winners, content)
				mu.Unlock()
			case !fault.Is(err, fault.Conflict):
				t.Errorf("a loser gets %v, want Conflict", err)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("the winners are %q, want one", winners)
	}
	want(t, b, "race", winners[0])
}

func testMix(t *testing.T, b blob.Bucket) {
	const size = 300_000
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			content := strings.Repeat(string(rune('a'+i)), size)
			for _, name := range []string{"shared", fmt.Sprint("own/", i)} {
				if err := b.Put(t.Context(), name, strings.NewReader(content), false); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	shared, err := read(t, b, "shared", 0, -1)
	if err != nil || len(shared) != size || strings.Count(shared, shared[:1]) != size {
		t.Errorf("the shared object is nobody's: %d bytes, %v", len(shared), err)
	}
	for i := range 8 {
		want(t, b, fmt.Sprint("own/", i), strings.Repeat(string(rune('a'+i)), size))
	}
}

func testList(t *testing.T, b blob.Bucket) {
	names := []string{"a-b", "a.c", "a/b", "a/b-", "a/c/d", "a/c/e", "a0", "b", "ba/x", "bb", "z/1", "z/10", "z/2"}
	for _, i := range rand.Perm(len(names)) {
		put(t, b, names[i], names[i])
	}
	for _, prefix := range []string{"", "a", "a/", "a/b", "a/c", "a/c/", "a/c/d", "b", "ba/", "z/1", "absent", "absent/", "b/x", "z/2/"} {
		wanted := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !strings.HasPrefix(name, prefix) })
		if got := list(t, b, prefix); !slices.Equal(got, wanted) {
			t.Errorf("below %q are %q\nwant %q", prefix, got, wanted)
		}
	}
	stop := errors.New("enough")
	seen := 0
	err := b.List(t.Context(), "", func(blob.Object) error {
		if seen++; seen == 3 {
			return stop
		}
		return nil
	})
	if seen != 3 || !errors.Is(err, stop) {
		t.Errorf("the list went on to %d and returns %v", seen, err)
	}
}

// failing yields some bytes and then an error.
type failing struct {
	left int
	err  error
}

func (f *failing) Read(p []byte) (int, error) {
	if f.left == 0 {
		return 0, f.err
	}
	n := min(f.left, len(p))
	f.left -= n
	return n, nil
}

func testFailedReader(t *testing.T, b blob.Bucket) {
	put(t, b, "old", "old")
	for _, size := range []int{0, 100, 20 << 20} {
		// Clients tend to take the last two for the end.
		for _, cause := range []error{errors.New("broken"), io.ErrUnexpectedEOF, fmt.Errorf("cut: %w", io.EOF)} {
			for _, name := range []string{"new", "old"} {
				if err := b.Put(t.Context(), name, &failing{size, cause}, name == "new"); !errors.Is(err, cause) {
					t.Errorf("after %d bytes: got %v, want what the reader said", size, err)
				}
			}
		}
	}
	if names := list(t, b, ""); !slices.Equal(names, []string{"old"}) {
		t.Errorf("there is %q", names)
	}
	want(t, b, "old", "old")
}

func testCancel(t *testing.T, b blob.Bucket) {
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(strings.NewReader("begin"), cancelling(cancel), strings.NewReader("end"))
	if err := b.Put(ctx, "object", body, false); !fault.Is(err, fault.Canceled) {
		t.Errorf("put gives %v, want Canceled", err)
	}
	if _, err := b.Open(ctx, "object", 0, -1); !fault.Is(err, fault.Canceled) {
		t.Errorf("open gives %v, want Canceled", err)
	}
	if names := list(t, b, ""); len(names) != 0 {
		t.Errorf("there is %q", names)
	}
}

// cancelling ends a context when it is read.
type cancelling context.CancelFunc

func (c cancelling) Read([]byte) (int, error) { c(); return 0, io.EOF }

func testClose(t *testing.T, b blob.Bucket) {
	if err := errors.Join(b.Close(), b.Close()); err != nil {
		t.Error(err)
	}
}
