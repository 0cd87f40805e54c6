package local

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/online"
)

// Get reads keys one by one: in the process a round trip is a call.
func (s *Store) Get(ctx context.Context, keys []online.Key, into []online.Found) ([]online.Found, error) {
	if err := online.CheckGet(keys); err != nil {
		return into, err
	}
	if err := s.enter(ctx); err != nil {
		return into, err
	}
	defer s.leave()
	now := s.config.Clock.Now().UnixMilli()
	var place []byte
	var values arena
	for i := range keys {
		place = append(appendTable(place[:0], keys[i].Table), keys[i].Key...)
		h, value, err := s.read(place, now, &values)
		if err != nil {
			return into, err
		}
		f := online.Found{}
		if h.version != 0 {
			f = online.Found{Value: value, At: h.at, Version: h.version, OK: true}
		}
		into = append(into, f)
	}
	return into, nil
}

// read returns what lies at a place; a head of version 0 says nothing. With an
// arena the value is copied into it, without one there is none.
func (s *Store) read(place []byte, now int64, values *arena) (head, []byte, error) {
	stored, closer, err := s.db.Get(place)
	if errors.Is(err, pebble.ErrNotFound) {
		return head{}, nil, nil
	}
	if err != nil {
		return head{}, nil, wrap(err)
	}
	defer closer.Close()
	h, value, ok := split(stored)
	if !ok {
		return head{}, nil, fault.New(fault.Corrupt, "a value of the online features on this machine is cut off")
	}
	if h.expired(now) {
		return head{}, nil, nil
	}
	if values == nil {
		return h, nil, nil
	}
	return h, values.copy(value), nil
}

// arena holds the values of one read in few pieces of memory.
type arena struct{ free []byte }

// arenaBytes is the size of a piece: about the rows of a request.
const arenaBytes = 4096

func (a *arena) copy(value []byte) []byte {
	if len(value) > cap(a.free)-len(a.free) {
		a.free = make([]byte, 0, max(arenaBytes, len(value)))
	}
	start := len(a.free)
	a.free = append(a.free, value...)
	return a.free[start:len(a.free):len(a.free)] // so that an append cannot reach the next
}
