package knowledge

import (
	"context"
	"errors"

	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/index"
)

// handle is an open index. It is closed when the knowledge moves to another
// index and nobody uses it any more.
type handle struct {
	index index.Index
	at    string // what it was opened by
	users int
	stale bool
	ready chan struct{} // closed when index or err is there
	err   error
}

// acquire returns the index of a knowledge, opened once for all who use it.
func (s *Store) acquire(ctx context.Context, k spec.Knowledge) (*handle, error) {
	at := k.Index + " " + k.Secret
	s.mu.Lock()
	h := s.open[k.Name]
	if h != nil && h.at != at {
		h.stale = true
		if h.users == 0 {
			defer func() { _ = h.close() }() // what it held is durable
		}
		h = nil
	}
	mine := h == nil
	if mine {
		h = &handle{at: at, ready: make(chan struct{})}
		s.open[k.Name] = h
	}
	h.users++
	s.mu.Unlock()
	if mine {
		h.index, h.err = s.deps.Engines.Index(context.WithoutCancel(ctx), k)
		if h.err != nil {
			s.forget(k.Name, h)
		}
		close(h.ready)
	}
	select {
	case <-h.ready:
	case <-ctx.Done():
		s.release(h)
		return nil, ctx.Err()
	}
	if h.err != nil {
		s.release(h)
		return nil, h.err
	}
	return h, nil
}

// forget takes an index out that could not be opened, so that it is tried
// again.
func (s *Store) forget(name string, h *handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[name] == h {
		delete(s.open, name)
	}
}

func (s *Store) release(h *handle) {
	s.mu.Lock()
	h.users--
	last := h.users == 0 && h.stale
	s.mu.Unlock()
	if last {
		_ = h.close() // what it held is durable
	}
}

func (h *handle) close() error {
	if h.index == nil {
		return nil
	}
	return h.index.Close()
}

// Close closes the indexes. Nobody uses the store any more.
func (s *Store) Close(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []error
	for name, h := range s.open {
		<-h.ready
		all = append(all, h.close())
		delete(s.open, name)
	}
	return errors.Join(all...)
}
