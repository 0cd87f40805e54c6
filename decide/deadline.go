package decide

import (
	"context"
	"sync"
	"time"
)

// deadline is a context that ends at a time. A request that is answered from
// memory only ever asks whether it has ended, and for that a clock is enough:
// the timer is made when somebody waits.
type deadline struct {
	context.Context // the caller's
	at              time.Time

	mu     sync.Mutex
	err    error           // once it has ended
	timer  context.Context // nil until somebody waits
	cancel context.CancelFunc
}

func (d *deadline) Deadline() (time.Time, bool) { return d.at, true }

func (d *deadline) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.err != nil:
	case d.timer != nil:
		d.err = d.timer.Err()
	case d.Context.Err() != nil:
		d.err = d.Context.Err()
	case !time.Now().Before(d.at):
		d.err = context.DeadlineExceeded
	}
	return d.err
}

// Done makes the timer. Of one that has ended already the channel is closed.
func (d *deadline) Done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer == nil {
		d.timer, d.cancel = context.WithDeadline(d.Context, d.at)
		if d.err != nil {
			d.cancel()
		}
	}
	return d.timer.Done()
}

// end is the end of the request: who still waits is let go.
func (d *deadline) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cancel != nil {
		d.cancel()
	}
	if d.err == nil {
		d.err = context.Canceled
	}
}
