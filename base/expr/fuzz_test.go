package expr

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
)

// FuzzParse looks for a source that makes parsing, binding or evaluation
// panic, fail with another kind than Invalid, or give two answers.
func FuzzParse(f *testing.F) {
	golden, err := os.ReadFile("testdata/duckdb.tsv")
	if err != nil {
		f.Fatal(err)
	}
	for line := range strings.Lines(string(golden)) {
		src, _, _ := strings.Cut(line, "\t")
		f.Add(src)
	}
	for _, src := range []string{"min_over(s).a > b", "\"a\".b", "((((", "case a when", "'", "1e999", "a in (", "x is not", "regexp_match(s, '(a*)*b')",
		strings.Repeat("x", 9000), "'" + strings.Repeat("x", 9000) + "' + 1", "f(" + strings.Repeat("1,", 1900) + "1)", strings.Repeat("9", 9000)} {
		f.Add(src)
	}
	row := map[string]Value{}
	for _, c := range testColumns {
		row[c.Name] = Value{Type: c.Type, Valid: true, I: -1, F: 0.5, S: "aé%", B: true}
	}
	f.Fuzz(func(t *testing.T, src string) {
		e, err := Parse(src)
		if err != nil {
			checkFault(t, src, err)
			return
		}
		prog, err := e.Bind(testColumns)
		if err != nil {
			checkFault(t, src, err)
			return
		}
		if prog.Type().Arrow() == nil {
			t.Fatalf("%q has type %q", src, prog.Type())
		}
		cols := columnsOf([]map[string]Value{row, row, row})
		out, err := prog.EvalColumns(cols, 3)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		scalar, err := e.EvalScalar(row)
		if err != nil {
			t.Fatalf("%q: %v", src, err)
		}
		for i := range 3 {
			if got, want := bits(valueAt(out, i)), bits(scalar); got != want {
				t.Fatalf("%q: row %d is %s, alone %s", src, i, got, want)
			}
			if v := valueAt(out, i); v.Type == frame.Double && v.F != v.F {
				t.Fatalf("%q gives NaN", src)
			}
		}
	})
}

func checkFault(t *testing.T, src string, err error) {
	fe, ok := errors.AsType[*fault.Error](err)
	if !ok || fe.Kind != fault.Invalid {
		t.Fatalf("%q: %v is not an Invalid fault", src, err)
	}
	if size := len(err.Error()) + len(fault.HintOf(err)); size > 3000 {
		t.Fatalf("a mistake is told in %d bytes", size)
	}
	if !strings.HasPrefix(fe.Where, "column ") && len(src) <= MaxSource {
		t.Fatalf("%q: %v does not say where", src, err)
	}
}
