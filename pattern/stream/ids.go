package stream

import (
	"crypto/sha256"

	"github.com/leat-ai/leat/base/fault"
)

// id is the hash of what names an event. Whoever sends events chooses their
// names, so it is one for which nobody finds two of the same.
type id [16]byte

func idOf(name string) id {
	sum := sha256.Sum256([]byte(name))
	return id(sum[:16])
}

// seen is a set of ids that forgets the oldest: it holds at least the last
// keep and at most twice as many. It is for one goroutine.
type seen struct {
	keep       int
	young, old map[id]struct{}
}

func newSeen(keep int) *seen { return &seen{keep: keep, young: map[id]struct{}{}} }

func (s *seen) has(x id) bool {
	if _, ok := s.young[x]; ok {
		return true
	}
	_, ok := s.old[x]
	return ok
}

func (s *seen) add(x id) {
	s.young[x] = struct{}{}
	if len(s.young) >= s.keep {
		s.old, s.young = s.young, make(map[id]struct{}, s.keep)
	}
}

func pack(ids []id) []byte {
	packed := make([]byte, 0, len(ids)*len(id{}))
	for _, x := range ids {
		packed = append(packed, x[:]...)
	}
	return packed
}

func unpack(packed []byte, each func(id)) error {
	if len(packed)%len(id{}) != 0 {
		return fault.New(fault.Corrupt, "the ids of a stream have %d bytes", len(packed))
	}
	for ; len(packed) > 0; packed = packed[len(id{}):] {
		each(id(packed[:len(id{})]))
	}
	return nil
}
