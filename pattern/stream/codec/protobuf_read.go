package codec

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/base/plain"
)

// protoNode is how a message is read: the fields that columns want.
type protoNode struct {
	message protoreflect.MessageDescriptor
	fields  []*protoField
	byNum   map[protowire.Number]*protoField
	// lists tells that some elements of a list are wanted, which are counted.
	lists bool
	// texts are fields that a column of text wants as JSON.
	texts []*protoField
}

// protoField is how one field is read.
type protoField struct {
	field protoreflect.FieldDescriptor
	at    int // in fields of its node
	tree  *node
	// below is how a message is read of which columns want parts.
	below *protoNode
	// elements are those of a list or map that columns want.
	elements []*protoField
	known    knownType
}

// knownType is a message that stands for one value.
type knownType int

const (
	noKnownType knownType = iota
	knownTimestamp
	knownDuration
	knownWrapper
)

// compileProto makes the nodes of a message for a tree of columns.
func compileProto(m protoreflect.MessageDescriptor, at *node, cols []Column) (*protoNode, error) {
	n := &protoNode{message: m, byNum: map[protowire.Number]*protoField{}}
	for i := range m.Fields().Len() {
		fd := m.Fields().Get(i)
		below := at.childOf(string(fd.Name()))
		if below == nil {
			below = at.childOf(fd.JSONName())
		}
		if below == nil {
			continue
		}
		f, err := compileField(fd, below, cols)
		if err != nil {
			return nil, err
		}
		f.at = len(n.fields)
		n.fields = append(n.fields, f)
		n.byNum[fd.Number()] = f
		n.lists = n.lists || fd.IsList()
		if f.text() {
			if cols[below.column].Type != frame.String {
				return nil, fault.New(fault.Invalid, "column %q is a %s, and the Protobuf field %q is nested", cols[below.column].Name, cols[below.column].Type, fd.FullName()).
					Hint("give the column a path to a value inside, or the type string for its JSON")
			}
			n.texts = append(n.texts, f)
		}
	}
	return n, nil
}

func compileField(fd protoreflect.FieldDescriptor, at *node, cols []Column) (*protoField, error) {
	f := &protoField{field: fd, tree: at}
	var err error
	switch {
	case fd.IsList():
		for _, b := range at.below {
			e, err := compileElement(fd, b, cols)
			if err != nil {
				return nil, err
			}
			f.elements = append(f.elements, e)
		}
	case fd.IsMap():
		for _, b := range at.below {
			e, err := compileField(fd.MapValue(), b, cols)
			if err != nil {
				return nil, err
			}
			f.elements = append(f.elements, e)
		}
	case fd.Message() != nil:
		f.known = knownOf(fd.Message())
		if len(at.below) > 0 || f.known == knownWrapper {
			f.below, err = compileProto(fd.Message(), f.inside(), cols)
		}
	}
	return f, err
}

// compileElement is how an element of a list is read.
func compileElement(fd protoreflect.FieldDescriptor, at *node, cols []Column) (*protoField, error) {
	e := &protoField{field: fd, tree: at}
	if fd.Message() == nil {
		return e, nil
	}
	e.known = knownOf(fd.Message())
	var err error
	e.below, err = compileProto(fd.Message(), e.inside(), cols)
	return e, err
}

// inside is the tree of a message's fields: of a wrapper, its value is the
// column itself.
func (f *protoField) inside() *node {
	if f.known != knownWrapper || f.tree.column < 0 {
		return f.tree
	}
	value := &node{name: "value", index: -1, column: f.tree.column}
	return &node{index: -1, column: -1, below: []*node{value}, byName: map[string]*node{"value": value}}
}

// text tells that a column wants the JSON of something nested.
func (f *protoField) text() bool {
	return f.tree.column >= 0 && f.known == noKnownType && (f.field.IsList() || f.field.IsMap() || f.field.Message() != nil)
}

func knownOf(m protoreflect.MessageDescriptor) knownType {
	switch m.FullName() {
	case "google.protobuf.Timestamp":
		return knownTimestamp
	case "google.protobuf.Duration":
		return knownDuration
	case "google.protobuf.DoubleValue", "google.protobuf.FloatValue", "google.protobuf.Int64Value", "google.protobuf.UInt64Value",
		"google.protobuf.Int32Value", "google.protobuf.UInt32Value", "google.protobuf.BoolValue", "google.protobuf.StringValue",
		"google.protobuf.BytesValue":
		return knownWrapper
	}
	return noKnownType
}

// protoReader reads messages straight into columns.
type protoReader struct {
	rows *rows
	body []byte
}

func (r *protoReader) event(n *protoNode, body []byte, start int) error {
	r.body = body
	return r.message(n, body[start:])
}

// place is where in the event what is left of it begins.
func (r *protoReader) place(rest []byte) int { return cap(r.body) - cap(rest) }

func (r *protoReader) broken(rest []byte, n int) error {
	return fault.New(fault.Invalid, "the event is not Protobuf: %v", protowire.ParseError(n)).At("byte %d", r.place(rest))
}

// message reads the fields of a message. Nodes are as deep as paths are, and
// so is the recursion.
func (r *protoReader) message(n *protoNode, body []byte) error {
	var counts []int
	if n.lists {
		counts = make([]int, len(n.fields))
	}
	for rest := body; len(rest) > 0; {
		num, typ, size := protowire.ConsumeTag(rest)
		if size < 0 {
			return r.broken(rest, size)
		}
		value := rest[size:]
		length := protowire.ConsumeFieldValue(num, typ, value)
		if length < 0 {
			return r.broken(value, length)
		}
		rest = value[length:]
		f := n.byNum[num]
		if f == nil {
			continue
		}
		var err error
		switch {
		case f.field.IsMap():
			err = r.entry(f, typ, value[:length])
		case f.field.IsList():
			err = r.element(f, typ, value[:length], &counts[f.at])
		default:
			err = r.value(f, typ, value[:length])
		}
		if err != nil {
			return err
		}
	}
	if err := r.absent(n, body); err != nil {
		return err
	}
	return r.jsonTexts(n, body)
}

// absent gives fields their defaults that the message left out for that.
func (r *protoReader) absent(n *protoNode, body []byte) error {
	for _, f := range n.fields {
		fd := f.field
		if f.tree.column < 0 || fd.Message() != nil || fd.IsList() || fd.HasPresence() && !fd.HasDefault() {
			continue
		}
		if r.rows.cells[f.tree.column].Len() > r.rows.done {
			continue
		}
		if err := r.def(f, r.place(body)); err != nil {
			return err
		}
	}
	return nil
}

func (r *protoReader) def(f *protoField, at int) error {
	column, v := f.tree.column, f.field.Default()
	switch f.field.Kind() {
	case protoreflect.BoolKind:
		return r.rows.boolean(column, v.Bool(), at)
	case protoreflect.StringKind:
		return r.rows.defaultText(column, v.String(), at)
	case protoreflect.BytesKind:
		return r.rows.defaultText(column, string(appendBinary(nil, v.Bytes())), at)
	case protoreflect.EnumKind:
		return r.enum(f, int64(v.Enum()), at)
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return r.rows.float(column, v.Float(), at)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return r.rows.whole(column, int64(v.Uint()), at)
	}
	return r.rows.whole(column, v.Int(), at)
}

// defaultText is text, but an empty one is NULL where text is not what the
// column has: nobody wrote it.
func (r *rows) defaultText(column int, text string, at int) error {
	if c := r.cells[column]; text == "" && c.Type() != frame.String {
		c.Null()
		return nil
	}
	return r.text(column, []byte(text), at)
}

// element reads one element of a list, or several that are packed.
func (r *protoReader) element(f *protoField, typ protowire.Type, value []byte, count *int) error {
	packed := typ == protowire.BytesType && packable(f.field.Kind())
	if !packed {
		return r.nth(f, typ, value, count)
	}
	inner, n := protowire.ConsumeBytes(value)
	if n < 0 {
		return r.broken(value, n)
	}
	typ = wireType(f.field.Kind())
	for len(inner) > 0 {
		length := protowire.ConsumeFieldValue(1, typ, inner)
		if length < 0 {
			return r.broken(inner, length)
		}
		if err := r.nth(f, typ, inner[:length], count); err != nil {
			return err
		}
		inner = inner[length:]
	}
	return nil
}

func (r *protoReader) nth(f *protoField, typ protowire.Type, value []byte, count *int) error {
	i := *count
	*count++
	for _, e := range f.elements {
		if e.tree.index == i {
			return r.value(e, typ, value)
		}
	}
	return nil
}

func packable(k protoreflect.Kind) bool {
	return k != protoreflect.StringKind && k != protoreflect.BytesKind && k != protoreflect.MessageKind && k != protoreflect.GroupKind
}

func wireType(k protoreflect.Kind) protowire.Type {
	switch k {
	case protoreflect.Fixed32Kind, protoreflect.Sfixed32Kind, protoreflect.FloatKind:
		return protowire.Fixed32Type
	case protoreflect.Fixed64Kind, protoreflect.Sfixed64Kind, protoreflect.DoubleKind:
		return protowire.Fixed64Type
	case protoreflect.StringKind, protoreflect.BytesKind, protoreflect.MessageKind:
		return protowire.BytesType
	case protoreflect.GroupKind:
		return protowire.StartGroupType
	}
	return protowire.VarintType
}

// entry reads an entry of a map, a message of a key and a value.
func (r *protoReader) entry(f *protoField, typ protowire.Type, raw []byte) error {
	if len(f.elements) == 0 || typ != protowire.BytesType {
		return nil
	}
	entry, n := protowire.ConsumeBytes(raw)
	if n < 0 {
		return r.broken(raw, n)
	}
	key, value, valueType := "", []byte(nil), protowire.Type(-1)
	if f.field.MapKey().Kind() != protoreflect.StringKind {
		key = "0"
	}
	for rest := entry; len(rest) > 0; {
		num, typ, size := protowire.ConsumeTag(rest)
		if size < 0 {
			return r.broken(rest, size)
		}
		length := protowire.ConsumeFieldValue(num, typ, rest[size:])
		if length < 0 {
			return r.broken(rest[size:], length)
		}
		one := rest[size : size+length]
		rest = rest[size+length:]
		switch num {
		case 1:
			key = mapKey(f.field.MapKey(), typ, one)
		case 2:
			value, valueType = one, typ
		}
	}
	for _, e := range f.elements {
		if e.tree.name == key && valueType >= 0 {
			return r.value(e, valueType, value)
		}
	}
	return nil
}

func mapKey(fd protoreflect.FieldDescriptor, typ protowire.Type, raw []byte) string {
	if typ == protowire.BytesType {
		text, _ := protowire.ConsumeBytes(raw)
		return string(text)
	}
	v, ok := wireInt(fd.Kind(), typ, raw)
	if fd.Kind() == protoreflect.BoolKind {
		return strconv.FormatBool(ok && v != 0)
	}
	if unsigned(fd.Kind()) {
		return strconv.FormatUint(uint64(v), 10)
	}
	return strconv.FormatInt(v, 10)
}

// value reads a value that columns want. One of another wire type than the
// schema says is passed over, as every reader of Protobuf does.
func (r *protoReader) value(f *protoField, typ protowire.Type, raw []byte) error {
	kind := f.field.Kind()
	if typ != wireType(kind) {
		return nil
	}
	if kind == protoreflect.MessageKind {
		inner, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return r.broken(raw, n)
		}
		return r.nested(f, inner)
	}
	if f.tree.column < 0 || kind == protoreflect.GroupKind {
		return nil
	}
	column, at := f.tree.column, r.place(raw)
	r.rows.again(column)
	switch kind {
	case protoreflect.StringKind, protoreflect.BytesKind:
		text, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return r.broken(raw, n)
		}
		if kind == protoreflect.BytesKind {
			text = appendBinary(nil, text)
		} else if !utf8.Valid(text) {
			return r.rows.wrong(column, "a text that is not UTF-8", at)
		}
		return r.rows.text(column, text, at)
	case protoreflect.FloatKind:
		v, _ := protowire.ConsumeFixed32(raw)
		return r.rows.float(column, float64(math.Float32frombits(v)), at)
	case protoreflect.DoubleKind:
		v, _ := protowire.ConsumeFixed64(raw)
		return r.rows.float(column, math.Float64frombits(v), at)
	}
	v, _ := wireInt(kind, typ, raw)
	switch {
	case kind == protoreflect.BoolKind:
		return r.rows.boolean(column, v != 0, at)
	case kind == protoreflect.EnumKind:
		return r.enum(f, v, at)
	case v < 0 && unsigned(kind):
		return r.rows.number(column, strconv.FormatUint(uint64(v), 10), at)
	}
	return r.rows.whole(column, v, at)
}

func unsigned(k protoreflect.Kind) bool {
	return k == protoreflect.Uint64Kind || k == protoreflect.Fixed64Kind || k == protoreflect.Uint32Kind || k == protoreflect.Fixed32Kind
}

// wireInt reads an integer of any kind.
func wireInt(kind protoreflect.Kind, typ protowire.Type, raw []byte) (int64, bool) {
	switch typ {
	case protowire.Fixed32Type:
		v, n := protowire.ConsumeFixed32(raw)
		if kind == protoreflect.Sfixed32Kind {
			return int64(int32(v)), n > 0
		}
		return int64(v), n > 0
	case protowire.Fixed64Type:
		v, n := protowire.ConsumeFixed64(raw)
		return int64(v), n > 0
	case protowire.VarintType:
		v, n := protowire.ConsumeVarint(raw)
		switch kind {
		case protoreflect.Sint32Kind, protoreflect.Sint64Kind:
			return protowire.DecodeZigZag(v), n > 0
		case protoreflect.Int32Kind, protoreflect.EnumKind:
			return int64(int32(v)), n > 0
		case protoreflect.Uint32Kind:
			return int64(uint32(v)), n > 0
		}
		return int64(v), n > 0
	}
	return 0, false
}

func (r *protoReader) enum(f *protoField, v int64, at int) error {
	column := f.tree.column
	if r.rows.cells[column].Type() != frame.String {
		return r.rows.whole(column, v, at)
	}
	if d := f.field.Enum().Values().ByNumber(protoreflect.EnumNumber(v)); d != nil {
		return r.rows.text(column, []byte(d.Name()), at)
	}
	return r.rows.text(column, strconv.AppendInt(nil, v, 10), at)
}

// nested reads a message inside of the event.
func (r *protoReader) nested(f *protoField, body []byte) error {
	if f.tree.column >= 0 && (f.known == knownTimestamp || f.known == knownDuration) {
		r.rows.again(f.tree.column)
		return r.moment(f, body)
	}
	if f.below == nil {
		return nil // its JSON is read of the message around it
	}
	return r.message(f.below, body)
}

// moment reads a Timestamp or Duration: seconds and nanoseconds.
func (r *protoReader) moment(f *protoField, body []byte) error {
	var parts [3]int64
	for rest := body; len(rest) > 0; {
		num, typ, size := protowire.ConsumeTag(rest)
		if size < 0 {
			return r.broken(rest, size)
		}
		length := protowire.ConsumeFieldValue(num, typ, rest[size:])
		if length < 0 {
			return r.broken(rest[size:], length)
		}
		if (num == 1 || num == 2) && typ == protowire.VarintType {
			parts[num], _ = wireInt(protoreflect.Int64Kind, typ, rest[size:])
		}
		rest = rest[size+length:]
	}
	column, at := f.tree.column, r.place(body)
	if f.known == knownDuration {
		return r.rows.float(column, float64(parts[1])+float64(parts[2])/1e9, at)
	}
	us, ok := micros(parts[1], 1_000_000_000)
	if !ok || parts[2] < 0 || parts[2] >= 1_000_000_000 || us > math.MaxInt64-1_000_000 {
		return r.rows.wrong(column, fmt.Sprintf("the time %d s and %d ns", parts[1], parts[2]), at)
	}
	return r.rows.instant(column, us+parts[2]/1000, 1000, at)
}

// jsonTexts gives columns of text what is nested, as Protobuf's own JSON. It
// is the slow way: the message is built.
func (r *protoReader) jsonTexts(n *protoNode, body []byte) error {
	if len(n.texts) == 0 {
		return nil
	}
	whole := dynamicpb.NewMessage(n.message)
	if err := (proto.UnmarshalOptions{RecursionLimit: MaxDepth}).Unmarshal(body, whole); err != nil {
		return fault.New(fault.Invalid, "the event is not Protobuf of its schema, or too deep").At("byte %d", r.place(body))
	}
	for _, f := range n.texts {
		if !whole.Has(f.field) {
			continue
		}
		alone := dynamicpb.NewMessage(n.message)
		alone.Set(f.field, whole.Get(f.field))
		text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(alone)
		if err != nil {
			return fault.New(fault.Invalid, "the field %q of the event has no JSON", f.field.Name()).At("byte %d", r.place(body))
		}
		s := plain.Scanner{Text: text}
		if !s.TakeAfterSpace('{') {
			continue
		}
		if _, ok := s.Name(); !ok {
			continue
		}
		value, ok := s.Skip()
		if !ok {
			return fault.New(fault.Invalid, "the field %q of the event is nested deeper than %d", f.field.Name(), MaxDepth)
		}
		// Its library puts spaces in, now here and now there.
		if err := r.rows.text(f.tree.column, compacted(slices.Clone(value)), r.place(body)); err != nil {
			return err
		}
	}
	return nil
}
