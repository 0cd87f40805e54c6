package app

import (
	"context"
	"sync"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// lateStore is a store of online features that opens when it is first asked: a
// server without online views does not pay for one, and one whose store is
// away starts nevertheless.
type lateStore struct {
	open func(context.Context) (online.Store, error)

	mu     sync.RWMutex
	store  online.Store // nil until it is open
	closed bool
}

var _ online.Store = (*lateStore)(nil)

func (a *App) newOnlineStore() *lateStore {
	return &lateStore{open: func(ctx context.Context) (online.Store, error) {
		return backends.Online(ctx, a.config.Online, a.log)
	}}
}

// get opens the store unless it is open.
func (l *lateStore) get(ctx context.Context) (online.Store, error) {
	l.mu.RLock()
	s := l.store
	l.mu.RUnlock()
	if s != nil {
		return s, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, fault.New(fault.Unavailable, "the server is stopping")
	}
	if l.store == nil {
		s, err := l.open(ctx)
		if err != nil {
			return nil, err
		}
		l.store = s
	}
	return l.store, nil
}

// Get meets online.Store.
func (l *lateStore) Get(ctx context.Context, keys []online.Key, into []online.Found) ([]online.Found, error) {
	s, err := l.get(ctx)
	if err != nil {
		return into, err
	}
	return s.Get(ctx, keys, into)
}

// Put meets online.Store.
func (l *lateStore) Put(ctx context.Context, table string, entries []online.Entry) (int, error) {
	s, err := l.get(ctx)
	if err != nil {
		return 0, err
	}
	return s.Put(ctx, table, entries)
}

// Swap meets online.Store.
func (l *lateStore) Swap(ctx context.Context, table string, changes []online.Change) ([]int, error) {
	s, err := l.get(ctx)
	if err != nil {
		return nil, err
	}
	return s.Swap(ctx, table, changes)
}

// Drop meets online.Store.
func (l *lateStore) Drop(ctx context.Context, table string) error {
	s, err := l.get(ctx)
	if err != nil {
		return err
	}
	return s.Drop(ctx, table)
}

// Close closes the store if it was opened.
func (l *lateStore) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.store == nil {
		return nil
	}
	return l.store.Close()
}

// opened tells whether anybody has asked for the store.
func (l *lateStore) opened() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.store != nil
}
