package gbdt

import (
	"sync"
	"sync/atomic"
)

// blockRows is the number of rows of a block. Everything that is summed as
// floating point is summed by blocks of this size and then over the blocks in
// order: that is why the result does not depend on the number of threads.
const blockRows = 8192

// parallel calls f(i) for 0 <= i < n on at most threads goroutines. Which
// goroutine does which i is left open, so f must not depend on it.
func parallel(threads, n int, f func(i int)) {
	if threads = min(threads, n); threads <= 1 {
		for i := range n {
			f(i)
		}
		return
	}
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			f(i)
		}
	}
	var wg sync.WaitGroup
	for range threads - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}

// blocks calls f for every block of n rows with its index and its bounds.
func blocks(threads, n int, f func(block, from, to int)) {
	parallel(threads, blockCount(n), func(b int) {
		f(b, b*blockRows, min((b+1)*blockRows, n))
	})
}

func blockCount(n int) int { return (n + blockRows - 1) / blockRows }
