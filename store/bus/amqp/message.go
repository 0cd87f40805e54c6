package amqp

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/go-amqp"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// The application properties of what an event has beside its body.
const (
	propertyKey  = "leat-key" // base64: it may be any bytes
	propertyTime = "leat-time"
	partitionKey = "x-opt-partition-key"
	contentType  = "Content-Type"
)

// maxPartitionKey is how long a partition key of Service Bus is at the most.
const maxPartitionKey = 128

// message makes an event a message.
func message(e bus.Event) (*amqp.Message, error) {
	if err := bus.CheckHeaders(e.Headers); err != nil {
		return nil, err
	}
	if !utf8.ValidString(e.ID) {
		return nil, fault.New(fault.Invalid, "the ID of the event is no text")
	}
	m := amqp.NewMessage(e.Body)
	m.Header = &amqp.MessageHeader{Durable: true}
	m.Properties = &amqp.MessageProperties{}
	m.ApplicationProperties = map[string]any{}
	if e.ID != "" {
		m.Properties.MessageID = e.ID
	}
	if e.Key != nil {
		m.ApplicationProperties[propertyKey] = base64.StdEncoding.EncodeToString(e.Key)
		if utf8.Valid(e.Key) && len(e.Key) > 0 && len(e.Key) <= maxPartitionKey {
			m.Annotations = amqp.Annotations{partitionKey: string(e.Key)}
		}
	}
	if !e.Time.IsZero() {
		at := e.Time.UTC()
		m.Properties.CreationTime = &at
		m.ApplicationProperties[propertyTime] = at.Format(time.RFC3339Nano)
	}
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, contentType) {
			m.Properties.ContentType = &h.Value
			continue
		}
		m.ApplicationProperties[h.Name] = h.Value
	}
	return m, nil
}

// event makes a message an event.
func event(m *amqp.Message) bus.Event {
	e := bus.Event{Body: body(m)}
	if p := m.Properties; p != nil {
		e.ID = text(p.MessageID)
		if p.CreationTime != nil {
			e.Time = *p.CreationTime
		}
		if p.ContentType != nil {
			e.Headers = append(e.Headers, bus.Header{Name: contentType, Value: *p.ContentType})
		}
	}
	if key, ok := m.Annotations[partitionKey].(string); ok {
		e.Key = []byte(key)
	}
	if m.Header != nil && m.Header.DeliveryCount > 0 {
		e.Attempt = int(m.Header.DeliveryCount) + 1
	}
	for name, value := range m.ApplicationProperties {
		switch name {
		case propertyKey:
			if key, err := base64.StdEncoding.DecodeString(text(value)); err == nil {
				e.Key = key
			}
		case propertyTime:
			if at, err := time.Parse(time.RFC3339Nano, text(value)); err == nil {
				e.Time = at
			}
		default:
			e.Headers = append(e.Headers, bus.Header{Name: name, Value: text(value)})
		}
	}
	for _, mark := range []string{"cloudEvents:", "cloudEvents_"} {
		if id, source := e.Header(mark+"id"), e.Header(mark+"source"); id != "" && source != "" {
			e.ID = source + " " + id
		}
	}
	return e
}

// body is the payload: the bytes of all data sections, or a value that is
// text or bytes.
func body(m *amqp.Message) []byte {
	if len(m.Data) == 1 {
		return m.Data[0]
	}
	var all []byte
	for _, d := range m.Data {
		all = append(all, d...)
	}
	switch v := m.Value.(type) {
	case string:
		return []byte(v)
	case []byte:
		return v
	}
	return all
}

// text is a value of the properties as text; "" for what has none.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case []byte:
		return hex.EncodeToString(v)
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case uint64:
		return strconv.FormatUint(v, 10)
	case amqp.UUID:
		return v.String()
	}
	return fmt.Sprint(v)
}
