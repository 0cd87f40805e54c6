package file

import (
	"bytes"
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// envelope is a line of the format Events. What is text stands as text, what
// is not as base64 under the name with "64".
type envelope struct {
	ID      string      `json:"id,omitzero"`
	Key     *string     `json:"key,omitzero"`
	Key64   *string     `json:"key64,omitzero"`
	Time    time.Time   `json:"time,omitzero"`
	Headers [][2]string `json:"headers,omitempty"`
	Body    *string     `json:"body,omitzero"`
	Body64  *string     `json:"body64,omitzero"`
}

func text(b []byte) (plain, coded *string) {
	if b == nil {
		return nil, nil
	}
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	s := base64.StdEncoding.EncodeToString(b)
	return nil, &s
}

func bytesOf(plain, coded *string) ([]byte, error) {
	switch {
	case plain != nil && coded != nil:
		return nil, fault.New(fault.Invalid, "a value is there twice, as text and as base64")
	case plain != nil:
		return []byte(*plain), nil
	case coded != nil:
		return base64.StdEncoding.DecodeString(*coded)
	}
	return nil, nil
}

// encode makes an event a line, with its end.
func encode(e bus.Event) ([]byte, error) {
	v := envelope{ID: e.ID, Time: e.Time.UTC()}
	v.Key, v.Key64 = text(e.Key)
	v.Body, v.Body64 = text(e.Body)
	for _, h := range e.Headers {
		v.Headers = append(v.Headers, [2]string{h.Name, h.Value})
	}
	line, err := json.Marshal(&v)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the event cannot be written as JSON").Because(err)
	}
	return append(line, '\n'), nil
}

// decode reads a line. One that is no envelope is an event with the line as
// its body: whoever reads it finds that it is malformed, and where it stands.
func decode(line []byte) bus.Event {
	var v envelope
	if err := json.Unmarshal(line, &v); err != nil {
		return bus.Event{Body: line}
	}
	key, err := bytesOf(v.Key, v.Key64)
	if err != nil {
		return bus.Event{Body: line}
	}
	body, err := bytesOf(v.Body, v.Body64)
	if err != nil {
		return bus.Event{Body: line}
	}
	e := bus.Event{ID: v.ID, Key: key, Time: v.Time, Body: body}
	for _, h := range v.Headers {
		e.Headers = append(e.Headers, bus.Header{Name: h[0], Value: h[1]})
	}
	return e
}

// oneLine makes a body a line, with its end.
func oneLine(body []byte) ([]byte, error) {
	line := bytes.TrimSpace(body)
	if bytes.ContainsAny(line, "\n\r") {
		value := compacted(line)
		if value == nil {
			return nil, fault.New(fault.Invalid, "a body of several lines that is no JSON cannot be a line of a file").
				Hint("write to a file that ends in .events.jsonl")
		}
		line = value
	}
	if len(line) == 0 {
		return nil, fault.New(fault.Invalid, "an empty body cannot be a line of a file").Hint("write to a file that ends in .events.jsonl")
	}
	return append(bytes.Clone(line), '\n'), nil
}
