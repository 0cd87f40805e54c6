package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// headroom is how many bytes of garbage may lie about before it is collected,
// however little is in use.
const headroom = 48 << 20

// SpareCollections lets a small heap grow by headroom between collections,
// instead of to its double: a server has some 20 MB in use and would collect
// ten times a second under load, for a fifth of its time. A heap larger than
// headroom is collected as ever. It is for main to call, once; GOGC overrules
// it.
func SpareCollections() {
	if os.Getenv("GOGC") != "" {
		return
	}
	c := &collection{percent: 100}
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
type collection struct{ percent int }

func (c *collection) ended() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	percent := 100
	if n := live[0].Value.Uint64(); n > 0 && n < headroom {
		percent = int(100 * headroom / n)
	}
	if percent > c.percent*5/4 || percent < c.percent*4/5 {
		debug.SetGCPercent(percent)
		c.percent = percent
	}
	runtime.SetFinalizer(c, (*collection).ended)
}
