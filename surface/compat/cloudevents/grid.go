package cloudevents

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/bus"
)

// What Event Grid calls its own events.
const (
	validationEvent = "Microsoft.EventGrid.SubscriptionValidationEvent"
	deletedEvent    = "Microsoft.EventGrid.SubscriptionDeletedEvent"
)

// fromGrid tells whether a request is Event Grid's or one of its clients'.
func fromGrid(h http.Header) bool {
	return h.Get("Aeg-Event-Type") != "" || h.Get("Aeg-Sas-Key") != "" || h.Get("Aeg-Sas-Token") != ""
}

// grid reads a body in Event Grid's schema. Its clients send plain JSON of
// their own schemas the same way.
func grid(h http.Header, body []byte) (Decoded, error) {
	value, err := whole(body)
	if err != nil {
		return Decoded{}, err
	}
	switch {
	case value.Kind() == '[' && looksGrid(value):
		return gridValue(value)
	case h.Get("Aeg-Event-Type") != "":
		return Decoded{}, fault.New(fault.Invalid, "the body is no array of events in the schema of Event Grid")
	}
	plainHeaders := http.Header{}
	d, err := values(plainHeaders, body)
	d.Grid = true
	return d, err
}

// gridFields are what every event of the schema has.
var gridFields = []string{"id", "subject", "eventType", "eventTime"} //nolint:gochecknoglobals // a list

// looksGrid tells whether the first value of an array is an event of Event
// Grid: it has all that the schema asks for.
func looksGrid(array jsontext.Value) bool {
	found, first := 0, true
	err := elements(array, func(v jsontext.Value) error {
		if !first || v.Kind() != '{' {
			return errEnough
		}
		first = false
		return members(v, func(name string, _ jsontext.Value) error {
			for _, field := range gridFields {
				if name == field {
					found++
				}
			}
			return nil
		})
	})
	return found == len(gridFields) && (err == nil || !first)
}

// errEnough ends a look at an array.
var errEnough = fault.New(fault.Internal, "the rest is not looked at") //nolint:gochecknoglobals // it is never changed

func gridValue(array jsontext.Value) (Decoded, error) {
	d := Decoded{Grid: true}
	err := elements(array, func(v jsontext.Value) error {
		e, kind, data, err := gridEvent(v)
		switch {
		case err != nil:
			return err
		case kind == deletedEvent:
			return nil // there is nothing to be done, and nothing to be decided
		case kind == validationEvent:
			d.Validation, err = validationCode(data)
			return err
		}
		d.Events = append(d.Events, e)
		return nil
	})
	if err == nil && d.Validation != "" && len(d.Events) > 0 {
		err = fault.New(fault.Invalid, "a handshake comes alone")
	}
	return d, err
}

// gridEvent reads one event. Its fields become the attributes that
// CloudEvents has for them, as Event Grid itself maps them.
func gridEvent(v jsontext.Value) (e bus.Event, kind string, data jsontext.Value, err error) {
	a := newAttributes()
	a.contentType = "application/json"
	names := map[string]string{"id": "id", "topic": "source", "subject": "subject", "eventType": "type", "eventTime": "time", "dataVersion": "dataversion"}
	err = members(v, func(name string, v jsontext.Value) error {
		if name == "data" {
			data = v.Clone()
			return nil
		}
		attribute, known := names[name]
		if !known {
			return nil
		}
		text, ok, err := attributeText(name, v)
		if err != nil || !ok || text == "" {
			return err
		}
		return a.set(attribute, text)
	})
	if err != nil {
		return bus.Event{}, "", nil, err
	}
	if a.values["source"] == "" { // who publishes need not name a topic
		if err := a.set("source", strings.TrimSpace("eventgrid "+a.values["subject"])); err != nil {
			return bus.Event{}, "", nil, err
		}
	}
	if err := a.set("specversion", "1.0"); err != nil {
		return bus.Event{}, "", nil, err
	}
	e, err = a.event(data)
	return e, a.values["type"], data, err
}

// validationCode finds the code of a handshake. Its validationUrl is not
// asked: who subscribes gets an answer to the request itself.
func validationCode(data jsontext.Value) (code string, err error) {
	err = members(data, func(name string, v jsontext.Value) error {
		if name != "validationCode" || v.Kind() != '"' {
			return nil
		}
		text, err := jsontext.AppendUnquote(nil, v)
		code = string(text)
		return err
	})
	if err == nil && (code == "" || len(code) > maxText) {
		err = fault.New(fault.Invalid, "the handshake has no validationCode")
	}
	return code, err
}
