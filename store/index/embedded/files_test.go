package embedded

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/store/index/analysis"
)

func open(t testing.TB, c Config) *Index {
	t.Helper()
	ix, err := Open(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ix.Close(); err != nil {
			t.Error(err)
		}
	})
	return ix
}

func commit(t testing.TB, ix *Index, base, name string, settings index.Settings, passages []index.Passage, deleted ...string) index.Snapshot {
	t.Helper()
	b, err := ix.Build(context.Background(), index.Start{Base: base, Settings: settings})
	if err == nil {
		err = b.Put(context.Background(), passages)
	}
	if err == nil {
		err = b.Delete(context.Background(), deleted)
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Commit(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var words = strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon")

// corpus makes passages of words that are rarer the later they stand in the
// alphabet.
func corpus(r *rand.Rand, documents int, dimension int) (all []index.Passage) {
	text := func(most int) string {
		var b strings.Builder
		for range r.IntN(most + 1) {
			b.WriteString(words[int(math.Pow(r.Float64(), 3)*float64(len(words)))] + " ")
		}
		return b.String()
	}
	for d := range documents {
		p := index.Passage{Document: fmt.Sprintf("d%05d", d), Title: text(3), Heading: text(2), Context: text(2), Text: text(60)}
		p.ID, p.End = index.PassageID(p.Document, 0), len(p.Text)
		p.Fields = []index.Field{{Name: "n", Value: index.Integer(int64(d % 10))}}
		for range dimension {
			p.Vector = append(p.Vector, float32(r.NormFloat64()))
		}
		all = append(all, p)
	}
	return all
}

// TestScoresAreBM25 compares scores with the textbook, over a snapshot of many
// segments of which documents were replaced and deleted.
func TestScoresAreBM25(t *testing.T) {
	settings := index.Settings{Language: "en", K1: 1.5, B: 0.6, Weights: index.Weights{Title: 2.5, Heading: 0, Context: 0.75, Text: 1}}
	ix := open(t, Config{Path: t.TempDir(), Segment: 300})
	r := rand.New(rand.NewPCG(5, 6))
	all := corpus(r, 1000, 0)
	commit(t, ix, "", "base", settings, all)
	changed := corpus(r, 200, 0)
	commit(t, ix, "base", "one", settings, changed, "d00500", "d00501")
	copy(all, changed)
	all = slices.Delete(all, 500, 502)
	for range 20 {
		query := words[r.IntN(20)] + " " + words[r.IntN(20)] + " " + words[r.IntN(20)]
		want := textbook(all, settings, query)
		hits, err := ix.Search(context.Background(), index.Query{Snapshot: "one", Text: query, K: 50, Who: index.Everything()})
		if err != nil {
			t.Fatal(err)
		}
		if len(hits) != min(50, len(want)) {
			t.Fatalf("%q finds %d passages of %d", query, len(hits), len(want))
		}
		best := make([]float64, 0, len(want))
		for _, score := range want {
			best = append(best, score)
		}
		slices.Sort(best)
		slices.Reverse(best)
		for i, h := range hits {
			if math.Abs(h.Score-want[h.Passage.ID]) > 1e-7 || math.Abs(h.Score-best[i]) > 1e-7 {
				t.Errorf("%q: hit %d, %s, has %v; the textbook gives it %v and the place %v", query, i, h.Passage.ID, h.Score, want[h.Passage.ID], best[i])
			}
		}
	}
}

// textbook is BM25 with weighted fields, in the form of the books.
func textbook(all []index.Passage, s index.Settings, query string) map[string]float64 {
	a := analysis.New("en")
	counts, lengths := make([]map[string]float64, len(all)), make([]float64, len(all))
	df := make(map[string]float64)
	total := 0.0
	for i, p := range all {
		counts[i] = make(map[string]float64)
		for text, weight := range map[string]float64{"T" + p.Title: s.Weights.Title, "H" + p.Heading: s.Weights.Heading, "C" + p.Context: s.Weights.Context, "X" + p.Text: s.Weights.Text} {
			for _, token := range a.Tokens(text[1:], nil) {
				if weight > 0 {
					counts[i][token.Term] += weight
					lengths[i] += weight
				}
			}
		}
		total += lengths[i]
		for term := range counts[i] {
			df[term]++
		}
	}
	scores := make(map[string]float64)
	n := float64(len(all))
	for _, token := range a.Tokens(query, nil) {
		for i := range all {
			if tf := counts[i][token.Term]; tf > 0 {
				idf := math.Log(1 + (n-df[token.Term]+0.5)/(df[token.Term]+0.5))
				scores[all[i].ID] += idf * tf / (tf + s.K1*(1-s.B+s.B*lengths[i]/(total/n)))
			}
		}
	}
	return scores
}

// everything is all that an index says: hits by words and by vectors, and all
// passages.
func everything(ix *Index) (string, error) {
	ctx := context.Background()
	snapshots, err := ix.Snapshots(ctx)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, s := range snapshots {
		fmt.Fprintf(&b, "%+v\n", s)
		ann := index.ReaderOf("ann", nil)
		f := index.In{Field: "n", Values: []index.Value{index.Integer(3), index.Integer(4)}}
		for _, q := range []index.Query{{Text: strings.Join(words, " "), K: 1000, Who: index.Everything(), Explain: true}, {Text: "alpha rho", K: 5, Who: ann},
			{Text: "beta", K: 500, Who: ann, Filter: f}, {Vector: []float32{1, 2, 3, 4}, K: 1000, Who: index.Everything()}} {
			q.Snapshot = s.Name
			hits, err := ix.Search(ctx, q)
			if err != nil {
				return "", err
			}
			for _, h := range hits {
				fmt.Fprintf(&b, "%+v %v\n", h.Passage, h.Score)
			}
		}
		var ids []string
		for d := range 150 {
			ids = append(ids, fmt.Sprintf("d%05d#0", d))
		}
		all, err := ix.Passages(ctx, s.Name, index.Everything(), ids)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%+v\n", all)
	}
	return b.String(), nil
}

// sample makes an index with all sorts of files, and says what it says.
func sample(t *testing.T, folder string) string {
	ix := open(t, Config{Path: folder, Segment: 64})
	r := rand.New(rand.NewPCG(7, 8))
	commit(t, ix, "", "base", index.Settings{Language: "en"}, corpus(r, 150, 4))
	commit(t, ix, "base", "one", index.Settings{Language: "en"}, corpus(r, 10, 4), "d00070")
	var grants []index.Access
	for d := range 150 {
		grants = append(grants, index.Access{Document: fmt.Sprintf("d%05d", d), Readers: []string{[]string{"*", "user:ann", "user:bob"}[d%3]}})
	}
	if err := ix.Grant(context.Background(), grants); err != nil {
		t.Fatal(err)
	}
	if err := ix.Withdraw(context.Background(), []string{"d00001"}); err != nil {
		t.Fatal(err)
	}
	said, err := everything(ix)
	if err != nil {
		t.Fatal(err)
	}
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	return said
}

// TestFlippedBits flips one bit in each of many places: the index says that it
// is damaged, or says what it said before (the bit was of no use to anybody).
func TestFlippedBits(t *testing.T) {
	folder := t.TempDir()
	want := sample(t, folder)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(9, 10))
	found, tried := 0, 0
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range min(30, len(good)) {
			at, bit := r.IntN(len(good)), r.IntN(8)
			bad := bytes.Clone(good)
			bad[at] ^= 1 << bit
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			tried++
			got, err := reopened(folder)
			switch {
			case err != nil && !fault.Is(err, fault.Corrupt):
				t.Errorf("bit %d of byte %d of %s: %v", bit, at, e.Name(), err)
			case err != nil:
				found++
			case got == want:
				t.Logf("bit %d of byte %d of %s of %d bytes is of no use", bit, at, e.Name(), len(good))
			default:
				t.Errorf("bit %d of byte %d of %s of %d is not found, and the answer is another", bit, at, e.Name(), len(good))
			}
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if tried < 100 || found*100 < tried*95 {
		t.Errorf("%d of %d flipped bits were found", found, tried)
	}
	if got, err := reopened(folder); err != nil || got != want {
		t.Errorf("whole again, the index says another thing: %v", err)
	}
}

func reopened(folder string) (said string, err error) {
	ix, err := Open(context.Background(), Config{Path: folder, Segment: 64})
	if err != nil {
		return "", err
	}
	defer func() { _ = ix.Close() }() // what it says is what counts
	return everything(ix)
}

// TestTornAccessLog cuts the log at every length: it opens, with the records
// that are whole.
func TestTornAccessLog(t *testing.T) {
	log := []byte(accessMagic)
	var ends []int
	for i := range 5 {
		log = appendRecord(log, change{verb: grant, documents: []string{fmt.Sprint("d", i)}, readers: [][]string{{"*"}}})
		ends = append(ends, len(log))
	}
	for cut := len(accessMagic); cut <= len(log); cut++ {
		n := 0
		whole, err := replay(append(bytes.Clone(log[:cut]), make([]byte, cut%3)...), func(change) { n++ })
		want := 0
		for want < len(ends) && ends[want] <= cut {
			want++
		}
		if err != nil && cut%3 == 0 || err == nil && n != want {
			t.Errorf("cut at %d: %d records of %d, %d bytes, %v", cut, n, want, whole, err)
		}
	}
}

// TestAccessLogIsWrittenAnew fills the log with changes of the same documents.
func TestAccessLogIsWrittenAnew(t *testing.T) {
	folder := t.TempDir()
	ix := open(t, Config{Path: folder})
	commit(t, ix, "", "one", index.Settings{}, []index.Passage{{ID: "d#0", Document: "d", Text: "word"}, {ID: "e#0", Document: "e", Text: "word"}})
	long := strings.Repeat("x", 1000)
	var many []index.Access
	for i := range 400 {
		many = append(many, index.Access{Document: "d", Readers: []string{"user:" + long + fmt.Sprint(i%3)}})
	}
	for range 4 {
		if err := ix.Grant(context.Background(), append(many, index.Access{Document: "d", Readers: []string{"*"}}, index.Access{Document: "e", Readers: []string{"*"}})); err != nil {
			t.Fatal(err)
		}
	}
	if err := ix.Withdraw(context.Background(), []string{"e"}); err != nil {
		t.Fatal(err)
	}
	before, _ := os.Stat(filepath.Join(folder, accessFile))
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	again := open(t, Config{Path: folder})
	after, _ := os.Stat(filepath.Join(folder, accessFile))
	if after.Size() > 1000 || before.Size() < compactAfter {
		t.Errorf("the log had %d bytes and has %d", before.Size(), after.Size())
	}
	hits, err := again.Search(context.Background(), index.Query{Snapshot: "one", Text: "word", K: 5, Who: index.ReaderOf("", nil)})
	if err != nil || len(hits) != 1 || hits[0].Passage.Document != "d" {
		t.Errorf("%v, %v", hits, err)
	}
}

// TestOneProcess opens a folder twice.
func TestOneProcess(t *testing.T) {
	folder := t.TempDir()
	open(t, Config{Path: folder})
	if _, err := Open(context.Background(), Config{Path: folder}); !fault.Is(err, fault.Conflict) {
		t.Errorf("%v", err)
	}
}

// TestFilesGo counts files: what no snapshot needs is removed, what is shared
// is written once, and many small builds are merged.
func TestFilesGo(t *testing.T) {
	folder := t.TempDir()
	ix := open(t, Config{Path: folder, Segment: 10_000})
	r := rand.New(rand.NewPCG(1, 1))
	commit(t, ix, "", "s0", index.Settings{Language: "en"}, corpus(r, 2000, 0))
	for i := range 40 {
		p := corpus(r, 1, 0)
		p[0].Document = fmt.Sprint("new", i)
		p[0].ID = index.PassageID(p[0].Document, 0)
		commit(t, ix, fmt.Sprint("s", i), fmt.Sprint("s", i+1), index.Settings{Language: "en"}, p)
		if err := ix.Drop(context.Background(), fmt.Sprint("s", i)); err != nil {
			t.Fatal(err)
		}
	}
	segments, err := filepath.Glob(filepath.Join(folder, "*"+segmentSuffix))
	if err != nil || len(segments) > 8 {
		t.Errorf("%d segments after 40 builds, %v", len(segments), err)
	}
	if err := ix.Drop(context.Background(), "s40"); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 2 { // the lock and the log of access
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestPostingsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		step := rapid.IntRange(1, 40).Draw(t, "step")
		big := rapid.Uint32Range(1, math.MaxInt32).Draw(t, "big")
		r := rand.New(rand.NewPCG(uint64(n), uint64(step)))
		lengths := make([]uint32, n)
		for i := range lengths {
			lengths[i] = r.Uint32N(1000)
		}
		var want []posting
		for o := r.IntN(step); o < n; o += 1 + r.IntN(step) {
			want = append(want, posting{uint32(o), 1 + r.Uint32N(1+r.Uint32N(min(big, 1<<uint(r.IntN(31)))))})
		}
		if len(want) == 0 {
			return
		}
		f := formula{weight: 3, constant: 0.5, slope: 0.01}
		l, err := parseList(appendPostings(nil, want, lengths), len(want), n, f.bound, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []posting
		var ordinals, counts [blockSize]uint32
		for i := range l.blocks {
			m, err := l.decode(i, &ordinals, &counts)
			if err != nil {
				t.Fatal(err)
			}
			for j := range m {
				got = append(got, posting{ordinals[j], counts[j]})
				if f.score(counts[j], lengths[ordinals[j]]) > l.blocks[i].bound {
					t.Fatalf("posting %d of block %d is over the bound", j, i)
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v comes back as %v", want, got)
		}
	})
}

func FuzzPostings(f *testing.F) {
	f.Add(appendPostings(nil, []posting{{1, 1}, {5, 300}}, make([]uint32, 10)), uint16(2), uint16(10))
	f.Fuzz(func(t *testing.T, data []byte, count, n uint16) {
		if count == 0 || n < count {
			return
		}
		form := formula{weight: 3, constant: 0.5, slope: 0.01}
		l, err := parseList(data, int(count), int(n), form.bound, nil)
		if err != nil {
			return
		}
		var ordinals, counts [blockSize]uint32
		for i := range l.blocks {
			if m, err := l.decode(i, &ordinals, &counts); err == nil && ordinals[m-1] >= uint32(n) {
				t.Fatal("an ordinal is beyond the segment")
			}
		}
	})
}

// FuzzSegment gives a segment contents whose checksum is right: whatever they
// say, there is an error or an answer.
func FuzzSegment(f *testing.F) {
	ix, err := Open(context.Background(), Config{Path: f.TempDir()})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = ix.Close() })
	b := newBuffer(newCounter(index.Settings{Language: "en"}.Default()))
	for _, p := range corpus(rand.New(rand.NewPCG(1, 2)), 30, 4) {
		b.add(&p)
	}
	var file bytes.Buffer
	if err := b.write(context.Background(), &file, ix.pack); err != nil {
		f.Fatal(err)
	}
	good := file.Bytes()
	trailer := good[len(good)-trailerSize:]
	at := binary.LittleEndian.Uint64(trailer)
	f.Add(good[8:at], good[at:len(good)-trailerSize])
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, sections, contents []byte) {
		data := append([]byte(magic), sections...)
		at := len(data)
		data = append(data, contents...)
		data = binary.LittleEndian.AppendUint64(data, uint64(at))
		data = binary.LittleEndian.AppendUint32(data, uint32(len(contents)))
		data = binary.LittleEndian.AppendUint32(data, checksum(contents))
		path := filepath.Join(folder, "fuzzed")
		if err := os.WriteFile(path, append(data, magic...), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := openSegment(path, "fuzzed", ix.access.number)
		if err != nil {
			return
		}
		defer func() { _ = s.file.Close() }()
		for _, key := range []string{"en\x00alpha", "en\x00rho", "\x00x"} {
			if e, err := s.term(key); err == nil && e.count > 0 {
				_, _ = s.postings(e, func(peak) int64 { return 1 })
			}
		}
		for o := range min(s.n, 3) {
			_, _ = s.passage(uint32(o), ix.pack)
		}
	})
}
