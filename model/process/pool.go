package process

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// pool keeps the workers of a model running and hands them out.
type pool struct {
	config   Config
	manifest Manifest
	home     folder
	restarts restarts

	life context.Context // ends when the pool is closed
	end  context.CancelFunc
	loop sync.WaitGroup

	mu       sync.Mutex
	said     hello // of the first worker
	live     []*worker
	waiting  []*waiter
	starting int       // workers on their way, or that will be soon
	last     error     // why the last one ended or did not start
	next     time.Time // when the next start is, where none is on its way
}

// waiter is a caller in line. It gets a worker with a free place, or an error.
type waiter struct {
	got chan *worker // takes one; nil: err says why not
	err error
}

func newPool(c Config, m Manifest, home folder) *pool {
	life, end := context.WithCancel(context.Background())
	return &pool{config: c, manifest: m, home: home, life: life, end: end, restarts: newRestarts()}
}

// start starts every worker and returns when the first said hello.
func (p *pool) start(ctx context.Context) error {
	p.starting = p.manifest.Workers
	first, err := launch(ctx, p.manifest, p.home)
	if err != nil {
		return err
	}
	p.said = first.hello
	p.loop.Go(func() { p.supervise(first) })
	for range p.manifest.Workers - 1 {
		p.loop.Go(func() { p.supervise(nil) })
	}
	return nil
}

func (p *pool) hello() hello { return p.said }

// supervise keeps one worker alive until the pool is closed.
func (p *pool) supervise(w *worker) {
	for tries := 0; w != nil || p.life.Err() == nil; {
		var err error
		if w == nil {
			if w, err = launch(p.life, p.manifest, p.home); err != nil {
				p.stumbled()
			}
		}
		began := time.Now()
		if err == nil {
			p.joined(w)
			select {
			case <-w.done:
			case <-p.life.Done():
				w.end()
				<-w.done
			}
			p.left(w)
			err = w.why()
			w = nil
		}
		if p.life.Err() != nil {
			return
		}
		if time.Since(began) > healthy {
			tries = 0
		}
		wait := p.restarts.wait(tries, time.Now())
		tries++
		p.config.log(fmt.Sprintf("a model's worker ended and is started again in %s: %v", wait.Round(time.Millisecond), err))
		p.pause(wait, err)
	}
}

// stumbled notes that a worker on its way does not come.
func (p *pool) stumbled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
}

// pause waits before a start. Who asks meanwhile waits only where that is
// soon.
func (p *pool) pause(wait time.Duration, why error) {
	p.mu.Lock()
	p.last, p.next = why, time.Now().Add(wait)
	if wait <= soon {
		p.starting++
	} else {
		p.refuse()
	}
	p.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-p.life.Done():
	}
	if wait > soon {
		p.mu.Lock()
		p.starting++
		p.mu.Unlock()
	}
}

const (
	soon    = 2 * time.Second
	healthy = time.Minute // a life after which a start counts as the first again
)

// joined takes in a worker and serves who waits.
func (p *pool) joined(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starting--
	p.live = append(p.live, w)
	for w.free = w.hello.Inflight; w.free > 0 && len(p.waiting) > 0; w.free-- {
		p.waiting[0].got <- w
		p.waiting = slices.Delete(p.waiting, 0, 1)
	}
}

func (p *pool) left(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live = slices.DeleteFunc(p.live, func(o *worker) bool { return o == w })
}

// refuse sends away who waits when no worker is there or will soon be; p.mu is
// held.
func (p *pool) refuse() {
	if len(p.live) > 0 || p.starting > 0 {
		return
	}
	for _, w := range p.waiting {
		w.err = p.away()
		close(w.got)
	}
	p.waiting = nil
}

// away says why there is no worker; p.mu is held.
func (p *pool) away() error {
	err := fault.New(fault.Unavailable, "the model's worker is not running").Because(p.last)
	if again := time.Until(p.next).Round(time.Second); again > 0 {
		err.Hint("it is started again in %s", again)
	}
	return err
}

// acquire returns a worker with a place for one call, which the caller gives
// back with release.
func (p *pool) acquire(ctx context.Context) (*worker, error) {
	p.mu.Lock()
	switch w := p.freest(); {
	case p.life.Err() != nil:
		p.mu.Unlock()
		return nil, fault.New(fault.Unavailable, "the model is closed")
	case w != nil:
		w.free--
		p.mu.Unlock()
		return w, nil
	case len(p.live) == 0 && p.starting == 0:
		defer p.mu.Unlock()
		return nil, p.away()
	case len(p.waiting) >= maxWaiting:
		p.mu.Unlock()
		return nil, fault.New(fault.Overloaded, "%d callers wait for the model's workers", maxWaiting).Hint("try again in a second, or give the model more workers")
	}
	me := &waiter{got: make(chan *worker, 1)}
	p.waiting = append(p.waiting, me)
	p.mu.Unlock()
	select {
	case w := <-me.got:
		if w == nil {
			return nil, me.err
		}
		return w, nil
	case <-ctx.Done():
		p.leave(me)
		return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "no worker of the model was free in time")
	case <-p.life.Done():
		return nil, fault.New(fault.Unavailable, "the model is closed")
	}
}

// leave takes a caller out of the line; a worker that it was given meanwhile
// goes to the next.
func (p *pool) leave(me *waiter) {
	p.mu.Lock()
	p.waiting = slices.DeleteFunc(p.waiting, func(w *waiter) bool { return w == me })
	p.mu.Unlock()
	select {
	case w := <-me.got:
		if w != nil {
			p.release(w)
		}
	default:
	}
}

// freest is the worker with the most room, nil where none has any. Places of
// one that is ending are not given out.
func (p *pool) freest() (best *worker) {
	for _, w := range p.live {
		if w.free > 0 && (best == nil || w.free > best.free) && w.why() == nil {
			best = w
		}
	}
	return best
}

// release gives a place back, to the one who waits longest.
func (p *pool) release(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 && w.why() == nil {
		p.waiting[0].got <- w
		p.waiting = slices.Delete(p.waiting, 0, 1)
		return
	}
	w.free++
}

// close ends every worker and waits for that.
func (p *pool) close() {
	p.end()
	p.loop.Wait()
}

// restarts is the budget of a model's workers together.
type restarts struct {
	mu     sync.Mutex
	tokens float64
	at     time.Time
	first  time.Duration
}

const (
	budget      = 10          // restarts at once
	refill      = time.Minute // and one more each
	firstWait   = 100 * time.Millisecond
	longestWait = 30 * time.Second
)

func newRestarts() restarts { return restarts{tokens: budget, first: firstWait} }

// wait returns how long to wait before the start after a number of tries in a
// row: doubling, drawn from half to one and a half times that, and longer
// where the budget is used up.
func (r *restarts) wait(tries int, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() {
		r.tokens = min(budget, r.tokens+now.Sub(r.at).Seconds()/refill.Seconds())
	}
	r.at = now
	r.tokens--
	wait := min(r.first<<min(tries, 20), longestWait)
	wait = wait/2 + rand.N(wait)
	if r.tokens < 0 {
		wait = max(wait, time.Duration(-r.tokens*float64(refill)))
	}
	return wait
}
