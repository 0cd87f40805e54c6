package codec_test

import (
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/store/bus"
)

// BenchmarkDecode reads the same 1000 events of six columns in every format.
func BenchmarkDecode(b *testing.B) {
	columns := []frame.Column{{Name: "txn_id", Type: frame.String}, {Name: "customer_id", Type: frame.String}, {Name: "at", Type: frame.Timestamp},
		{Name: "amount", Type: frame.Double}, {Name: "country", Type: frame.String}, {Name: "fraud", Type: frame.Bool}}
	rows := make([]bus.Event, 1000)
	for i := range rows {
		rows[i].Body = payment(i)
	}
	json := open(b, codec.Config{Columns: codec.Columns(columns, nil)})
	batch, faults := json.Decode(b.Context(), rows)
	if faults != nil {
		b.Fatal(faults)
	}
	defer batch.Release()
	for _, c := range []codec.Config{
		{Format: "json"}, {Format: "csv"}, {Format: "cloudevents", Source: "/s", Type: "t"},
		{Format: "avro", Descriptor: []byte(`{"type":"record","name":"r","fields":[{"name":"txn_id","type":"string"},{"name":"customer_id","type":"string"},
			{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"amount","type":"double"},{"name":"country","type":["null","string"]},{"name":"fraud","type":"boolean"}]}`)},
		{Format: "protobuf", Descriptor: []byte(`syntax = "proto3"; import "google/protobuf/timestamp.proto";
			message M { string txn_id=1; string customer_id=2; google.protobuf.Timestamp at=3; double amount=4; string country=5; bool fraud=6; }`)},
	} {
		c.Columns = codec.Columns(columns, nil)
		of := open(b, c)
		bodies, err := of.Encode(b.Context(), batch)
		if err != nil {
			b.Fatal(err)
		}
		in := make([]bus.Event, len(bodies))
		for i := range in {
			in[i].Body = bodies[i]
		}
		b.Run(c.Format, func(b *testing.B) {
			for b.Loop() {
				got, faults := of.Decode(b.Context(), in)
				if faults != nil {
					b.Fatal(faults)
				}
				got.Release()
			}
			b.ReportMetric(float64(b.N*len(in))/b.Elapsed().Seconds(), "events/s")
		})
	}
}
