package ingest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/ingest"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"ingest": ingestJob}) }

func TestIngestSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "ingest", Kills: 6, Outcome: ingested})
}

func openIn(ctx context.Context, dir string) (*catalog.DB, *lake.Lake, error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	if err != nil {
		return nil, nil, err
	}
	l, err := lake.Open(ctx, lake.Config{Warehouse: filepath.Join(dir, "warehouse"), DB: db.SQL(), Dialect: db.Dialect()})
	return db, l, err
}

// ingestJob takes in two files, one run each, whose ids are other ones after
// every restart: what counts is the content.
func ingestJob(ctx context.Context, dir string) error {
	db, l, err := openIn(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	in := &ingest.Ingester{
		Sink: l.Sink(), Ledger: ingest.CatalogLedger{DB: db}, Root: dir, Clock: clock.Fixed(time.Unix(1_700_000_000, 0)),
	}
	for n := range 2 {
		if err := writeOnce(filepath.Join(dir, fmt.Sprintf("in%d.csv", n)), n); err != nil {
			return err
		}
		src := spec.Source{Name: "t", From: "in*.csv", Schema: spec.Columns{{Name: "id", Type: frame.Int}, {Name: "v", Type: frame.Double}}}
		if _, err := in.Run(ctx, src, fmt.Sprintf("run-%d", time.Now().UnixNano()), nil); err != nil {
			return err
		}
	}
	return nil
}

// writeOnce writes an input file whole or not at all.
func writeOnce(path string, n int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	var b strings.Builder
	b.WriteString("id,v\n")
	for i := range 60_000 {
		if i%1000 == 999 {
			fmt.Fprintf(&b, "%d,dirt\n", i)
			continue
		}
		fmt.Fprintf(&b, "%d,%d.5\n", i, i*(n+1))
	}
	if err := os.WriteFile(path+".part", []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".part", path)
}

// ingested describes the tables: the names of their files have the digests of
// their content.
func ingested(dir string) (string, error) {
	ctx := context.Background()
	db, l, err := openIn(ctx, dir)
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	var out strings.Builder
	for _, name := range []string{"t", "t__quarantine"} {
		tbl, err := l.Table(ctx, name)
		if err != nil {
			return "", err
		}
		files, err := tbl.Files(ctx)
		if err != nil {
			return "", err
		}
		for _, f := range files {
			base := filepath.Base(f.Path)
			if name != "t" {
				base = base[:16] // its rows have the id of the run
			}
			fmt.Fprintf(&out, "%s %s %d\n", name, base, f.Rows)
		}
	}
	var ledger int
	err = db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM ingests").Scan(&ledger)
	fmt.Fprintf(&out, "%d files in the ledger\n", ledger)
	return out.String(), err
}
