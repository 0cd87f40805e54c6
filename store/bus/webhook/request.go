package webhook

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// request is what one POST carries.
type request struct {
	config *Config
	first  int // the place of its first event among those of the Write
	events []bus.Event
	id     string // the same whenever it is made
	key    []byte // by which it is ordered among others
}

// requests makes the requests of some events.
func (c *Config) requests(events []bus.Event) []request {
	var all []request
	for i, e := range events {
		if c.Format == Batch && len(all) > 0 && all[len(all)-1].fits(e) {
			last := &all[len(all)-1]
			last.events = append(last.events, e)
			continue
		}
		all = append(all, request{config: c, first: i, events: []bus.Event{e}, key: e.Key})
	}
	for i := range all {
		all[i].id = all[i].name()
	}
	return all
}

func (r *request) fits(e bus.Event) bool {
	size := len(e.Body)
	for _, other := range r.events {
		size += len(other.Body)
	}
	return len(r.events) < r.config.BatchEvents && size <= r.config.BatchBytes
}

// name is the request's id: that of its event where it can stand in a header,
// otherwise a hash of what it carries.
func (r *request) name() string {
	if id := r.events[0].ID; len(r.events) == 1 && id != "" && len(id) <= 200 && !strings.ContainsFunc(id, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return id
	}
	h := sha256.New()
	for _, e := range r.events {
		h.Write([]byte(eventID(e)))
		h.Write([]byte{0})
	}
	return "msg_" + hex.EncodeToString(h.Sum(nil)[:16])
}

// eventID is an event's ID, or a hash of it where it has none.
func eventID(e bus.Event) string {
	if e.ID != "" {
		return e.ID
	}
	h := sha256.New()
	h.Write(e.Key)
	h.Write([]byte{0})
	h.Write(e.Body)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// known tells whether every event was delivered before. Those without an ID
// never were.
func (r *request) known(done *recent) bool {
	for _, e := range r.events {
		if e.ID == "" || !done.has(e.ID) {
			return false
		}
	}
	return true
}

func (r *request) remember(done *recent) {
	for _, e := range r.events {
		if e.ID != "" {
			done.add(e.ID)
		}
	}
}

// content is the body of the request.
func (r *request) content() ([]byte, error) {
	switch r.config.Format {
	case Structured:
		return r.config.structured(nil, r.events[0])
	case Batch:
		out := []byte{'['}
		for i, e := range r.events {
			if i > 0 {
				out = append(out, ',')
			}
			var err error
			if out, err = r.config.structured(out, e); err != nil {
				return nil, err
			}
		}
		return append(out, ']'), nil
	}
	return r.events[0].Body, nil
}

// headers says what the request carries.
func (r *request) headers(h http.Header) {
	switch r.config.Format {
	case Structured:
		h.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
		return
	case Batch:
		h.Set("Content-Type", "application/cloudevents-batch+json; charset=utf-8")
		return
	case Binary:
		for _, a := range r.config.attributes(r.events[0]) {
			h["Ce-"+strings.ToUpper(a.Name[:1])+a.Name[1:]] = []string{escaped(a.Value)}
		}
	}
	h.Set("Content-Type", contentType(r.events[0]))
}

func contentType(e bus.Event) string {
	if t := e.Header("Content-Type"); t != "" {
		return t
	}
	return "application/json"
}

// attributes are those of an event: its own where it came with some, in
// headers that begin with ce-, and what it is by itself.
func (c *Config) attributes(e bus.Event) []bus.Header {
	all := []bus.Header{{Name: "specversion", Value: "1.0"}, {Name: "id", Value: eventID(e)}, {Name: "source", Value: c.Source}, {Name: "type", Value: c.Type}}
	if !e.Time.IsZero() {
		all = append(all, bus.Header{Name: "time", Value: e.Time.UTC().Format(time.RFC3339Nano)})
	}
	if key := string(e.Key); key != "" && utf8.ValidString(key) && !strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		all = append(all, bus.Header{Name: "partitionkey", Value: key})
	}
	for _, h := range e.Headers {
		name, ok := strings.CutPrefix(strings.ToLower(h.Name), "ce-")
		if !ok || !isAttribute(name) {
			continue
		}
		at := -1
		for i, a := range all {
			if a.Name == name {
				at = i
			}
		}
		switch {
		case name == "specversion" || h.Value == "":
		case at >= 0:
			all[at].Value = h.Value
		default:
			all = append(all, bus.Header{Name: name, Value: h.Value})
		}
	}
	return all
}

func isAttribute(name string) bool {
	return name != "" && name != "data" && name != "datacontenttype" && !strings.ContainsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') })
}

// escaped is an attribute's value as HTTP headers have it: what is not
// visible ASCII, the quote and the percent sign as bytes in hexadecimal.
func escaped(value string) string {
	const digits = "0123456789ABCDEF"
	var out strings.Builder
	for _, b := range []byte(value) {
		if b <= ' ' || b >= 0x7f || b == '"' || b == '%' {
			out.Write([]byte{'%', digits[b>>4], digits[b&15]})
			continue
		}
		out.WriteByte(b)
	}
	return out.String()
}

// structured appends an event as a JSON object.
func (c *Config) structured(dst []byte, e bus.Event) ([]byte, error) {
	dst = append(dst, '{')
	member := func(name, value string) (err error) {
		dst = append(append(append(dst, '"'), name...), '"', ':')
		dst, err = jsontext.AppendQuote(dst, value)
		dst = append(dst, ',')
		return err
	}
	for _, a := range c.attributes(e) {
		if err := member(a.Name, a.Value); err != nil {
			return nil, fault.New(fault.Invalid, "the attribute %s is no text", a.Name)
		}
	}
	media := contentType(e)
	if err := member("datacontenttype", media); err != nil {
		return nil, fault.New(fault.Invalid, "the content type is no text")
	}
	parsed, _, _ := mime.ParseMediaType(media)
	if (strings.HasSuffix(parsed, "/json") || strings.HasSuffix(parsed, "+json")) && jsontext.Value(e.Body).IsValid() {
		return append(append(append(dst, `"data":`...), e.Body...), '}'), nil
	}
	dst = append(dst, `"data_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, e.Body), '"', '}'), nil
}
