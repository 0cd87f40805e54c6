package filter_test

import (
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track/filter"
)

func field(entity, key string) filter.Field { return filter.Field{Entity: entity, Key: key} }

func TestParse(t *testing.T) {
	text := func(s string) filter.Value { return filter.Value{Kind: filter.Text, Text: s} }
	number := func(s string, n float64) filter.Value {
		return filter.Value{Kind: filter.Number, Text: s, Number: n}
	}
	list := func(s ...string) filter.Value { return filter.Value{Kind: filter.List, List: s} }
	for in, want := range map[string][]filter.Clause{
		"":                                      nil,
		" \n\t":                                 nil,
		"metrics.auc > 0.9":                     {{field("metrics", "auc"), filter.Greater, number("0.9", 0.9)}},
		"metrics.`a b`>=-1e3":                   {{field("metrics", "a b"), filter.GreaterEqual, number("-1e3", -1000)}},
		`params."max depth" = '8'`:              {{field("params", "max depth"), filter.Equal, text("8")}},
		`params.depth = "it's"`:                 {{field("params", "depth"), filter.Equal, text("it's")}},
		`params.depth = 'it''s'`:                {{field("params", "depth"), filter.Equal, text("it's")}},
		"tags.mlflow.source.name LIKE '%x%'":    {{field("tags", "mlflow.source.name"), filter.Like, text("%x%")}},
		"tags.`mlflow.source.name` ilike '%X_'": {{field("tags", "mlflow.source.name"), filter.ILike, text("%X_")}},
		"`tags`.a IS null":                      {{field("tags", "a"), filter.IsNull, filter.Value{}}},
		"tags.a is not NULL":                    {{field("tags", "a"), filter.IsNotNull, filter.Value{}}},
		"run_id IN ('a','b')":                   {{field("", "run_id"), filter.In, list("a", "b")}},
		"run_id NOT IN ('a',)":                  {{field("", "run_id"), filter.NotIn, list("a")}},
		"name <> 'a'":                           {{field("", "name"), filter.NotEqual, text("a")}},
		"metrics.a = 1 and metrics.b != .5": {{field("metrics", "a"), filter.Equal, number("1", 1)},
			{field("metrics", "b"), filter.NotEqual, number(".5", .5)}},
	} {
		got, err := filter.Parse(in)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", in, got, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, in := range []string{
		"metrics.a", "metrics.a >", "metrics.a > 1 OR metrics.b > 1", "(metrics.a > 1)", "metrics.a > 1 metrics.b > 2",
		"metrics. > 1", "= 1", "'a' = 'a'", "params.a = 'x", "params.`a = 'x'", "run_id IN 'a'", "run_id IN ()", "run_id IN ('a'",
		"run_id IN (1)", "a ! 1", "a = 1x", "a = 0x10", "a = 1_000", "a = nan", "a NOT LIKE 'x'", "a IS 'x'", "a = 'x' AND", "a = 'x';",
		"a = \xff", "tags.a LIKE '" + strings.Repeat("x", 3000) + "'", strings.Repeat("a = 1 AND ", 300) + "a = 1", strings.Repeat("a", 2<<20),
	} {
		if got, err := filter.Parse(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%.80q: %+v, %v", in, got, err)
		}
	}
}

func TestParseOrder(t *testing.T) {
	for in, want := range map[string]filter.Order{
		"metrics.auc":              {Field: field("metrics", "auc")},
		"metrics.`a b` DESC":       {Field: field("metrics", "a b"), Descending: true},
		" attributes.end_time asc": {Field: field("attributes", "end_time")},
		"start_time desc":          {Field: field("", "start_time"), Descending: true},
	} {
		if got, err := filter.ParseOrder(in); err != nil || got != want {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "a b", "a ASC DESC", "a DESC,b", "1 >", "a.", "metrics.x DESC NULLS LAST"} {
		if got, err := filter.ParseOrder(in); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", in, got, err)
		}
	}
}

// LIKE is what its regular expression is.
func TestLikeIsItsRegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		letters := rapid.SampledFrom([]rune("abAé%_."))
		text := string(rapid.SliceOfN(letters, 0, 12).Draw(t, "text"))
		pattern := string(rapid.SliceOfN(letters, 0, 8).Draw(t, "pattern"))
		var re strings.Builder
		for _, r := range pattern {
			switch r {
			case '%':
				re.WriteString(".*")
			case '_':
				re.WriteString(".")
			default:
				re.WriteString(regexp.QuoteMeta(string(r)))
			}
		}
		v := filter.Value{Kind: filter.Text, Text: pattern}
		for op, flags := range map[filter.Op]string{filter.Like: "(?s)", filter.ILike: "(?si)"} {
			want := regexp.MustCompile(flags + "^" + re.String() + "$").MatchString(text)
			if got := op.Text(text, v); got != want {
				t.Fatalf("%q %s %q: %v", text, op, pattern, got)
			}
		}
	})
}

// A pattern made to be slow is not.
func TestLikeIsQuick(t *testing.T) {
	text := strings.Repeat("a", 8000)
	match := filter.Clause{Op: filter.ILike, Value: filter.Value{Kind: filter.Text, Text: strings.Repeat("%"+strings.Repeat("a", 50)+"b", 30)}}.Matcher()
	for range 2000 {
		if match(text) {
			t.Fatal("it matched")
		}
	}
}

func TestNumberNaN(t *testing.T) {
	for _, op := range []filter.Op{filter.Equal, filter.NotEqual, filter.Less, filter.LessEqual, filter.Greater, filter.GreaterEqual} {
		if got := op.Number(math.NaN(), 0); got != (op == filter.NotEqual) {
			t.Errorf("NaN %s 0: %v", op, got)
		}
	}
}

// Nothing breaks the parser, and what it accepts it accepts again when its
// fields are quoted.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"metrics.a > 1 AND params.`b c` = 'x'", "run_id IN ('a','b')", "tags.\"x.y\" ILIKE '%''%'", "a IS NOT NULL", "`", "a..b = 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		clauses, err := filter.Parse(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) || !utf8.ValidString(err.Error()) && utf8.ValidString(text) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		for _, c := range clauses {
			if strings.ContainsAny(c.Field.String(), "`\n") || c.Field.Entity == "" {
				continue
			}
			quoted := "`" + c.Field.Entity + "`.`" + c.Field.Key + "` IS NULL"
			again, err := filter.Parse(quoted)
			if err != nil || len(again) != 1 || again[0].Field != c.Field {
				t.Fatalf("%q as %q: %+v, %v", text, quoted, again, err)
			}
		}
	})
}
