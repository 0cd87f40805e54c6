//go:build duckdb_arrow

package topic_test

import (
	"slices"
	"testing"

	"github.com/leat-ai/leat/flow/lake/topic"
	"github.com/leat-ai/leat/store/query/duckdb"
)

// TestSorted: in the order of their time rows come the other way round, and
// from any offset on.
func TestSorted(t *testing.T) {
	l := openLake(t)
	s := sink(t, l, "events")
	put(t, s, "a", 0, 50)
	put(t, s, "b", 50, 80)
	engine, err := duckdb.Open(t.Context(), duckdb.Config{Temp: t.TempDir(), Dirs: []string{l.Folder()}})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	want := upTo(80)
	slices.Reverse(want)
	for _, from := range []int64{0, 33, 80} {
		source, err := topic.Read(t.Context(), l, "lake://events", topic.ReadOptions{Time: "at", Engine: engine, From: from})
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, source, from, 7); !slices.Equal(got, want[from:]) {
			t.Errorf("from %d: %d", from, got)
		}
		if err := source.Close(); err != nil {
			t.Error(err)
		}
	}
}
