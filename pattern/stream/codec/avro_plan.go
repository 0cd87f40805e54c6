package codec

import (
	"github.com/hamba/avro/v2"

	"github.com/leat-ai/leat/base/fault"
)

// MaxSchema bounds the text of a schema, in bytes, with what it refers to.
const MaxSchema = 1 << 20

// parseAvro reads a schema and those that it refers to, which may refer to
// each other.
func parseAvro(text string, references map[string]string) (avro.Schema, error) {
	size := len(text)
	for _, r := range references {
		size += len(r)
	}
	if size > MaxSchema {
		return nil, fault.New(fault.TooLarge, "an Avro schema has %d bytes, more than %d", size, MaxSchema)
	}
	cache := &avro.SchemaCache{}
	// Whoever refers to nothing that is missing is read first.
	left := make([]string, 0, len(references))
	for _, r := range references {
		left = append(left, r)
	}
	for len(left) > 0 {
		var later []string
		var failed error
		for _, r := range left {
			if _, err := avro.ParseWithCache(r, "", cache); err != nil {
				later, failed = append(later, r), err
			}
		}
		if len(later) == len(left) {
			return nil, fault.Wrap(failed, fault.Invalid, "a schema that an Avro schema refers to cannot be read")
		}
		left = later
	}
	schema, err := avro.ParseWithCache(text, "", cache)
	return schema, fault.Wrap(err, fault.Invalid, "the Avro schema cannot be read")
}

// avroNode is how one value of a schema is read: into a column, or passed
// over. Nodes are made once for a schema and a tree of columns.
type avroNode struct {
	kind avro.Type
	// names are those of a record's fields, or the symbols of an enum.
	names []string
	// parts are a record's fields, or the branches of a union.
	parts []*avroNode
	// items are what an array or a map has, where tree asks for none of them.
	items *avroNode
	// wanted are the elements of an array or map that tree asks for.
	wanted []*avroNode
	size   int // of a fixed
	// nanos is what a time counts, in nanoseconds; 0 when it is no time.
	nanos int64
	date  bool
	// decimal tells that bytes are a number with scale digits behind its point.
	decimal bool
	scale   int
	// tree is the place of the columns, nil when nothing reads the value.
	tree *node
}

// avroCompiler makes the nodes of one schema.
type avroCompiler struct {
	// passed are the nodes of named types that nothing reads, which schemas
	// may nest in themselves.
	passed map[string]*avroNode
}

// compile makes the node of a value. With a tree it goes no deeper than that;
// without one, every named type is made once.
func (c *avroCompiler) compile(s avro.Schema, at *node) *avroNode {
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	named, isNamed := s.(avro.NamedSchema)
	if isNamed && at == nil {
		if n := c.passed[named.FullName()]; n != nil {
			return n
		}
	}
	n := &avroNode{kind: s.Type(), tree: at}
	if isNamed && at == nil {
		c.passed[named.FullName()] = n
	}
	switch s := s.(type) {
	case *avro.RecordSchema:
		n.kind = avro.Record // an error is one
		for _, f := range s.Fields() {
			n.names = append(n.names, f.Name())
			n.parts = append(n.parts, c.compile(f.Type(), at.childOf(f.Name())))
		}
	case *avro.UnionSchema:
		for _, t := range s.Types() {
			n.parts = append(n.parts, c.compile(t, at))
		}
	case *avro.EnumSchema:
		n.names = s.Symbols()
	case *avro.ArraySchema:
		n.items = c.compile(s.Items(), nil)
		n.wanted = c.wanted(s.Items(), at)
	case *avro.MapSchema:
		n.items = c.compile(s.Values(), nil)
		n.wanted = c.wanted(s.Values(), at)
	case *avro.FixedSchema:
		n.size = s.Size()
		n.logical(s.Logical())
	case *avro.PrimitiveSchema:
		n.logical(s.Logical())
	}
	return n
}

// childOf returns the node below with a name; nil has none.
func (n *node) childOf(name string) *node {
	if n == nil {
		return nil
	}
	return n.byName[name]
}

func (c *avroCompiler) wanted(items avro.Schema, at *node) []*avroNode {
	if at == nil {
		return nil
	}
	var out []*avroNode
	for _, below := range at.below {
		out = append(out, c.compile(items, below))
	}
	return out
}

func (n *avroNode) logical(l avro.LogicalSchema) {
	if l == nil {
		return
	}
	switch l.Type() {
	case avro.TimestampMillis, avro.LocalTimestampMillis:
		n.nanos = 1_000_000
	case avro.TimestampMicros, avro.LocalTimestampMicros:
		n.nanos = 1000
	case avro.Date:
		n.date = true
	case avro.Decimal:
		if d, ok := l.(*avro.DecimalLogicalSchema); ok {
			n.decimal, n.scale = true, d.Scale()
		}
	}
}
