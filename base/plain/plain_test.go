package plain

import (
	"encoding/json"
	"strconv"
	"testing"
)

// FuzzScanner: what is read as a number or a string is one to encoding/json,
// and the same one.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{"0", "-0.5e+10", "01", "1.", "1e", "-", "\"a\"", "\"ä\"", "\"\xff\"", "\"\\n\"", "\"", "NaN", "1x", "\"a\"b", "+1", "0x1p2", "1_0"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s := Scanner{Text: text}
		if number, ok := s.Number(); ok && s.At == len(text) {
			var want float64
			err := json.Unmarshal(text, &want)
			got, perr := strconv.ParseFloat(number, 64)
			if (err == nil) != (perr == nil) || err == nil && got != want {
				t.Errorf("%q is %v (%v), and %v (%v) to others", text, got, perr, want, err)
			}
		} else if json.Valid(text) && len(text) > 0 && (text[0] == '-' || text[0]-'0' <= 9) && text[len(text)-1] > ' ' {
			t.Errorf("%q is a number", text)
		}
		s = Scanner{Text: text}
		if got, ok := s.String(); ok && s.At == len(text) {
			var want string
			if err := json.Unmarshal(text, &want); err != nil || want != string(got) {
				t.Errorf("%q is %q, and %q (%v) to others", text, got, want, err)
			}
		}
	})
}

func TestMembers(t *testing.T) {
	s := Scanner{Text: []byte(` { "a" : null , "b":true}  `)}
	ok := s.TakeAfterSpace('{')
	a, named := s.Name()
	s.Space()
	if !ok || !named || a != "a" || s.Next() != 'n' || !s.Word("null") || s.Word("null") || !s.TakeAfterSpace(',') {
		t.Fatalf("stopped at %q", s.Text[s.At:])
	}
	b, named := s.Name()
	if !named || b != "b" || !s.Word("true") || !s.Take('}') || !s.End() || s.Next() != 0 {
		t.Fatalf("stopped at %q", s.Text[s.At:])
	}
}
