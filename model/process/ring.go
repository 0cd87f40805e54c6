package process

import (
	"strings"
	"sync"
)

// ring keeps the last bytes that were written to it. It is safe for many
// goroutines.
type ring struct {
	mu    sync.Mutex
	bytes []byte
	size  int
}

func newRing(size int) *ring { return &ring{size: size} }

// Write keeps the end of what it was given; it never fails.
func (r *ring) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(p)
	if len(p) > r.size {
		p = p[len(p)-r.size:]
	}
	if over := len(r.bytes) + len(p) - r.size; over > 0 {
		r.bytes = r.bytes[:copy(r.bytes, r.bytes[over:])]
	}
	r.bytes = append(r.bytes, p...)
	return n, nil
}

// last returns the last lines, at most 20 of them and 2,000 bytes.
func (r *ring) last() string {
	r.mu.Lock()
	text := strings.ToValidUTF8(string(r.bytes), "\uFFFD")
	r.mu.Unlock()
	text = strings.TrimSpace(text)
	const lines, most = 20, 2000
	if len(text) > most {
		text = text[len(text)-most:]
	}
	all := strings.Split(text, "\n")
	return strings.ToValidUTF8(strings.Join(all[max(0, len(all)-lines):], "\n"), "")
}
