package source_test

import (
	"context"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	ingestpostgres "github.com/leat-ai/leat/flow/ingest/postgres"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/azure"
	"github.com/leat-ai/leat/store/blob/s3"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
)

func TestBuckets(t *testing.T) {
	minio := testserver.S3(t)
	minio.Bucket(t, "handbooks")
	s3c, err := s3.Parse("s3://handbooks?path_style=true&region=" + minio.Region + "&endpoint=" + url.QueryEscape(minio.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	s3c.Keys = func(context.Context) (string, string, error) { return minio.AccessKey, minio.SecretKey, nil }
	s3b, err := s3.Open(t.Context(), s3c)
	if err != nil {
		t.Fatal(err)
	}
	azurite := testserver.Azurite(t)
	azurite.Container(t, "handbooks")
	azc, err := azure.Parse("azblob://handbooks?account=" + azurite.Account + "&endpoint=" + url.QueryEscape(azurite.Endpoint))
	if err != nil {
		t.Fatal(err)
	}
	azc.Key = func(context.Context) (string, error) { return azurite.Key, nil }
	azb, err := azure.Open(t.Context(), azc)
	if err != nil {
		t.Fatal(err)
	}
	for scheme, bucket := range map[string]blob.Bucket{"s3": s3b, "azblob": azb} {
		t.Run(scheme, func(t *testing.T) { testBucket(t, scheme+"://handbooks", bucket) })
	}
}

func testBucket(t *testing.T, root string, bucket blob.Bucket) {
	put := func(name, text string) {
		t.Helper()
		if err := bucket.Put(t.Context(), name, strings.NewReader(text), false); err != nil {
			t.Fatal(err)
		}
	}
	put("2026/travel.md", "Hotels.")
	put("2026/travel.md.old", "Inns.")
	put("2026/deep/pay.md", "Pay.")
	put("2025/travel.md", "Coaches.")
	s := source.NewBucket(bucket, root+"/2026/**/*.md", source.Names{})
	defer s.Close()
	ids, items, _ := listed(t, s, "")
	same(t, "objects", ids, []string{root + "/2026/deep/pay.md", root + "/2026/travel.md"})
	it := items[root+"/2026/travel.md"]
	c, err := s.Open(t.Context(), it, "")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Body.Close()
	if still, err := c.Still(t.Context()); err != nil || !still {
		t.Errorf("%v %v", still, err)
	}
	put("2026/travel.md", "Trains.")
	if still, err := c.Still(t.Context()); err != nil || still {
		t.Errorf("an object that was replaced is still the same: %v", err)
	}
	if got := read(t, s, it); got != "Trains." {
		t.Errorf("%q", got)
	}
	if err := bucket.Delete(t.Context(), "2026/travel.md"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Open(t.Context(), it, ""); !fault.Is(err, fault.NotFound) {
		t.Errorf("an object that is gone, beside one whose name begins alike: %v", err)
	}
}

func TestRowsOfPostgres(t *testing.T) {
	address := testserver.Postgres(t).URL(t)
	db, err := postgres.Open(t.Context(), postgres.Config{URL: address})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec := func(statements ...string) {
		t.Helper()
		err := db.Write(t.Context(), func(tx catalog.Tx) error {
			for _, s := range statements {
				if _, err := tx.Exec(t.Context(), s); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE articles (id INT PRIMARY KEY, title TEXT, body TEXT, team TEXT, tags TEXT[], year INT, at TIMESTAMPTZ NOT NULL)`,
		`INSERT INTO articles VALUES (1, 'Travel', 'Hotels are booked.', 'staff', '{a,b}', 2025, '2026-01-01 10:00:00.5Z'), (2, 'It''s', NULL, NULL, NULL, NULL, '2026-01-01 11:00Z'),
			(3, 'Pay', 'Money.', '["hr","user:bo"]', NULL, 2026, '2026-01-01 12:00Z')`)
	queries := []string{}
	run := func(ctx context.Context, sql string) (frame.Reader, error) {
		queries = append(queries, sql)
		return ingestpostgres.Source{}.Query(ctx, address, "", sql)
	}
	const sql = "select id, title, body, team, year, at from articles;"
	columns := source.RowColumns{ID: "id", Title: "title", Text: []string{"title", "body"}, Readers: "team", Changed: "at"}
	s := source.NewQuery("postgres://somebody@db/app?sslmode=require", sql, columns, "", run)
	ids, items, next := listed(t, s, "")
	same(t, "rows", ids, []string{"postgres://db/app/1", "postgres://db/app/2", "postgres://db/app/3"})
	one := items["postgres://db/app/1"]
	if string(one.Text) != "Travel\n\nHotels are booked." || one.Title != "Travel" || one.Fields["year"] != "2025" || one.Fields["team"] != "" {
		t.Errorf("%q %+v", one.Text, one)
	}
	same(t, "readers", one.Readers, []string{"staff"})
	if r := items["postgres://db/app/2"].Readers; r == nil || len(r) != 0 {
		t.Errorf("a row without readers: %v", r)
	}
	same(t, "readers", items["postgres://db/app/3"].Readers, []string{"hr", "user:bo"})

	// Only what changed is read, and what is gone is seen.
	exec(`UPDATE articles SET body = 'More money.', at = '2026-01-02 10:00Z' WHERE id = 3`, `DELETE FROM articles WHERE id = 2`)
	queries = nil
	ids, after, next2 := listed(t, s, next)
	same(t, "rows", ids, []string{"postgres://db/app/1", "postgres://db/app/3"})
	if !after["postgres://db/app/1"].Same || after["postgres://db/app/3"].Same || string(after["postgres://db/app/3"].Text) != "Pay\n\nMore money." || next2 == next {
		t.Errorf("%+v %q %q", after, next, next2)
	}
	if len(queries) != 2 || !strings.Contains(queries[1], ">=") {
		t.Errorf("%q", queries)
	}
	_, again, next3 := listed(t, s, next2)
	if next3 != next2 || again["postgres://db/app/3"].Mark != after["postgres://db/app/3"].Mark {
		t.Errorf("%q %q %+v", next2, next3, again)
	}

	// Without a column that tells, all rows are read and compared.
	columns.Changed = ""
	plain := source.NewQuery("postgres://db/app", sql, columns, "", run)
	_, all, next4 := listed(t, plain, "")
	if next4 != "" || all["postgres://db/app/1"].Mark != one.Mark || len(all) != 2 {
		t.Errorf("%q %+v", next4, all)
	}
	for name, c := range map[string]source.RowColumns{"no such column": {ID: "nothing", Text: []string{"body"}}, "not one": {ID: "team", Text: []string{"body"}}} {
		bad := source.NewQuery("postgres://db/app", "select *, 'x' as team2 from articles, (values (1), (2)) as twice(n)", c, "", run)
		if _, err := bad.List(t.Context(), "", func(source.Item) error { return nil }); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !slices.IsSorted([]string{next, next2}) {
		t.Errorf("%q is not before %q", next, next2)
	}
}
