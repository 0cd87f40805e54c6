// Package sse reads server-sent events: the frames in which language models,
// agents and our own API answer piece by piece.
//
// It stands at the bottom of the house (base/). NewReader wraps a body, Next
// returns its events. The format is that of the HTML standard (Server-sent
// events, section 9.2.6): lines end with LF, CRLF or CR, a byte order mark at
// the start is skipped, comments and unknown fields are, the data lines of one
// event are joined by LF.
//
// Two things differ from a browser, because programs send these streams: an
// event that the end of the stream cuts off is returned before io.EOF (whoever
// sent "[DONE]" without an empty line after it meant it, and what is cut off
// within is no JSON), and an event without data is skipped even if it has an
// id. What a stream may hold in memory is bounded.
package sse

import (
	"bytes"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// Event is one event of a stream.
type Event struct {
	// Type is "" where the stream says none, which means "message".
	Type string
	// Data is valid until the next call of Next.
	Data []byte
}

// Reader reads events. It is for one goroutine.
type Reader struct {
	from io.Reader
	most int // bytes of one event

	window  []byte // read and not used yet: window[at:]
	at      int
	scanned int   // of window[at:], known to end no line
	err     error // of the body, once it came
	begun   bool  // a first line was read
	afterCR bool  // the last line ended with CR: an LF that follows belongs to it

	kind []byte
	data []byte
	full bool // there was a data line
}

const firstWindow = 4 << 10

// NewReader makes a reader of events of at most so many bytes each.
func NewReader(from io.Reader, most int) *Reader { return &Reader{from: from, most: most} }

// Next returns the next event; io.EOF after the last, the body's error where
// reading it failed, and TooLarge for an event over the bound.
func (r *Reader) Next() (Event, error) {
	r.kind, r.data, r.full = r.kind[:0], r.data[:0], false
	for {
		line, err := r.line()
		if err != nil {
			if err == io.EOF && r.full {
				return r.event(), nil // the next call is told of the end
			}
			return Event{}, err
		}
		if len(line) == 0 {
			if r.full {
				return r.event(), nil
			}
			r.kind = r.kind[:0]
			continue
		}
		r.field(line)
		if len(r.data)+len(r.kind) > r.most {
			return Event{}, r.tooLarge()
		}
	}
}

func (r *Reader) event() Event { return Event{Type: string(r.kind), Data: r.data} }

func (r *Reader) field(line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "data":
		if r.full {
			r.data = append(r.data, '\n')
		}
		r.data, r.full = append(r.data, value...), true
	case "event":
		r.kind = append(r.kind[:0], value...)
	}
}

var mark = []byte("\xEF\xBB\xBF")

// maxName is what a line may have beside its data.
const maxName = 16

// line returns the next line without its end; it is valid until the next
// call. At the end of the body it returns what is left, then io.EOF.
func (r *Reader) line() ([]byte, error) {
	for {
		if r.afterCR && r.at < len(r.window) {
			if r.window[r.at] == '\n' {
				r.at++
			}
			r.afterCR = false
		}
		end := r.end()
		if end > r.most+maxName || end < 0 && len(r.window)-r.at > r.most+maxName {
			return nil, r.tooLarge()
		}
		if end >= 0 {
			line := r.window[r.at : r.at+end]
			r.afterCR = r.window[r.at+end] == '\r'
			r.at += end + 1
			r.scanned = 0
			return r.first(line), nil
		}
		if r.err != nil {
			return r.rest()
		}
		r.fill()
	}
}

// end returns how many bytes of the window come before the end of its first
// line, or -1.
func (r *Reader) end() int {
	fresh := r.window[r.at+r.scanned:]
	lf := bytes.IndexByte(fresh, '\n')
	if lf >= 0 {
		fresh = fresh[:lf]
	}
	if cr := bytes.IndexByte(fresh, '\r'); cr >= 0 {
		return r.scanned + cr
	}
	if lf >= 0 {
		return r.scanned + lf
	}
	r.scanned += len(fresh)
	return -1
}

func (r *Reader) rest() ([]byte, error) {
	if r.err != io.EOF || r.at == len(r.window) {
		return nil, r.err
	}
	line := r.window[r.at:]
	r.at, r.scanned = len(r.window), 0
	return r.first(line), nil
}

func (r *Reader) first(line []byte) []byte {
	if r.begun {
		return line
	}
	r.begun = true
	return bytes.TrimPrefix(line, mark)
}

// maxEmptyReads is how often a body may return nothing at all.
const maxEmptyReads = 100

// fill reads on, and sets the error where that ends.
func (r *Reader) fill() {
	switch {
	case r.at > 0: // the line begun goes to the front
		r.window = append(r.window[:0], r.window[r.at:]...)
		r.at = 0
	case len(r.window) == cap(r.window):
		grown := make([]byte, len(r.window), max(firstWindow, 2*cap(r.window)))
		copy(grown, r.window)
		r.window = grown
	}
	for range maxEmptyReads {
		n, err := r.from.Read(r.window[len(r.window):cap(r.window)])
		r.window, r.err = r.window[:len(r.window)+n], err
		if n > 0 || err != nil {
			return
		}
	}
	r.err = io.ErrNoProgress
}

func (r *Reader) tooLarge() error {
	r.err = fault.New(fault.TooLarge, "an event of the stream is larger than %d bytes", r.most)
	r.window, r.at, r.scanned = nil, 0, 0
	return r.err
}
