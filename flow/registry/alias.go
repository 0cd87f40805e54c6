package registry

import (
	"context"
	"database/sql"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// SetAlias points an alias at a version; version 0 removes it. Doing it again
// changes nothing.
func (r *Registry) SetAlias(ctx context.Context, name, alias string, version int, by string) error {
	if !aliasPattern.MatchString(alias) || alias == latest || hexPattern.MatchString(alias) {
		return fault.New(fault.Invalid, "%q cannot be an alias", alias).
			Hint("use a word such as champion; latest, numbers and what looks like an id mean something else already")
	}
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		var pointed int
		err := tx.Row(ctx, `SELECT version FROM aliases WHERE model = ? AND alias = ?`, []any{name, alias}, &pointed)
		switch {
		case err != nil && !fault.Is(err, fault.NotFound):
			return err
		case pointed == version: // 0 where there is none
			return nil
		}
		return r.moveAlias(ctx, tx, AliasChange{Model: name, Alias: alias, Version: version, By: by})
	})
}

// moveAlias writes a change and its line of history. A change never stands
// before its predecessor in time, whatever the clocks of two replicas say.
func (r *Registry) moveAlias(ctx context.Context, tx catalog.Tx, c AliasChange) error {
	if c.Version != 0 {
		if _, err := find(ctx, tx, `model = ? AND number = ? AND `+present, c.Model, c.Version); err != nil {
			return unknownNumber(err, c)
		}
	}
	var last int64
	err := tx.Row(ctx, `SELECT COALESCE(MAX(at), 0) FROM alias_history WHERE model = ? AND alias = ?`,
		[]any{c.Model, c.Alias}, &last)
	if err != nil {
		return err
	}
	at := max(last+1, catalog.Micros(r.clock.Now()))
	if c.Version == 0 {
		_, err = tx.Exec(ctx, `DELETE FROM aliases WHERE model = ? AND alias = ?`, c.Model, c.Alias)
	} else {
		_, err = tx.Exec(ctx, `INSERT INTO aliases (model, alias, version, at, by) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (model, alias) DO UPDATE SET version = excluded.version, at = excluded.at, by = excluded.by`,
			c.Model, c.Alias, c.Version, at, c.By)
	}
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, "alias_history")
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO alias_history (seq, model, alias, version, at, by) VALUES (?, ?, ?, ?, ?, ?)`,
		seq, c.Model, c.Alias, c.Version, at, c.By)
	if err != nil {
		return err
	}
	e := Event{Kind: AliasSet, Model: c.Model, Version: c.Version, Key: c.Alias, At: catalog.Time(at), By: c.By}
	if c.Version == 0 {
		e.Kind = AliasDeleted
	}
	return r.tell(ctx, tx, e)
}

func unknownNumber(err error, c AliasChange) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "model %s has no version %d that %s could point at", c.Model, c.Version, c.Alias)
	}
	return err
}

// History returns the changes of a model's aliases, newest first.
func (r *Registry) History(ctx context.Context, name string) (changes []AliasChange, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		changes, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (AliasChange, error) {
			c := AliasChange{Model: name}
			var at int64
			err := rows.Scan(&c.Alias, &c.Version, &at, &c.By)
			c.At = catalog.Time(at)
			return c, err
		}, `SELECT alias, version, at, by FROM alias_history WHERE model = ? ORDER BY seq DESC`, name)
		return err
	})
	return changes, err
}

// At returns the version that an alias pointed at at a time, or a NotFound
// fault.
func (r *Registry) At(ctx context.Context, name, alias string, at time.Time) (v Version, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		v, err = find(ctx, tx, `model = ? AND number = (SELECT version FROM alias_history
			WHERE model = ? AND alias = ? AND at <= ? ORDER BY seq DESC LIMIT 1)`, name, name, alias, catalog.Micros(at))
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "alias %s of model %s pointed at nothing at %s", alias, name, at.UTC().Format(time.RFC3339))
		}
		return err
	})
	return v, err
}
