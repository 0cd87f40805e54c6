package vector

import (
	"bytes"
	"context"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
)

// write makes a file of vectors.
func write(t testing.TB, o Options, vectors [][]float32) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		if err := w.Add(v); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func open(t testing.TB, file []byte) *Set {
	t.Helper()
	s, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// clustered draws vectors around a few centres, as embeddings lie.
func clustered(r *rand.Rand, n, dim, centres int) [][]float32 {
	draw := func(around []float32, spread float64) []float32 {
		v := make([]float32, dim)
		for i := range v {
			v[i] = float32(r.NormFloat64() * spread)
			if around != nil {
				v[i] += around[i]
			}
		}
		return v
	}
	heart := make([][]float32, centres)
	for i := range heart {
		heart[i] = draw(nil, 1)
	}
	all := make([][]float32, n)
	for i := range all {
		all[i] = draw(heart[r.IntN(centres)], 0.6)
	}
	return all
}

// brute is what Search promises: every allowed vector scored in full.
func brute(vectors [][]float32, query []float32, k int, allowed Bits) []Match {
	q, _ := normalise(query)
	var all []Match
	for i, v := range vectors {
		unit, _ := normalise(v)
		if unit != nil && q != nil && allowed.Has(i) {
			all = append(all, Match{i, cosine(q, unit)})
		}
	}
	slices.SortFunc(all, compareMatches)
	return all[:min(k, len(all))]
}

func TestSearchIsWhatAScanOfTheFullVectorsGives(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dim := rapid.IntRange(1, 40).Draw(rt, "dim")
		number := rapid.OneOf(rapid.Float32Range(-1, 1), rapid.SampledFrom([]float32{0, 1, -1, 1e-20, -3e15}))
		vector := rapid.SliceOfN(number, dim, dim)
		vectors := rapid.SliceOfN(vector, 0, 60).Draw(rt, "vectors")
		for range rapid.IntRange(0, 10).Draw(rt, "repeated") {
			if len(vectors) > 0 {
				vectors = append(vectors, vectors[rapid.IntRange(0, len(vectors)-1).Draw(rt, "again")])
			}
		}
		query := vector.Draw(rt, "query")
		var allowed Bits
		if rapid.Bool().Draw(rt, "filtered") {
			allowed = NewBits(len(vectors))
			for i := range vectors {
				if rapid.Bool().Draw(rt, "allowed") {
					allowed.Set(i)
				}
			}
		}
		k := rapid.IntRange(0, 70).Draw(rt, "k")
		s := open(t, write(t, Options{Dim: dim}, vectors))
		got, err := s.Search(t.Context(), query, k, allowed)
		if err != nil {
			rt.Fatal(err)
		}
		if want := brute(vectors, query, k, allowed); !slices.Equal(got, want) {
			rt.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestTheGraphFindsWhatAScanFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	vectors := clustered(r, 6000, 64, 40)
	file := write(t, Options{Dim: 64, Exact: 1}, vectors)
	s := open(t, file)
	if s.Exact() {
		t.Fatal("there is no graph")
	}
	hits, all := 0, 0
	for range 100 {
		query := clustered(r, 1, 64, 1)[0]
		copy(query, vectors[r.IntN(len(vectors))])
		query[r.IntN(64)] += 0.7
		hits, all = hits+overlap(t, s, vectors, query, nil), all+10
	}
	if recall := float64(hits) / float64(all); recall < 0.95 {
		t.Fatalf("recall@10 is %.3f", recall)
	}
}

// overlap counts which of the ten nearest a walk of the graph finds.
func overlap(t *testing.T, s *Set, vectors [][]float32, query []float32, allowed Bits) int {
	t.Helper()
	p, err := newProbe(query)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.settle(p, s.walk(p, searchEffort, allowed), 10)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for _, w := range brute(vectors, query, 10, allowed) {
		if slices.Contains(got, w) {
			hits++
		}
	}
	return hits
}

func TestAFilterNeverStarvesTheAnswer(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	vectors := clustered(r, 3000, 32, 10)
	s := open(t, write(t, Options{Dim: 32, Exact: 1}, vectors))
	for _, share := range []int{1, 10, 300, 1500, 3000} {
		allowed := NewBits(3000)
		for _, o := range r.Perm(3000)[:share] {
			allowed.Set(o)
		}
		query := vectors[r.IntN(3000)]
		got, err := s.Search(t.Context(), query, 25, allowed)
		if err != nil {
			t.Fatal(err)
		}
		if want := brute(vectors, query, 25, allowed); !slices.Equal(got, want) {
			t.Errorf("of %d allowed: got %v, want %v", share, got, want)
		}
		if share >= 1500 {
			if hits := overlap(t, s, vectors, query, allowed); hits < 9 {
				t.Errorf("of %d allowed a walk finds %d of 10", share, hits)
			}
		}
	}
}

func TestTheSameVectorsGiveTheSameFile(t *testing.T) {
	vectors := clustered(rand.New(rand.NewPCG(5, 6)), 1500, 24, 5)
	a, b := write(t, Options{Dim: 24, Exact: 1}, vectors), write(t, Options{Dim: 24, Exact: 1}, vectors)
	if !bytes.Equal(a, b) {
		t.Fatal("two builds differ")
	}
}

func TestVectorGivesBackWhatWasAdded(t *testing.T) {
	s := open(t, write(t, Options{Dim: 2}, [][]float32{{3, 4}, nil, {0, 0}, {0, -2}}))
	for o, want := range [][]float32{{0.6, 0.8}, nil, nil, {0, -1}} {
		got, err := s.Vector(o)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("vector %d is %v (%v), want %v", o, got, err, want)
		}
	}
	if _, err := s.Vector(4); !fault.Is(err, fault.NotFound) {
		t.Errorf("a vector that is not there: %v", err)
	}
}

func TestWhatIsRefused(t *testing.T) {
	var b bytes.Buffer
	for _, o := range []Options{{}, {Dim: MaxDim + 1}, {Dim: 4, Links: 1}, {Dim: 4, Effort: 3}, {Dim: 4, Exact: -1}} {
		if _, err := NewWriter(&b, o); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	w, err := NewWriter(&b, Options{Dim: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range [][]float32{{1}, {1, 2, 3}, {float32(math.NaN()), 1}, {float32(math.Inf(1)), 1}} {
		if err := w.Add(v); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", v, err)
		}
	}
	s := open(t, write(t, Options{Dim: 2}, [][]float32{{1, 2}}))
	for _, q := range [][]float32{{1}, {float32(math.NaN()), 1}} {
		if _, err := s.Search(t.Context(), q, 1, nil); !fault.Is(err, fault.Invalid) {
			t.Errorf("query %v: %v", q, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	many := open(t, write(t, Options{Dim: 1}, make([][]float32, 1<<15)))
	if _, err := many.Search(ctx, []float32{1}, 1, nil); !fault.Is(err, fault.Timeout) {
		t.Errorf("an ended search: %v", err)
	}
}

func TestADamagedFileIsSeen(t *testing.T) {
	vectors := clustered(rand.New(rand.NewPCG(7, 8)), 300, 8, 3)
	file := write(t, Options{Dim: 8, Exact: 1}, vectors)
	r := rand.New(rand.NewPCG(9, 10))
	for range 400 {
		bad := bytes.Clone(file)
		at := headSize + r.IntN(len(bad)-headSize)
		bad[at] ^= byte(1 + r.IntN(255))
		s, err := Open(bytes.NewReader(bad), int64(len(bad)))
		if err == nil { // it lies in a vector, which is seen when it is read
			_, err = s.Vector((at - headSize) / 32)
		}
		if !fault.Is(err, fault.Corrupt) {
			t.Fatalf("a change at %d of %d: %v", at, len(file), err)
		}
		short := file[:r.IntN(len(file))]
		if _, err := Open(bytes.NewReader(short), int64(len(short))); !fault.Is(err, fault.Corrupt) {
			t.Fatalf("a file of %d bytes out of %d: %v", len(short), len(file), err)
		}
	}
}

func TestAHostileFileIsBounded(t *testing.T) {
	file := write(t, Options{Dim: 4, Exact: 1, Links: 2, Effort: 4}, clustered(rand.New(rand.NewPCG(11, 12)), 40, 4, 3))
	r := rand.New(rand.NewPCG(13, 14))
	opened := 0
	for range 4000 {
		bad := bytes.Clone(file)
		for range 1 + r.IntN(3) {
			at := r.IntN(len(bad))
			if r.IntN(2) == 0 {
				at = len(bad) - 1 - r.IntN(tailSize)
			}
			bad[at] = byte(r.Uint32())
		}
		bad = mended(bad)
		s, err := Open(bytes.NewReader(bad), int64(len(bad)))
		if err != nil {
			continue
		}
		opened++
		if found, err := s.Search(t.Context(), []float32{1, 0, 0, 0}, 5, nil); err == nil && len(found) > 5 {
			t.Errorf("found %d", len(found))
		}
	}
	if opened == 0 {
		t.Error("no changed file was opened, so nothing was tried")
	}
}

func FuzzOpen(f *testing.F) {
	vectors := clustered(rand.New(rand.NewPCG(11, 12)), 40, 4, 3)
	f.Add(write(f, Options{Dim: 4, Exact: 1, Links: 2, Effort: 4}, vectors))
	f.Add(write(f, Options{Dim: 4}, vectors))
	f.Add(write(f, Options{Dim: 1}, nil))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := Open(bytes.NewReader(mended(file)), int64(len(file)))
		if err != nil {
			return
		}
		query := make([]float32, s.Dim())
		query[0] = 1
		for _, k := range []int{1, 5, 1000} {
			found, err := s.Search(t.Context(), query, k, nil)
			if err == nil && len(found) > s.Len() {
				t.Errorf("%d of %d vectors", len(found), s.Len())
			}
		}
	})
}

// mended gives a file the checksums that its parts ask for, so that fuzzing
// comes to what is behind them.
func mended(file []byte) []byte {
	if len(file) < headSize+tailSize {
		return file
	}
	b := bytes.Clone(file)
	end := b[len(b)-tailSize:]
	for i := range parts {
		at := end[40+i*20:]
		offset, length := binary.LittleEndian.Uint64(at), binary.LittleEndian.Uint64(at[8:])
		if n := uint64(len(b)); offset <= n && length <= n-offset {
			binary.LittleEndian.PutUint32(at[16:], crc32.Checksum(b[offset:offset+length], castagnoli))
		}
	}
	binary.LittleEndian.PutUint32(end[tailSize-4:], crc32.Checksum(end[:tailSize-4], castagnoli))
	return b
}
