package embedded

import (
	lru "container/list"
	"sync"
)

// cache keeps bitmaps from query to query, the latest used, up to a number of
// bytes. A bitmap that is in it is never changed.
type cache struct {
	most int

	mu    sync.Mutex
	bytes int
	order *lru.List // of *cached, the latest used first
	byKey map[cacheKey]*lru.Element
}

// cacheKey names a bitmap: which passages of a segment a reader may read at an
// epoch, or which of them a filter lets through.
type cacheKey struct {
	segment string // its file
	filter  bool
	epoch   uint64 // of access
	text    string // the reader's key, or the filter as JSON
}

type cached struct {
	key   cacheKey
	bits  bitmap
	bytes int
}

// perEntry is about what an entry takes beside its bitmap and its text.
const perEntry = 200

func newCache(most int) *cache {
	return &cache{most: most, order: lru.New(), byKey: make(map[cacheKey]*lru.Element)}
}

func (c *cache) get(key cacheKey) bitmap {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).bits
}

func (c *cache) put(key cacheKey, bits bitmap) {
	entry := &cached{key, bits, 8*len(bits) + len(key.text) + perEntry}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byKey[key] != nil || entry.bytes > c.most {
		return
	}
	c.byKey[key] = c.order.PushFront(entry)
	for c.bytes += entry.bytes; c.bytes > c.most; {
		last := c.order.Remove(c.order.Back()).(*cached)
		delete(c.byKey, last.key)
		c.bytes -= last.bytes
	}
}
