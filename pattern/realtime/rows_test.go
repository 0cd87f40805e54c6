package realtime

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

var inputs = []model.Field{
	{Name: "amount", Type: frame.Double},
	{Name: "count", Type: frame.Int},
	{Name: "country", Type: frame.String},
	{Name: "known", Type: frame.Bool},
	{Name: "at", Type: frame.Timestamp},
	{Name: "day", Type: frame.Date},
}

var layout = NewLayout(inputs, nil)

const oneRow = `{"amount": 1.5, "count": 3, "country": "DE", "known": true, "at": "2026-01-31T10:00:00Z", "day": "2026-01-31"}`

func TestThreeFormsOfOneRow(t *testing.T) {
	for _, body := range []string{oneRow, "[" + oneRow + "]", `{"rows": [` + oneRow + `]}`, " \n{\"rows\":[" + oneRow + "]}\n"} {
		b, err := ReadRows([]byte(body), layout, 10)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if b.NumRows() != 1 || b.Column(0).(*array.Float64).Value(0) != 1.5 || b.Column(1).(*array.Int64).Value(0) != 3 ||
			b.Column(2).(*array.String).Value(0) != "DE" || !b.Column(3).(*array.Boolean).Value(0) {
			t.Errorf("%s: read %v", body, b)
		}
		at := time.UnixMicro(int64(b.Column(4).(*array.Timestamp).Value(0))).UTC()
		if want := time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC); !at.Equal(want) {
			t.Errorf("at %v, want %v", at, want)
		}
		b.Release()
	}
}

func TestMistakesNameRowAndColumn(t *testing.T) {
	with := func(old, now string) string {
		return `{"rows":[` + oneRow + "," + strings.Replace(oneRow, old, now, 1) + "]}"
	}
	for name, c := range map[string]struct {
		body string
		kind fault.Kind
		says []string
	}{
		"wrong type":       {with("1.5", `"much"`), fault.Invalid, []string{"row 1", `"amount"`, "a double", `"much"`}},
		"missing column":   {with(`"country": "DE", `, ""), fault.Invalid, []string{"row 1", `"country"`}},
		"fraction":         {with("3", "3.5"), fault.Invalid, []string{`"count"`, "an int", "3.5"}},
		"nested":           {with(`"DE"`, `["DE"]`), fault.Invalid, []string{`"country"`, "nested"}},
		"not a time":       {with("2026-01-31T10:00:00Z", "yesterday"), fault.Invalid, []string{`"at"`, "yesterday"}},
		"too big a number": {with("1.5", "1e999"), fault.Invalid, []string{`"amount"`, "range"}},
		"NaN":              {with("1.5", "NaN"), fault.Invalid, []string{"not JSON"}},
		"name twice":       {with(`"count": 3`, `"count": 3, "count": 4`), fault.Invalid, []string{"not JSON"}},
		"lone surrogate":   {with("DE", `\ud800`), fault.Invalid, []string{"not JSON"}},
		"too many rows":    {"[" + strings.Repeat(oneRow+",", 10) + oneRow + "]", fault.TooLarge, []string{"10 rows"}},
		"nothing":          {"", fault.Invalid, []string{"too early"}},
		"a number":         {"7", fault.Invalid, []string{"not a row"}},
		"no rows":          {"{}", fault.Invalid, []string{"no rows"}},
		"rows of numbers":  {`{"rows":[1]}`, fault.Invalid, []string{"not an object"}},
		"unknown beside":   {`{"rows":[],"row":[]}`, fault.Invalid, []string{`"row"`}},
		"truncated":        {oneRow[:40], fault.Invalid, []string{"too early"}},
		"two documents":    {oneRow + oneRow, fault.Invalid, []string{"follows"}},
		"deep":             {with("1.5", strings.Repeat("[", 100_000)), fault.Invalid, []string{`"amount"`}},
		"deep elsewhere":   {with(`"DE"`, `"DE", "other": `+strings.Repeat("[", 100_000)), fault.Invalid, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadRows([]byte(c.body), layout, 10)
			if !fault.Is(err, c.kind) {
				t.Fatalf("%v, want a fault of kind %s", err, c.kind)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestNullIsNotKnownAndOthersArePassedOver(t *testing.T) {
	body := `{"other": {"deep": [1]}, "amount": null, "count": null, "country": null, "known": null, "at": null, "day": null}`
	b, err := ReadRows([]byte(body), layout, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Release()
	for i := range inputs {
		if !b.Column(i).IsNull(0) {
			t.Errorf("column %s is not NULL", inputs[i].Name)
		}
	}
}

// TestWrittenRowsAreReadBack: what AppendValue writes, ReadRows reads.
func TestWrittenRowsAreReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		row := map[string]any{
			"amount": rapid.Float64().Draw(rt, "amount"), "count": rapid.Int64Range(-1<<53, 1<<53).Draw(rt, "count"),
			"country": rapid.String().Draw(rt, "country"), "known": rapid.Bool().Draw(rt, "known"),
			"at": "2026-01-31T10:00:00.000001Z", "day": "1969-12-31",
		}
		text, err := json.Marshal(row)
		if err != nil {
			rt.Skip(err)
		}
		first, err := ReadRows(text, layout, 1)
		if err != nil {
			rt.Fatalf("%s: %v", text, err)
		}
		written := []byte("{")
		for i, in := range inputs {
			if i > 0 {
				written = append(written, ',')
			}
			written = append(appendString(written, in.Name), ':')
			written = AppendValue(written, first.Column(i), 0)
		}
		second, err := ReadRows(append(written, '}'), layout, 1)
		if err != nil {
			rt.Fatalf("%s: %v", written, err)
		}
		slow, err := layout.readAny(text, 1)
		if err != nil || !array.RecordEqual(first.Batch, slow) {
			rt.Fatalf("%s: %v, the slow way %v, %v", text, first, slow, err)
		}
		if !array.RecordEqual(first.Batch, second.Batch) {
			rt.Fatalf("%v, then %v", first, second)
		}
	})
}

func FuzzReadRows(f *testing.F) {
	f.Add([]byte(oneRow))
	f.Add([]byte(`{"rows":[` + oneRow + `,{}]}`))
	f.Add([]byte(`[[[{"amount":-0e-9}]]]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		b, err := ReadRows(body, layout, 100)
		if plain, ok := layout.readPlain(body, 100); ok {
			slow, err := layout.readAny(body, 100)
			if err != nil || !array.RecordEqual(plain, slow) {
				t.Fatalf("the fast way reads %v, the other %v, %v", plain, slow, err)
			}
		}
		if single, ok := layout.readSingle(body); ok {
			slow, err := layout.readAny(body, 100)
			if err != nil || !array.RecordEqual(single.Batch, slow) {
				t.Fatalf("one row is read as %v, and as %v, %v", single, slow, err)
			}
			single.Release()
		}
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("kind %s: %v", k, err)
			}
			return
		}
		if !json.Valid(body) || b.NumRows() > 100 || int(b.NumCols()) != len(inputs) {
			t.Fatalf("%d rows of %q", b.NumRows(), body)
		}
		b.Release()
	})
}

func BenchmarkReadOneRowOf30(b *testing.B) {
	fields := make([]model.Field, 30)
	row := map[string]float64{}
	for i := range fields {
		fields[i] = model.Field{Name: fmt.Sprintf("feature_%02d", i), Type: frame.Double}
		row[fields[i].Name] = float64(i) * 1.37
	}
	text, _ := json.Marshal(map[string]any{"rows": []any{row}})
	wide := NewLayout(fields, nil)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch, err := ReadRows(text, wide, 10)
		if err != nil {
			b.Fatal(err)
		}
		batch.Release()
	}
}
