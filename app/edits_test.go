package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/pattern/stream"
)

const editStream = `
---
kind: Stream
name: edits
from: edits.jsonl.gz
schema: {time: timestamp, channel: string, page: string, isRobot: bool, isAnonymous: bool, added: int, deleted: int, delta: int}
timestamp: time
lateness: 1m
steps:
  - map: {net: added - deleted}
batch: 10000
keep: lake://edits
`

// A day of edits of Wikipedia goes through a stream into the lake: every event
// once, none late, and the counts are those that its source publishes.
func TestDayOfEdits(t *testing.T) {
	l := newLoop(t, 10, listening)
	day, err := os.ReadFile(realdata.Path(t, "stream-wikipedia-edits/events.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(l.dir, "edits.jsonl.gz"), day, 0o600); err != nil {
		t.Fatal(err)
	}
	l.apply("\n---\nkind: Endpoint", editStream+"---\nkind: Endpoint")
	l.eventually("the file has come to its end", func() bool {
		st, err := l.Client().Stream(t.Context(), "edits")
		return err == nil && st.State == stream.Finished
	})
	st, err := l.Client().Stream(t.Context(), "edits")
	if err != nil || st.Decided != 39_244 || st.Late != 0 || st.DeadLetters != 0 {
		t.Fatalf("%+v, %v", st, err)
	}
	for sql, want := range map[string]int{
		"select count(*) from edits":                                    39_244,
		"select count(*) from edits where isRobot":                      15_420,
		"select count(*) from edits where isAnonymous":                  3_799,
		"select count(*) from edits where channel = '#en.wikipedia'":    11_549,
		"select count(*) from edits where channel = '#vi.wikipedia'":    9_747,
		"select count(*) from edits where channel = '#de.wikipedia'":    2_523,
		"select count(*) from edits where net is distinct from delta":   0,
		"select count(*) from edits where time < '2015-09-12 00:46:58'": 0,
	} {
		if got := l.count(sql); got != want {
			t.Errorf("%s: %d, not %d", sql, got, want)
		}
	}
}
