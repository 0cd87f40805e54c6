package lake

import (
	"strings"
	"testing"
)

func FuzzScanSQL(f *testing.F) {
	for _, s := range []string{
		"select * from a@1", `"a""b" 'it''s' -- x`, "/* a /* b */ c */ $1 $tag$ 'x $tag$", "'open", `"open`, "$$", "é.ü", "1e5x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tokens, err := scanSQL(s)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, token := range tokens {
			if token.text == "" {
				t.Fatal("an empty token")
			}
			b.WriteString(token.text)
		}
		if b.String() != s {
			t.Fatalf("%q became %q", s, b.String())
		}
		pinTables(tokens, map[string]string{"a": "a", "n.t": "n.t"})
	})
}

func TestNamesInTextsAndCommentsStay(t *testing.T) {
	for in, want := range map[string]string{
		"select 'a' from A@3, a":                    `select 'a' from "a@3" AS "a", "a"`,
		"from a@3 x where a.at > 1":                 `from "a@3" x where a."at" > 1`,
		"-- a@3\nselect at from n.t":                "-- a@3\nselect \"at\" from \"n.t\" AS \"t\"",
		"from default.a for version as of 9 join b": `from "a@9" AS "a" join b`,
		"select x at time zone 'UTC', $$a@3$$":      "select x at time zone 'UTC', $$a@3$$",
	} {
		tokens, err := scanSQL(in)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := pinTables(tokens, map[string]string{"a": "a", "n.t": "n.t"}); got != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}
