package blobtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// noise yields bytes that no two places share, the same for the same seed.
func noise(seed uint64, size int64) io.Reader {
	var key [32]byte
	key[0] = byte(seed)
	return io.LimitReader(rand.NewChaCha8(key), size)
}

func testBig(t *testing.T, b blob.Bucket) {
	const size = 40<<20 + 17 // several parts, the last one odd
	s := blob.NewStore(b, t.TempDir())
	h := sha256.New()
	d, n, err := s.Put(t.Context(), io.TeeReader(noise(1, size), h))
	if err != nil || n != size || string(d) != hex.EncodeToString(h.Sum(nil)) {
		t.Fatalf("put gives %s, %d, %v", d, n, err)
	}
	if err := s.Verify(t.Context(), d); err != nil {
		t.Error(err)
	}
	if _, err := s.ReadAll(t.Context(), d, size-1); !fault.Is(err, fault.TooLarge) {
		t.Errorf("over its bound: got %v, want TooLarge", err)
	}
	// Who stops early is not made to read the rest.
	r, err := s.Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, make([]byte, 1000)); err != nil {
		t.Error(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func testStore(t *testing.T, b blob.Bucket) {
	spool := t.TempDir()
	s := blob.NewStore(b, spool)
	var digests []blob.Digest
	for _, content := range []string{"", "a", strings.Repeat("long", 1<<19)} {
		d, n, err := s.Put(t.Context(), strings.NewReader(content))
		if err != nil || n != int64(len(content)) || d != blob.DigestOf([]byte(content)) {
			t.Fatalf("put gives %s, %d, %v", d, n, err)
		}
		again, err := s.PutBytes(t.Context(), []byte(content))
		if err != nil || again != d {
			t.Errorf("the same content is %s and %s, %v", d, again, err)
		}
		got, err := s.ReadAll(t.Context(), d, int64(len(content)))
		if err != nil || string(got) != content {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
		if has, err := s.Has(t.Context(), d); !has || err != nil {
			t.Errorf("it is there: %v, %v", has, err)
		}
		digests = append(digests, d)
	}
	slices.Sort(digests)
	var listed []blob.Digest
	if err := s.List(t.Context(), func(d blob.Digest, _ blob.Object) error { listed = append(listed, d); return nil }); err != nil || !slices.Equal(listed, digests) {
		t.Errorf("the list has %q, %v; want %q", listed, err, digests)
	}
	testAbsent(t, s)
	if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
		t.Errorf("the spool holds %v, %v", left, err)
	}
}

func testAbsent(t *testing.T, s *blob.Store) {
	absent := blob.DigestOf([]byte("absent"))
	if has, err := s.Has(t.Context(), absent); has || err != nil {
		t.Errorf("absent content is there: %v, %v", has, err)
	}
	if _, err := s.ReadAll(t.Context(), absent, 10); !fault.Is(err, fault.NotFound) {
		t.Errorf("absent content gives %v, want NotFound", err)
	}
	if err := s.Delete(t.Context(), absent); err != nil {
		t.Error(err)
	}
	for _, d := range []blob.Digest{"", "../../etc/passwd", absent[:63], absent + "0", blob.Digest(strings.ToUpper(string(absent)))} {
		if _, err := s.Open(t.Context(), d); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q gives %v, want Invalid", d, err)
		}
	}
}

// damaged are ways in which a device returns other bytes than it was given.
var damaged = map[string]func([]byte) []byte{
	"one bit at the end":   func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
	"one bit at the start": func(b []byte) []byte { b[0] ^= 0x80; return b },
	"cut":                  func(b []byte) []byte { return b[:len(b)-1] },
	"longer":               func(b []byte) []byte { return append(b, 0) },
	"empty":                func([]byte) []byte { return nil },
}

// damage puts content and then other bytes in its place.
func damage(t *testing.T, b blob.Bucket, s *blob.Store, how func([]byte) []byte) (blob.Digest, []byte) {
	t.Helper()
	content, err := io.ReadAll(noise(2, 100_000))
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.PutBytes(t.Context(), content)
	if err != nil {
		t.Fatal(err)
	}
	name := list(t, b, "")[0]
	if err := b.Put(t.Context(), name, bytes.NewReader(how(slices.Clone(content))), false); err != nil {
		t.Fatal(err)
	}
	return d, content
}

func testDamage(t *testing.T, b blob.Bucket) {
	s := blob.NewStore(b, t.TempDir())
	for name, how := range damaged {
		d, _ := damage(t, b, s, how)
		if got, err := s.ReadAll(t.Context(), d, 1<<20); !fault.Is(err, fault.Corrupt) || got != nil || fault.HintOf(err) == "" {
			t.Errorf("%s: %d bytes and %v, want none and Corrupt with a hint", name, len(got), err)
		}
		if err := s.Verify(t.Context(), d); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: verify gives %v, want Corrupt", name, err)
		}
		r, err := s.Open(t.Context(), d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); !fault.Is(err, fault.Corrupt) {
			t.Errorf("%s: the stream ends with %v, want Corrupt", name, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func testHeal(t *testing.T, b blob.Bucket) {
	s := blob.NewStore(b, t.TempDir())
	for name, how := range damaged {
		d, content := damage(t, b, s, how)
		if _, _, err := s.Put(t.Context(), bytes.NewReader(content)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.Verify(t.Context(), d); err != nil {
			t.Errorf("%s: after putting it again: %v", name, err)
		}
	}
}

func testSame(t *testing.T, b blob.Bucket) {
	s := blob.NewStore(b, t.TempDir())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, _, err := s.Put(t.Context(), noise(3, 1<<21)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if names := list(t, b, ""); len(names) != 1 {
		t.Errorf("the same content is kept as %q", names)
	}
}
