package registry

import (
	"context"
	"database/sql"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// renamed is the condition of versions that were registered under an older
// name, which is its parameter. A name that was given away counts on, so that
// a number tells whose version it was.
const renamed = `model IN (SELECT current FROM model_renames WHERE old = ? AND upto >= number)`

// RenameModel gives a model another name. Its versions keep their numbers and
// ids, its aliases and their history go along, and releases that name the old
// one are served on. A name that is taken is a Conflict, and so is one that
// was deleted: its versions are kept under it.
func (r *Registry) RenameModel(ctx context.Context, old, to string) (m Model, err error) {
	if err := checkName(to); err != nil {
		return m, err
	}
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		if err := needModel(ctx, tx, old); err != nil {
			return err
		}
		if old != to {
			if err := r.rename(ctx, tx, old, to); err != nil {
				return err
			}
		}
		m, err = readModel(ctx, tx, to)
		return err
	})
	return m, err
}

func (r *Registry) rename(ctx context.Context, tx catalog.Tx, old, to string) error {
	var taken int
	err := tx.Row(ctx, `SELECT (SELECT COUNT(*) FROM models WHERE name = ?)
		+ (SELECT COUNT(*) FROM model_renames WHERE old = ? AND current <> ?)`, []any{to, to, old}, &taken)
	if err != nil {
		return err
	}
	if taken > 0 {
		return fault.New(fault.Conflict, "a model is, or was, called %q already", to)
	}
	_, err = tx.Exec(ctx, `INSERT INTO models (name, description, created_at, updated_at)
		SELECT ?, description, created_at, ? FROM models WHERE name = ?`, to, catalog.Micros(r.now()), old)
	if err != nil {
		return err
	}
	if err := moveVersions(ctx, tx, old, to); err != nil {
		return err
	}
	for _, statement := range []string{
		`UPDATE alias_history SET model = ? WHERE model = ?`,
		`UPDATE model_tags SET model = ? WHERE model = ?`,
		`UPDATE version_notes SET model = ? WHERE model = ?`,
		`UPDATE version_tags SET model = ? WHERE model = ?`,
		`UPDATE model_renames SET current = ? WHERE current = ?`,
	} {
		if _, err := tx.Exec(ctx, statement, to, old); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `DELETE FROM models WHERE name = ?`, old); err != nil {
		return err
	}
	return rememberName(ctx, tx, old, to)
}

// moveVersions moves versions, and the aliases that must point at one all the
// while.
func moveVersions(ctx context.Context, tx catalog.Tx, old, to string) error {
	type pointer struct {
		alias, by   string
		version, at int64
	}
	aliases, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (p pointer, err error) {
		return p, rows.Scan(&p.alias, &p.version, &p.at, &p.by)
	}, `SELECT alias, version, at, by FROM aliases WHERE model = ?`, old)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `DELETE FROM aliases WHERE model = ?`, old); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `UPDATE model_versions SET model = ? WHERE model = ?`, to, old); err != nil {
		return err
	}
	for _, p := range aliases {
		_, err := tx.Exec(ctx, `INSERT INTO aliases (model, alias, version, at, by) VALUES (?, ?, ?, ?, ?)`,
			to, p.alias, p.version, p.at, p.by)
		if err != nil {
			return err
		}
	}
	return nil
}

// rememberName makes the old name's versions known under the new one. Both
// names count on from where the old one was.
func rememberName(ctx context.Context, tx catalog.Tx, old, to string) error {
	var upto int64
	err := tx.Row(ctx, `SELECT value FROM sequences WHERE name = ?`, []any{"versions/" + old}, &upto)
	if fault.Is(err, fault.NotFound) {
		return nil // it had no version
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO sequences (name, value) VALUES (?, ?)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value > sequences.value`, "versions/"+to, upto)
	if err != nil {
		return err
	}
	if _, err = tx.Exec(ctx, `DELETE FROM model_renames WHERE old = current`); err != nil {
		return err // it has its old name again
	}
	_, err = tx.Exec(ctx, `INSERT INTO model_renames (old, current, upto) VALUES (?, ?, ?)
		ON CONFLICT (old, current) DO UPDATE SET upto = excluded.upto`, old, to, upto)
	return err
}
