package bus

import (
	"strconv"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
)

// maxHeaders bounds how many headers an event has when it is published.
const maxHeaders = 256

// CheckHeaders tells whether headers can be published to any bus: names are of
// visible ASCII characters without a colon, values are text of one line. The
// fault is Invalid. Writers call it, so that what one broker would take and
// another not is refused by all.
func CheckHeaders(headers []Header) error {
	if len(headers) > maxHeaders {
		return fault.New(fault.Invalid, "an event has %d headers; %d are the most", len(headers), maxHeaders)
	}
	for _, h := range headers {
		if !isName(h.Name) {
			return fault.New(fault.Invalid, "%.60q cannot be the name of a header", h.Name).
				Hint("use letters, digits, hyphens and underscores")
		}
		if !isLine(h.Value) {
			return fault.New(fault.Invalid, "the value of the header %s is not text of one line", h.Name).
				Hint("put what has lines or bytes into the body, or encode it")
		}
	}
	return nil
}

func isName(name string) bool {
	for _, c := range []byte(name) {
		if c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return name != ""
}

func isLine(value string) bool {
	for _, c := range []byte(value) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return utf8.ValidString(value)
}

// Bound returns an event whose body is over a bound without its body and with
// the header HeaderTooLarge, and any other as it is. Readers pass every event
// through it.
func Bound(e Event, maxEvent int64) Event {
	if int64(len(e.Body)) <= maxEvent {
		return e
	}
	return TooLarge(e, int64(len(e.Body)))
}

// TooLarge returns an event whose body of some bytes was left behind.
func TooLarge(e Event, size int64) Event {
	e.Body = nil
	e.Headers = append(e.Headers[:len(e.Headers):len(e.Headers)], Header{HeaderTooLarge, strconv.FormatInt(size, 10)})
	return e
}
