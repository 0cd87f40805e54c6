package encode_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model/encode"
)

func batch(t testing.TB, columns []frame.Column, rows ...string) frame.Batch {
	t.Helper()
	b, _, err := array.RecordFromJSON(memory.DefaultAllocator, frame.SchemaOf(columns), strings.NewReader("["+strings.Join(rows, ",")+"]"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var columns = []frame.Column{{Name: "city", Type: frame.String}, {Name: "age", Type: frame.Int},
	{Name: "income", Type: frame.Double}, {Name: "member", Type: frame.Bool}}

func fitted(t testing.TB) (*encode.Encoder, frame.Batch) {
	b := batch(t, columns,
		`{"city":"Lund","age":30,"income":1.5,"member":true}`,
		`{"city":"Bern","age":null,"income":2.5,"member":false}`,
		`{"city":"Lund","age":50,"income":null,"member":null}`,
		`{"city":null,"age":51,"income":4,"member":true}`)
	e, skipped, err := encode.Fit(context.Background(), b.Schema(), []frame.Batch{b}, encode.Options{})
	if err != nil || len(skipped) > 0 {
		t.Fatal(err, skipped)
	}
	return e, b
}

func TestEncodeReadsEveryType(t *testing.T) {
	e, b := fitted(t)
	dst := e.Matrix(4)
	if err := e.Encode(b, dst); err != nil {
		t.Fatal(err)
	}
	nan := math.NaN()
	want := [][]float64{{0, 1, 0, nan}, {30, nan, 50, 51}, {1.5, 2.5, nan, 4}, {1, 0, nan, 1}}
	if fmt.Sprint(dst) != fmt.Sprint(want) {
		t.Errorf("encoded %v, want %v", dst, want)
	}
}

func TestUnseenTextHasTheLastCode(t *testing.T) {
	e, _ := fitted(t)
	b := batch(t, columns, `{"city":"Oslo"}`)
	dst := e.Matrix(1)
	if err := e.Encode(b, dst); err != nil {
		t.Fatal(err)
	}
	if dst[0][0] != 2 {
		t.Errorf("unseen text has code %v, want the number of categories", dst[0][0])
	}
}

func TestColumnsAreFoundByName(t *testing.T) {
	e, _ := fitted(t)
	reversed := []frame.Column{{Name: "other", Type: frame.Date}, columns[3], columns[2], columns[1], columns[0]}
	b := batch(t, reversed, `{"city":"Bern","age":7,"income":8,"member":false}`)
	dst := e.Matrix(1)
	if err := e.Encode(b, dst); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(dst); got != "[[1] [7] [8] [0]]" {
		t.Errorf("encoded %v", got)
	}
}

func TestWrongColumnsAreNamed(t *testing.T) {
	e, _ := fitted(t)
	for name, cols := range map[string][]frame.Column{
		"age":    {columns[0], columns[2], columns[3]},
		"income": {columns[0], columns[1], {Name: "income", Type: frame.String}, columns[3]},
		"city":   {{Name: "city", Type: frame.Int}, columns[1], columns[2], columns[3]},
		"member": {columns[0], columns[1], columns[2], columns[3], columns[3]},
	} {
		b := batch(t, cols)
		err := e.Encode(b, e.Matrix(0))
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"`+name+`"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := e.Check(arrow.NewSchema(nil, nil))
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "city") || !strings.Contains(err.Error(), "member") {
		t.Errorf("not every missing column is named: %v", err)
	}
}

func TestFitLeavesOutWhatCannotHelp(t *testing.T) {
	cols := []frame.Column{{Name: "id", Type: frame.String}, {Name: "empty", Type: frame.Double}, {Name: "same", Type: frame.Int},
		{Name: "word", Type: frame.String}, {Name: "label", Type: frame.Bool}, {Name: "sometimes", Type: frame.Int}}
	var rows []string
	for i := range 600 {
		rows = append(rows, fmt.Sprintf(`{"id":"c%d","same":4,"word":"w%d","label":true,"sometimes":%s}`, i, i%3, []string{"1", "null"}[i%2]))
	}
	b := batch(t, cols, rows...)
	e, skipped, err := encode.Fit(context.Background(), b.Schema(), []frame.Batch{b}, encode.Options{Exclude: []string{"label"}})
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Columns) != 2 || e.Columns[0].Name != "word" || e.Columns[1].Name != "sometimes" || len(skipped) != 3 {
		t.Errorf("kept %v, left out %v", e.Columns, skipped)
	}
}

func TestFitDoesNotDependOnBatches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c", "d", "é"}), 2, 60).Draw(t, "words")
		cut := rapid.IntRange(0, len(words)).Draw(t, "cut")
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		fit := func(parts ...[]string) string {
			var batches []frame.Batch
			schema := frame.SchemaOf([]frame.Column{{Name: "w", Type: frame.String}, {Name: "n", Type: frame.Int}})
			for _, part := range parts {
				rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
				for _, w := range part {
					rb.Field(0).(*array.StringBuilder).Append(w)
					rb.Field(1).(*array.Int64Builder).Append(int64(len(w)))
				}
				batches = append(batches, rb.NewRecordBatch())
			}
			e, skipped, err := encode.Fit(context.Background(), schema, batches, encode.Options{MaxCategories: limit})
			data, _ := json.Marshal(e)
			return fmt.Sprintf("%s %v %v", data, skipped, err)
		}
		if whole, parts := fit(words), fit(words[:cut], words[cut:]); whole != parts {
			t.Fatalf("%s\n%s", whole, parts)
		}
	})
}

func TestRecipeSurvivesJSON(t *testing.T) {
	e, b := fitted(t)
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	var back encode.Encoder
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if err := back.Validate(); err != nil {
		t.Fatal(err)
	}
	want, got := e.Matrix(4), back.Matrix(4)
	if e.Encode(b, want) != nil || back.Encode(b, got) != nil || fmt.Sprint(want) != fmt.Sprint(got) {
		t.Errorf("%v is not %v", got, want)
	}
}

func TestValidateRefusesHostileRecipes(t *testing.T) {
	for want, recipe := range map[string]string{
		"no name":      `{"columns":[{"type":"int","kind":"numeric"}]}`,
		"unknown type": `{"columns":[{"name":"a","type":"blob","kind":"numeric"}]}`,
		"unknown kind": `{"columns":[{"name":"a","type":"int","kind":"hash"}]}`,
		"not a number": `{"columns":[{"name":"a","type":"string","kind":"numeric"}]}`,
		"not text":     `{"columns":[{"name":"a","type":"int","kind":"category","categories":["1"]}]}`,
		"twice":        `{"columns":[{"name":"a","type":"int","kind":"numeric"},{"name":"a","type":"int","kind":"numeric"}]}`,
		`"x" twice`:    `{"columns":[{"name":"a","type":"string","kind":"category","categories":["x","x"]}]}`,
	} {
		var e encode.Encoder
		if err := json.Unmarshal([]byte(recipe), &e); err != nil {
			t.Fatal(err)
		}
		if err := e.Validate(); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", recipe, err, want)
		}
	}
}

func TestManyGoroutinesMayEncode(t *testing.T) {
	e, b := fitted(t)
	other := batch(t, []frame.Column{columns[3], columns[2], columns[1], columns[0]}, `{"city":"Bern"}`)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if err := e.Encode(b, e.Matrix(4)); err != nil {
					t.Error(err)
				}
				if err := e.Encode(other, e.Matrix(1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkEncode(b *testing.B) {
	for _, rows := range []int{1, 100_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			e, _ := fitted(b)
			var lines []string
			for i := range rows {
				lines = append(lines, fmt.Sprintf(`{"city":"%s","age":%d,"income":%d,"member":true}`, []string{"Lund", "Bern", "Oslo"}[i%3], i, i))
			}
			in := batch(b, columns, lines...)
			dst := e.Matrix(rows)
			for b.Loop() {
				if err := e.Encode(in, dst); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*rows), "ns/row")
		})
	}
}

func TestDecodeIsTheWayBack(t *testing.T) {
	types := append([]frame.Column{}, columns...)
	types = append(types, frame.Column{Name: "at", Type: frame.Timestamp}, frame.Column{Name: "day", Type: frame.Date})
	e := &encode.Encoder{}
	for _, c := range types {
		recipe := encode.Column{Name: c.Name, Type: c.Type, Kind: encode.Numeric}
		if c.Type == frame.String {
			recipe.Kind, recipe.Categories = encode.Category, []string{"unseen", "Lund"}
		}
		e.Columns = append(e.Columns, recipe)
	}
	b := batch(t, types,
		`{"city":"Lund","age":30,"income":1.5,"member":true,"at":"2026-01-02T03:04:05.678901Z","day":"2026-01-02"}`,
		`{"city":"Oslo","age":-3,"income":null,"member":false,"at":null,"day":"1960-01-02"}`,
		`{"city":null,"age":null,"income":-0.25,"member":null,"at":"1960-01-02T03:04:05.999999Z","day":null}`)
	want, got := e.Matrix(3), e.Matrix(3)
	if err := e.Encode(b, want); err != nil {
		t.Fatal(err)
	}
	if err := e.Encode(e.Decode(want), got); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v is not %v", got, want)
	}
}
