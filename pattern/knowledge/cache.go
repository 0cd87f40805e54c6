package knowledge

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"hash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/index"
)

// cached keeps the answers of an answerer. What an answer was made from is its
// key: the release but for the names of its snapshots, the question, the
// conversation, and the passages as the caller found them, each with its
// version and its bytes, in their order; and the groups of the caller. So an
// answer is given again to whom the same passages were found for just now,
// which he may read, and to nobody else. A source that changes, or that he may
// not read any more, is found otherwise or not at all, and the answers that
// used it are not asked for again; the others stay.
type cached struct {
	answerer answerer
	cache    *cache
	release  [sha256.Size]byte
	keep     time.Duration
}

func (c *cached) answer(ctx context.Context, q asked, emit func(Part) error) (said, error) {
	key := c.key(ctx, q)
	if s, parts, ok := c.cache.get(key); ok {
		for _, p := range parts {
			if err := emit(p); err != nil {
				return said{}, err
			}
		}
		s.spent = spending{Model: s.spent.Model}
		return s, nil
	}
	var parts []Part
	s, err := c.answerer.answer(ctx, q, func(p Part) error {
		parts = append(parts, p)
		return emit(p)
	})
	if err == nil && !s.abstained && finished(s.finish) == llm.FinishStop {
		c.cache.put(key, s, parts, c.keep)
	}
	return s, err
}

type answerKey [sha256.Size]byte

// releaseKey is all of a release that an answer depends on beside its
// passages.
func releaseKey(name string, a *deploy.Assistant) [sha256.Size]byte {
	of := *a
	of.Knowledge = slices.Clone(a.Knowledge)
	for i := range of.Knowledge {
		of.Knowledge[i].Snapshot = ""
	}
	data, _ := json.Marshal(of) // plain data
	return sha256.Sum256(append([]byte(name+"\x00"), data...))
}

func (c *cached) key(ctx context.Context, q asked) (key answerKey) {
	h := sha256.New()
	h.Write(c.release[:])
	who, _ := identity.From(ctx)
	part(h, index.ReaderOf("", who.Groups).Key())
	part(h, normal(q.question), normal(q.query))
	for _, t := range q.conversation {
		part(h, t.Role, t.Text)
	}
	part(h, "passages")
	for _, p := range q.passages {
		part(h, p.Knowledge, p.ID, p.Source, p.Version, p.Title, p.Heading, p.Context, p.URL, p.Text)
		_ = binary.Write(h, binary.LittleEndian, [3]int64{int64(p.Start), int64(p.End), int64(p.Page)})
	}
	h.Sum(key[:0])
	return key
}

// part hashes texts so that no two lists of them are the same bytes.
func part(h hash.Hash, texts ...string) {
	var n [8]byte
	for _, t := range texts {
		binary.LittleEndian.PutUint64(n[:], uint64(len(t)))
		h.Write(n[:])
		h.Write([]byte(t))
	}
}

// normal is a question without what does not change it: space at its ends and
// more than one space in a row.
func normal(text string) string { return strings.Join(strings.Fields(text), " ") }

// cache keeps answers within a bound of memory, the least recently used first
// to go.
type cache struct {
	clock clock.Clock
	most  int

	mu    sync.Mutex
	size  int
	order *list.List // of *kept, the latest used first
	by    map[answerKey]*list.Element
}

type kept struct {
	key   answerKey
	said  said
	parts []Part
	until time.Time
	size  int
}

func newCache(most int, clock clock.Clock) *cache {
	return &cache{clock: clock, most: most, order: list.New(), by: map[answerKey]*list.Element{}}
}

func (c *cache) get(key answerKey) (said, []Part, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.by[key]
	if e == nil {
		return said{}, nil, false
	}
	k := e.Value.(*kept)
	if !c.clock.Now().Before(k.until) {
		c.drop(e)
		return said{}, nil, false
	}
	c.order.MoveToFront(e)
	return k.said, k.parts, true
}

func (c *cache) put(key answerKey, s said, parts []Part, keep time.Duration) {
	k := &kept{key: key, said: s, parts: parts, until: c.clock.Now().Add(keep), size: sizeOf(s)}
	if k.size > c.most/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.by[key]; e != nil {
		c.drop(e)
	}
	c.by[key] = c.order.PushFront(k)
	c.size += k.size
	for c.size > c.most {
		c.drop(c.order.Back())
	}
}

func (c *cache) drop(e *list.Element) {
	k := e.Value.(*kept)
	c.order.Remove(e)
	delete(c.by, k.key)
	c.size -= k.size
}

// sizeOf is about how much memory an answer takes with its parts, whose texts
// are its text once more.
func sizeOf(s said) int {
	n := 1024 + 2*len(s.text) + 160*len(s.sentences)
	for _, c := range s.citations {
		n += 512 + len(c.Quote) + len(c.Source) + len(c.URL) + len(c.Title) + len(c.Heading)
	}
	return n
}
