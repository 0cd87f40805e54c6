package gateway

import (
	"container/list"
	"crypto/sha256"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/leat-ai/leat/llm"
)

// Bounds of the cache of answers and vectors, in bytes.
const (
	cacheMost = 64 << 20
	cacheOne  = 1 << 20
)

// cache gives answers again: to equal requests of the same caller, and vectors
// to equal texts. What was not asked for longest goes first. It is safe for
// many goroutines.
type cache struct {
	now  func() time.Time
	most int

	mu    sync.Mutex
	size  int
	by    map[string]*list.Element
	order *list.List // of *remembered, the latest in front
}

// remembered is one entry: the pieces of an answer, or a vector.
type remembered struct {
	key    string
	pieces []llm.Delta
	vector []float32
	model  string
	bytes  int
	until  time.Time
}

func newCache(most int, now func() time.Time) *cache {
	return &cache{now: now, most: most, by: map[string]*list.Element{}, order: list.New()}
}

// get returns what is remembered of a key, or nil. It is shared and read-only.
func (c *cache) get(key string) *remembered {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.by[key]
	if !ok {
		return nil
	}
	r := e.Value.(*remembered)
	if c.now().After(r.until) {
		c.remove(e)
		return nil
	}
	c.order.MoveToFront(e)
	return r
}

// put remembers an entry for a time; one that is too large is not.
func (c *cache) put(r *remembered, ttl time.Duration) {
	r.bytes += len(r.key) + 256
	if r.bytes > cacheOne {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.by[r.key]; ok {
		c.remove(e)
	}
	r.until = c.now().Add(ttl)
	c.by[r.key] = c.order.PushFront(r)
	for c.size += r.bytes; c.size > c.most; {
		c.remove(c.order.Back())
	}
}

// remove forgets an entry. c.mu is held.
func (c *cache) remove(e *list.Element) {
	r := c.order.Remove(e).(*remembered)
	delete(c.by, r.key)
	c.size -= r.bytes
}

// add gathers a piece of an answer of n bytes.
func (r *remembered) add(d *llm.Delta, n int) {
	if r.bytes += n + 64; r.bytes <= cacheOne {
		r.pieces = append(r.pieces, *d)
	}
}

// cached looks for an answer to an equal request. It returns the key to keep
// the answer under, "" where none is kept.
func (g *Gateway) cached(c *call, r *llm.Request) (key string, _ llm.Stream) {
	if c.named.spec.Cache == 0 {
		return "", nil
	}
	same := *r
	same.Stream, same.Model = false, ""
	text, err := json.Marshal(same)
	if err != nil {
		return "", nil // an Extra that is no JSON: the provider will say so
	}
	h := sha256.New()
	for _, part := range [][]byte{[]byte(c.named.form), []byte(c.scope()), text} {
		sum := sha256.Sum256(part)
		h.Write(sum[:])
	}
	key = string(h.Sum(nil))
	if found := g.answers.get(key); found != nil {
		c.mu.Lock()
		c.info.Cached = true
		c.mu.Unlock()
		c.question = func() string { return questionOf(r) }
		return key, &replay{call: c, pieces: found.pieces}
	}
	return key, nil
}

// replay is an answer out of the cache.
type replay struct {
	call   *call
	pieces []llm.Delta
	heard  int // of pieces
	given  int // of pieces
	err    error
	once   sync.Once
	failed error // of the record
}

// Next returns the next piece: where there is no answer without a record, when
// it is made.
func (s *replay) Next() (llm.Delta, error) {
	for s.heard < len(s.pieces) && (s.heard == s.given || s.call.mustRecord()) {
		s.call.hear(&s.pieces[s.heard], nil)
		s.heard++
	}
	if s.err == nil && (s.given == len(s.pieces) || s.call.mustRecord()) {
		s.err = io.EOF
		if s.over(); s.failed != nil {
			s.err = s.failed
		}
	}
	if s.given < len(s.pieces) && !s.call.hidden {
		s.given++
		return s.pieces[s.given-1], nil
	}
	return llm.Delta{}, s.err
}

// over ends the call, once: who comes second waits for the record.
func (s *replay) over() { s.once.Do(func() { s.failed = s.call.finish(nil) }) }

// Close ends the call.
func (s *replay) Close() error {
	s.over() // whoever closes asks no more
	return nil
}

// Call returns what is known of the call.
func (s *replay) Call() Call { return s.call.known() }

// vectorKey names a vector by what it is made of.
func vectorKey(form string, r *llm.EmbedRequest, text string) string {
	head, _ := json.Marshal([]any{form, r.Dimensions, r.Purpose, r.Extra}) // RawMessages that are no JSON give a shorter head, and no equal one
	h := sha256.New()
	for _, part := range []string{string(head), text} {
		sum := sha256.Sum256([]byte(part))
		h.Write(sum[:])
	}
	return "v" + string(h.Sum(nil))
}
