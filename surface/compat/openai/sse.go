package openai

import (
	"net/http"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// frames writes an answer as events, each of which is on its way before the
// next is made.
type frames struct {
	x       *exchange
	conn    *http.ResponseController
	started bool
	err     error // of writing: the client is gone
}

// stalled is how long a client may take nothing of an answer until it is given
// up.
const stalled = time.Minute

// The headers of an answer in events. No proxy may hold it back, join it or
// pack it.
var eventHeaders = [...]struct {
	name  string
	value []string
}{
	{"Content-Type", []string{"text/event-stream; charset=utf-8"}},
	{"Cache-Control", []string{"no-cache, no-transform"}},
	{"X-Accel-Buffering", []string{"no"}},
}

func (x *exchange) frames() *frames {
	return &frames{x: x, conn: http.NewResponseController(x.w)}
}

// start sends the headers, once. From now on errors are frames.
func (f *frames) start() {
	if f.started {
		return
	}
	f.started = true
	h := f.x.w.Header()
	for _, e := range eventHeaders {
		h[e.name] = e.value
	}
	processed(h, f.x.began)
	f.x.w.WriteHeader(http.StatusOK)
}

// send writes what stands in x.out, whole frames, and empties it.
func (f *frames) send() error {
	f.start()
	out := f.x.out
	f.x.out = out[:0]
	if f.err != nil || len(out) == 0 {
		return f.err
	}
	// Where there is no connection, as in tests of handlers, nothing stalls.
	_ = f.conn.SetWriteDeadline(time.Now().Add(stalled))
	if _, f.err = f.x.w.Write(out); f.err == nil {
		f.err = f.conn.Flush()
	}
	if f.err != nil {
		f.err = fault.New(fault.Canceled, "the client went away").Because(f.err)
	}
	return f.err
}

// data begins a frame of data; end closes it.
func (f *frames) data() []byte { return append(f.x.out, "data: "...) }

func (f *frames) end(out []byte) { f.x.out = append(out, "\n\n"...) }

// fail tells in a frame that the answer broke off. Clients raise it, and see
// no end after it.
func (f *frames) fail(err error) {
	if f.err != nil {
		return
	}
	f.end(problemOf(err).appendTo(f.data()))
	_ = f.send() // a client that is gone has nobody to tell
}

// done ends an answer that is whole.
func (f *frames) done() error {
	f.end(append(f.data(), "[DONE]"...))
	return f.send()
}
