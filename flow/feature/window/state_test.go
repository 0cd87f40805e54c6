package window

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

func ptr[T any](v T) *T { return &v }

func pay(key string, at int64, amount float64) event { return event{key: key, at: at, amount: &amount} }

func add(t *testing.T, s *State, events ...event) Added {
	t.Helper()
	batch := batchOf(events)
	defer batch.Release()
	added, err := s.Add(batch, idsOf(events))
	if err != nil {
		t.Fatal(err)
	}
	return added
}

func values(t *testing.T, s *State, key string, at int64) string {
	t.Helper()
	columns, err := s.Values(keysOf(key), []int64{at})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, c := range columns {
		all = append(all, c.ValueStr(0))
	}
	return strings.Join(all, " ")
}

// TestEdges shows which events a window covers.
func TestEdges(t *testing.T) {
	p := plan(t,
		spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(10)}}},
		spec.FeatureDef{Name: "hops", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(10)}, Slide: us(5)}},
		spec.FeatureDef{Name: "bucket", Aggregate: &spec.Aggregate{Sum: "amount", Tumbling: us(10)}},
		spec.FeatureDef{Name: "visit", Aggregate: &spec.Aggregate{Sum: "amount", Session: us(10)}},
		spec.FeatureDef{Name: "all", Aggregate: &spec.Aggregate{Count: spec.Every}},
		spec.FeatureDef{Name: "share", Expr: "sum / all"},
	)
	s := NewState(p, Bounds{})
	add(t, s, pay("x", 100, 1), pay("x", 105, 2), pay("x", 113, 4), pay("x", 130, 8))
	for _, c := range []struct {
		at   int64
		want string
	}{
		{100, "(null) (null) (null) (null) 0 (null)"}, // an event does not see itself
		{101, "1 1 1 1 1 1"},
		{110, "3 3 (null) 3 2 1.5"},
		{111, "2 3 (null) 3 2 1"},
		{115, "6 6 4 7 3 2"},
		{123, "4 4 (null) (null) 3 1.3333333333333333"},
		{131, "8 8 8 8 4 2"},
		{141, "(null) 8 (null) (null) 4 (null)"},
		{146, "(null) (null) (null) (null) 4 (null)"},
		{106, "3 3 3 3 2 1.5"}, // and back
	} {
		if got := values(t, s, "x", c.at); got != c.want {
			t.Errorf("as of %d: %s, not %s", c.at, got, c.want)
		}
	}
	if got := values(t, s, "nobody", 100); got != "(null) (null) (null) (null) 0 (null)" {
		t.Errorf("nobody has %s", got)
	}
}

// TestLateAndTwice shows what is not added.
func TestLateAndTwice(t *testing.T) {
	v := spec.FeatureView{Name: "v", Entity: spec.Names{"key"}, Source: "s", Timestamp: "at", Lateness: us(5),
		Features: spec.Features{{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every, Window: spec.Durations{us(50)}}}}}
	p, err := Compile(v, source)
	if err != nil {
		t.Fatal(err)
	}
	s := NewState(p, Bounds{})
	s.Advance(100)
	first := event{key: "x", at: 95, id: "1"}
	added := add(t, s, first, event{key: "x", at: 94, id: "2"}, first, event{key: "x", at: 120, id: "1"}, event{key: "x", at: 96}, event{key: "x", at: 96})
	if added.Events != 3 || added.Duplicates != 2 || !slices.Equal(added.Late, []int{1}) {
		t.Errorf("%+v", added)
	}
	if got := values(t, s, "x", 100); got != "3" {
		t.Errorf("%s events", got)
	}
	if _, err := s.Values(keysOf("x"), []int64{94}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a time that is forgotten was answered: %v", err)
	}
}

// TestManyIds finds ids again among more events than are looked through.
func TestManyIds(t *testing.T) {
	p := plan(t, spec.FeatureDef{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every, Window: spec.Durations{us(1000)}}})
	s := NewState(p, Bounds{})
	for i := range 300 {
		add(t, s, event{key: "x", at: int64(i), id: fmt.Sprint(i)})
	}
	if a := add(t, s, event{key: "x", at: 7, id: "0"}, event{key: "x", at: 7, id: "299"}, event{key: "x", at: 7, id: "300"}); a.Duplicates != 2 || a.Events != 1 {
		t.Errorf("%+v", a)
	}
	s.Advance(1200)
	if a := add(t, s, event{key: "x", at: 1200, id: "0"}, event{key: "x", at: 1200, id: "299"}); a.Duplicates != 1 {
		t.Errorf("%+v", a)
	}
}

// TestForgetting shows that time bounds what is kept.
func TestForgetting(t *testing.T) {
	p := plan(t,
		spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(100)}}},
		spec.FeatureDef{Name: "names", Aggregate: &spec.Aggregate{Distinct: "text", Window: spec.Durations{us(100)}}})
	s := NewState(p, Bounds{})
	const second = 1_000_000
	gone := 0
	for i := range int64(3000) {
		e := pay(fmt.Sprint("key", i), i*second, 1)
		e.text = ptr(fmt.Sprint("text ", i))
		add(t, s, e)
		s.Advance(i * second)
		for _, k := range s.Dirty() {
			if k.State == nil {
				gone++
			}
		}
	}
	if size := s.Size(); size.Keys > 10 || size.Events > 10 || size.Bytes > 1<<20 {
		t.Errorf("%+v", size)
	}
	if gone < 2900 {
		t.Errorf("%d keys are said to be gone", gone)
	}
	s.collectStrings()
	if n := len(s.engine.dict.texts) - len(s.engine.dict.free); n > 10 {
		t.Errorf("%d strings are kept", n)
	}
}

// TestSlidesAreBounded adds many events of one entity: with a slide, what is
// kept does not grow with them.
func TestSlidesAreBounded(t *testing.T) {
	p := plan(t, spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(1000)}, Slide: us(100)}})
	s := NewState(p, Bounds{})
	for i := range int64(20_000) {
		add(t, s, pay("x", i/10, 1))
		s.Advance(i / 10)
	}
	var bytes int
	if err := s.Each(func(k KeyState) error { bytes += len(k.State); return nil }); err != nil {
		t.Fatal(err)
	}
	if size := s.Size(); size.Events > 20 || bytes > 1000 {
		t.Errorf("%+v, %d bytes", size, bytes)
	}
	if got := values(t, s, "x", 2000); got != "10000" {
		t.Errorf("the sum is %s", got)
	}
}

func TestBounds(t *testing.T) {
	p := plan(t, spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Distinct: "text", Window: spec.Durations{us(1000)}}})
	try := func(b Bounds, events ...event) error {
		batch := batchOf(events)
		defer batch.Release()
		_, err := NewState(p, b).Add(batch, nil)
		return err
	}
	long := func(i int) event {
		return event{key: "x", at: int64(i), text: ptr(strings.Repeat(fmt.Sprint(i), 100_000))}
	}
	for name, err := range map[string]error{
		"keys":   try(Bounds{Keys: 1}, pay("x", 1, 1), pay("y", 1, 1)),
		"events": try(Bounds{Events: 2}, pay("x", 1, 1), pay("x", 1, 1), pay("x", 1, 1)),
		"bytes":  try(Bounds{Bytes: 1 << 20}, long(1), long(2), long(3), long(4), long(5), long(6), long(7), long(8), long(9), long(10), long(11)),
	} {
		if !fault.Is(err, fault.TooLarge) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDirty gives each changed key once, as bytes that another state goes on
// from.
func TestDirty(t *testing.T) {
	p := plan(t, spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(100)}}})
	s, copied := NewState(p, Bounds{}), NewState(p, Bounds{})
	follow := func() (keys int) {
		for _, k := range s.Dirty() {
			keys++
			if err := copied.Load(k); err != nil {
				t.Fatal(err)
			}
		}
		return keys
	}
	add(t, s, pay("x", 1, 1), pay("y", 2, 2), pay("x", 3, 4))
	if n := follow(); n != 2 || values(t, copied, "x", 10) != "5" {
		t.Errorf("%d keys, %s", n, values(t, copied, "x", 10))
	}
	add(t, s, pay("y", 4, 8))
	values(t, s, "x", 50)
	if n := follow(); n != 1 || values(t, copied, "y", 10) != "10" {
		t.Errorf("%d keys, %s", n, values(t, copied, "y", 10))
	}
	key, _ := frame.AppendKey(nil, keysOf("x"), 0)
	s.Forget(key)
	if n := follow(); n != 1 || values(t, copied, "x", 10) != "(null)" || copied.Size().Keys != 1 {
		t.Errorf("%d keys, %s", n, values(t, copied, "x", 10))
	}
}

// TestOtherBytes refuses what is not of the plan.
func TestOtherBytes(t *testing.T) {
	count := func(w int) *Plan {
		return plan(t, spec.FeatureDef{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every, Window: spec.Durations{us(w)}}})
	}
	s := NewState(count(10), Bounds{})
	add(t, s, pay("x", 1, 1))
	state := s.Dirty()[0].State
	if _, err := count(11).Read(state, 5); !fault.Is(err, fault.Corrupt) {
		t.Errorf("bytes of another definition: %v", err)
	}
	for i := range state {
		broken := bytes.Clone(state)
		broken[i] ^= 1
		if _, err := count(10).Read(broken, 5); !fault.Is(err, fault.Corrupt) {
			t.Errorf("a bit of byte %d: %v", i, err)
		}
	}
	same := count(10)
	if same.Hash() != s.Plan().Hash() || same.Hash() == count(11).Hash() {
		t.Error("a hash does not name the definition")
	}
}

// everything is a view with every operation over every sort of window.
func everything(t testing.TB) *Plan {
	var features spec.Features
	for i, a := range []spec.Aggregate{
		{Window: spec.Durations{us(10), us(60)}}, {Window: spec.Durations{us(20)}, Slide: us(4)},
		{Tumbling: us(30)}, {Session: us(5), Where: "amount > 0"}, {},
	} {
		for _, op := range spec.Ops() {
			a := a
			of := map[spec.Op]*string{spec.OpCount: &a.Count, spec.OpSum: &a.Sum, spec.OpAvg: &a.Avg, spec.OpMin: &a.Min, spec.OpMax: &a.Max,
				spec.OpLast: &a.Last, spec.OpFirst: &a.First, spec.OpDistinct: &a.Distinct, spec.OpStddev: &a.Stddev, spec.OpQuantile: &a.Quantile}
			*of[op] = "amount"
			switch op {
			case spec.OpDistinct, spec.OpMax, spec.OpLast:
				*of[op] = "text"
			case spec.OpQuantile:
				a.Q = 0.5
			}
			features = append(features, spec.FeatureDef{Name: fmt.Sprint(op, i), Aggregate: &a})
		}
	}
	return plan(t, features...)
}

// FuzzRead reads any bytes, with the right checksum: they are refused or read,
// in bounded memory and time, and what was read is written and read again.
func FuzzRead(f *testing.F) {
	p := everything(f)
	p.seed = 1 // so that the same bytes take the same way
	s := NewState(p, Bounds{})
	for i := range 40 {
		e := pay("x", int64(i), float64(i)*1.1)
		e.text, e.id = ptr(fmt.Sprint(i%7)), fmt.Sprint(i)
		batch := batchOf([]event{e})
		if _, err := s.Add(batch, idsOf([]event{e})); err != nil {
			f.Fatal(err)
		}
		batch.Release()
		if i%10 == 9 {
			s.Advance(int64(i))
			if err := s.Each(func(k KeyState) error { f.Add(k.State, int64(i)); return nil }); err != nil {
				f.Fatal(err)
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte, at int64) {
		if len(data) >= 9 {
			data = bytes.Clone(data)
			data[0] = version
			binary.LittleEndian.PutUint32(data[1:], p.layout)
			binary.LittleEndian.PutUint32(data[len(data)-4:], crc32.Checksum(data[:len(data)-4], castagnoli))
		}
		columns, err := p.Read(data, at)
		if err == nil {
			release(columns)
		}
		s := NewState(p, Bounds{})
		if err := s.Load(KeyState{Key: []byte("x"), State: data}); err != nil {
			return
		}
		add(t, s, pay("x", at, 1))
		for _, at := range []int64{math.MinInt64, at, 0, math.MaxInt64} {
			if columns, err := s.Values(keysOf("x"), []int64{at}); err == nil {
				release(columns)
			}
		}
		s.Advance(at)
		for _, k := range s.Dirty() {
			if _, err := p.Read(k.State, math.MaxInt64); err != nil && !fault.Is(err, fault.Corrupt) {
				t.Fatal(err)
			}
		}
	})
}

// TestCompileMistakes says what is wrong with a view.
func TestCompileMistakes(t *testing.T) {
	view := func(change func(v *spec.FeatureView)) error {
		v := spec.FeatureView{Name: "v", Entity: spec.Names{"key"}, Source: "s", Timestamp: "at",
			Features: spec.Features{{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every}}}}
		change(&v)
		_, err := Compile(v, source)
		return err
	}
	agg := func(a spec.Aggregate) error {
		return view(func(v *spec.FeatureView) { v.Features[0].Aggregate = &a })
	}
	for want, err := range map[string]error{
		`feature view "v" has no features over windows`: view(func(v *spec.FeatureView) { v.Features = nil }),
		`no column "kye"`:      view(func(v *spec.FeatureView) { v.Entity = spec.Names{"kye"} }),
		`"amount" is a double`: view(func(v *spec.FeatureView) { v.Entity = spec.Names{"amount"} }),
		`"n" is of type int`:   view(func(v *spec.FeatureView) { v.Timestamp = "n" }),
		`is a string, and sum`: agg(spec.Aggregate{Sum: "text"}),
		`amuont`:               agg(spec.Aggregate{Sum: "amuont"}),
		`not a condition`:      agg(spec.Aggregate{Sum: "amount", Where: "amount"}),
		`feature "twice"`: view(func(v *spec.FeatureView) {
			v.Features = append(v.Features, spec.FeatureDef{Name: "twice", Expr: "amount * 2"})
		}),
	} {
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %s", err, want)
		}
	}
}

// TestTypes shows the columns of a plan, and that dates are times.
func TestTypes(t *testing.T) {
	v := spec.FeatureView{Name: "v", Entity: spec.Names{"id", "day"}, Source: "s", Timestamp: "day", Features: spec.Features{
		{Name: "n", Aggregate: &spec.Aggregate{Count: spec.Every, Window: spec.Durations{spec.Duration(24e9 * 3600), spec.Duration(48e9 * 3600)}}},
		{Name: "twice", Expr: "n_24h * 2"},
		{Name: "latest", Aggregate: &spec.Aggregate{Last: "day"}},
		{Name: "flags", Aggregate: &spec.Aggregate{Sum: "flag"}},
	}}
	p, err := Compile(v, []frame.Column{{Name: "flag", Type: frame.Bool}, {Name: "day", Type: frame.Date}, {Name: "id", Type: frame.Int}})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Keys(), p.Reads(), p.Outputs()); got != "[{id int} {day date}] [{id int} {day date} {day date} {flag bool}] [{n_24h int} {n_2d int} {twice int} {latest date} {flags int}]" {
		t.Error(got)
	}
	if _, ok := p.Horizon(); ok {
		t.Error("an aggregate over all of the past has a horizon")
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "day", Type: frame.Date}, {Name: "flag", Type: frame.Bool}, {Name: "id", Type: frame.Int}}))
	defer b.Release()
	b.Field(0).(*array.Date32Builder).AppendValues([]arrow.Date32{-1, -1}, nil)
	b.Field(1).(*array.BooleanBuilder).AppendValues([]bool{true, true}, nil)
	b.Field(2).(*array.Int64Builder).AppendValues([]int64{5, 5}, []bool{true, false})
	batch := b.NewRecordBatch()
	defer batch.Release()
	s := NewState(p, Bounds{})
	if added, err := s.Add(batch, nil); err != nil || added.Events != 1 || added.Nobody != 1 {
		t.Fatal(added, err)
	}
	columns, err := s.Values([]arrow.Array{batch.Column(2), batch.Column(0)}, []int64{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(columns); got != "[[1 0] [1 0] [2 0] [1969-12-31 (null)] [1 (null)]]" {
		t.Error(got)
	}
}

// TestForgottenStaysForgotten loads bytes of which old events were summed up:
// earlier ones are late, and earlier times are not answered.
func TestForgottenStaysForgotten(t *testing.T) {
	p := plan(t, spec.FeatureDef{Name: "sum", Aggregate: &spec.Aggregate{Sum: "amount", Window: spec.Durations{us(100)}, Slide: us(10)}})
	s := NewState(p, Bounds{})
	add(t, s, pay("x", 10, 1), pay("x", 90, 2))
	s.Advance(90)
	next := NewState(p, Bounds{})
	for _, k := range s.Dirty() {
		if err := next.Load(k); err != nil {
			t.Fatal(err)
		}
	}
	if added := add(t, next, pay("x", 89, 4), pay("x", 90, 8), pay("y", 1, 1)); !slices.Equal(added.Late, []int{0}) || added.Events != 2 {
		t.Errorf("%+v", added)
	}
	if _, err := next.Values(keysOf("x"), []int64{50}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a time that is forgotten was answered: %v", err)
	}
	if got := values(t, next, "x", 91); got != "11" {
		t.Error(got)
	}
}
