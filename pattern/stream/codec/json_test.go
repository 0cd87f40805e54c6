package codec_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/pattern/stream/codec"
	"github.com/leat-ai/leat/store/bus"
)

// everyType has a column of each type, named as it.
func everyType() []codec.Column {
	var out []codec.Column
	for _, t := range frame.Types() {
		out = append(out, codec.Column{Column: frame.Column{Name: string(t), Type: t}})
	}
	return out
}

func open(t testing.TB, c codec.Config) codec.Codec {
	t.Helper()
	out, err := codec.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func events(bodies ...string) []bus.Event {
	out := make([]bus.Event, len(bodies))
	for i, b := range bodies {
		out[i].Body = []byte(b)
	}
	return out
}

// shown writes a decoded batch a row a line, and faults in their rows.
func shown(t testing.TB, c codec.Codec, in []bus.Event) string {
	t.Helper()
	batch, faults := c.Decode(t.Context(), in)
	defer batch.Release()
	if int(batch.NumRows()) != len(in) || faults != nil && len(faults) != len(in) {
		t.Fatalf("%d rows and %d faults of %d events", batch.NumRows(), len(faults), len(in))
	}
	var lines []string
	for row := range len(in) {
		var cells []string
		for _, col := range batch.Columns() {
			cells = append(cells, col.ValueStr(row))
		}
		line := strings.Join(cells, "|")
		if faults != nil && faults[row] != nil {
			if strings.Trim(line, "(nul)|") != "" {
				t.Errorf("the row of a faulty event has values: %s", line)
			}
			line = "fault: " + faults[row].Error()
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func TestJSONValues(t *testing.T) {
	c := open(t, codec.Config{Columns: everyType()})
	for _, one := range []struct{ in, want string }{
		{`{"string":"a","int":1,"double":0.5,"bool":true,"timestamp":"2026-01-31T10:00:00Z","date":"2026-01-31"}`,
			`a|1|0.5|true|2026-01-31T10:00:00Z|2026-01-31`},
		{` { "date" : "2026-01-31T00:00:00Z", "more": [{"x": ["\u00e9", {}]}, []], "timestamp": "2026-01-31T10:00:00.25+02:00" , "string":"\"\u00e9\ud83d\ude00" } `,
			`"é😀|(null)|(null)|(null)|2026-01-31T08:00:00.25Z|2026-01-31`},
		{`{}`, `(null)|(null)|(null)|(null)|(null)|(null)`},
		{`{"string":null,"int":null,"double":null,"bool":null,"timestamp":null,"date":null}`, `(null)|(null)|(null)|(null)|(null)|(null)`},
		{`{"string":12.50,"int":3.0,"double":"1e3","bool":"FALSE"}`, `12.50|3|1000|false|(null)|(null)`},
		{`{"string":{"a": [1]},"int":"7","double":true,"bool":1}`, `{"a": [1]}|7|1|true|(null)|(null)`},
		{`{"\u0069nt":9007199254740993}`, `(null)|9007199254740993|(null)|(null)|(null)|(null)`},
		{`{"int":1.5}`, `fault: byte 7: column "int" takes an int, not the number 1.5`},
		{`{"int":{}}`, `fault: byte 7: column "int" takes an int, not something nested`},
		{`{"timestamp":12}`, `fault: byte 13: column "timestamp" takes a timestamp, not the number 12`},
		{`{"date":"soon"}`, `fault: byte 8: column "date" takes a date, not the text "soon"`},
		{`{"int":1,"int":2}`, `fault: byte 15: "int" stands twice in the event`},
		{`[1]`, `fault: the event is no JSON object`},
		{`{"int":1`, `fault: byte 8: the event ends before its JSON does`},
		{`{"int":01}`, `fault: byte 8: the event is not JSON: invalid character '1' after object value (expecting ',' or '}')`},
		{`{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, `fault: byte 69: the event is nested deeper than 64`},
	} {
		good := `{"string":"g"}`
		got := shown(t, c, events(good, one.in, good))
		want := "g|(null)|(null)|(null)|(null)|(null)"
		if got != want+"\n"+one.want+"\n"+want {
			t.Errorf("%s\n got %s\nwant %s", one.in, strings.Split(got, "\n")[1], one.want)
		}
	}
}

func TestJSONPaths(t *testing.T) {
	columns := []codec.Column{
		{Column: frame.Column{Name: "user", Type: frame.Int}, Path: "user.id"},
		{Column: frame.Column{Name: "who", Type: frame.String}, Path: "user"},
		{Column: frame.Column{Name: "second", Type: frame.Double}, Path: "items.1.price"},
		{Column: frame.Column{Name: "dotted", Type: frame.String}, Path: `labels."a.b".c`},
		{Column: frame.Column{Name: "plain", Type: frame.Bool}},
	}
	c := open(t, codec.Config{Columns: columns})
	got := shown(t, c, events(
		`{"plain":true,"user":{"name":"x","id":7},"items":[{"price":1},{"price":2.5},{"price":3}],"labels":{"a.b":{"c":"deep"}}}`,
		`{"user":5,"items":{"1":{"price":4}},"labels":[]}`,
		`{"user":{"id":1,"id":2}}`,
		`{"user":{"id":1},"user":{}}`))
	want := `7|{"name":"x","id":7}|2.5|deep|true` + "\n" + `(null)|5|4|(null)|(null)` + "\n" +
		`fault: byte 21: "id" stands twice in the event` + "\n" + `fault: byte 24: "user" stands twice in the event`
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	for _, path := range []string{"a..b", `"a`, `"a"b`, ".", "a.", strings.Repeat("a.", 40) + "a"} {
		_, err := codec.New(codec.Config{Columns: []codec.Column{{Column: frame.Column{Name: "x", Type: frame.Int}, Path: path}}})
		if err == nil {
			t.Errorf("the path %q is taken", path)
		}
	}
}

func TestTimesThatAreNumbers(t *testing.T) {
	columns := []codec.Column{{Column: frame.Column{Name: "at", Type: frame.Timestamp}}}
	for unit, number := range map[string]string{"s": "1442019600.5", "ms": "1442019600500", "us": "1442019600500000", "ns": "1442019600500000999"} {
		c := open(t, codec.Config{Columns: columns, Times: unit})
		if got := shown(t, c, events(fmt.Sprintf(`{"at":%s}`, number))); got != "2015-09-12T01:00:00.5Z" {
			t.Errorf("%s %s: %s", number, unit, got)
		}
		if got := shown(t, c, events(`{"at":1e300}`)); !strings.HasPrefix(got, "fault") {
			t.Errorf("%s: %s", unit, got)
		}
	}
}

// payment is an event as producers write it.
func payment(i int) []byte {
	return fmt.Appendf(nil, `{"txn_id":"t%d","customer_id":"c%d","at":"2026-01-31T10:00:%02d.%03dZ","amount":%d.25,"country":"DE","fraud":false}`, i, i%97, i%60, i%1000, i)
}
