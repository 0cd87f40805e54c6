package registry

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// present is the condition of versions that were not deleted.
const present = `NOT EXISTS (SELECT 1 FROM version_notes n
	WHERE n.model = model_versions.model AND n.number = model_versions.number AND n.deleted_at <> 0)`

// Notes are what may change about a version.
type Notes struct {
	Description string
	Stage       string // of an older way of naming what is live; "" for none
	Tags        map[string]string
	Run         string // in the tracking store, that the version was made in
}

// Head is what versions are searched by: all that is known of one without
// reading its manifest.
type Head struct {
	Model  string
	Number int
	Notes
	Source    string // address that it was registered from
	Aliases   []string
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Entry is a version with what may change about it.
type Entry struct {
	Version
	Head Head
}

// note writes the notes of a new version and tells of it.
func (r *Registry) note(ctx context.Context, tx catalog.Tx, v Version, content string, n Notes) error {
	if err := checkNotes(n.Description, n.Tags); err != nil {
		return err
	}
	at := catalog.Micros(v.CreatedAt)
	_, err := tx.Exec(ctx, `INSERT INTO version_notes (model, number, content, description, stage, run, source, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, v.Model, v.Number, content, n.Description, n.Stage, n.Run, v.Lineage.Source, at, at)
	if err != nil {
		return err
	}
	if err := touchModel(ctx, tx, v.Model, at); err != nil {
		return err
	}
	for key, value := range n.Tags {
		if err := setTag(ctx, tx, v.Model, v.Number, key, value); err != nil {
			return err
		}
	}
	return r.tell(ctx, tx, Event{Kind: VersionCreated, Model: v.Model, Version: v.Number, At: v.CreatedAt, By: v.CreatedBy,
		Description: n.Description, Tags: n.Tags, Run: n.Run, Source: v.Lineage.Source})
}

func touchModel(ctx context.Context, tx catalog.Tx, model string, at int64) error {
	_, err := tx.Exec(ctx, `UPDATE models SET updated_at = ? WHERE name = ?`, at, model)
	return err
}

// Entry returns a version with its notes, unless it was deleted.
func (r *Registry) Entry(ctx context.Context, name string, number int) (e Entry, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		e, err = readEntry(ctx, tx, name, number)
		return err
	})
	return e, err
}

func readEntry(ctx context.Context, tx catalog.Tx, name string, number int) (e Entry, err error) {
	heads, err := readHeads(ctx, tx, headFilter{model: name, number: number, tags: true})
	switch {
	case err != nil:
		return e, err
	case len(heads) == 0:
		return e, fault.New(fault.NotFound, "model %s has no version %d", name, number)
	}
	e.Head = heads[0]
	e.Version, err = find(ctx, tx, `model = ? AND number = ?`, name, number)
	return e, err
}

// headFilter says which heads to read, and how much of them. Zero values
// select everything.
type headFilter struct {
	model  string
	number int
	run    string
	tags   bool
}

func readHeads(ctx context.Context, tx catalog.Tx, f headFilter) ([]Head, error) {
	where, args := ` WHERE n.deleted_at = 0`, []any{}
	narrow := func(condition string, arg any) { where, args = where+` AND `+condition, append(args, arg) }
	if f.model != "" {
		narrow(`n.model = ?`, f.model)
	}
	if f.number != 0 {
		narrow(`n.number = ?`, f.number)
	}
	if f.run != "" {
		narrow(`n.run = ?`, f.run)
	}
	heads, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (h Head, err error) {
		var created, updated int64
		err = rows.Scan(&h.Model, &h.Number, &h.Description, &h.Stage, &h.Run, &h.Source, &created, &updated)
		h.CreatedAt, h.UpdatedAt = catalog.Time(created), catalog.Time(updated)
		return h, err
	}, `SELECT n.model, n.number, n.description, n.stage, n.run, n.source, n.created_at, n.updated_at
		FROM version_notes n`+where+` ORDER BY n.model, n.number`, args...)
	if err != nil || len(heads) == 0 {
		return heads, err
	}
	return heads, decorate(ctx, tx, heads, f.tags, where, args)
}

type versionKey struct {
	model  string
	number int
}

// decorate adds aliases and tags to heads, which a condition selected.
func decorate(ctx context.Context, tx catalog.Tx, heads []Head, tags bool, where string, args []any) error {
	at := make(map[versionKey]*Head, len(heads))
	for i := range heads {
		at[versionKey{heads[i].Model, heads[i].Number}] = &heads[i]
	}
	type pair struct {
		versionKey
		key, value string
	}
	scan := func(rows *sql.Rows) (p pair, err error) { return p, rows.Scan(&p.model, &p.number, &p.key, &p.value) }
	aliases, err := catalog.Collect(ctx, tx, scan, `SELECT a.model, a.version, a.alias, '' FROM aliases a
		JOIN version_notes n ON n.model = a.model AND n.number = a.version`+where+` ORDER BY a.alias`, args...)
	if err != nil {
		return err
	}
	for _, p := range aliases {
		at[p.versionKey].Aliases = append(at[p.versionKey].Aliases, p.key)
	}
	if !tags {
		return nil
	}
	found, err := catalog.Collect(ctx, tx, scan, `SELECT t.model, t.number, t.key, t.value FROM version_tags t
		JOIN version_notes n ON n.model = t.model AND n.number = t.number`+where, args...)
	for _, p := range found {
		h := at[p.versionKey]
		if h.Tags == nil {
			h.Tags = map[string]string{}
		}
		h.Tags[p.key] = p.value
	}
	return err
}

// Change is a change of a version's notes; what is nil stays.
type Change struct {
	Description *string
	Stage       *string
	// Alone says that the other versions of the model with the new stage go
	// to this one, "" for none: they stay as they are.
	Others string
}

// ChangeVersion changes a version's description or stage.
func (r *Registry) ChangeVersion(ctx context.Context, name string, number int, c Change) (e Entry, err error) {
	if c.Description != nil {
		if err := checkNotes(*c.Description, nil); err != nil {
			return e, err
		}
	}
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		if e, err = readEntry(ctx, tx, name, number); err != nil {
			return err
		}
		if err := r.change(ctx, tx, e.Head, c); err != nil {
			return err
		}
		e, err = readEntry(ctx, tx, name, number)
		return err
	})
	return e, err
}

func (r *Registry) change(ctx context.Context, tx catalog.Tx, h Head, c Change) error {
	at := catalog.Micros(r.now())
	if c.Description != nil {
		h.Description = *c.Description
	}
	if c.Stage != nil {
		h.Stage = *c.Stage
	}
	if c.Stage != nil && c.Others != "" {
		_, err := tx.Exec(ctx, `UPDATE version_notes SET stage = ?, updated_at = ? WHERE model = ? AND stage = ? AND number <> ? AND deleted_at = 0`,
			c.Others, at, h.Model, h.Stage, h.Number)
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `UPDATE version_notes SET description = ?, stage = ?, updated_at = ? WHERE model = ? AND number = ?`,
		h.Description, h.Stage, at, h.Model, h.Number)
	if err != nil {
		return err
	}
	return touchModel(ctx, tx, h.Model, at)
}

// DeleteVersion marks a version as deleted and removes the aliases that point
// at it. A release that names it is served on.
func (r *Registry) DeleteVersion(ctx context.Context, name string, number int, by string) error {
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		e, err := readEntry(ctx, tx, name, number)
		if err != nil {
			return err
		}
		for _, alias := range e.Head.Aliases {
			if err := r.moveAlias(ctx, tx, AliasChange{Model: name, Alias: alias, By: by}); err != nil {
				return err
			}
		}
		at := catalog.Micros(r.now())
		if _, err := tx.Exec(ctx, `UPDATE version_notes SET deleted_at = ? WHERE model = ? AND number = ?`, at, name, number); err != nil {
			return err
		}
		return touchModel(ctx, tx, name, at)
	})
}

// SetVersionTag sets a tag of a version.
func (r *Registry) SetVersionTag(ctx context.Context, name string, number int, key, value, by string) error {
	if err := checkTag(key, value); err != nil {
		return err
	}
	return r.tagged(ctx, Event{Kind: VersionTagSet, Model: name, Version: number, Key: key, Value: value, By: by}, func(tx catalog.Tx) error {
		return setTag(ctx, tx, name, number, key, value)
	})
}

// DeleteVersionTag removes a tag of a version; one that is not there is no
// error.
func (r *Registry) DeleteVersionTag(ctx context.Context, name string, number int, key, by string) error {
	return r.tagged(ctx, Event{Kind: VersionTagDeleted, Model: name, Version: number, Key: key, By: by}, func(tx catalog.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM version_tags WHERE model = ? AND number = ? AND key = ?`, name, number, key)
		return err
	})
}

func (r *Registry) tagged(ctx context.Context, e Event, f func(catalog.Tx) error) error {
	e.At = r.now()
	return r.db.Write(ctx, func(tx catalog.Tx) error {
		heads, err := readHeads(ctx, tx, headFilter{model: e.Model, number: e.Version})
		if err != nil {
			return err
		}
		if len(heads) == 0 {
			return fault.New(fault.NotFound, "model %s has no version %d", e.Model, e.Version)
		}
		if err := f(tx); err != nil {
			return err
		}
		return r.tell(ctx, tx, e)
	})
}

// Search says which of many things to return: those that Keep, in the order
// of Compare, from Offset on, at most Limit.
type Search[T any] struct {
	Model   string // alone, where it is not ""
	Run     string // alone, where it is not "": of versions
	Keep    func(T) bool
	Compare func(a, b T) int
	Offset  int
	Limit   int
}

// page applies a search, and tells whether there is more behind.
func (s Search[T]) page(all []T) (found []T, more bool) {
	if s.Keep != nil {
		all = slices.DeleteFunc(all, func(t T) bool { return !s.Keep(t) })
	}
	slices.SortStableFunc(all, s.Compare)
	all = all[min(s.Offset, len(all)):]
	if len(all) > s.Limit {
		return all[:s.Limit], true
	}
	return all, false
}

// SearchVersions returns versions of all models, and whether there are more.
func (r *Registry) SearchVersions(ctx context.Context, s Search[Head]) (found []Entry, more bool, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		heads, err := readHeads(ctx, tx, headFilter{model: s.Model, run: s.Run, tags: true})
		if err != nil {
			return err
		}
		heads, more = s.page(heads)
		found = make([]Entry, len(heads))
		for i, h := range heads {
			found[i].Head = h
			if found[i].Version, err = find(ctx, tx, `model = ? AND number = ?`, h.Model, h.Number); err != nil {
				return err
			}
		}
		return nil
	})
	return found, more, err
}

// SearchModels returns models, and whether there are more.
func (r *Registry) SearchModels(ctx context.Context, s Search[Model]) (found []Model, more bool, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		all, err := readModels(ctx, tx, s.Model)
		if err != nil {
			return err
		}
		found, more = s.page(all)
		return nil
	})
	return found, more, err
}

// readModels reads all models, or the one of a name, with their tags and
// aliases.
func readModels(ctx context.Context, tx catalog.Tx, name string) ([]Model, error) {
	where, args := ` WHERE m.deleted_at = 0`, []any{}
	if name != "" {
		where, args = where+` AND m.name = ?`, append(args, name)
	}
	models, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (Model, error) {
		m := Model{Tags: map[string]string{}, Aliases: map[string]int{}}
		var created, updated int64
		err := rows.Scan(&m.Name, &m.Description, &created, &updated)
		m.CreatedAt, m.UpdatedAt = catalog.Time(created), catalog.Time(updated)
		return m, err
	}, `SELECT m.name, m.description, m.created_at, m.updated_at FROM models m`+where+` ORDER BY m.name`, args...)
	if err != nil {
		return nil, err
	}
	at := make(map[string]*Model, len(models))
	for i := range models {
		at[models[i].Name] = &models[i]
	}
	type pair struct{ model, key, value string }
	tags, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (p pair, err error) { return p, rows.Scan(&p.model, &p.key, &p.value) },
		`SELECT t.model, t.key, t.value FROM model_tags t JOIN models m ON m.name = t.model`+where, args...)
	if err != nil {
		return nil, err
	}
	for _, p := range tags {
		at[p.model].Tags[p.key] = p.value
	}
	aliases, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (a AliasChange, err error) {
		return a, rows.Scan(&a.Model, &a.Alias, &a.Version)
	}, `SELECT a.model, a.alias, a.version FROM aliases a JOIN models m ON m.name = a.model`+where, args...)
	for _, a := range aliases {
		at[a.Model].Aliases[a.Alias] = a.Version
	}
	return models, err
}

// LatestByStage returns the newest version of each stage that a model has
// versions in.
func (r *Registry) LatestByStage(ctx context.Context, name string) (latest map[string]Entry, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		if err := needModel(ctx, tx, name); err != nil {
			return err
		}
		heads, err := readHeads(ctx, tx, headFilter{model: name, tags: true})
		if err != nil {
			return err
		}
		newest := map[string]Head{}
		for _, h := range heads { // by rising numbers
			newest[h.Stage] = h
		}
		latest = make(map[string]Entry, len(newest))
		for stage, h := range newest {
			v, err := find(ctx, tx, `model = ? AND number = ?`, name, h.Number)
			if err != nil {
				return err
			}
			latest[stage] = Entry{Version: v, Head: h}
		}
		return nil
	})
	return latest, err
}
