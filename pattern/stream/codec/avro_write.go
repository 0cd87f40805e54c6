package codec

import (
	"context"
	"encoding/binary"
	"math"
	"math/big"
	"strings"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/hamba/avro/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/columns"
)

// avroTarget is the schema that rows are written with.
type avroTarget struct {
	id     int // of the registry, or -1
	schema avro.Schema
}

// avroTargets finds a codec's target once for each set of columns.
type avroTargets struct {
	mu    sync.Mutex
	known map[string]avroTarget // by the columns; "" for one of all
}

// target returns the schema that a batch is written with: that of the Config,
// else the newest of the subject, else one made of the batch's columns. With a
// registry it is registered.
func (a *avroCodec) target(ctx context.Context, batch frame.Batch) (avroTarget, error) {
	a.targets.mu.Lock()
	defer a.targets.mu.Unlock()
	key := ""
	if a.text == "" {
		key = batch.Schema().String()
	}
	if t, ok := a.targets.known[key]; ok {
		return t, nil
	}
	t, err := a.findTarget(ctx, batch)
	if err != nil {
		return t, err
	}
	if a.targets.known == nil || len(a.targets.known) >= maxSchemas {
		a.targets.known = map[string]avroTarget{}
	}
	a.targets.known[key] = t
	return t, nil
}

func (a *avroCodec) findTarget(ctx context.Context, batch frame.Batch) (avroTarget, error) {
	text, references := a.text, map[string]string(nil)
	t := avroTarget{id: -1}
	if a.config.Registry != nil {
		if a.config.Subject == "" {
			return t, fault.New(fault.Invalid, "Avro is written with a registry but without a subject").Hint("say subject: TOPIC-value")
		}
		if text == "" {
			s, err := a.config.Registry.Latest(ctx, a.config.Subject)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return t, err
			}
			text, references, t.id = s.Text, s.References, s.ID
			if err != nil {
				text, t.id = avroOf(batch.Schema(), a.config.Subject), -1
			}
		}
		if t.id < 0 {
			id, err := a.config.Registry.Register(ctx, a.config.Subject, RegisteredSchema{Type: "AVRO", Text: text})
			if err != nil {
				return t, err
			}
			t.id = id
		}
	}
	var err error
	t.schema, err = parseAvro(text, references)
	return t, err
}

// avroOf makes the schema of columns, every field of which may be null.
func avroOf(schema *arrow.Schema, subject string) string {
	types := map[frame.Type]string{frame.String: `"string"`, frame.Int: `"long"`, frame.Double: `"double"`, frame.Bool: `"boolean"`,
		frame.Timestamp: `{"type":"long","logicalType":"timestamp-micros"}`, frame.Date: `{"type":"int","logicalType":"date"}`}
	var b strings.Builder
	b.WriteString(`{"type":"record","name":` + string(columns.AppendString(nil, avroName(strings.TrimSuffix(subject, "-value")))) + `,"fields":[`)
	for i, f := range schema.Fields() {
		if i > 0 {
			b.WriteByte(',')
		}
		t, err := frame.TypeOf(f.Type)
		if err != nil {
			t = frame.String
		}
		b.WriteString(`{"name":` + string(columns.AppendString(nil, avroName(f.Name))) + `,"type":["null",` + types[t] + `],"default":null}`)
	}
	return b.String() + "]}"
}

// avroName makes a name of Avro's of any text: letters, digits and _.
func avroName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, text)
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "_" + name
	}
	return name
}

// Encode writes each row as a record. A field takes the column of its name, or
// the one whose path in the Config leads to it; a field without a column has
// its default, or null.
func (a *avroCodec) Encode(ctx context.Context, batch frame.Batch) ([][]byte, error) {
	t, err := a.target(ctx, batch)
	if err != nil {
		return nil, err
	}
	places, err := placesOf(a.config.Columns, batch)
	if err != nil {
		return nil, err
	}
	w := avroWriter{batch: batch}
	ends := make([]int, batch.NumRows())
	for w.row = range ends {
		if t.id >= 0 {
			w.out = appendFrame(w.out, t.id)
		}
		if err := w.value(t.schema, places, "the row"); err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "row %d", w.row)
		}
		ends[w.row] = len(w.out)
	}
	return cut(w.out, ends), nil
}

// placesOf is the tree of a batch's columns: where each goes in a body.
func placesOf(declared []Column, batch frame.Batch) (*node, error) {
	cols := make([]Column, batch.NumCols())
	paths := make(map[string]string, len(declared))
	for _, c := range declared {
		paths[c.Name] = c.Path
	}
	for i := range cols {
		cols[i] = Column{frame.Column{Name: batch.ColumnName(i)}, paths[batch.ColumnName(i)]}
	}
	root, _, err := tree(cols)
	return root, err
}

// avroWriter writes the rows of a batch.
type avroWriter struct {
	batch frame.Batch
	row   int
	out   []byte
}

func (w *avroWriter) long(v int64) {
	w.out = binary.AppendUvarint(w.out, uint64(v)<<1^uint64(v>>63))
}

func (w *avroWriter) bytes(v []byte) {
	w.long(int64(len(v)))
	w.out = append(w.out, v...)
}

// value writes what stands at a place by a schema.
func (w *avroWriter) value(s avro.Schema, at *node, name string) error {
	if ref, ok := s.(*avro.RefSchema); ok {
		s = ref.Schema()
	}
	if union, ok := s.(*avro.UnionSchema); ok {
		return w.union(union, at, name)
	}
	if record, ok := s.(*avro.RecordSchema); ok && at.column < 0 {
		for _, f := range record.Fields() {
			if err := w.field(f, at); err != nil {
				return err
			}
		}
		return nil
	}
	if at.column < 0 {
		return fault.New(fault.Invalid, "%q of the Avro schema is %s, which columns cannot fill", name, s.Type())
	}
	col := w.batch.Column(at.column)
	if col.IsNull(w.row) {
		if s.Type() == avro.Null {
			return nil
		}
		return fault.New(fault.Invalid, "%q is NULL, and the Avro schema does not allow it", name)
	}
	if !w.scalar(s, col) {
		return fault.New(fault.Invalid, "%q has %s, which is not %s as the Avro schema wants it", name, clip([]byte(col.ValueStr(w.row))), s.Type())
	}
	return nil
}

func (w *avroWriter) field(f *avro.Field, at *node) error {
	below := at.byName[f.Name()]
	if below == nil { // names of columns that Avro has no letters for
		for _, b := range at.below {
			if avroName(b.name) == f.Name() {
				below = b
			}
		}
	}
	if below != nil {
		return w.value(f.Type(), below, f.Name())
	}
	if f.HasDefault() {
		out, err := avro.Marshal(f.Type(), f.Default())
		w.out = append(w.out, out...)
		return fault.Wrap(err, fault.Invalid, "the default of %q in the Avro schema", f.Name())
	}
	if union, ok := f.Type().(*avro.UnionSchema); ok {
		if _, null := union.Types().Get(string(avro.Null)); null >= 0 {
			w.long(int64(null))
			return nil
		}
	}
	return fault.New(fault.Invalid, "%q of the Avro schema has no column and no default", f.Name())
}

// union writes the first branch that takes the value.
func (w *avroWriter) union(s *avro.UnionSchema, at *node, name string) error {
	null := at.column >= 0 && w.batch.Column(at.column).IsNull(w.row)
	start := len(w.out)
	for i, t := range s.Types() {
		if null != (t.Type() == avro.Null) {
			continue
		}
		w.long(int64(i))
		if null || w.value(t, at, name) == nil {
			return nil
		}
		w.out = w.out[:start]
	}
	return fault.New(fault.Invalid, "%q has a value that no branch of its union in the Avro schema takes", name)
}

// scalar writes a value if the schema takes it.
func (w *avroWriter) scalar(s avro.Schema, col arrow.Array) bool {
	switch s := s.(type) {
	case *avro.EnumSchema:
		text, ok := col.(*array.String)
		if !ok {
			return false
		}
		for i, symbol := range s.Symbols() {
			if symbol == text.Value(w.row) {
				w.long(int64(i))
				return true
			}
		}
		return false
	case *avro.PrimitiveSchema:
		if d, ok := s.Logical().(*avro.DecimalLogicalSchema); ok {
			return w.decimal(d, col)
		}
		return w.primitive(s, col)
	}
	return false
}

func (w *avroWriter) primitive(s *avro.PrimitiveSchema, col arrow.Array) bool {
	switch s.Type() {
	case avro.String, avro.Bytes:
		if text, ok := col.(*array.String); ok {
			w.bytes([]byte(text.Value(w.row)))
			return true
		}
		if s.Type() == avro.String {
			w.bytes(unquoted(columns.AppendCell(nil, col, w.row, columns.Text)))
			return true
		}
	case avro.Boolean:
		if c, ok := col.(*array.Boolean); ok {
			w.out = append(w.out, byte(bit(c.Value(w.row))))
			return true
		}
	case avro.Float, avro.Double:
		var v float64
		switch c := col.(type) {
		case *array.Float64:
			v = c.Value(w.row)
		case *array.Int64:
			v = float64(c.Value(w.row))
		default:
			return false
		}
		if s.Type() == avro.Float {
			w.out = binary.LittleEndian.AppendUint32(w.out, math.Float32bits(float32(v)))
		} else {
			w.out = binary.LittleEndian.AppendUint64(w.out, math.Float64bits(v))
		}
		return true
	case avro.Int, avro.Long:
		v, ok := w.whole(s.Logical(), col)
		if !ok || s.Type() == avro.Int && v != int64(int32(v)) {
			return false
		}
		w.long(v)
		return true
	}
	return false
}

// unquoted takes the quotes of a JSON text off, which has no escapes.
func unquoted(text []byte) []byte {
	if plain, err := jsontext.AppendUnquote(nil, text); err == nil {
		return plain
	}
	return text
}

func (w *avroWriter) whole(l avro.LogicalSchema, col arrow.Array) (int64, bool) {
	switch c := col.(type) {
	case *array.Int64:
		return c.Value(w.row), true
	case *array.Float64:
		v := c.Value(w.row)
		return int64(v), v == math.Trunc(v) && math.Abs(v) <= 1<<53
	case *array.Date32:
		return int64(c.Value(w.row)), l == nil || l.Type() == avro.Date
	case *array.Timestamp:
		us := int64(c.Value(w.row))
		switch {
		case l == nil || l.Type() == avro.TimestampMicros || l.Type() == avro.LocalTimestampMicros:
			return us, true
		case l.Type() == avro.TimestampMillis || l.Type() == avro.LocalTimestampMillis:
			return floorDiv(us, 1000), true
		}
	}
	return 0, false
}

// decimal writes a number with its scale, which must hold it exactly.
func (w *avroWriter) decimal(d *avro.DecimalLogicalSchema, col arrow.Array) bool {
	text := col.ValueStr(w.row)
	if _, isText := col.(*array.String); isText && strings.ContainsAny(text, "eEpP") {
		return false // an exponent makes a number of any size
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || d.Scale() > 3*maxDecimal || len(text) > 4*maxDecimal {
		return false
	}
	r.Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(d.Scale())), nil)))
	if !r.IsInt() {
		return false
	}
	v := r.Num()
	size := v.BitLen()/8 + 1
	if v.Sign() < 0 {
		v = new(big.Int).Add(v, new(big.Int).Lsh(big.NewInt(1), uint(8*size)))
	}
	w.bytes(v.FillBytes(make([]byte, size)))
	return true
}
