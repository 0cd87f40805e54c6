package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest/postgres"
	"github.com/leat-ai/leat/internal/testserver"
)

func TestQuery(t *testing.T) {
	address := testserver.Postgres(t).URL(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	_, err = conn.Exec(t.Context(), `CREATE TABLE t AS SELECT i AS id, i::smallint % 7 AS small, i / 2.0 AS num, i * 0.5::float4 AS f, i % 2 = 0 AS even,
		'n' || i AS name, date '2024-01-01' + i % 28 AS day, timestamptz '2024-01-01 00:00:00+02' AS at, timestamp '2024-01-01 00:00:00' AS plain,
		ARRAY[i] AS list, jsonb_build_object('x', i) AS j, NULL::int AS nothing, gen_random_uuid() IS NULL AS u FROM generate_series(0, 20000) i`)
	if err != nil {
		t.Fatal(err)
	}
	r, err := postgres.Source{}.Query(t.Context(), address, "", "SELECT id, small, num, f, even, name, day, at, plain, list, j, nothing FROM t ORDER BY id;")
	if err != nil {
		t.Fatal(err)
	}
	columns, err := frame.ColumnsOf(r.Schema())
	if err != nil {
		t.Fatal(err)
	}
	want := "[{id int} {small int} {num double} {f double} {even bool} {name string} {day date} {at timestamp} {plain timestamp} {list string} {j string} {nothing int}]"
	if got := fmt.Sprint(columns); got != want {
		t.Errorf("columns %s\nwant    %s", got, want)
	}
	rows, line := int64(0), ""
	err = frame.Each(t.Context(), r, func(b frame.Batch) error {
		if rows == 0 {
			for _, c := range b.Columns() {
				line += c.ValueStr(3) + "|"
			}
		}
		rows += b.NumRows()
		return nil
	})
	if err != nil || rows != 20001 {
		t.Fatalf("%d rows, %v", rows, err)
	}
	if want := `3|3|1.5|1.5|false|n3|2024-01-04|2023-12-31T22:00:00Z|2024-01-01T00:00:00Z|[3]|{"x": 3}|(null)|`; line != want {
		t.Errorf("row  %s\nwant %s", line, want)
	}
	for query, kind := range map[string]fault.Kind{
		"SELECT * FROM absent": fault.Invalid, "DELETE FROM t": fault.Invalid, "SELECT 1/0": fault.Invalid, "": fault.Invalid,
	} {
		r, err := postgres.Source{}.Query(t.Context(), address, "", query)
		if err == nil {
			_, err = r.Next(t.Context())
			_ = r.Close()
		}
		if !fault.Is(err, kind) {
			t.Errorf("%q: %v", query, err)
		}
	}
	_, err = postgres.Source{}.Query(t.Context(), "postgres://u:hidden@127.0.0.1:1/x", "", "SELECT 1")
	if !fault.Is(err, fault.Unavailable) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("an absent server: %v", err)
	}
}
