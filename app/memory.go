package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// headroom is how many bytes of garbage may lie about before it is collected,
// however little is in use; mostHeadroom is that of a server under load.
const (
	headroom     = 48 << 20
	mostHeadroom = 128 << 20
)

// SpareCollections lets a small heap grow by headroom between collections,
// instead of to its double: a server has some 20 MB in use and would collect
// ten times a second under load, for a fifth of its time. Requests that arrive
// while it collects wait, so where collections come more often than twice a
// second the headroom grows, and shrinks again when they get rare. A heap
// larger than its headroom is collected as ever. It is for main to call, once;
// GOGC overrules it.
func SpareCollections() {
	if os.Getenv("GOGC") != "" {
		return
	}
	c := &collection{percent: 100, room: headroom, begun: time.Now()}
	runtime.SetFinalizer(c, (*collection).ended)
}

// BoundMemory has the collector keep the heap below three quarters of what the
// machine's control group grants, where it grants a bound: the rest is for
// engines that the collector does not know of. It is for main to call, once;
// GOMEMLIMIT overrules it.
func BoundMemory() {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	for _, path := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if granted, bound := boundOf(string(text)); bound {
			debug.SetMemoryLimit(granted / 4 * 3)
		}
		return
	}
}

// boundOf reads what a control group grants. Without a bound it says max, or
// as much as no machine has.
func boundOf(text string) (bytes int64, bound bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n > 0 && n < 1<<50
}

// collection is garbage by design: its finalizer runs after each collection
// and makes it garbage again.
type collection struct {
	percent int
	room    int64
	begun   time.Time // the process
	last    time.Time // one ended
}

// What is often and what is rare for a collection.
const (
	often = time.Second / 2
	rare  = 10 * time.Second
)

func (c *collection) ended() {
	now := time.Now()
	if now.Sub(c.begun) > settled { // a start collects often, for it has little yet
		c.room = roomAfter(c.room, now.Sub(c.last))
	}
	c.last = now
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := 100
	if n := int64(live[0].Value.Uint64()); n > 0 && n < c.room {
		percent = int(100 * c.room / n)
	}
	if percent > c.percent*5/4 || percent < c.percent*4/5 {
		debug.SetGCPercent(percent)
		c.percent = percent
	}
	runtime.SetFinalizer(c, (*collection).ended)
}

// roomAfter is the headroom after so long without a collection.
func roomAfter(room int64, since time.Duration) int64 {
	switch {
	case since < often:
		return min(2*room, mostHeadroom)
	case since > rare:
		return max(room/2, headroom)
	}
	return room
}
