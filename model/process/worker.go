package process

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// pingEvery is how long a worker may be idle before it is asked whether it is
// there.
const pingEvery = 15 * time.Second

// worker is one process that said hello. It is safe for many goroutines.
type worker struct {
	*child
	hello   hello
	timeout time.Duration
	frames  chan []byte   // to be written, in order
	done    chan struct{} // closed once the process is gone and every call answered
	free    int           // calls that it would take; guarded by the pool

	mu      sync.Mutex
	pending map[uint32]*call
	last    uint32 // number of the last call
	dead    error  // why it is not to be asked any more
	watch   *time.Timer
	due     time.Time // when the watch may act
}

// call is a frame that waits for its answer.
type call struct {
	answer chan reply // takes one
	left   func()     // called once, when the worker is free of it; nil for a ping
}

type reply struct {
	message
	err    error
	shared bool // the worker died, and it may have been another call's doing
}

// meet makes a worker of a child: it waits for its hello.
func meet(ctx context.Context, c *child, timeout time.Duration) (*worker, error) {
	w := &worker{child: c, timeout: timeout, frames: make(chan []byte, 2*maxInflight+8), done: make(chan struct{}),
		pending: map[uint32]*call{}}
	type first struct {
		m   message
		err error
	}
	said := make(chan first, 1)
	go func() {
		m, err := readMessage(c.out, maxFrame)
		said <- first{m, err}
	}()
	var f first
	select {
	case f = <-said:
	case <-ctx.Done():
		c.end()
		return nil, fault.New(fault.Timeout, "the model's worker was not ready in time").Hint("%s", c.lastWords())
	}
	if f.err == nil && f.m.kind != kindHello {
		f.err = fault.New(fault.Corrupt, "the worker begins with a frame of %s, not hello", f.m.kind)
	}
	if f.err == nil {
		w.hello, f.err = parseHello(f.m.payload)
	}
	if f.err == io.EOF {
		f.err = fault.New(fault.Invalid, "it ended before it said hello")
	}
	if f.err != nil {
		c.end()
		return nil, fault.New(fault.KindOf(f.err), "the model's worker did not start (%s)", c.status()).Because(f.err).Hint("%s", c.lastWords())
	}
	w.mu.Lock()
	w.due = time.Now().Add(pingEvery)
	w.watch = time.AfterFunc(pingEvery, w.look)
	w.mu.Unlock()
	go w.write()
	go w.read()
	return w, nil
}

// write writes frames until the worker is gone. A worker that does not read
// holds up nobody but itself: the watch ends it.
func (w *worker) write() {
	for {
		select {
		case f := <-w.frames:
			if _, err := w.in.Write(f); err != nil {
				w.kill(fault.New(fault.Unavailable, "the model's worker does not read"))
				return
			}
		case <-w.done:
			return
		}
	}
}

// read hands answers to who waits for them, until the worker's end; then it
// tells everybody else.
func (w *worker) read() {
	var err error
	for err == nil {
		var m message
		if m, err = readMessage(w.out, maxFrame); err == nil {
			err = w.deliver(m)
		}
	}
	if err != io.EOF {
		w.kill(err)
	}
	w.end()
	w.fail(err)
	close(w.done)
}

func (w *worker) deliver(m message) error {
	w.mu.Lock()
	c := w.pending[m.call]
	delete(w.pending, m.call)
	w.rearm()
	w.mu.Unlock()
	switch {
	case c == nil:
		return fault.New(fault.Corrupt, "the worker answered call %d, which nobody made", m.call)
	case (m.kind == kindPong) != (c.left == nil), m.kind != kindPong && m.kind != kindResult && m.kind != kindError:
		c.finish(reply{err: fault.New(fault.Internal, "the model's worker answered with a frame of %s", m.kind)})
		return fault.New(fault.Corrupt, "the worker answered call %d with a frame of %s", m.call, m.kind)
	}
	c.finish(reply{message: m})
	return nil
}

func (c *call) finish(r reply) {
	c.answer <- r
	if c.left != nil {
		c.left()
	}
}

// rearm sets the watch anew; w.mu is held.
func (w *worker) rearm() {
	wait := pingEvery
	if len(w.pending) > 0 {
		wait = w.timeout
	}
	w.due = time.Now().Add(wait)
	w.watch.Reset(wait)
}

// look is called by the watch: an idle worker is asked for a sign of life, one
// that owes an answer hangs.
func (w *worker) look() {
	w.mu.Lock()
	owes, early := len(w.pending) > 0, time.Now().Before(w.due)
	w.mu.Unlock()
	if early {
		return // an answer came while the watch went off, and has set it anew
	}
	if owes {
		w.kill(fault.New(fault.Timeout, "the model's worker did not answer within %s and was ended", w.timeout))
		return
	}
	ping := &call{answer: make(chan reply, 1)}
	if id, err := w.register(ping); err == nil {
		w.send(appendHeader(nil, kindPing, id, 0))
	}
}

// register takes a call in before it is sent.
func (w *worker) register(c *call) (uint32, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead != nil {
		return 0, w.dead
	}
	w.last++
	w.pending[w.last] = c
	if len(w.pending) == 1 {
		w.rearm()
	}
	return w.last, nil
}

// send queues a frame. There is room for as many as can be under way.
func (w *worker) send(f []byte) {
	select {
	case w.frames <- f:
	case <-w.done:
	default: // a cancel for which there is no room need not be sent
	}
}

// ask sends rows and waits for their answer. left is called when the worker
// is free again, which may be after ask returned: a call that its caller left
// still keeps the worker busy.
func (w *worker) ask(ctx context.Context, payload func(dst []byte) ([]byte, error), left func()) reply {
	f, err := payload(make([]byte, headerSize))
	if err == nil && len(f)-headerSize > maxFrame {
		err = fault.New(fault.TooLarge, "the rows take %d bytes, more than the %d of a frame", len(f)-headerSize, maxFrame)
	}
	if err != nil {
		left()
		return reply{err: err}
	}
	c := &call{answer: make(chan reply, 1), left: left}
	id, err := w.register(c)
	if err != nil {
		left()
		return reply{err: err, shared: true} // it was never asked
	}
	appendHeader(f[:0], kindPredict, id, len(f)-headerSize)
	w.send(f)
	select {
	case r := <-c.answer:
		return r
	case <-ctx.Done():
		w.send(appendHeader(nil, kindCancel, id, 0))
		return reply{err: fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "the model did not answer in time")}
	}
}

// kill ends the process for a reason, the first of which counts.
func (w *worker) kill(why error) {
	w.mu.Lock()
	if w.dead == nil {
		w.dead = why
	}
	w.mu.Unlock()
	w.child.kill()
}

// fail answers every call that is left.
func (w *worker) fail(err error) {
	w.mu.Lock()
	if w.dead == nil {
		w.dead = fault.New(fault.Internal, "the model's worker ended (%s)", w.status()).Hint("%s", w.lastWords())
	}
	why, rest := w.dead, w.pending
	w.pending = nil
	w.watch.Stop()
	w.mu.Unlock()
	if fault.Is(why, fault.Corrupt) { // its answer was no frame: the caller's rows are not to blame
		why = fault.New(fault.Internal, "the model's worker broke the protocol").Because(why).Hint("%s", fault.HintOf(why))
	}
	for _, c := range rest {
		c.finish(reply{err: why, shared: len(rest) > 1})
	}
}

// why says what ended the worker.
func (w *worker) why() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead
}

// child is a process with the two ends of its pipe.
type child struct {
	in     io.WriteCloser
	out    io.ReadCloser
	errs   *ring
	pid    int
	gone   chan struct{} // closed when the process has ended
	state  func() *os.ProcessState
	killed sync.Once
	ended  sync.Once
}

// kill ends the process and its group, without waiting.
func (c *child) kill() {
	c.killed.Do(func() {
		select {
		case <-c.gone: // its number may be another's by now
		default:
			killGroup(c.pid)
			if p, err := os.FindProcess(c.pid); err == nil {
				_ = p.Kill() // where there are no groups
			}
		}
	})
}

// end ends the process and waits for it; it closes the pipe.
func (c *child) end() {
	c.kill()
	<-c.gone
	c.ended.Do(func() {
		_ = c.in.Close() // nobody reads what is lost
		_ = c.out.Close()
	})
}

// status is how the process ended, in words.
func (c *child) status() string {
	select {
	case <-c.gone:
		if s := c.state(); s != nil {
			return s.String()
		}
		return "not started"
	default:
		return fmt.Sprintf("process %d", c.pid)
	}
}

// lastWords is a hint of what a process wrote before its end.
func (c *child) lastWords() string {
	if text := c.errs.last(); text != "" {
		return "it wrote last:\n" + text
	}
	return "it wrote nothing to its stderr"
}
