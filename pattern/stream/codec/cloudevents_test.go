package codec_test

import (
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/store/bus"
)

func TestCloudEvents(t *testing.T) {
	columns := []codec.Column{column("ce_id", frame.String, ""), column("id", frame.Int, "order.id"), column("ce_time", frame.Timestamp, ""),
		column("amount", frame.Double, "data.amount"), column("ce_partition", frame.Int, "")}
	c := open(t, codec.Config{Format: "cloudevents", Columns: columns})
	headers := func(prefix string) bus.Event {
		return bus.Event{Body: []byte(`{"order":{"id":3},"amount":1.5}`), Headers: []bus.Header{{Name: "Content-Type", Value: "application/json"},
			{Name: prefix + "specversion", Value: "1.0"}, {Name: prefix + "id", Value: "b"}, {Name: prefix + "time", Value: "2026-01-31T10:00:00Z"}}}
	}
	in := events(
		`{"specversion":"1.0","id":"a","source":"/s","type":"t","time":"2026-01-31T12:00:00+02:00","data":{"order":{"id":7,"x":[1]},"amount":2},"partition":4}`,
		`{"data_base64":"eyJhbW91bnQiOjl9","specversion":"1.0","id":"\u0061","source":"/s","type":"t"}`,
		`{"specversion":"1.0","id":"n","source":"/s","type":"t"}`,
		`{"specversion":"1.0","id":"n","type":"t"}`,
		`{"specversion":"1.0","id":"n","source":"/s","type":"t","data":{"amount":"much"}}`,
		`{"specversion":"1.0","id":"n","source":"/s","type":"t","data":{"amount":1}`,
		`{"amount":1}`, `[]`)
	in = append(in, headers("ce-"), headers("CE_"), headers("cloudEvents:"), headers(""))
	got := shown(t, c, in)
	binary := "b|3|2026-01-31T10:00:00Z|1.5|(null)"
	same(t, "cloudevents", got, []string{"a|7|2026-01-31T10:00:00Z|2|4", "a|(null)|(null)|9|(null)", "n|(null)|(null)|(null)|(null)",
		`fault: the event is no CloudEvent: it lacks "source"`, `fault: byte 10: column "amount" takes a double, not the text "much"`,
		"fault: byte 74: the event ends before its JSON does",
		`fault: the event is no CloudEvent: it lacks "specversion"`, "fault: the event is no CloudEvent: it has neither its headers nor its JSON",
		binary, binary, binary, binary})
}

func TestEncodedReadsBack(t *testing.T) {
	columns := []frame.Column{{Name: "ce_id", Type: frame.String}, {Name: "text", Type: frame.String}, {Name: "n", Type: frame.Int},
		{Name: "x", Type: frame.Double}, {Name: "yes", Type: frame.Bool}, {Name: "at", Type: frame.Timestamp}, {Name: "day", Type: frame.Date}}
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader(`[
		{"ce_id":"1","text":"a \"quote\", a comma\tand 😀","n":-9007199254740993,"x":0.1,"yes":true,"at":"2026-01-31T10:00:00.000001Z","day":"1969-12-31"},
		{"ce_id":"2"},{"ce_id":"3","text":"b","n":0,"x":1e300,"yes":false,"at":"1901-01-31T10:00:00Z","day":"2026-01-31"}]`))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	var want []string
	for row := range 3 {
		var cells []string
		for _, col := range b.Columns() {
			cells = append(cells, col.ValueStr(row))
		}
		want = append(want, strings.Join(cells, "|"))
	}
	all := codec.Columns(columns, nil)
	made := []byte(`{"type":"record","name":"r","fields":[{"name":"ce_id","type":"string"},{"name":"text","type":["null","string"]},{"name":"n","type":["null","long"]},
		{"name":"x","type":["null","double"]},{"name":"yes","type":["null","boolean"]},{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
		{"name":"day","type":["null",{"type":"int","logicalType":"date"}]}]}`)
	proto := []byte(`syntax = "proto3"; import "google/protobuf/timestamp.proto";
		message M { string ce_id=1; optional string text=2; optional int64 n=3; optional double x=4; optional bool yes=5;
		google.protobuf.Timestamp at=6; optional string day=7; }`)
	_, _, client := startRegistry(t)
	for name, c := range map[string]codec.Config{
		"json": {}, "csv": {Format: "csv"}, "avro": {Format: "avro", Descriptor: made}, "protobuf": {Format: "protobuf", Descriptor: proto},
		"cloudevents": {Format: "cloudevents", Source: "/here", Type: "test"},
		"registered":  {Format: "avro", Registry: client, Subject: "new-topic-value"},
	} {
		c.Columns = all
		made := open(t, c)
		bodies, err := made.Encode(t.Context(), b)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		in := make([]bus.Event, len(bodies))
		for i := range bodies {
			in[i].Body = bodies[i]
		}
		same(t, name, shown(t, made, in), want)
	}
}

func TestText(t *testing.T) {
	c := open(t, codec.Config{Format: "text", Columns: []codec.Column{column("line", frame.String, "")}})
	if got := shown(t, c, events("a b", "\xff\x00")); got != "a b\n\\xff00" {
		t.Error(got)
	}
}
