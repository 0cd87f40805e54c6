package codec

import (
	"context"
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hamba/avro/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// avroCodec reads and writes Avro. With a registry, messages are framed as
// Confluent's serializers do it: a zero byte, the id of the writer's schema in
// four bytes, the value. Each is read by the schema that it was written with,
// straight into the columns: a field that the writer did not know is NULL, one
// that the columns do not know is passed over. Without a registry messages are
// bare values of the schema of the Config.
type avroCodec struct {
	config Config
	schema *arrow.Schema
	root   *node
	own    *avroNode // of Config.Descriptor
	text   string

	readers schemas[int, *avroNode] // by the schemas of writers
	targets avroTargets
}

func newAvro(c Config) (*avroCodec, error) {
	root, _, err := tree(c.Columns)
	if err != nil {
		return nil, err
	}
	a := &avroCodec{config: c, schema: frame.SchemaOf(c.columns()), root: root}
	switch {
	case len(c.Descriptor) > 0:
		schema, err := parseAvro(string(c.Descriptor), nil)
		if err != nil {
			return nil, err
		}
		a.own, a.text = a.compile(schema), string(c.Descriptor)
	case c.Registry == nil:
		return nil, fault.New(fault.Invalid, "Avro without a schema and without a registry").
			Hint("name a file with the schema (descriptor) or a schema registry (registry)")
	}
	return a, nil
}

func (a *avroCodec) compile(s avro.Schema) *avroNode {
	c := avroCompiler{passed: map[string]*avroNode{}}
	return c.compile(s, a.root)
}

func (a *avroCodec) Schema() *arrow.Schema { return a.schema }

func (a *avroCodec) ContentType() string { return "application/avro" }

func (a *avroCodec) Decode(ctx context.Context, events []bus.Event) (frame.Batch, []error) {
	r := newRows(&a.config, len(events))
	d := avroReader{rows: r}
	for i := range events {
		err := r.admit(&events[i])
		if err == nil {
			err = a.event(ctx, &d, events[i].Body)
		}
		r.end(err)
	}
	return r.batch(a.schema)
}

func (a *avroCodec) event(ctx context.Context, d *avroReader, body []byte) error {
	if a.config.Registry == nil {
		return d.message(a.own, body, 0)
	}
	id, err := framed(body)
	if err != nil {
		return err
	}
	n, err := a.readers.get(id, func() (*avroNode, error) {
		s, err := a.config.Registry.Schema(ctx, id)
		if err != nil {
			return nil, err
		}
		if s.Type != "AVRO" {
			return nil, fault.New(fault.Invalid, "schema %d of the registry is %s, not AVRO", id, s.Type)
		}
		schema, err := parseAvro(s.Text, s.References)
		if err != nil {
			return nil, err
		}
		return a.compile(schema), nil
	})
	if err != nil {
		return err
	}
	return d.message(n, body, frameSize)
}

// frameSize is what stands before a value that a registry's schema is of.
const frameSize = 5

// framed returns the id of the schema of a message.
func framed(body []byte) (int, error) {
	if len(body) < frameSize || body[0] != 0 {
		return 0, fault.New(fault.Invalid, "the event does not begin with the id of a schema").
			Hint("its producer does not use a schema registry: leave registry out, and name the schema's file")
	}
	return int(binary.BigEndian.Uint32(body[1:])), nil
}

func appendFrame(dst []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), uint32(id))
}
