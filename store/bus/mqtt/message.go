package mqtt

import (
	"encoding/base64"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/eclipse/paho.golang/paho"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// The user properties of what an event has beside its body.
const (
	propertyID   = "leat-id"
	propertyKey  = "leat-key" // base64: it may be any bytes
	propertyTime = "leat-time"
	contentType  = "Content-Type"
)

const maxText = 65535 // bytes of a text of MQTT

// message makes an event a message.
func message(topic string, e bus.Event) (*paho.Publish, error) {
	if err := bus.CheckHeaders(e.Headers); err != nil {
		return nil, err
	}
	p := &paho.Publish{QoS: 1, Topic: topic, Payload: e.Body, Properties: &paho.PublishProperties{}}
	add := func(name, value string) error {
		if len(value) > maxText || !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return fault.New(fault.Invalid, "%s of the event is no text that MQTT carries", name)
		}
		p.Properties.User.Add(name, value)
		return nil
	}
	var l fault.List
	if e.ID != "" {
		l.Add(add(propertyID, e.ID))
	}
	if e.Key != nil {
		l.Add(add(propertyKey, base64.StdEncoding.EncodeToString(e.Key)))
	}
	if !e.Time.IsZero() {
		l.Add(add(propertyTime, e.Time.UTC().Format(time.RFC3339Nano)))
	}
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, contentType) {
			p.Properties.ContentType = h.Value
			continue
		}
		l.Add(add(h.Name, h.Value))
	}
	return p, l.Err()
}

// event makes a message an event.
func event(p *paho.Publish) bus.Event {
	e := bus.Event{Body: p.Payload, Partition: p.Topic}
	if p.Properties == nil {
		return e
	}
	if p.Properties.ContentType != "" {
		e.Headers = append(e.Headers, bus.Header{Name: contentType, Value: p.Properties.ContentType})
	}
	var cloud struct{ version, id, source string }
	for _, u := range p.Properties.User {
		switch u.Key {
		case propertyID:
			e.ID = u.Value
			continue
		case propertyKey:
			if key, err := base64.StdEncoding.DecodeString(u.Value); err == nil {
				e.Key = key
			}
			continue
		case propertyTime:
			e.Time, _ = time.Parse(time.RFC3339Nano, u.Value) // a time that is none is not there
			continue
		case "specversion":
			cloud.version = u.Value
		case "id":
			cloud.id = u.Value
		case "source":
			cloud.source = u.Value
		case "time":
			if at, err := time.Parse(time.RFC3339Nano, u.Value); err == nil && e.Time.IsZero() {
				e.Time = at
			}
		}
		if e.Header(u.Key) == "" { // a name may stand once
			e.Headers = append(e.Headers, bus.Header{Name: u.Key, Value: u.Value})
		}
	}
	if e.ID == "" && cloud.version != "" && cloud.id != "" && cloud.source != "" {
		e.ID = cloud.source + " " + cloud.id
	}
	return e
}
