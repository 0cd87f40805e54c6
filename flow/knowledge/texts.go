package knowledge

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
)

// What texts take of the memory: those that are kept, and those that are being
// read at a time, in bytes.
const (
	maxKeptTexts    = 64 << 20
	maxReadingTexts = 256 << 20
)

// texts gives the texts of versions by their digests. Those that were asked for
// last are kept; of the others only so many are read at a time, and each once
// for all who ask for it meanwhile. It knows nothing of who may read what.
type texts struct {
	open    func(ctx context.Context, d blob.Digest) (io.ReadCloser, error)
	reading *semaphore.Weighted // bytes
	most    int64               // bytes that are kept

	mu     sync.Mutex
	size   int64      // bytes that are in recent
	recent *list.List // of kept, the last asked for in front
	by     map[blob.Digest]*list.Element
	reads  map[blob.Digest]*textRead
}

type kept struct {
	digest blob.Digest
	text   []byte
}

// textRead is a text on its way to those who wait for it.
type textRead struct {
	waiting int // under the lock of texts
	stop    context.CancelFunc
	done    chan struct{} // closed once text and err are there
	text    []byte
	err     error
}

func newTexts(open func(context.Context, blob.Digest) (io.ReadCloser, error), most, reading int64) *texts {
	return &texts{open: open, reading: semaphore.NewWeighted(reading), most: most, recent: list.New(),
		by: map[blob.Digest]*list.Element{}, reads: map[blob.Digest]*textRead{}}
}

// get returns a text of so many bytes. Others have the same bytes: they are
// not to be changed.
func (t *texts) get(ctx context.Context, d blob.Digest, size int64) ([]byte, error) {
	switch {
	case size < 0:
		return nil, fault.New(fault.Corrupt, "the text %.12s… cannot have %d bytes", d, size)
	case size > maxText:
		return nil, fault.New(fault.TooLarge, "the text %.12s… is over %d bytes", d, maxText)
	}
	t.mu.Lock()
	if e, ok := t.by[d]; ok {
		t.recent.MoveToFront(e)
		text := e.Value.(kept).text
		t.mu.Unlock()
		return text, nil
	}
	r, ok := t.reads[d]
	if !ok {
		// Who asked first may leave while others still wait.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		r = &textRead{stop: stop, done: make(chan struct{})}
		t.reads[d] = r
		go t.run(own, d, size, r)
	}
	r.waiting++
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.text, r.err
	case <-ctx.Done():
		t.leave(d, r)
		return nil, ctx.Err()
	}
}

// leave ends a read that nobody waits for any more.
func (t *texts) leave(d blob.Digest, r *textRead) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.waiting--; r.waiting > 0 {
		return
	}
	r.stop()
	if t.reads[d] == r { // who comes now begins anew
		delete(t.reads, d)
	}
}

func (t *texts) run(ctx context.Context, d blob.Digest, size int64, r *textRead) {
	defer r.stop()
	r.text, r.err = t.read(ctx, d, size)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reads[d] == r {
		delete(t.reads, d)
	}
	if r.err == nil {
		t.keep(d, r.text)
	}
	close(r.done)
}

func (t *texts) read(ctx context.Context, d blob.Digest, size int64) ([]byte, error) {
	if err := t.reading.Acquire(ctx, size); err != nil {
		return nil, err
	}
	defer t.reading.Release(size)
	r, err := t.open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// One byte more tells whether there is more, and has the sum compared.
	text := bytes.NewBuffer(make([]byte, 0, size+bytes.MinRead))
	if _, err := text.ReadFrom(io.LimitReader(r, size+1)); err != nil {
		return nil, fault.Wrap(err, fault.KindOf(err), "the text %.12s… could not be read", d)
	}
	if int64(text.Len()) != size {
		return nil, fault.New(fault.Corrupt, "the stored text %.12s… has not the %d bytes that it had", d, size)
	}
	return text.Bytes()[:size:size], nil
}

// keep keeps a text in place of those that nobody asked for the longest. The
// lock is held.
func (t *texts) keep(d blob.Digest, text []byte) {
	if _, ok := t.by[d]; ok || int64(len(text)) > t.most {
		return
	}
	t.by[d] = t.recent.PushFront(kept{d, text})
	t.size += int64(len(text))
	for t.size > t.most {
		last := t.recent.Remove(t.recent.Back()).(kept)
		delete(t.by, last.digest)
		t.size -= int64(len(last.text))
	}
}
