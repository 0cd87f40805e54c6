package registry

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
)

// Bounds of what stays in memory, and of what it takes to get there.
const (
	// DefaultMemory is how many bytes of models may be in memory.
	DefaultMemory int64 = 512 << 20
	// maxIdle is how many models stay that nobody holds.
	maxIdle = 8
	// loadTime bounds the loading of one model: a program may have to start.
	loadTime = 2 * time.Minute
)

// resident keeps the models that are in memory, each once: those that somebody
// holds, and some that were let go last, as far as there is room.
type resident struct {
	mu     sync.Mutex
	models map[string]*entry // by the id of the version
	idle   []*entry          // held by nobody, the one let go last at the end
	bytes  int64             // of all models
	room   int64             // how many bytes they may have
}

// entry is a model in memory, or on its way there.
type entry struct {
	id    string
	holds int           // who holds it or waits for it
	ready chan struct{} // closed when the rest is known
	model model.Model
	size  int64
	err   error
}

func newResident(room int64) *resident {
	return &resident{models: map[string]*entry{}, room: room}
}

// hold returns the model of a version until release is called, which is safe
// to call twice. Whoever asks for a model first has it loaded for all who ask
// meanwhile, and need not stay until it is there.
func (r *resident) hold(ctx context.Context, id string, load func(context.Context) (model.Model, int64, error)) (m model.Model, release func(), err error) {
	e, mine := r.enter(id)
	if mine {
		go func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTime)
			defer cancel()
			m, size, err := load(ctx)
			r.arrived(e, m, size, err)
		}()
	}
	select {
	case <-e.ready:
	case <-ctx.Done():
		r.leave(e)
		return nil, nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the model was not loaded in time")
	}
	if e.err != nil {
		r.leave(e)
		return nil, nil, e.err
	}
	var once sync.Once
	return e.model, func() { once.Do(func() { r.leave(e) }) }, nil
}

// enter holds an entry; mine says that the caller must load it.
func (r *resident) enter(id string) (e *entry, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e = r.models[id]
	if e == nil {
		e, mine = &entry{id: id, ready: make(chan struct{}), holds: 1}, true // of the loading itself
		r.models[id] = e
	}
	if at := slices.Index(r.idle, e); at >= 0 {
		r.idle = slices.Delete(r.idle, at, at+1)
	}
	e.holds++
	return e, mine
}

// arrived says what came of loading an entry. One that failed is forgotten, so
// that the next who asks tries again.
func (r *resident) arrived(e *entry, m model.Model, size int64, err error) {
	r.mu.Lock()
	e.model, e.size, e.err = m, size, err
	if err != nil {
		delete(r.models, e.id)
	}
	r.bytes += size
	close(e.ready)
	r.mu.Unlock()
	r.leave(e)
}

// leave lets an entry go. A model that holds more than memory ends with its
// last holder; others stay for a while, in case somebody asks again.
func (r *resident) leave(e *entry) {
	r.mu.Lock()
	var ended []*entry
	if e.holds--; e.holds == 0 && e.err == nil {
		r.idle = append(r.idle, e)
		if _, closes := e.model.(io.Closer); closes {
			ended = append(ended, r.drop(len(r.idle)-1))
		}
	}
	for len(r.idle) > maxIdle || len(r.idle) > 0 && r.bytes > r.room {
		ended = append(ended, r.drop(0))
	}
	r.mu.Unlock()
	for _, e := range ended {
		e.end()
	}
}

// drop takes an idle entry out of memory.
func (r *resident) drop(at int) *entry {
	e := r.idle[at]
	r.idle = slices.Delete(r.idle, at, at+1)
	delete(r.models, e.id)
	r.bytes -= e.size
	return e
}

// end closes a model that has something to close. What goes wrong then
// concerns nobody any more.
func (e *entry) end() {
	if c, ok := e.model.(io.Closer); ok {
		_ = c.Close()
	}
}

// full tells whether the models have more memory than they may.
func (r *resident) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes > r.room
}

// close drops every idle model. Those that somebody holds end with their
// holders.
func (r *resident) close() error {
	r.mu.Lock()
	r.room = 0
	var ended []*entry
	for len(r.idle) > 0 {
		ended = append(ended, r.drop(0))
	}
	r.mu.Unlock()
	var mistakes []error
	for _, e := range ended {
		if c, ok := e.model.(io.Closer); ok {
			mistakes = append(mistakes, c.Close())
		}
	}
	return errors.Join(mistakes...)
}
