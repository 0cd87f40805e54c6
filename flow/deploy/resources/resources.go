// Package resources keeps the resources in force: what the last apply
// declared, for each environment.
//
// Plan says what an apply would change, Apply does it in one transaction, and
// a second Apply of the same project changes nothing. Compose makes the
// content of a release from an endpoint's resource and a model version. What
// follows from a change (releases, schedules, monitors) is brought about by
// whoever is told of it, from what is in force, and can be repeated.
package resources

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
)

// Resources keeps the resources of environments. It is safe for many
// goroutines and many replicas on one catalog.
type Resources struct {
	db    catalog.Database
	clock clock.Clock
}

// New returns the resources of a catalog.
func New(db catalog.Database, clock clock.Clock) *Resources { return &Resources{db: db, clock: clock} }

// Applied is one apply that changed something.
type Applied struct {
	ID   string    `json:"id"`
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	Plan spec.Plan `json:"plan"`
	// Versions are those of the models that the project declares.
	Versions []Registered `json:"versions,omitempty"`
}

// Registered is the version that a declared model came to.
type Registered struct {
	Model   string `json:"model"`
	Version int    `json:"version"`
	ID      string `json:"id"`
	Alias   string `json:"alias"` // that the resource asks for
	New     bool   `json:"new"`   // there was none of this content before
}

// List returns the resources in force, by kind and name.
func (r *Resources) List(ctx context.Context, env string) (list []spec.Resource, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		list, err = inForce(ctx, tx, env)
		return err
	})
	return list, err
}

// Plan compares a project with what is in force.
func (r *Resources) Plan(ctx context.Context, env string, project []spec.Resource) (spec.Plan, error) {
	old, err := r.List(ctx, env)
	if err != nil {
		return spec.Plan{}, err
	}
	return spec.Diff(old, project), nil
}

// Apply puts a project in force, whole or not at all. When nothing changes,
// Applied has an empty plan and no id.
func (r *Resources) Apply(ctx context.Context, env string, project []spec.Resource, by string) (applied Applied, err error) {
	err = r.db.Write(ctx, func(tx catalog.Tx) error {
		old, err := inForce(ctx, tx, env)
		if err != nil {
			return err
		}
		applied = Applied{Plan: spec.Diff(old, project)}
		if applied.Plan.Empty() {
			return nil
		}
		applied.ID, applied.At, applied.By = rand.Text(), r.clock.Now(), by
		for _, c := range applied.Plan.Changes {
			if err := change(ctx, tx, env, c, applied); err != nil {
				return err
			}
		}
		return remember(ctx, tx, env, applied)
	})
	return applied, err
}

func change(ctx context.Context, tx catalog.Tx, env string, c spec.Change, a Applied) error {
	if c.Action == spec.Delete {
		_, err := tx.Exec(ctx, `DELETE FROM resources WHERE env = ? AND kind = ? AND name = ?`, env, string(c.Kind), c.Name)
		return err
	}
	text, err := json.Marshal(c.New)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "%s %s cannot be written", c.Kind, c.Name)
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO resources (env, kind, name, hash, spec, applied_at, applied_by) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (env, kind, name) DO UPDATE SET hash = excluded.hash, spec = excluded.spec,
			applied_at = excluded.applied_at, applied_by = excluded.applied_by`,
		env, string(c.Kind), c.Name, c.New.Hash, string(text), catalog.Micros(a.At), a.By)
	return err
}

func remember(ctx context.Context, tx catalog.Tx, env string, a Applied) error {
	plan, err := json.Marshal(a.Plan)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the plan cannot be written")
	}
	_, err = tx.Exec(ctx, `INSERT INTO applies (id, env, at, by, plan) VALUES (?, ?, ?, ?, ?)`,
		a.ID, env, catalog.Micros(a.At), a.By, string(plan))
	return err
}

func inForce(ctx context.Context, tx catalog.Tx, env string) ([]spec.Resource, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (spec.Resource, error) {
		var text string
		var res spec.Resource
		if err := rows.Scan(&text); err != nil {
			return res, err
		}
		err := json.Unmarshal([]byte(text), &res)
		return res, fault.Wrap(err, fault.Corrupt, "a resource in the catalog cannot be read")
	}, `SELECT spec FROM resources WHERE env = ? ORDER BY kind, name`, env)
}

// History returns the applies of an environment, newest first.
func (r *Resources) History(ctx context.Context, env string, limit int) (list []Applied, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		list, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (a Applied, err error) {
			var at int64
			var plan string
			if err := rows.Scan(&a.ID, &at, &a.By, &plan); err != nil {
				return a, err
			}
			a.At = catalog.Time(at)
			return a, json.Unmarshal([]byte(plan), &a.Plan)
		}, `SELECT id, at, by, plan FROM applies WHERE env = ? ORDER BY at DESC LIMIT ?`, env, limit)
		return err
	})
	return list, err
}
