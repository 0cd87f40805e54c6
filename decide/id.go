package decide

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// A decision's id is 26 letters and digits in an order that sorts. Without a
// run it is the millisecond of the decision (10) and a random part (16), so
// ids of one second lie together. In a run it is a hash of the run (10) and a
// hash of the run and the row's key (16): the same row of the same run has
// the same id however often it is decided.
const (
	idLength = 26
	alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
)

// ids names the decisions of a request.
func (p *Path) ids(now time.Time, q Request) ([]string, error) {
	n := int(q.Rows.NumRows())
	if q.Keys != nil && len(q.Keys) != n {
		return nil, fault.New(fault.Internal, "%d keys for %d rows", len(q.Keys), n)
	}
	text := make([]byte, 0, n*idLength)
	switch {
	case q.Run == "":
		for range n {
			text = appendID(text, uint64(now.UnixMilli()), rand.Uint64(), uint16(rand.Uint32()))
		}
	case q.Keys == nil:
		return nil, fault.New(fault.Internal, "a run decides rows without keys")
	default:
		text = appendRunIDs(text, q.Run, q.Keys)
	}
	all, ids := string(text), make([]string, n)
	for i := range ids {
		ids[i] = all[i*idLength : (i+1)*idLength]
	}
	return ids, nil
}

func appendRunIDs(text []byte, run string, keys []string) []byte {
	head := sha256.Sum256([]byte(run))
	first := binary.BigEndian.Uint64(head[:]) >> 14 // 50 bits
	row := make([]byte, 0, 64)
	for _, key := range keys {
		sum := sha256.Sum256(append(append(row, head[:20]...), key...))
		text = appendID(text, first, binary.BigEndian.Uint64(sum[:8]), binary.BigEndian.Uint16(sum[8:10]))
	}
	return text
}

// appendID appends 50 bits and 80 bits, five to a letter.
func appendID(text []byte, head, high uint64, low uint16) []byte {
	for shift := 45; shift >= 0; shift -= 5 {
		text = append(text, alphabet[head>>shift&31])
	}
	for shift := 59; shift >= 4; shift -= 5 {
		text = append(text, alphabet[high>>shift&31])
	}
	rest := (high&15)<<16 | uint64(low) // 20 bits
	for shift := 15; shift >= 0; shift -= 5 {
		text = append(text, alphabet[rest>>shift&31])
	}
	return text
}
