package codec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/store/bus"
)

// decodes holds what every codec promises of any body: a row, and values or a
// fault but never both, the same beside other events as alone.
func decodes(t *testing.T, c codec.Codec, body []byte) error {
	t.Helper()
	e := bus.Event{Body: body}
	batch, faults := c.Decode(t.Context(), []bus.Event{e, {}, e})
	defer batch.Release()
	if batch.NumRows() != 3 {
		t.Fatalf("%d rows", batch.NumRows())
	}
	if faults == nil {
		faults = make([]error, 3)
	}
	if (faults[0] == nil) != (faults[2] == nil) {
		t.Fatalf("an event is good or not by its place: %v, %v", faults[0], faults[2])
	}
	for _, col := range batch.Columns() {
		if col.ValueStr(0) != col.ValueStr(2) {
			t.Fatal("an event has other values at another place")
		}
		if faults[0] != nil && col.IsValid(0) {
			t.Fatal("a faulty event has values")
		}
	}
	return faults[0]
}

func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"string":"a\u00e9\ud83d\ude00","int":1,"double":0.5e3,"bool":true,"timestamp":"2026-01-31T10:00:00Z","date":"2026-01-31","x":[{},[1]]}`))
	c := open(f, codec.Config{Columns: everyType()})
	all := open(f, codec.Config{})
	f.Fuzz(func(t *testing.T, body []byte) {
		if err := decodes(t, c, body); err == nil && !json.Valid(body) {
			t.Error("this is taken for JSON")
		}
		var object map[string]json.RawMessage
		if err := decodes(t, all, body); err != nil && utf8.Valid(body) && json.Unmarshal(body, &object) == nil && object != nil && shallow(body) {
			t.Error("this is JSON: ", err)
		}
	})
}

// shallow tells that a text is neither deep nor has halves of surrogate pairs,
// which encoding/json replaces and we refuse.
func shallow(body []byte) bool {
	depth := 0
	for i, c := range body {
		if c == '{' || c == '[' {
			depth++
		}
		if c == '\\' && i+1 < len(body) && body[i+1] == 'u' {
			return false
		}
	}
	return depth < codec.MaxDepth
}

func FuzzAvro(f *testing.F) {
	schema, err := os.ReadFile(filepath.Join("testdata", "order.avsc"))
	if err != nil {
		f.Fatal(err)
	}
	columns := []codec.Column{column("id", frame.String, ""), column("user", frame.String, ""), column("user_id", frame.Int, "user.id"), column("items", frame.String, ""),
		column("second", frame.Double, "items.1.price"), column("labels", frame.String, ""), column("label", frame.String, "labels.a"), column("amount", frame.Double, ""), column("at", frame.Date, "")}
	c := open(f, codec.Config{Format: "avro", Descriptor: schema, Columns: columns})
	list := open(f, codec.Config{Format: "avro", Columns: columns[:1], Descriptor: []byte(
		`{"type":"record","name":"L","fields":[{"name":"id","type":{"type":"array","items":"null"}},{"name":"next","type":["null","L"]}]}`)})
	f.Add([]byte("\x04o1\x02\xd0\x0f\x08Zo\xc3\xab\x80\x01\x00\x04\x01\x02\x00\x00\x00\x00\x00\x02\x02\x04n0\x00\x00\x00\x00\x00\x00\xe0\x3f\x00\x02\x02a\x02\x04xx\x00\x01\x00\x00abcd"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = decodes(t, c, body) // a fault is fine
		_ = decodes(t, list, body)
	})
}

func FuzzProtobuf(f *testing.F) {
	file, err := os.ReadFile(filepath.Join("testdata", "order.proto"))
	if err != nil {
		f.Fatal(err)
	}
	c := open(f, codec.Config{Format: "protobuf", Descriptor: file, Message: "Order", Columns: append(orderColumns(), column("items", frame.String, "items"), column("labels", frame.String, ""))[1:15]})
	f.Add([]byte("\x0a\x02o1\x12\x07\x08\x07\x12\x03Zoe\x1a\x05\x08\x80\x80\x80\x08\x28\x02\x32\x08\x0a\x01n\x18\x03\x3a\x06\x0a\x01a\x12\x01b\x5a\x03\x01\x02\x03\x52\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = decodes(t, c, body) // a fault is fine
	})
}

func FuzzCloudEvents(f *testing.F) {
	f.Add([]byte(`{"specversion":"1.0","id":"a","source":"/s","type":"t","data":{"x":1},"data_base64":"eyJhbW91bnQiOjl9"}`))
	c := open(f, codec.Config{Format: "cloudevents", Columns: []codec.Column{column("ce_id", frame.String, ""), column("x", frame.Int, ""), column("ce_time", frame.Timestamp, "")}})
	f.Fuzz(func(t *testing.T, body []byte) {
		_ = decodes(t, c, body) // a fault is fine
	})
}
