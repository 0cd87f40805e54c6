package frame

import (
	"encoding/binary"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// AppendKey appends the bytes that name the entity of a row to dst: those of
// different keys differ, and of the same columns they are the same for ever,
// because stores keep them. False means that part of the key is NULL, so that
// it names nobody. A double is no part of a key.
func AppendKey(dst []byte, keys []arrow.Array, row int) ([]byte, bool) {
	for _, k := range keys {
		if k.IsNull(row) {
			return dst, false
		}
		switch k := k.(type) {
		case *array.String:
			s := k.Value(row)
			dst = binary.AppendUvarint(dst, uint64(len(s)))
			dst = append(dst, s...)
		case *array.Int64:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(k.Value(row)))
		case *array.Timestamp:
			dst = binary.LittleEndian.AppendUint64(dst, uint64(k.Value(row)))
		case *array.Date32:
			dst = binary.LittleEndian.AppendUint32(dst, uint32(k.Value(row)))
		case *array.Boolean:
			bit := byte(0)
			if k.Value(row) {
				bit = 1
			}
			dst = append(dst, bit)
		}
	}
	return dst, true
}
