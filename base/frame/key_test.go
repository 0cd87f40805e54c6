package frame_test

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/frame"
)

// Two rows have the same bytes when, and only when, they have the same key.
func TestKeysOfDifferentEntitiesDiffer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 20).Draw(t, "rows")
		a := array.NewStringBuilder(memory.DefaultAllocator)
		b := array.NewStringBuilder(memory.DefaultAllocator)
		c := array.NewInt64Builder(memory.DefaultAllocator)
		type key struct {
			a, b string
			c    int64
		}
		keys, part := make([]key, n), rapid.StringOfN(rapid.RuneFrom([]rune("a\x00\x01")), 0, 3, -1)
		for i := range keys {
			keys[i] = key{part.Draw(t, "a"), part.Draw(t, "b"), rapid.Int64Range(0, 2).Draw(t, "c")}
			a.Append(keys[i].a)
			b.Append(keys[i].b)
			c.Append(keys[i].c)
		}
		columns := []arrow.Array{a.NewArray(), b.NewArray(), c.NewArray()}
		for i := range keys {
			for j := range keys {
				x, _ := frame.AppendKey(nil, columns, i)
				y, _ := frame.AppendKey(nil, columns, j)
				if (string(x) == string(y)) != (keys[i] == keys[j]) {
					t.Fatalf("%v and %v: %x and %x", keys[i], keys[j], x, y)
				}
			}
		}
	})
}
