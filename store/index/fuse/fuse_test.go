package fuse

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type (
	entry   = Scored[string]
	ranking = List[string]
)

// drawList draws a ranking of some of the keys a to j.
func drawList(t *rapid.T) ranking {
	keys := rapid.Permutation([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}).Draw(t, "keys")
	keys = keys[:rapid.IntRange(0, len(keys)).Draw(t, "length")]
	l := ranking{Weight: rapid.Float64Range(0.1, 4).Draw(t, "weight")}
	score := 10.0
	for _, k := range keys {
		// Steps are wide enough to be there after a constant was added.
		score -= float64(rapid.IntRange(0, 64).Draw(t, "step")) / 64
		l.Entries = append(l.Entries, entry{k, score})
	}
	return l
}

func place(l []entry, key string) int {
	return slices.IndexFunc(l, func(e entry) bool { return e.Key == key })
}

func methods() map[string]func(...ranking) []entry {
	return map[string]func(...ranking) []entry{
		"weighted": func(l ...ranking) []entry { return Weighted(l...) },
		"rrf":      func(l ...ranking) []entry { return RRF(0, l...) },
	}
}

func TestEachKeyOnceInFallingOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawList(t), drawList(t)
		for name, fuse := range methods() {
			out := fuse(a, b)
			want := map[string]bool{}
			for _, e := range append(slices.Clone(a.Entries), b.Entries...) {
				want[e.Key] = true
			}
			if len(out) != len(want) {
				t.Fatalf("%s: %d keys of %d", name, len(out), len(want))
			}
			for i, e := range out {
				if !want[e.Key] || e.Score < 0 || e.Score > 1+1e-9 && name == "weighted" {
					t.Fatalf("%s: %v", name, e)
				}
				delete(want, e.Key)
				if i > 0 && (out[i-1].Score < e.Score || out[i-1].Score == e.Score && out[i-1].Key > e.Key) {
					t.Fatalf("%s: %v stands before %v", name, out[i-1], e)
				}
			}
		}
	})
}

func TestWhatIsBetterEverywhereIsNeverBelow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawList(t), drawList(t)
		for name, fuse := range methods() {
			out := fuse(a, b)
			for _, x := range out {
				for _, y := range out {
					better := x.Key != y.Key
					for _, l := range [][]entry{a.Entries, b.Entries} {
						px, py := place(l, x.Key), place(l, y.Key)
						better = better && (py < 0 || px >= 0 && l[px].Score > l[py].Score)
					}
					if better && x.Score < y.Score {
						t.Fatalf("%s: %v is better in each list than %v", name, x, y)
					}
				}
			}
		}
	})
}

func TestScalesDoNotCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawList(t), drawList(t)
		factor, more := rapid.Float64Range(0.5, 100).Draw(t, "factor"), rapid.Float64Range(-50, 50).Draw(t, "more")
		linear, bent := ranking{Weight: a.Weight}, ranking{Weight: a.Weight}
		for _, e := range a.Entries {
			linear.Entries = append(linear.Entries, entry{e.Key, e.Score*factor + more})
			bent.Entries = append(bent.Entries, entry{e.Key, math.Exp(e.Score)})
		}
		for i, e := range Weighted(a, b) {
			got := Weighted(linear, b)
			if at := place(got, e.Key); math.Abs(got[at].Score-e.Score) > 1e-9 {
				t.Fatalf("%d: %v became %v", i, e, got[at])
			}
		}
		if !slices.Equal(RRF(7, a, b), RRF(7, bent, b)) {
			t.Fatal("RRF looked at scores")
		}
	})
}

func TestOneListStaysAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawList(t)
		for name, fuse := range methods() {
			for i, e := range fuse(a) {
				if name == "rrf" && e.Key != a.Entries[i].Key || a.Entries[place(a.Entries, e.Key)].Score != a.Entries[i].Score {
					t.Fatalf("%s: %v at %d", name, e, i)
				}
			}
		}
	})
}

func TestByHand(t *testing.T) {
	words := ranking{[]entry{{"x", 12}, {"y", 6}, {"z", 2}}, 1}
	vectors := ranking{[]entry{{"y", 0.9}, {"w", 0.5}}, 1}
	if got, want := Weighted(words, vectors), []entry{{"y", 0.7}, {"x", 0.5}, {"w", 0}, {"z", 0}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	at := func(place float64) float64 { return 1 / (60 + place) }
	if got, want := RRF(0, words, vectors), []entry{{"y", at(2) + at(1)}, {"x", at(1)}, {"w", at(2)}, {"z", at(3)}}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Weighted[string](); len(got) != 0 {
		t.Errorf("nothing gave %v", got)
	}
}
