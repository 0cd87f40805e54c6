package gateway

import (
	"math/rand/v2"
	"time"
)

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// newID is the millisecond (10 letters) and a random part (16), five bits to a
// letter, as the ids of decisions are.
func newID(now time.Time) string {
	var id [26]byte
	ms := uint64(now.UnixMilli())
	for i := 9; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	for _, part := range [2]int{10, 18} {
		r := rand.Uint64()
		for i := range 8 {
			id[part+i] = alphabet[r&31]
			r >>= 5
		}
	}
	return string(id[:])
}
