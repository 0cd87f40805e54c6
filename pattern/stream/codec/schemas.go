package codec

import "sync"

// schemas keeps what was made of the schemas of a registry, by their ids or
// the like. It is bounded: ids come with messages.
type schemas[K comparable, T any] struct {
	mu   sync.RWMutex
	made map[K]T
}

const maxSchemas = 256

// get returns what was made of a schema, or makes it. Schemas that are asked
// for at once may be made twice.
func (s *schemas[K, T]) get(key K, of func() (T, error)) (T, error) {
	s.mu.RLock()
	v, ok := s.made[key]
	s.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := of()
	if err != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.made == nil || len(s.made) >= maxSchemas {
		s.made = map[K]T{}
	}
	s.made[key] = v
	return v, nil
}
