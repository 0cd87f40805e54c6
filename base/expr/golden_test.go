package expr_test

import (
	"math"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/frame"
)

func eval(t testing.TB, src string, env map[string]expr.Value) expr.Value {
	t.Helper()
	e, err := expr.Parse(src)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	v, err := e.EvalScalar(env)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return v
}

// plain shows a value as duckdb.tsv does.
func plain(v expr.Value) string {
	if v.Valid && (v.Type == frame.Timestamp || v.Type == frame.Date) {
		return strings.TrimPrefix(strings.TrimPrefix(v.Text(), "timestamp "), "date ")
	}
	return v.Text()
}

// sameText compares two shown values; doubles may differ in the last bit, as
// the two sides have different mathematical libraries.
func sameText(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return a == b
	}
	return x == y || math.Abs(x-y) <= 4e-16*math.Abs(x)
}

// TestAgreesWithDuckDB compares with values that testdata/golden.py got from
// DuckDB.
func TestAgreesWithDuckDB(t *testing.T) {
	data, err := os.ReadFile("testdata/duckdb.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		src, want, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if got := plain(eval(t, src, nil)); !sameText(got, want) {
			t.Errorf("%s = %s, DuckDB says %s", src, got, want)
		}
	}
}
