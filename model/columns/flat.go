package columns

import (
	"encoding/binary"

	"github.com/leat-ai/leat/base/fault"
)

// flat is a FlatBuffers buffer that is not trusted: every offset is checked
// before it is followed, and a vector's length before anything is made of it.
// The metadata of Arrow's messages is written so. Reading beyond the buffer
// gives zeros and sets broken.
type flat struct {
	bytes  []byte
	broken bool
}

// table is the position of a table and of its vtable; 0 for one that is not
// there.
type table struct {
	at, vtable, size int
}

func (f *flat) u8(at int) byte {
	if at < 0 || at >= len(f.bytes) {
		f.broken = true
		return 0
	}
	return f.bytes[at]
}

func (f *flat) u16(at int) int {
	if at < 0 || at > len(f.bytes)-2 {
		f.broken = true
		return 0
	}
	return int(binary.LittleEndian.Uint16(f.bytes[at:]))
}

func (f *flat) u32(at int) int {
	if at < 0 || at > len(f.bytes)-4 {
		f.broken = true
		return 0
	}
	return int(binary.LittleEndian.Uint32(f.bytes[at:]))
}

func (f *flat) i64(at int) int64 {
	if at < 0 || at > len(f.bytes)-8 {
		f.broken = true
		return 0
	}
	return int64(binary.LittleEndian.Uint64(f.bytes[at:]))
}

// table reads the table that the offset at a position leads to.
func (f *flat) table(at int) table {
	at += f.u32(at)
	vtable := at - int(int32(uint32(f.u32(at))))
	t := table{at, vtable, f.u16(vtable)}
	if t.size < 4 || vtable < 0 || vtable > len(f.bytes)-t.size {
		f.broken = true
		return table{}
	}
	return t
}

// field returns where a table has a field, 0 where it has not.
func (f *flat) field(t table, n int) int {
	slot := 4 + 2*n
	if t.at == 0 || slot > t.size-2 {
		return 0
	}
	offset := f.u16(t.vtable + slot)
	if offset == 0 {
		return 0
	}
	return t.at + offset
}

// sub is the table in a field.
func (f *flat) sub(t table, n int) table {
	at := f.field(t, n)
	if at == 0 {
		return table{}
	}
	return f.table(at)
}

// vector is the vector in a field: where its elements begin, and how many of
// a size there are, all of them inside of the buffer.
func (f *flat) vector(t table, n, size int) (at, count int) {
	at = f.field(t, n)
	if at == 0 {
		return 0, 0
	}
	at += f.u32(at)
	count = f.u32(at)
	at += 4
	if at > len(f.bytes) || count > (len(f.bytes)-at)/size {
		f.broken = true
		return 0, 0
	}
	return at, count
}

// text is the string in a field.
func (f *flat) text(t table, n int) string {
	at, count := f.vector(t, n, 1)
	return string(f.bytes[at : at+count])
}

// small is a number in a field of one or two bytes.
func (f *flat) small(t table, n, width, otherwise int) int {
	at := f.field(t, n)
	switch {
	case at == 0:
		return otherwise
	case width == 1:
		return int(f.u8(at))
	}
	return f.u16(at)
}

func (f *flat) err() error {
	if f.broken {
		return fault.New(fault.Corrupt, "the metadata of an Arrow message is broken")
	}
	return nil
}
