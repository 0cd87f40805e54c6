package catalog_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/leat-ai/leat/store/catalog"
)

func TestDollars(t *testing.T) {
	for statement, want := range map[string]string{
		"":                                       "",
		"SELECT 1":                               "SELECT 1",
		"a = ? AND b IN (?,?)":                   "a = $1 AND b IN ($2,$3)",
		"a = '?' AND b = ?":                      "a = '?' AND b = $1",
		"a = 'it''s ?' AND b = ?":                "a = 'it''s ?' AND b = $1",
		`"col?umn" = ?`:                          `"col?umn" = $1`,
		`"a""?" = ?`:                             `"a""?" = $1`,
		"? -- why ?\n, ?":                        "$1 -- why ?\n, $2",
		"? /* why ? /* ? */ ? */ ?":              "$1 /* why ? /* ? */ ? */ $2",
		"? /*/ ? */ ?":                           "$1 /*/ ? */ $2",
		"$$ ? $$ ?":                              "$$ ? $$ $1",
		"$tag$ ? $$ ? $tag$ ?":                   "$tag$ ? $$ ? $tag$ $1",
		"a$b$ = ? AND c$b$ = ?":                  "a$b$ = $1 AND c$b$ = $2",
		`E'\'?' = ?`:                             `E'\'?' = $1`,
		`e'\\' = ?`:                              `e'\\' = $1`,
		`'\' = ?`:                                `'\' = $1`,
		`name'?' ?`:                              `name'?' $1`,
		"'?":                                     "'?",
		"E'?":                                    "E'?",
		"/* ?":                                   "/* ?",
		"$x$ ?":                                  "$x$ ?",
		"-- ?":                                   "-- ?",
		"Ä? = ?":                                 "Ä$1 = $2",
		strings.Repeat("?,", 11):                 "$1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,",
		"SELECT 3 - ? / ? * 1e5":                 "SELECT 3 - $1 / $2 * 1e5",
		"INSERT INTO t VALUES (?) RETURNING '?'": "INSERT INTO t VALUES ($1) RETURNING '?'",
	} {
		if got := catalog.Dollars(statement); got != want {
			t.Errorf("%s\n got %s\nwant %s", statement, got, want)
		}
	}
}

// Whatever the statement, rewriting ends, and changes nothing but question
// marks, each into the next number.
func FuzzDollars(f *testing.F) {
	for _, seed := range []string{"a = ? AND '?'", "/*/*?*/", "$a$?$a$?", "E'\\'?", "\x80?", "e", "$", "$1$?$1$"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, statement string) {
		got := catalog.Dollars(statement)
		want := len(statement)
		for n := range strings.Count(statement, "?") - strings.Count(got, "?") {
			want += len(strconv.Itoa(n + 1)) // and a dollar for the question mark
		}
		if len(got) != want {
			t.Fatalf("%q became %q", statement, got)
		}
	})
}
