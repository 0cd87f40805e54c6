package nats

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// Headers that carry what an event has beside its body. Those of the server
// begin with Nats-, ours with Leat-; neither is an event's own.
const (
	headerID      = "Nats-Msg-Id"
	headerKey     = "Leat-Key"
	headerTime    = "Leat-Time"
	headerBytes64 = "-64" // after a name: the value is bytes in base64
	headerIDBytes = "Leat-Id" + headerBytes64
)

// maxHeaderBytes is how much JetStream keeps of headers.
const maxHeaderBytes = 1<<16 - 1

// message makes a message of an event.
func message(e *bus.Event, subject string, maxPayload int64) (*nats.Msg, error) {
	if err := bus.CheckHeaders(e.Headers); err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: subject, Data: e.Body}
	size := 16
	set := func(name, value string) {
		if m.Header == nil {
			m.Header = nats.Header{}
		}
		m.Header[name] = []string{value}
		size += len(name) + len(value) + 4
	}
	for _, h := range e.Headers {
		if !reserved(h.Name) {
			set(h.Name, h.Value)
		}
	}
	if e.ID != "" {
		id := e.ID
		if !isValue(id) || len(id) > 200 {
			set(headerIDBytes, base64.StdEncoding.EncodeToString([]byte(id)))
			id = "leat-" + hash(id)
		}
		set(headerID, id)
	}
	if len(e.Key) > 0 {
		if isValue(string(e.Key)) {
			set(headerKey, string(e.Key))
		} else {
			set(headerKey+headerBytes64, base64.StdEncoding.EncodeToString(e.Key))
		}
	}
	if !e.Time.IsZero() {
		set(headerTime, e.Time.UTC().Format(time.RFC3339Nano))
	}
	if size > maxHeaderBytes {
		return nil, fault.New(fault.TooLarge, "the headers and the key of an event have %d bytes; NATS keeps %d", size, maxHeaderBytes)
	}
	if total := int64(size + len(e.Body)); total > maxPayload {
		return nil, fault.New(fault.TooLarge, "an event has %d bytes; the NATS server takes %d", total, maxPayload).
			Hint("raise max_payload of the server, or keep large bodies elsewhere")
	}
	return m, nil
}

// hash is a name for a long or odd ID: 128 bits of FNV-1a.
func hash(id string) string {
	h := fnv.New128a()
	_, _ = h.Write([]byte(id)) // never fails
	return fmt.Sprintf("%x", h.Sum(nil))
}

func reserved(name string) bool {
	return len(name) >= 5 && (strings.EqualFold(name[:5], "nats-") || strings.EqualFold(name[:5], "leat-"))
}

// isValue tells whether text comes back as it is when it stands in a header.
func isValue(text string) bool {
	for _, c := range []byte(text) {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return text == strings.TrimSpace(text) && utf8.ValidString(text)
}

// event makes an event of a message, apart from where it stands.
func event(m *nats.Msg, at place) bus.Event {
	e := bus.Event{Offset: at.sequence, Time: time.Unix(0, at.nanos).UTC(), Body: m.Data, Attempt: at.delivered}
	if len(m.Header) == 0 {
		return e
	}
	for name, values := range m.Header {
		if len(values) > 0 && !reserved(name) {
			e.Headers = append(e.Headers, bus.Header{Name: name, Value: values[0]})
		}
	}
	if len(e.Headers) > 1 {
		slices.SortFunc(e.Headers, func(a, b bus.Header) int { return strings.Compare(a.Name, b.Name) })
	}
	get := func(name string) string {
		if values := m.Header[name]; len(values) > 0 {
			return values[0]
		}
		return ""
	}
	e.ID = get(headerID)
	if odd, err := base64.StdEncoding.DecodeString(get(headerIDBytes)); err == nil && len(odd) > 0 {
		e.ID = string(odd)
	}
	if key := get(headerKey); key != "" {
		e.Key = []byte(key)
	} else if key, err := base64.StdEncoding.DecodeString(get(headerKey + headerBytes64)); err == nil && len(key) > 0 {
		e.Key = key
	}
	if t, err := time.Parse(time.RFC3339Nano, get(headerTime)); err == nil {
		e.Time = t
	}
	return e
}

// place is where a message stands in its stream and its consumer.
type place struct {
	sequence  int64 // in the stream
	consumed  int64 // in the consumer
	nanos     int64 // when the stream stored it
	pending   int64 // how many stand behind it
	delivered int
}

// where reads the place of a message from its reply subject,
// $JS.ACK.<stream>.<consumer>.<delivered>.<sequence>.<consumed>.<nanos>.<pending>
// or, with a domain, two tokens more in front and perhaps one behind. ok is
// false for what is no event: the server's own messages on the inbox.
func where(m *nats.Msg) (place, bool) {
	tokens := strings.Split(m.Reply, ".")
	if len(tokens) < 9 || tokens[0] != "$JS" || tokens[1] != "ACK" {
		return place{}, false
	}
	from := 4
	if len(tokens) >= 11 {
		from = 6
	}
	var n [5]int64
	for i := range n {
		v, err := strconv.ParseInt(tokens[from+i], 10, 64)
		if err != nil {
			return place{}, false
		}
		n[i] = v
	}
	return place{delivered: int(n[0]), sequence: n[1], consumed: n[2], nanos: n[3], pending: n[4]}, true
}

// status reads what the server says on the inbox of a pull: its code and its
// text, in lower case.
func status(m *nats.Msg) (code int, text string) {
	code, err := strconv.Atoi(m.Header.Get("Status"))
	if err != nil {
		return 0, ""
	}
	return code, string(bytes.ToLower([]byte(m.Header.Get("Description"))))
}
