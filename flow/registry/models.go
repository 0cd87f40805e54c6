package registry

import (
	"context"
	"database/sql"
	"time"
	"unicode/utf8"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Model is a name that versions are registered under, with what people say of
// it.
type Model struct {
	Name        string
	Description string
	Tags        map[string]string
	Aliases     map[string]int
	CreatedAt   time.Time
	UpdatedAt   time.Time // also when a version came, changed or went
}

// Bounds of what people say of models and versions.
const (
	maxDescription = 100_000 // bytes
	maxTagKey      = 250
	maxTagValue    = 100_000
	maxTags        = 500
)

// CreateModel makes a model without versions. A name that is taken is a
// Conflict; one that was deleted is free, and its versions go on with their
// numbers.
func (r *Registry) CreateModel(ctx context.Context, m Model, by string) (Model, error) {
	if err := checkModel(m); err != nil {
		return m, err
	}
	err := r.db.Write(ctx, func(tx catalog.Tx) error {
		there, err := modelThere(ctx, tx, m.Name)
		if err != nil {
			return err
		}
		if there {
			return fault.New(fault.Conflict, "a model is called %q already", m.Name)
		}
		e := Event{Model: m.Name, At: r.now(), By: by, Description: m.Description, Tags: m.Tags}
		if err := r.ensure(ctx, tx, e); err != nil {
			return err
		}
		for key, value := range m.Tags {
			if err := setTag(ctx, tx, m.Name, 0, key, value); err != nil {
				return err
			}
		}
		m, err = readModel(ctx, tx, m.Name)
		return err
	})
	return m, err
}

func checkModel(m Model) error {
	var l fault.List
	l.Add(checkName(m.Name))
	l.Add(checkNotes(m.Description, m.Tags))
	return l.Err()
}

func checkName(name string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fault.New(fault.Invalid, "%.200q cannot be the name of a model", name).
		Hint("use letters, digits, dot, dash and underscore; at most 128 of them")
}

func checkNotes(description string, tags map[string]string) error {
	var l fault.List
	if len(description) > maxDescription {
		l.Add(fault.New(fault.Invalid, "the description has %d bytes; at most %d are kept", len(description), maxDescription))
	}
	if len(tags) > maxTags {
		l.Add(fault.New(fault.Invalid, "there are %d tags; at most %d are kept", len(tags), maxTags))
	}
	for key, value := range tags {
		l.Add(checkTag(key, value))
	}
	return l.Err()
}

func checkTag(key, value string) error {
	switch {
	case key == "" || len(key) > maxTagKey || !utf8.ValidString(key):
		return fault.New(fault.Invalid, "%.300q cannot be the key of a tag", key).Hint("use 1 to %d bytes", maxTagKey)
	case len(value) > maxTagValue:
		return fault.New(fault.Invalid, "the tag %q has %d bytes; at most %d are kept", key, len(value), maxTagValue)
	}
	return nil
}

func (r *Registry) now() time.Time { return r.clock.Now().Truncate(time.Microsecond) }

// ensure makes the model of an event where there is none, or none any more.
func (r *Registry) ensure(ctx context.Context, tx catalog.Tx, e Event) error {
	there, err := modelThere(ctx, tx, e.Model)
	if err != nil || there {
		return err
	}
	at := catalog.Micros(e.At)
	_, err = tx.Exec(ctx, `INSERT INTO models (name, description, created_at, updated_at) VALUES (?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET description = excluded.description, created_at = excluded.created_at,
		updated_at = excluded.updated_at, deleted_at = 0`, e.Model, e.Description, at, at)
	if err != nil {
		return err
	}
	e.Kind = ModelCreated
	return r.tell(ctx, tx, e)
}

func modelThere(ctx context.Context, tx catalog.Tx, name string) (bool, error) {
	var deleted int64
	err := tx.Row(ctx, `SELECT deleted_at FROM models WHERE name = ?`, []any{name}, &deleted)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && deleted == 0, err
}

// needModel is a NotFound fault where a model is not there.
func needModel(ctx context.Context, tx catalog.Tx, name string) error {
	there, err := modelThere(ctx, tx, name)
	if err != nil || there {
		return err
	}
	return noModel(name)
}

func noModel(name string) error {
	return fault.New(fault.NotFound, "no model is called %q", name).Hint("`leat models` lists them")
}

// Model returns a model; a NotFound fault where there is none.
func (r *Registry) Model(ctx context.Context, name string) (m Model, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		m, err = readModel(ctx, tx, name)
		return err
	})
	return m, err
}

func readModel(ctx context.Context, tx catalog.Tx, name string) (Model, error) {
	m := Model{Name: name, Aliases: map[string]int{}}
	var created, updated int64
	err := tx.Row(ctx, `SELECT description, created_at, updated_at FROM models WHERE name = ? AND deleted_at = 0`,
		[]any{name}, &m.Description, &created, &updated)
	if fault.Is(err, fault.NotFound) {
		return m, noModel(name)
	}
	if err != nil {
		return m, err
	}
	m.CreatedAt, m.UpdatedAt = catalog.Time(created), catalog.Time(updated)
	if m.Tags, err = readTags(ctx, tx, name, 0); err != nil {
		return m, err
	}
	aliases, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (a AliasChange, err error) {
		return a, rows.Scan(&a.Alias, &a.Version)
	}, `SELECT alias, version FROM aliases WHERE model = ?`, name)
	for _, a := range aliases {
		m.Aliases[a.Alias] = a.Version
	}
	return m, err
}

// DescribeModel changes a model's description.
func (r *Registry) DescribeModel(ctx context.Context, name, description string) (m Model, err error) {
	if err := checkNotes(description, nil); err != nil {
		return m, err
	}
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		changed, err := tx.Exec(ctx, `UPDATE models SET description = ?, updated_at = ? WHERE name = ? AND deleted_at = 0`,
			description, catalog.Micros(r.now()), name)
		if err != nil {
			return err
		}
		if changed == 0 {
			return noModel(name)
		}
		m, err = readModel(ctx, tx, name)
		return err
	})
	return m, err
}

// DeleteModel marks a model and its versions as deleted and removes its
// aliases. What a release names of it is served on.
func (r *Registry) DeleteModel(ctx context.Context, name, by string) error {
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		m, err := readModel(ctx, tx, name)
		if err != nil {
			return err
		}
		for alias := range m.Aliases {
			if err := r.moveAlias(ctx, tx, AliasChange{Model: name, Alias: alias, By: by}); err != nil {
				return err
			}
		}
		at := catalog.Micros(r.now())
		for _, statement := range []string{
			`UPDATE models SET deleted_at = ? WHERE name = ?`,
			`UPDATE version_notes SET deleted_at = ? WHERE model = ? AND deleted_at = 0`,
		} {
			if _, err := tx.Exec(ctx, statement, at, name); err != nil {
				return err
			}
		}
		for _, statement := range []string{`DELETE FROM model_tags WHERE model = ?`, `DELETE FROM version_tags WHERE model = ?`} {
			if _, err := tx.Exec(ctx, statement, name); err != nil {
				return err
			}
		}
		return nil
	})
}

// SetModelTag sets a tag of a model.
func (r *Registry) SetModelTag(ctx context.Context, name, key, value string) error {
	if err := checkTag(key, value); err != nil {
		return err
	}
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		if err := needModel(ctx, tx, name); err != nil {
			return err
		}
		return setTag(ctx, tx, name, 0, key, value)
	})
}

// DeleteModelTag removes a tag of a model; one that is not there is no error.
func (r *Registry) DeleteModelTag(ctx context.Context, name, key string) error {
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		if err := needModel(ctx, tx, name); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `DELETE FROM model_tags WHERE model = ? AND key = ?`, name, key)
		return err
	})
}

// setTag sets a tag of a version, or of the model for version 0.
func setTag(ctx context.Context, tx catalog.Tx, model string, version int, key, value string) error {
	var count int
	if version == 0 {
		_, err := tx.Exec(ctx, `INSERT INTO model_tags (model, key, value) VALUES (?, ?, ?)
			ON CONFLICT (model, key) DO UPDATE SET value = excluded.value`, model, key, value)
		if err != nil {
			return err
		}
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM model_tags WHERE model = ?`, []any{model}, &count); err != nil {
			return err
		}
	} else {
		_, err := tx.Exec(ctx, `INSERT INTO version_tags (model, number, key, value) VALUES (?, ?, ?, ?)
			ON CONFLICT (model, number, key) DO UPDATE SET value = excluded.value`, model, version, key, value)
		if err != nil {
			return err
		}
		if err := tx.Row(ctx, `SELECT COUNT(*) FROM version_tags WHERE model = ? AND number = ?`, []any{model, version}, &count); err != nil {
			return err
		}
	}
	if count > maxTags {
		return fault.New(fault.Invalid, "there are %d tags already; no more are kept", maxTags)
	}
	return nil
}

// readTags reads the tags of a version, or of the model for version 0.
func readTags(ctx context.Context, tx catalog.Tx, model string, version int) (map[string]string, error) {
	statement, args := `SELECT key, value FROM model_tags WHERE model = ?`, []any{model}
	if version != 0 {
		statement, args = `SELECT key, value FROM version_tags WHERE model = ? AND number = ?`, []any{model, version}
	}
	type tag struct{ key, value string }
	found, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (t tag, err error) {
		return t, rows.Scan(&t.key, &t.value)
	}, statement, args...)
	tags := make(map[string]string, len(found))
	for _, t := range found {
		tags[t.key] = t.value
	}
	return tags, err
}
