package feature

import (
	"context"
	"errors"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// Bounds limit what is kept in memory. The zero Bounds are DefaultBounds.
type Bounds struct {
	Entities int   // rows
	Bytes    int64 // of keys and values together
}

// DefaultBounds keep a table of features well below what a small server has.
var DefaultBounds = Bounds{Entities: 5_000_000, Bytes: 1 << 30}

// keyOverhead is about what one entry of a map takes besides its key.
const keyOverhead = 48

// Memory is a Lookup of a table held in memory. It is immutable.
type Memory struct {
	keys    []frame.Column
	columns []frame.Column
	values  [][]arrow.Array // by batch, then by column
	rows    map[string]place
	bytes   int64
}

// place is where the row of an entity lies.
type place struct{ batch, row int32 }

// nowhere is the place of an entity that is not known.
var nowhere = place{batch: -1}

// NewMemory reads a table with one row for each entity and closes the reader.
// Columns that are not of the entity are the values; rows without a key are
// left out. Two rows of one entity are an Invalid fault, more than the bounds
// allow TooLarge.
func NewMemory(ctx context.Context, r frame.Reader, entity []string, b Bounds) (*Memory, error) {
	if b == (Bounds{}) {
		b = DefaultBounds
	}
	m := &Memory{rows: map[string]place{}}
	keyAt, valueAt, err := m.layout(r.Schema(), entity)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	err = frame.Each(ctx, r, func(batch frame.Batch) error {
		if err := m.add(batch, keyAt, valueAt, b); err != nil {
			return err
		}
		return ctx.Err()
	})
	if err != nil {
		m.release()
		return nil, err
	}
	return m, nil
}

// layout finds the columns of the entity, and those of the values.
func (m *Memory) layout(schema *arrow.Schema, entity []string) (keyAt, valueAt []int, err error) {
	columns, err := frame.ColumnsOf(schema)
	if err != nil {
		return nil, nil, fault.New(fault.Invalid, "the table of features has a column of a type that features cannot have").Because(err).
			Hint("cast it in the SQL, as in cast(sum(n) as bigint)")
	}
	if len(entity) == 0 {
		return nil, nil, fault.New(fault.Invalid, "there is no entity to look the features up by")
	}
	for _, name := range entity {
		at := frame.Index(schema, name)
		if at < 0 {
			return nil, nil, fault.New(fault.Invalid, "the table of features has no column %q, which is its entity", name).
				Hint("select %s in the SQL, and group by it", name)
		}
		if columns[at].Type == frame.Double {
			return nil, nil, fault.New(fault.Invalid, "the entity %q is a double, which does not identify anything for sure", name).
				Hint("cast it to int or string")
		}
		keyAt = append(keyAt, at)
		m.keys = append(m.keys, columns[at])
	}
	for i, c := range columns {
		if !slices.Contains(keyAt, i) {
			valueAt = append(valueAt, i)
			m.columns = append(m.columns, c)
		}
	}
	if len(valueAt) == 0 {
		return nil, nil, fault.New(fault.Invalid, "the table of features has no column besides its entity")
	}
	return keyAt, valueAt, nil
}

func (m *Memory) add(batch frame.Batch, keyAt, valueAt []int, b Bounds) error {
	keys, values := pick(batch, keyAt), pick(batch, valueAt)
	for _, v := range values {
		v.Retain()
	}
	m.values = append(m.values, values)
	for _, v := range values {
		m.bytes += sizeOf(v)
	}
	at := place{batch: int32(len(m.values) - 1)}
	var key []byte
	for i := range int(batch.NumRows()) {
		var ok bool
		if key, ok = frame.AppendKey(key[:0], keys, i); !ok {
			continue
		}
		if _, twice := m.rows[string(key)]; twice {
			return m.twice(keys, i)
		}
		at.row = int32(i)
		m.rows[string(key)] = at
		m.bytes += int64(len(key) + keyOverhead)
		if len(m.rows) > b.Entities || m.bytes > b.Bytes {
			return fault.New(fault.TooLarge, "the table of features has more than %d entities or %d MiB, the most that is kept in memory", b.Entities, b.Bytes>>20).
				Hint("an online store is needed for so many; or select fewer columns and only entities that are still active")
		}
	}
	return nil
}

// sizeOf adds up the buffers of an array.
func sizeOf(a arrow.Array) (n int64) {
	for _, b := range a.Data().Buffers() {
		if b != nil {
			n += int64(b.Len())
		}
	}
	return n
}

func (m *Memory) twice(keys []arrow.Array, row int) error {
	text := ""
	for i, k := range keys {
		text += " " + m.keys[i].Name + "=" + k.ValueStr(row)
	}
	return fault.New(fault.Invalid, "the table of features has two rows of the entity%s", text).
		Hint("group by the entity, so that there is one row for each")
}

func pick(batch frame.Batch, at []int) []arrow.Array {
	picked := make([]arrow.Array, len(at))
	for i, k := range at {
		picked[i] = batch.Column(k)
	}
	return picked
}

// Table is the Memory as Compile takes it.
func (m *Memory) Table() Table { return Table{Keys: m.keys, Columns: m.columns, Lookup: m} }

// Entities returns how many entities there are.
func (m *Memory) Entities() int { return len(m.rows) }

// Bytes returns about how much memory the table takes.
func (m *Memory) Bytes() int64 { return m.bytes }

// Values implements Lookup. The values are those of the table, whatever the
// time of a row.
func (m *Memory) Values(ctx context.Context, keys []arrow.Array, _ []int64, rows int) ([]arrow.Array, error) {
	places := make([]place, rows)
	var room [64]byte
	key := room[:0]
	for i := range places {
		if i%4096 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		places[i] = nowhere
		var ok bool
		if key, ok = frame.AppendKey(key[:0], keys, i); !ok {
			continue
		}
		if p, known := m.rows[string(key)]; known {
			places[i] = p
		}
	}
	out := make([]arrow.Array, len(m.columns))
	for c := range m.columns {
		var err error
		if out[c], err = m.gather(c, places); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (m *Memory) release() {
	for _, batch := range m.values {
		for _, v := range batch {
			v.Release()
		}
	}
	m.values = nil
}
