package window

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leat-ai/leat/spec"
)

// activity is a state of some entities with windows of hours, as a stream has
// them, and the bytes of its keys.
func activity(b *testing.B, keys, events int) (*Plan, *State, [][]byte, int64) {
	all := spec.Durations{spec.Duration(10 * time.Minute), spec.Duration(time.Hour), spec.Duration(24 * time.Hour)}
	p := plan(b,
		spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: all}},
		spec.FeatureDef{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every, Window: all}},
		spec.FeatureDef{Name: "mean", Aggregate: &spec.Aggregate{Avg: "amount", Window: all}},
		spec.FeatureDef{Name: "most", Aggregate: &spec.Aggregate{Max: "amount", Window: all}},
		spec.FeatureDef{Name: "texts", Aggregate: &spec.Aggregate{Distinct: "text", Window: all}},
		spec.FeatureDef{Name: "ns", Aggregate: &spec.Aggregate{Distinct: "n", Window: all[2:]}},
		spec.FeatureDef{Name: "spread", Aggregate: &spec.Aggregate{Stddev: "amount", Window: all[2:]}})
	s := NewState(p, Bounds{})
	at := int64(0)
	var list []event
	for range events {
		at += 86_400_000_000 / int64(events)
		e := pay(fmt.Sprint("key", rand.IntN(keys)), at, float64(rand.IntN(10_000))/100)
		e.text, e.n = ptr(fmt.Sprint("text", rand.IntN(30))), ptr(rand.Int64N(500))
		list = append(list, e)
	}
	batch := batchOf(list)
	defer batch.Release()
	if _, err := s.Add(batch, nil); err != nil {
		b.Fatal(err)
	}
	var states [][]byte
	if err := s.Each(func(k KeyState) error { states = append(states, k.State); return nil }); err != nil {
		b.Fatal(err)
	}
	return p, s, states, at
}

// BenchmarkRead reads twenty-odd features of an entity with a hundred events
// from its bytes.
func BenchmarkRead(b *testing.B) {
	p, _, states, at := activity(b, 1000, 100_000)
	rows := p.NewRows(1000)
	for i := 0; b.Loop(); i++ {
		if _, err := p.ReadInto(rows, states[i%len(states)], at+60_000_000); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			rows.drop()
		}
	}
}

// BenchmarkDirty writes the bytes of an entity.
func BenchmarkDirty(b *testing.B) {
	_, s, _, _ := activity(b, 1000, 100_000)
	for i := 0; b.Loop(); i++ {
		s.engine.encode(nil, s.list[i%len(s.list)])
	}
}
