package local

import (
	"encoding/binary"
	"time"
)

// A key of the tree is the length of the table's name in one byte, the name,
// and the key. A value is a head of three numbers, then the value itself.

// headBytes is the size of the head: At, Version and Expires.
const headBytes = 24

type head struct {
	at      int64
	version uint64
	expires int64 // milliseconds since 1970, 0 for never
}

func appendTable(b []byte, table string) []byte {
	return append(append(b, byte(len(table))), table...)
}

// after is the first key behind all that begin with prefix. A prefix begins
// with a length below 255, so there is one.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return end
}

func (h head) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(h.at))
	b = binary.BigEndian.AppendUint64(b, h.version)
	return binary.BigEndian.AppendUint64(b, uint64(h.expires))
}

// split takes a stored value apart. ok is false where it is too short to be
// one.
func split(stored []byte) (h head, value []byte, ok bool) {
	if len(stored) < headBytes {
		return head{}, nil, false
	}
	h.at = int64(binary.BigEndian.Uint64(stored))
	h.version = binary.BigEndian.Uint64(stored[8:])
	h.expires = int64(binary.BigEndian.Uint64(stored[16:]))
	return h, stored[headBytes:], true
}

func (h head) expired(now int64) bool { return h.expires != 0 && h.expires <= now }

// expiry is a time as it is kept: 0 for never. A time before 1970 is long ago
// all the same.
func expiry(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMilli(), 1)
}
