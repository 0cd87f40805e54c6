package xgboost

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// anyValue draws a document: what encoding/json makes of JSON.
func anyValue(t *rapid.T, depth int) any {
	sort := rapid.IntRange(0, 6).Draw(t, "sort")
	if depth == 0 && sort > 4 {
		sort -= 3
	}
	switch sort {
	case 0:
		return nil
	case 1:
		return rapid.Bool().Draw(t, "truth")
	case 2:
		return float64(rapid.Int32().Draw(t, "whole"))
	case 3:
		return rapid.Float64Range(-1e30, 1e30).Draw(t, "number")
	case 4:
		return rapid.StringN(0, 10, -1).Draw(t, "text")
	case 5:
		list := make([]any, rapid.IntRange(0, 4).Draw(t, "length"))
		numbers := rapid.Bool().Draw(t, "of numbers")
		for i := range list {
			if list[i] = any(float64(i)); !numbers {
				list[i] = anyValue(t, depth-1)
			}
		}
		return list
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 4).Draw(t, "length") {
		object[rapid.StringN(0, 5, -1).Draw(t, "name")] = anyValue(t, depth-1)
	}
	return object
}

// value reads any value with a document, as text where it is a number.
func (d *document) value(t *testing.T, first token) (any, error) {
	switch first.kind {
	case objectOpen:
		object := map[string]any{}
		err := d.members(func(name string) error {
			next, err := d.lex.next()
			if err == nil {
				object[name], err = d.value(t, next)
			}
			return err
		})
		return object, err
	case arrayOpen:
		list := []any{}
		for {
			next, err := d.lex.next()
			if err != nil || next.kind == arrayClose {
				if first.count >= 0 && err == nil && first.count != len(list) {
					t.Errorf("an array of %d elements was said to have %d", len(list), first.count)
				}
				return list, err
			}
			v, err := d.value(t, next)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
	case packed:
		list := []any{}
		for i := range first.count {
			list = append(list, elementAt(first, i, sizeOf(first.typ)))
		}
		return list, nil
	case number:
		if first.text == nil {
			return first.value, nil
		}
		var v float64
		return v, json.Unmarshal(first.text, &v)
	case text:
		return string(first.text), nil
	case truth:
		return first.value == 1, nil
	}
	return nil, nil
}

// readAny reads a document to its end.
func readAny(t *testing.T, lex lexer) (any, error) {
	d := document{lex: lex}
	first, err := lex.next()
	if err != nil {
		return nil, err
	}
	v, err := d.value(t, first)
	if err != nil {
		return nil, err
	}
	last, err := lex.next()
	if err == nil && last.kind != end {
		t.Errorf("behind the end is %v", last.kind)
	}
	return v, err
}

// TestJSONIsReadAsByTheStandardLibrary compares with encoding/json, on JSON
// with and without space.
func TestJSONIsReadAsByTheStandardLibrary(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := anyValue(r, 4)
		data, err := json.Marshal(want)
		if rapid.Bool().Draw(r, "space") {
			data, err = json.MarshalIndent(want, " ", "\t")
		}
		if err != nil {
			r.Fatal(err)
		}
		if err := json.Unmarshal(data, &want); err != nil { // text that is not UTF-8 has changed
			r.Fatal(err)
		}
		got, err := readAny(t, &jsonLexer{data: data})
		if err != nil || !reflect.DeepEqual(got, want) {
			r.Fatalf("%s is read as %v (%v)", data, got, err)
		}
	})
}

// FuzzJSONTokens holds that what is read is what encoding/json reads, but for
// the bare words, and that a broken document is an error.
func FuzzJSONTokens(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"x\u00e9\ud83d\ude00\n"],"b":{}}`, `[]`, ` [ 1 , [ ] , {} ] `, `"`, `{"a"}`, `[1,]`, `{"a":}`, `{,}`, `"\ud83dx"`, `NaN`, `-`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readAny(t, &jsonLexer{data: data})
		var want any
		if json.Unmarshal(data, &want) != nil {
			return // bare words, raw control characters and such are taken
		}
		if err != nil {
			if len(data) < maxDepth {
				t.Fatalf("%q gives %v", data, err)
			}
			return
		}
		if again, _ := json.Marshal(got); !reflect.DeepEqual(normal(got), normal(want)) {
			t.Fatalf("%q is read as %s", data, again)
		}
	})
}

// normal puts every text through JSON, which replaces what is not UTF-8.
func normal(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var back any
	if err := json.Unmarshal(data, &back); err != nil {
		return err.Error()
	}
	return back
}

// TestUBJSONSaysTheSame writes documents in all the forms that UBJSON has for
// them, and reads them back.
func TestUBJSONSaysTheSame(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		want := anyValue(r, 4)
		data := appendUBJ(r, nil, want)
		got, err := readAny(t, &ubjLexer{data: data})
		if err != nil || !reflect.DeepEqual(got, want) {
			r.Fatalf("%v is read as %v (%v), from %q", want, got, err, data)
		}
	})
}

func appendUBJ(t *rapid.T, to []byte, v any) []byte {
	if rapid.IntRange(0, 9).Draw(t, "filler") == 0 {
		to = append(to, 'N')
	}
	switch v := v.(type) {
	case nil:
		return append(to, 'Z')
	case bool:
		if v {
			return append(to, 'T')
		}
		return append(to, 'F')
	case float64:
		typ := numberType(t, v)
		return appendElement(append(to, typ), typ, v)
	case string:
		return append(appendLength(t, append(to, 'S'), len(v)), v...)
	case []any:
		return appendList(t, to, v)
	case map[string]any:
		to = append(to, '{')
		counted := rapid.Bool().Draw(t, "counted")
		if counted {
			to = appendLength(t, append(to, '#'), len(v))
		}
		for name, member := range v {
			to = append(appendLength(t, to, len(name)), name...)
			to = appendUBJ(t, to, member)
		}
		if !counted {
			to = append(to, '}')
		}
		return to
	}
	panic("no such value")
}

func appendList(t *rapid.T, to []byte, list []any) []byte {
	to = append(to, '[')
	form := rapid.IntRange(0, 2).Draw(t, "form")
	if form == 2 { // of one type, if all are small numbers
		for i, v := range list {
			if v != any(float64(i)) {
				form = 1
			}
		}
	}
	if form == 2 {
		typ := rapid.SampledFrom([]byte("iUIlLdD")).Draw(t, "type")
		to = appendLength(t, append(to, '$', typ, '#'), len(list))
		for _, v := range list {
			to = appendElement(to, typ, v.(float64))
		}
		return to
	}
	if form == 1 {
		to = appendLength(t, append(to, '#'), len(list))
	}
	for _, v := range list {
		to = appendUBJ(t, to, v)
	}
	if form == 0 {
		to = append(to, ']')
	}
	return to
}

// numberType draws a type that holds a number exactly.
func numberType(t *rapid.T, v float64) byte {
	types := []byte{'D'}
	if float64(float32(v)) == v {
		types = append(types, 'd')
	}
	for _, c := range []struct {
		typ       byte
		low, high float64
	}{{'i', -128, 127}, {'U', 0, 255}, {'I', -1 << 15, 1<<15 - 1}, {'l', math.MinInt32, math.MaxInt32}, {'L', -1 << 52, 1 << 52}} {
		if v == math.Trunc(v) && v >= c.low && v <= c.high && !(v == 0 && math.Signbit(v)) {
			types = append(types, c.typ)
		}
	}
	return rapid.SampledFrom(types).Draw(t, "type")
}

func appendLength(t *rapid.T, to []byte, n int) []byte {
	typ := rapid.SampledFrom([]byte("iUIlL")).Draw(t, "type of length")
	return appendElement(append(to, typ), typ, float64(n))
}

func appendElement(to []byte, typ byte, v float64) []byte {
	switch typ {
	case 'i':
		return append(to, byte(int8(v)))
	case 'U':
		return append(to, byte(v))
	case 'I':
		return binary.BigEndian.AppendUint16(to, uint16(int16(v)))
	case 'l':
		return binary.BigEndian.AppendUint32(to, uint32(int32(v)))
	case 'L':
		return binary.BigEndian.AppendUint64(to, uint64(int64(v)))
	case 'd':
		return binary.BigEndian.AppendUint32(to, math.Float32bits(float32(v)))
	}
	return binary.BigEndian.AppendUint64(to, math.Float64bits(v))
}
