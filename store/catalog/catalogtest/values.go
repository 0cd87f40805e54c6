package catalogtest

import (
	"database/sql"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

func testKinds(t *testing.T, b Backend) {
	db := b.fresh(t)
	write(t, db, func(tx catalog.Tx) error { return set(t.Context(), tx, "a", "") })
	for statement, want := range map[string]fault.Kind{
		`INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES ('t', 'a', '', '', 0)`: fault.Conflict,
		`INSERT INTO aliases (model, alias, version, at, by) VALUES ('m', 'champion', 1, 0, '')`:          fault.Conflict,
		`INSERT INTO ledger (scope, key) VALUES ('t', 'b')`:                                               fault.Invalid,
		`SELECT nothing FROM nowhere`: fault.Internal,
	} {
		err := db.Write(t.Context(), func(tx catalog.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		if !fault.Is(err, want) {
			t.Errorf("%s: got %v of kind %s, want %s", statement, err, fault.KindOf(err), want)
		}
	}
}

type signal struct {
	at               int64
	value, threshold sql.NullFloat64
	fired            bool
	name             string
}

func testValues(t *testing.T, b Backend) {
	db := b.fresh(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	want := []signal{
		{at: catalog.Micros(now), value: sql.NullFloat64{Float64: math.Pi, Valid: true}, fired: true, name: `quoted '?' "?" ; -- ?`},
		{at: math.MaxInt64, value: sql.NullFloat64{Float64: math.SmallestNonzeroFloat64, Valid: true}, name: "Grüße 👋 \u202e\n\t\\"},
		{at: math.MinInt64, value: sql.NullFloat64{Float64: math.Inf(-1), Valid: true}, name: ""},
		{at: catalog.Micros(time.Time{}), name: strings.Repeat("long ", 1<<16)},
	}
	var got []signal
	write(t, db, func(tx catalog.Tx) (err error) {
		for i, s := range want {
			if _, err := tx.Exec(t.Context(), `INSERT INTO signals
				(seq, monitor, signal, at, window_start, window_end, rows, value, threshold, fired, release)
				VALUES (?, '?', '', ?, 0, 0, 0, ?, ?, ?, ?) /* not a ? parameter */`,
				i, s.at, s.value, s.threshold, s.fired, s.name); err != nil {
				return err
			}
		}
		got, err = catalog.Collect(t.Context(), tx, func(r *sql.Rows) (s signal, err error) {
			err = r.Scan(&s.at, &s.value, &s.threshold, &s.fired, &s.name)
			return s, err
		}, `SELECT at, value, threshold, fired, release FROM signals WHERE monitor = '?' ORDER BY seq LIMIT ?`, 10)
		return err
	})
	if !slices.Equal(got, want) {
		t.Errorf("got %.500v\nwant %.500v", got, want)
	}
	if !catalog.Time(got[0].at).Equal(now) || !catalog.Time(got[3].at).IsZero() {
		t.Error("a time does not come back as it went in")
	}
}

func testText(t *testing.T, b Backend) {
	db := b.fresh(t)
	for _, text := range []string{"zero\x00byte", "not \xff utf-8"} {
		err := db.Write(t.Context(), func(tx catalog.Tx) error { return set(t.Context(), tx, "a", text) })
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q gives %v, want Invalid", text, err)
		}
	}
}

// Every table takes a row, in an order that its references allow.
func testTables(t *testing.T, b Backend) {
	db := b.fresh(t)
	statements := []string{
		`INSERT INTO resources (env, kind, name, hash, spec, applied_at, applied_by) VALUES ('prod', 'Source', 's', 'h', '{}', 1, 'me')`,
		`INSERT INTO applies (id, env, at, by, plan) VALUES ('1', 'prod', 1, 'me', '{}')`,
		`INSERT INTO model_versions (model, number, id, body, created_at) VALUES ('m', 1, 'abc', '{}', 1)`,
		`INSERT INTO aliases (model, alias, version, at, by) VALUES ('m', 'champion', 1, 1, 'me')`,
		`INSERT INTO alias_history (seq, model, alias, version, at, by) VALUES (1, 'm', 'champion', 1, 1, 'me')`,
		`INSERT INTO releases (endpoint, number, id, body, created_at) VALUES ('e', 1, 'abc', '{}', 1)`,
		`INSERT INTO endpoint_live (endpoint, release, number) VALUES ('e', 'abc', 1)`,
		`INSERT INTO endpoint_history (seq, endpoint, release, number, at, by, why) VALUES (1, 'e', 'abc', 1, 1, 'me', 'deploy')`,
		`INSERT INTO api_keys (id, name, hash, groups, grants, created_at) VALUES ('1', 'n', 'h', '[]', '[]', 1)`,
		`INSERT INTO ledger (scope, key, fingerprint, decision, expires_at) VALUES ('e', 'k', 'f', '{}', 1)`,
		`INSERT INTO signals (seq, monitor, signal, at, window_start, window_end, rows, value, threshold, fired, release) VALUES (1, 'm', 'psi', 1, 1, 2, 3, 0.5, 0.2, TRUE, 'abc')`,
		`INSERT INTO ingests (source, name, digest, rows, quarantined, snapshot, at) VALUES ('s', 'f', 'd', 1, 0, 9, 1)`,
	}
	write(t, db, func(tx catalog.Tx) error {
		for _, statement := range statements {
			if n, err := tx.Exec(t.Context(), statement); err != nil || n != 1 {
				t.Errorf("%s: %d rows, %v", statement, n, err)
				return err
			}
		}
		return nil
	})
	for _, again := range statements { // every one breaks a key the second time
		err := db.Write(t.Context(), func(tx catalog.Tx) error { _, err := tx.Exec(t.Context(), again); return err })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("%s a second time: got %v, want Conflict", again, err)
		}
	}
}
