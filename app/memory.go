package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
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
