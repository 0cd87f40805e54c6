package work

import (
	"context"
	"slices"
	"sync"
)

// gate lets a bounded number of runs of one kind work at a time, the others
// wait in the order in which they came; with alone set, runs of one name never
// work together. It lives in memory: what waits is durable as a run that has
// begun and done nothing yet.
type gate struct {
	limit int // 0: no bound
	alone bool

	mu      sync.Mutex
	running int
	names   map[string]bool // that work; with alone only
	waiting []*ticket
}

type ticket struct {
	name string
	turn chan struct{}
}

// enter waits for its turn; the caller calls leave afterwards unless enter
// failed because ctx ended.
func (g *gate) enter(ctx context.Context, name string) error {
	t := &ticket{name: name, turn: make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, t)
	g.admit()
	g.mu.Unlock()
	select {
	case <-t.turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := slices.Index(g.waiting, t); i >= 0 {
		g.waiting = slices.Delete(g.waiting, i, i+1)
	} else {
		g.release(name) // the turn came at the same moment
	}
	return context.Cause(ctx)
}

func (g *gate) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.release(name)
}

func (g *gate) release(name string) {
	g.running--
	delete(g.names, name)
	g.admit()
}

// admit gives turns to those who may work now.
func (g *gate) admit() {
	g.waiting = slices.DeleteFunc(g.waiting, func(t *ticket) bool {
		if g.limit > 0 && g.running >= g.limit || g.alone && g.names[t.name] {
			return false
		}
		g.running++
		if g.alone {
			g.names[t.name] = true
		}
		close(t.turn)
		return true
	})
}

// queue returns how many wait.
func (g *gate) queue() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
