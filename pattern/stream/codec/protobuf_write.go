package codec

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/columns"
)

// compacted takes the space between the parts of a JSON text out.
func compacted(text jsontext.Value) []byte {
	if text.Compact() != nil {
		return text
	}
	return text
}

// protoTarget is the message that rows are written as, and what stands before
// it.
type protoTarget struct {
	message protoreflect.MessageDescriptor
	prefix  []byte
}

// target returns what rows are written as: the message of the Config, else the
// named (or first) one of the subject's newest schema.
func (p *protoCodec) target(ctx context.Context) (protoTarget, error) {
	return p.targets.get("", func() (protoTarget, error) {
		t := protoTarget{message: p.own}
		if p.config.Registry == nil {
			return t, nil
		}
		if p.config.Subject == "" {
			return t, fault.New(fault.Invalid, "Protobuf is written with a registry but without a subject").Hint("say subject: TOPIC-value")
		}
		if p.text != "" {
			id, err := p.config.Registry.Register(ctx, p.config.Subject, RegisteredSchema{Type: "PROTOBUF", Text: p.text})
			t.prefix = appendPath(appendFrame(nil, id), p.own)
			return t, err
		}
		s, err := p.config.Registry.Latest(ctx, p.config.Subject)
		if err != nil {
			return t, err
		}
		file, err := compileFile(s.Text, s.References)
		if err != nil {
			return t, err
		}
		if t.message, err = pickMessage([]protoreflect.FileDescriptor{file}, p.config.Message); err != nil {
			return t, err
		}
		t.prefix = appendPath(appendFrame(nil, s.ID), t.message)
		return t, nil
	})
}

// Encode writes each row as a message. A field takes the column of its name, or
// the one whose path in the Config leads to it; NULL leaves the field out. A
// column that no field takes is a fault, for it would be lost.
func (p *protoCodec) Encode(ctx context.Context, batch frame.Batch) ([][]byte, error) {
	t, err := p.target(ctx)
	if err != nil {
		return nil, err
	}
	places, err := placesOf(p.config.Columns, batch)
	if err != nil {
		return nil, err
	}
	var out []byte
	ends := make([]int, batch.NumRows())
	w := protoWriter{batch: batch}
	for w.row = range ends {
		m := dynamicpb.NewMessage(t.message)
		if err := w.fill(m, places); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "row %d", w.row)
		}
		out = append(out, t.prefix...)
		if out, err = (proto.MarshalOptions{Deterministic: true}).MarshalAppend(out, m); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "row %d cannot be written as %s", w.row, t.message.FullName())
		}
		ends[w.row] = len(out)
	}
	return cut(out, ends), nil
}

// protoWriter writes the rows of a batch.
type protoWriter struct {
	batch frame.Batch
	row   int
}

func (w *protoWriter) fill(m protoreflect.Message, at *node) error {
	fields := m.Descriptor().Fields()
	for _, b := range at.below {
		fd := fields.ByName(protoreflect.Name(b.name))
		if fd == nil {
			fd = fields.ByJSONName(b.name)
		}
		if fd == nil {
			return fault.New(fault.Invalid, "%s has no field %q", m.Descriptor().FullName(), b.name).Hint("give it one, or publish as JSON")
		}
		if err := w.field(m, fd, b); err != nil {
			return err
		}
	}
	return nil
}

func (w *protoWriter) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, at *node) error {
	if fd.IsList() || fd.IsMap() {
		return fault.New(fault.Unsupported, "the field %q is a list or map, which columns do not fill", fd.FullName())
	}
	if at.column < 0 {
		if fd.Message() == nil {
			return fault.New(fault.Invalid, "the field %q is no message", fd.FullName())
		}
		return w.fill(m.Mutable(fd).Message(), at)
	}
	col := w.batch.Column(at.column)
	if col.IsNull(w.row) {
		return nil
	}
	if fd.Message() != nil {
		return w.known(m, fd, col)
	}
	v, ok := protoValue(fd, col, w.row)
	if !ok {
		return fault.New(fault.Invalid, "%q has %s, which is not %s as %s wants it", at.name, clip([]byte(col.ValueStr(w.row))), fd.Kind(), fd.FullName())
	}
	m.Set(fd, v)
	return nil
}

// known writes a message that stands for one value.
func (w *protoWriter) known(m protoreflect.Message, fd protoreflect.FieldDescriptor, col arrow.Array) error {
	inner := m.NewField(fd).Message()
	fields := inner.Descriptor().Fields()
	switch knownOf(fd.Message()) {
	case knownTimestamp:
		var at time.Time
		switch c := col.(type) {
		case *array.Timestamp:
			at = time.UnixMicro(int64(c.Value(w.row)))
		case *array.Date32:
			at = c.Value(w.row).ToTime()
		default:
			return fault.New(fault.Invalid, "a column of type %s is no time for %q", col.DataType(), fd.FullName())
		}
		inner.Set(fields.ByName("seconds"), protoreflect.ValueOfInt64(at.Unix()))
		inner.Set(fields.ByName("nanos"), protoreflect.ValueOfInt32(int32(at.Nanosecond())))
	case knownWrapper:
		v, ok := protoValue(fields.ByName("value"), col, w.row)
		if !ok {
			return fault.New(fault.Invalid, "%s is no value of %q", clip([]byte(col.ValueStr(w.row))), fd.FullName())
		}
		inner.Set(fields.ByName("value"), v)
	default:
		return fault.New(fault.Unsupported, "the field %q is a message, and one column cannot fill it", fd.FullName()).
			Hint("give columns paths into it, as in user.id")
	}
	m.Set(fd, protoreflect.ValueOfMessage(inner))
	return nil
}

// protoValue makes a field's value of a column's, if that loses nothing.
func protoValue(fd protoreflect.FieldDescriptor, col arrow.Array, row int) (v protoreflect.Value, ok bool) {
	switch kind := fd.Kind(); kind {
	case protoreflect.StringKind:
		if c, ok := col.(*array.String); ok {
			return protoreflect.ValueOfString(c.Value(row)), true
		}
		return protoreflect.ValueOfString(string(unquoted(columns.AppendCell(nil, col, row, columns.Text)))), true
	case protoreflect.BytesKind:
		c, ok := col.(*array.String)
		if !ok {
			return v, false
		}
		return protoreflect.ValueOfBytes([]byte(c.Value(row))), true
	case protoreflect.BoolKind:
		c, ok := col.(*array.Boolean)
		if !ok {
			return v, false
		}
		return protoreflect.ValueOfBool(c.Value(row)), true
	case protoreflect.EnumKind:
		return protoEnum(fd, col, row)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		number, err := strconv.ParseFloat(col.ValueStr(row), 64)
		if _, text := col.(*array.String); text || err != nil {
			return v, false
		}
		if kind == protoreflect.FloatKind {
			return protoreflect.ValueOfFloat32(float32(number)), true
		}
		return protoreflect.ValueOfFloat64(number), true
	}
	return protoInt(fd.Kind(), col, row)
}

func protoEnum(fd protoreflect.FieldDescriptor, col arrow.Array, row int) (v protoreflect.Value, ok bool) {
	switch c := col.(type) {
	case *array.String:
		if d := fd.Enum().Values().ByName(protoreflect.Name(c.Value(row))); d != nil {
			return protoreflect.ValueOfEnum(d.Number()), true
		}
	case *array.Int64:
		if n := c.Value(row); n == int64(int32(n)) {
			return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), true
		}
	}
	return v, false
}

func protoInt(kind protoreflect.Kind, col arrow.Array, row int) (v protoreflect.Value, ok bool) {
	var n int64
	switch c := col.(type) {
	case *array.Int64:
		n = c.Value(row)
	case *array.Timestamp:
		n = int64(c.Value(row))
	case *array.Date32:
		n = int64(c.Value(row))
	case *array.Float64:
		f := c.Value(row)
		if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
			return v, false
		}
		n = int64(f)
	default:
		return v, false
	}
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(int32(n)), n == int64(int32(n))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(uint32(n)), n == int64(uint32(n))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(uint64(n)), n >= 0
	}
	return protoreflect.ValueOfInt64(n), true
}
