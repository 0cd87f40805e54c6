package registry

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
)

// Blobs is what the registry needs of the blob store: bytes by their digest.
type Blobs interface {
	PutBytes(ctx context.Context, content []byte) (blob.Digest, error)
	ReadAll(ctx context.Context, d blob.Digest, limit int64) ([]byte, error)
	Open(ctx context.Context, d blob.Digest) (io.ReadCloser, error)
}

// Registry keeps model versions. It is safe for many goroutines, and for many
// replicas on one catalog.
type Registry struct {
	db       catalog.Database
	blobs    Blobs
	formats  []model.Format
	clock    clock.Clock
	resident *resident
	listener Listener
}

// New returns the registry of a catalog and a blob store. Models are loaded
// by the formats given.
func New(db catalog.Database, blobs Blobs, formats []model.Format, clock clock.Clock) *Registry {
	return &Registry{db: db, blobs: blobs, formats: formats, clock: clock, resident: newResident(DefaultMemory)}
}

// NewVersion is a model to register.
type NewVersion struct {
	Model     string
	Format    string            // of one of the formats that the registry loads
	Files     map[string][]byte // by the name that the format expects; at least one
	Signature model.Signature
	Threshold *float64
	Metrics   map[string]float64
	Report    []byte // evaluation report (JSON), stored as a blob; nil for none
	Profile   []byte // training profile (JSON), stored as a blob; nil for none
	Lineage   Lineage
	Gates     []Verdict
	By        string
	// Distinct asks for a version of its own even where the model has one of
	// the same content: for clients that count what they register.
	Distinct bool
	// Folder is what Files were made of, as it came: content that lies in the
	// blob store already, by name. It is kept beside the version and does not
	// decide what that answers. A version of the format Reference has nothing
	// else.
	Folder map[string]File
	// Unservable says why a version of the format Reference cannot be served.
	Unservable string
	Notes      Notes // what may change later, as it is at first
}

// Summary is a model with its newest version and aliases.
type Summary struct {
	Name    string         `json:"name"`
	Latest  int            `json:"latest"`
	Aliases map[string]int `json:"aliases,omitempty"`
}

// Register stores a version and returns it. When a version of the model has
// the same content already, that one is returned as it is, with the metrics
// and lineage that it was registered with.
func (r *Registry) Register(ctx context.Context, n NewVersion) (Version, error) {
	if err := r.check(n); err != nil {
		return Version{}, err
	}
	v := Version{
		Model: n.Model, Metrics: n.Metrics, Lineage: n.Lineage, Gates: n.Gates, Unservable: n.Unservable,
		CreatedAt: r.clock.Now().Truncate(time.Microsecond), CreatedBy: n.By,
		Manifest: Manifest{Format: n.Format, Files: map[string]string{}, Signature: n.Signature, Threshold: n.Threshold},
	}
	if err := r.putFiles(ctx, n, &v); err != nil {
		return Version{}, err
	}
	made := v
	err := r.db.Write(ctx, func(tx catalog.Tx) (err error) {
		v = made
		return r.add(ctx, tx, &v, n)
	})
	return v, err
}

// add writes a version, or sets v to the one that has its content already.
func (r *Registry) add(ctx context.Context, tx catalog.Tx, v *Version, n NewVersion) error {
	manifest, err := v.name()
	if err != nil {
		return err
	}
	content := v.ID
	there, err := find(ctx, tx, `model = ? AND `+present+` AND number IN
		(SELECT number FROM version_notes WHERE model = ? AND content = ?) ORDER BY number LIMIT 1`, v.Model, v.Model, content)
	switch {
	case err == nil && !n.Distinct:
		*v = there
		return nil
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	}
	if err := r.ensure(ctx, tx, Event{Model: v.Model, At: v.CreatedAt, By: v.CreatedBy}); err != nil {
		return err
	}
	number, err := catalog.Next(ctx, tx, "versions/"+v.Model)
	if err != nil {
		return err
	}
	v.Number = int(number)
	if _, err := find(ctx, tx, `model = ? AND id = ?`, v.Model, v.ID); err == nil {
		v.Manifest.Edition = strconv.Itoa(v.Number)
		if manifest, err = v.name(); err != nil {
			return err
		}
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := insert(ctx, tx, *v, manifest); err != nil {
		return err
	}
	return r.note(ctx, tx, *v, content, n.Notes)
}

// name gives a version the id that its manifest has, and returns the bytes
// that the id is the hash of.
func (v *Version) name() (manifest []byte, err error) {
	v.ID, manifest, err = v.Manifest.hash()
	return manifest, err
}

// putFiles stores bytes before the version that names them: a version that
// can be seen can be loaded.
func (r *Registry) putFiles(ctx context.Context, n NewVersion, v *Version) error {
	for name, content := range n.Files {
		d, err := r.blobs.PutBytes(ctx, content)
		if err != nil {
			return err
		}
		v.Manifest.Files[name] = string(d)
	}
	for _, extra := range []struct {
		content []byte
		digest  *string
	}{{n.Report, &v.Report}, {n.Profile, &v.Profile}} {
		if extra.content == nil {
			continue
		}
		d, err := r.blobs.PutBytes(ctx, extra.content)
		if err != nil {
			return err
		}
		*extra.digest = string(d)
	}
	return r.putFolder(ctx, n, v)
}

func insert(ctx context.Context, tx catalog.Tx, v Version, manifest []byte) error {
	body, err := v.body(manifest)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO model_versions (model, number, id, body, created_at) VALUES (?, ?, ?, ?, ?)`,
		v.Model, v.Number, v.ID, body, catalog.Micros(v.CreatedAt))
	return err
}

// Version finds a version by a reference: its number, an alias, "latest", or
// its id or a prefix of it of at least eight digits. What was deleted is not
// the latest of anything; a number or an id, as releases hold them, finds it
// still, and finds what has another name since.
func (r *Registry) Version(ctx context.Context, name, ref string) (v Version, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		v, err = resolve(ctx, tx, name, ref)
		return err
	})
	return v, err
}

// minPrefix is the least length of an id's prefix; a shorter number is a
// version's number.
const minPrefix = 8

func resolve(ctx context.Context, tx catalog.Tx, name, ref string) (Version, error) {
	if ref == latest {
		v, err := find(ctx, tx, `model = ? AND `+present+` ORDER BY number DESC LIMIT 1`, name)
		return v, unknown(err, name, ref)
	}
	if number, err := strconv.Atoi(ref); err == nil && len(ref) < minPrefix {
		v, err := find(ctx, tx, `model = ? AND number = ?`, name, number)
		if fault.Is(err, fault.NotFound) {
			v, err = find(ctx, tx, renamed+` AND number = ?`, name, number)
		}
		return v, unknown(err, name, ref)
	}
	v, err := find(ctx, tx, `model = ? AND number = (SELECT version FROM aliases WHERE model = ? AND alias = ?)`, name, name, ref)
	if !fault.Is(err, fault.NotFound) {
		return v, err
	}
	if len(ref) < minPrefix || strings.Trim(ref, "0123456789abcdef") != "" {
		return Version{}, unknown(err, name, ref)
	}
	found, err := collect(ctx, tx, `model = ? AND id LIKE ? ORDER BY number`, name, ref+"%")
	if err == nil && len(found) == 0 {
		found, err = collect(ctx, tx, renamed+` AND id LIKE ? ORDER BY number`, name, ref+"%")
	}
	switch {
	case err != nil:
		return Version{}, err
	case len(found) == 0:
		return Version{}, unknown(fault.New(fault.NotFound, "none"), name, ref)
	case len(found) > 1:
		return Version{}, fault.New(fault.Invalid, "%d versions of %s begin with %s", len(found), name, ref)
	}
	return found[0], nil
}

func unknown(err error, name, ref string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "model %s has no version %s", name, ref).
			Hint("`leat models` lists the models, `leat models NAME` the versions and aliases of one")
	}
	return err
}

// Versions returns the versions of a model that were not deleted, newest
// first.
func (r *Registry) Versions(ctx context.Context, name string) (found []Version, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		found, err = collect(ctx, tx, `model = ? AND `+present+` ORDER BY number DESC`, name)
		return err
	})
	return found, err
}

// Models lists the models by name, with what was not deleted. Latest is 0 of a
// model that has no versions.
func (r *Registry) Models(ctx context.Context) (models []Summary, err error) {
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		models, err = catalog.Collect(ctx, tx, func(rows *sql.Rows) (Summary, error) {
			s := Summary{Aliases: map[string]int{}}
			return s, rows.Scan(&s.Name, &s.Latest)
		}, `SELECT m.name, COALESCE(MAX(n.number), 0) FROM models m
			LEFT JOIN version_notes n ON n.model = m.name AND n.deleted_at = 0
			WHERE m.deleted_at = 0 GROUP BY m.name ORDER BY m.name`)
		if err != nil {
			return err
		}
		aliases, err := catalog.Collect(ctx, tx, func(rows *sql.Rows) (a AliasChange, err error) {
			return a, rows.Scan(&a.Model, &a.Alias, &a.Version)
		}, `SELECT model, alias, version FROM aliases`)
		for _, a := range aliases {
			at, ok := slices.BinarySearchFunc(models, a.Model, func(s Summary, name string) int { return cmp.Compare(s.Name, name) })
			if ok {
				models[at].Aliases[a.Alias] = a.Version
			}
		}
		return err
	})
	return models, err
}

// Blob reads what Version.Report or Version.Profile names, checked.
func (r *Registry) Blob(ctx context.Context, digest string) ([]byte, error) {
	return r.blobs.ReadAll(ctx, blob.Digest(digest), maxFile)
}

// row is a row of the table model_versions.
type row struct {
	model, id, body string
	number          int
	created         int64
}

// body is what a row's body holds, in JSON: the manifest as it was hashed,
// and what the hash does not cover.
type body struct {
	Manifest json.RawMessage    `json:"manifest"`
	Metrics  map[string]float64 `json:"metrics"`
	Report   string             `json:"report,omitempty"`
	Profile  string             `json:"profile,omitempty"`
	Lineage  Lineage            `json:"lineage"`
	Gates    []Verdict          `json:"gates,omitempty"`
	Folder   string             `json:"folder,omitempty"`
	Why      string             `json:"unservable,omitempty"`
	By       string             `json:"by"`
}

func (v *Version) body(manifest []byte) (string, error) {
	text, err := json.Marshal(body{manifest, v.Metrics, v.Report, v.Profile, v.Lineage, v.Gates, v.Folder, v.Unservable, v.CreatedBy})
	return string(text), fault.Wrap(err, fault.Invalid, "version of %s: a metric or parameter is not a number that JSON can write", v.Model)
}

// version reads a row, and refuses one whose manifest is not what its id says.
func (r row) version() (Version, error) {
	v := Version{Model: r.model, Number: r.number, ID: r.id, CreatedAt: catalog.Time(r.created)}
	var b body
	if err := json.Unmarshal([]byte(r.body), &b); err != nil {
		return v, fault.Wrap(err, fault.Corrupt, "version %d of model %s", r.number, r.model)
	}
	if digest(b.Manifest) != r.id {
		return v, fault.New(fault.Corrupt, "version %d of model %s is not what was registered", r.number, r.model).
			Hint("restore the catalog from a backup, or train again")
	}
	if err := json.Unmarshal(b.Manifest, &v.Manifest); err != nil {
		return v, fault.Wrap(err, fault.Corrupt, "version %d of model %s", r.number, r.model)
	}
	v.Metrics, v.Report, v.Profile, v.Lineage, v.Gates = b.Metrics, b.Report, b.Profile, b.Lineage, b.Gates
	v.Folder, v.Unservable, v.CreatedBy = b.Folder, b.Why, b.By
	return v, nil
}

const selectVersion = `SELECT model, number, id, body, created_at FROM model_versions WHERE `

func find(ctx context.Context, tx catalog.Tx, where string, args ...any) (Version, error) {
	var r row
	if err := tx.Row(ctx, selectVersion+where, args, &r.model, &r.number, &r.id, &r.body, &r.created); err != nil {
		return Version{}, err
	}
	return r.version()
}

func collect(ctx context.Context, tx catalog.Tx, where string, args ...any) ([]Version, error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (Version, error) {
		var r row
		if err := rows.Scan(&r.model, &r.number, &r.id, &r.body, &r.created); err != nil {
			return Version{}, err
		}
		return r.version()
	}, selectVersion+where, args...)
}
