package postgres_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/postgres"
)

var columns = []frame.Column{{Name: "a text", Type: frame.String}, {Name: "n", Type: frame.Int}, {Name: "x", Type: frame.Double},
	{Name: "ok", Type: frame.Bool}, {Name: "at", Type: frame.Timestamp}, {Name: "day", Type: frame.Date}}

// batch makes rows; a text "" is a row of NULLs.
func batch(texts ...string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for i, text := range texts {
		if text == "" {
			for _, f := range b.Fields() {
				f.AppendNull()
			}
			continue
		}
		b.Field(0).(*array.StringBuilder).Append(text)
		b.Field(1).(*array.Int64Builder).Append(int64(i))
		b.Field(2).(*array.Float64Builder).Append(float64(i) / 4)
		b.Field(3).(*array.BooleanBuilder).Append(i%2 == 0)
		b.Field(4).(*array.TimestampBuilder).Append(1774749599123456)
		b.Field(5).(*array.Date32Builder).Append(20541)
	}
	return b.NewRecordBatch()
}

func content(t *testing.T, url, table string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), `SELECT event_id, "a text", n, x, ok, at AT TIME ZONE 'UTC', day FROM `+table+` ORDER BY event_id`)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		v, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprint(v...))
	}
	return strings.Join(lines, "\n")
}

func open(t *testing.T, url, table string) *postgres.Sink {
	t.Helper()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Table: table})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestUpsert(t *testing.T) {
	url := testserver.Postgres(t).URL(t)
	s := open(t, url, `od"d`)
	first := batch("one", "", "two")
	for range 2 { // again, as after a crash
		if err := s.Upsert(t.Context(), []string{"a", "b", "c"}, first); err != nil {
			t.Fatal(err)
		}
	}
	want := content(t, url, `"od""d"`)
	if strings.Count(want, "\n") != 2 || !strings.Contains(want, "one") || !strings.Contains(want, "2026-03-29 01:59:59.123456") {
		t.Errorf("%s", want)
	}
	if err := s.Upsert(t.Context(), []string{"c", "d", "c"}, batch("old", "four", "new")); err != nil {
		t.Fatal(err)
	}
	got := content(t, url, `"od""d"`)
	if !strings.Contains(got, "new") || strings.Contains(got, "old") || strings.Count(got, "\n") != 3 {
		t.Errorf("%s", got)
	}
	if err := open(t, url, `od"d`).Upsert(t.Context(), []string{"a", "b", "c"}, first); err != nil { // by another process
		t.Fatal(err)
	}
}

// TestRefused: the row is named that the table does not take, and nothing of
// its batch is there.
func TestRefused(t *testing.T) {
	url := testserver.Postgres(t).URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE strict (event_id text PRIMARY KEY, "a text" varchar(5), n smallint CHECK (n <> 7), x float8, ok bool, at timestamptz, day date)`); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	s := open(t, url, "strict")
	texts, ids := []string{}, []string{}
	for i := range 20 {
		texts, ids = append(texts, "t"), append(ids, fmt.Sprint("id", i))
	}
	for name, c := range map[string]struct {
		change func([]string)
		index  int
	}{
		"too long":    {func(s []string) { s = s[:7]; s[3] = "much too long" }, 3},
		"a rule":      {func([]string) {}, 7},
		"a zero byte": {func(s []string) { s[5] = "a\x00b" }, 5},
		"no UTF-8":    {func(s []string) { s[11] = "\xff" }, 11},
	} {
		changed := slices.Clone(texts)
		c.change(changed)
		err := s.Upsert(t.Context(), ids, batch(changed...))
		refused, ok := errors.AsType[*bus.Refused](err)
		if !ok || refused.Index != c.index || !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
		if got := content(t, url, "strict"); got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestMistakes(t *testing.T) {
	server := testserver.Postgres(t)
	url := server.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), `CREATE TABLE lacks (event_id text PRIMARY KEY); CREATE TABLE twice (event_id text, "a text" text, n bigint, x float8, ok bool, at timestamptz, day date)`); err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	for _, table := range []string{"lacks", "twice", "nowhere.t"} {
		if err := open(t, url, table).Upsert(t.Context(), []string{"a"}, batch("x")); !fault.Is(err, fault.Invalid) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v", table, err)
		}
	}
	if err := open(t, "postgres://leat@127.0.0.1:1/x?sslmode=disable", "t").Upsert(t.Context(), []string{"a"}, batch("x")); !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	for _, c := range []postgres.Config{{}, {URL: "postgres://a:b@h/d", Table: "t"}, {URL: "postgres://h/d", Table: ""}, {URL: "postgres://h/d", Table: "a.b.c"}} {
		if err := c.Validate(); !fault.Is(err, fault.Invalid) || strings.Contains(err.Error(), "a:b") {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if u, table, err := postgres.Split("postgres://h:5432/d/s.t?sslmode=disable"); u != "postgres://h:5432/d?sslmode=disable" || table != "s.t" || err != nil {
		t.Error(u, table, err)
	}
}
