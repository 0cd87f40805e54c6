package cloudevents

import (
	"bytes"
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/plain"
	"github.com/leat-ai/leat/store/bus"
)

// Decoded is what a request holds.
type Decoded struct {
	Events []bus.Event
	// Grid says that it is Event Grid's, which is answered in its own way.
	Grid bool
	// Validation is the code of a handshake, to be sent back; there are no
	// events then.
	Validation string
}

// prefix begins the headers that have the attributes of an event.
const prefix = "ce-"

const contentType = "Content-Type"

// Decode reads the events of a request. A mistake in one of them is an Invalid
// fault that says which one; a media type that is not taken is Unsupported.
// The events share no memory with the body.
func Decode(h http.Header, body []byte) (Decoded, error) {
	full := h.Get(contentType)
	media, params, err := mime.ParseMediaType(full)
	if err != nil && full != "" {
		return Decoded{}, fault.New(fault.Invalid, "the header Content-Type is not understood")
	}
	if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && strings.Contains(media, "json") {
		return Decoded{}, fault.New(fault.Unsupported, "JSON in %.40q is not taken", c).Hint("send it in UTF-8")
	}
	switch {
	case h.Get("Content-Encoding") != "" && h.Get("Content-Encoding") != "identity":
		return Decoded{}, fault.New(fault.Unsupported, "packed bodies are not taken").Hint("send them without Content-Encoding")
	case media == "application/cloudevents+json":
		return structured(body)
	case media == "application/cloudevents-batch+json":
		return batch(body)
	case strings.HasPrefix(media, "application/cloudevents"):
		return Decoded{}, fault.New(fault.Unsupported, "CloudEvents in %.60q are not taken", media).Hint("send them as application/cloudevents+json")
	case h.Get("Ce-Specversion") != "" || h.Get("Ce-Id") != "":
		return binary(h, body)
	case fromGrid(h):
		return grid(h, body)
	case media == "" || media == "application/json" || strings.HasSuffix(media, "+json") || media == "text/json":
		return values(h, body)
	}
	return Decoded{}, fault.New(fault.Unsupported, "%.60q is not taken", media).
		Hint("send CloudEvents, events in the schema of Event Grid, or application/json")
}

// binary reads the attributes from headers; the body is the data.
func binary(h http.Header, body []byte) (Decoded, error) {
	a := newAttributes()
	for name, all := range h {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		if len(all) > 1 {
			return Decoded{}, fault.New(fault.Invalid, "the header %.60s stands %d times", name, len(all))
		}
		value, err := url.PathUnescape(all[0])
		if err != nil || !utf8.ValidString(value) {
			return Decoded{}, fault.New(fault.Invalid, "the header %.60s is not percent-encoded UTF-8", name)
		}
		if err := a.set(strings.TrimPrefix(name, prefix), value); err != nil {
			return Decoded{}, err
		}
	}
	a.contentType = h.Get(contentType)
	e, err := a.event(bytes.Clone(body))
	if err != nil {
		return Decoded{}, err
	}
	return Decoded{Events: []bus.Event{e}}, nil
}

func structured(body []byte) (Decoded, error) {
	value, err := whole(body)
	if err != nil {
		return Decoded{}, err
	}
	e, err := object(value)
	if err != nil {
		return Decoded{}, err
	}
	return Decoded{Events: []bus.Event{e}}, nil
}

func batch(body []byte) (Decoded, error) {
	value, err := whole(body)
	if err != nil {
		return Decoded{}, err
	}
	if value.Kind() != '[' {
		return Decoded{}, fault.New(fault.Invalid, "a batch of CloudEvents is an array")
	}
	var d Decoded
	err = elements(value, func(v jsontext.Value) error {
		e, err := object(v)
		d.Events = append(d.Events, e)
		return err
	})
	return d, err
}

// values takes plain JSON: each value of an array, or the only one, is an
// event. The header Idempotency-Key names them.
func values(h http.Header, body []byte) (Decoded, error) {
	value, err := whole(body)
	if err != nil {
		return Decoded{}, err
	}
	if value.Kind() == '[' && looksGrid(value) {
		return gridValue(value)
	}
	key := h.Get("Idempotency-Key")
	if len(key) > maxText || !utf8.ValidString(key) {
		return Decoded{}, fault.New(fault.Invalid, "the header Idempotency-Key is not text of at most %d bytes", maxText)
	}
	headers := []bus.Header{{Name: contentType, Value: "application/json"}}
	if value.Kind() != '[' {
		return Decoded{Events: []bus.Event{{ID: key, Body: value.Clone(), Headers: headers}}}, nil
	}
	var d Decoded
	err = elements(value, func(v jsontext.Value) error {
		e := bus.Event{Body: v.Clone(), Headers: headers}
		if key != "" {
			e.ID = key + "/" + strconv.Itoa(len(d.Events))
		}
		d.Events = append(d.Events, e)
		return nil
	})
	return d, err
}

// whole checks that a body is one JSON value, with no name twice in an object
// and not nested too deep.
func whole(body []byte) (jsontext.Value, error) {
	if err := shallow(body); err != nil {
		return nil, err
	}
	v := jsontext.Value(body)
	d := jsontext.NewDecoder(bytes.NewReader(body))
	read, err := d.ReadValue()
	if err == nil && len(bytes.TrimSpace(v[d.InputOffset():])) > 0 {
		err = fault.New(fault.Invalid, "something stands behind the value")
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body is not JSON").Because(err)
	}
	return read.Clone(), nil
}

// shallow refuses what is nested deeper than the decoders of streams read.
func shallow(body []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(body); i++ {
		switch c := body[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > plain.MaxDepth {
				return fault.New(fault.Invalid, "the body is nested deeper than %d", plain.MaxDepth)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// elements calls f with each value of an array.
func elements(array jsontext.Value, f func(jsontext.Value) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(array))
	if _, err := d.ReadToken(); err != nil {
		return fault.New(fault.Invalid, "the body is not an array")
	}
	for n := 0; d.PeekKind() != ']'; n++ {
		if n == maxEvents {
			return fault.New(fault.TooLarge, "there are more than %d events", maxEvents).Hint("send fewer at a time")
		}
		v, err := d.ReadValue()
		if err == nil {
			err = f(v)
		}
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "event %d", n)
		}
	}
	return nil
}

// members calls f with each member of an object.
func members(v jsontext.Value, f func(name string, v jsontext.Value) error) error {
	if v.Kind() != '{' {
		return fault.New(fault.Invalid, "an event is an object")
	}
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return fault.New(fault.Invalid, "an event is an object")
	}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return fault.New(fault.Invalid, "an event is not understood").Because(err)
		}
		member := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return fault.New(fault.Invalid, "an event is not understood").Because(err)
		}
		if err := f(member, value); err != nil {
			return err
		}
	}
	return nil
}

// object reads an event in JSON.
func object(v jsontext.Value) (bus.Event, error) {
	a := newAttributes()
	var data, coded jsontext.Value
	err := members(v, func(name string, v jsontext.Value) error {
		switch name {
		case "data":
			data = v.Clone()
			return nil
		case "data_base64":
			coded = v.Clone()
			return nil
		}
		text, ok, err := attributeText(name, v)
		switch {
		case err != nil || !ok:
			return err
		case name == "datacontenttype":
			a.contentType = text
			return nil
		}
		return a.set(name, text)
	})
	if err != nil {
		return bus.Event{}, err
	}
	body, err := a.data(data, coded)
	if err != nil {
		return bus.Event{}, err
	}
	return a.event(body)
}

// attributeText is the canonical text of an attribute; false for null, which
// is no value.
func attributeText(name string, v jsontext.Value) (text string, ok bool, err error) {
	switch v.Kind() {
	case 'n':
		return "", false, nil
	case 't', 'f':
		return string(v), true, nil
	case '0':
		n, err := strconv.ParseInt(string(v), 10, 32)
		if err != nil {
			return "", false, fault.New(fault.Invalid, "the attribute %.40q is a number and no integer of 32 bits", name)
		}
		return strconv.FormatInt(n, 10), true, nil
	case '"':
		b, err := jsontext.AppendUnquote(nil, v)
		return string(b), true, err
	}
	return "", false, fault.New(fault.Invalid, "the attribute %.40q is neither text nor number nor truth value", name)
}

// The bounds of attributes.
const (
	maxAttributes = 64
	maxText       = 4096 // bytes of a value
	maxName       = 64   // letters of a name; the specification advises 20
)

// attributes are those of one event.
type attributes struct {
	values      map[string]string
	names       []string // in the order in which they came
	contentType string
}

func newAttributes() *attributes { return &attributes{values: map[string]string{}} }

func (a *attributes) set(name, value string) error {
	switch {
	case name == "" || len(name) > maxName || strings.ContainsFunc(name, func(c rune) bool { return (c < 'a' || c > 'z') && (c < '0' || c > '9') }):
		return fault.New(fault.Invalid, "%.80q cannot be the name of an attribute", name).Hint("use lower-case letters and digits")
	case name == "data":
		return fault.New(fault.Invalid, "no attribute is called data")
	case len(value) > maxText:
		return fault.New(fault.TooLarge, "the attribute %s has %d bytes; %d are the most", name, len(value), maxText)
	case len(a.names) == maxAttributes:
		return fault.New(fault.TooLarge, "an event has more than %d attributes", maxAttributes)
	}
	if _, twice := a.values[name]; twice {
		return fault.New(fault.Invalid, "the attribute %s is there twice", name)
	}
	a.values[name] = value
	a.names = append(a.names, name)
	return nil
}

// isJSON tells whether data is JSON: also where nothing says what it is.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return contentType == "" || err == nil && (strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json"))
}

// data is the payload of an event in JSON: of data that is not JSON by its
// type, a text is the payload itself.
func (a *attributes) data(data, coded jsontext.Value) ([]byte, error) {
	switch {
	case data != nil && coded != nil:
		return nil, fault.New(fault.Invalid, "an event has both data and data_base64")
	case coded != nil:
		text, err := jsontext.AppendUnquote(nil, coded)
		if err != nil {
			return nil, fault.New(fault.Invalid, "data_base64 is no text")
		}
		body, err := base64.StdEncoding.DecodeString(string(text))
		if err != nil {
			return nil, fault.New(fault.Invalid, "data_base64 is not base64").Because(err)
		}
		return body, nil
	case data.Kind() == '"' && !isJSON(a.contentType):
		return jsontext.AppendUnquote(nil, data)
	}
	if data != nil && a.contentType == "" {
		a.contentType = "application/json"
	}
	return data, nil
}

// event makes an event of its attributes and data.
func (a *attributes) event(body []byte) (bus.Event, error) {
	if v := a.values["specversion"]; v != "1.0" {
		return bus.Event{}, fault.New(fault.Invalid, "the version %.20q of CloudEvents is not known", v).Hint("send specversion 1.0")
	}
	for _, name := range []string{"id", "source", "type"} {
		if a.values[name] == "" {
			return bus.Event{}, fault.New(fault.Invalid, "the event has no %s", name)
		}
	}
	e := bus.Event{ID: a.values["source"] + " " + a.values["id"], Body: body}
	if text, ok := a.values["time"]; ok {
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return bus.Event{}, fault.New(fault.Invalid, "the event's time %.60q is not a time", text).Hint("write 2026-03-29T01:59:59Z")
		}
		e.Time = at
	}
	if key := a.values["partitionkey"]; key != "" {
		e.Key = []byte(key)
	}
	for _, name := range a.names {
		e.Headers = append(e.Headers, bus.Header{Name: prefix + name, Value: a.values[name]})
	}
	if a.contentType != "" {
		e.Headers = append(e.Headers, bus.Header{Name: contentType, Value: a.contentType})
	}
	if strings.ContainsFunc(e.ID, func(c rune) bool { return c < ' ' || c == 0x7f }) {
		return bus.Event{}, fault.New(fault.Invalid, "the id or the source of the event is not text of one line")
	}
	return e, bus.CheckHeaders(e.Headers)
}
