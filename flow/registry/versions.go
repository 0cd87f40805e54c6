package registry

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/catalog"
)

// Catalog is what the registry needs of the catalog.
type Catalog interface {
	Read(ctx context.Context, f func(catalog.Tx) error) error
	Write(ctx context.Context, f func(catalog.Tx) error) error
}

// Blobs is what the registry needs of the blob store: bytes by their digest.
type Blobs interface {
	Put(ctx context.Context, data []byte) (digest string, err error)
	ReadAll(ctx context.Context, digest string) ([]byte, error)
}

// Registry keeps model versions. It is safe for many goroutines.
type Registry struct {
	db      Catalog
	blobs   Blobs
	formats []model.Format
	clock   clock.Clock
}

// New returns the registry of a catalog and a blob store. Models are loaded
// by the formats given.
func New(db Catalog, blobs Blobs, formats []model.Format, clock clock.Clock) *Registry {
	return &Registry{db: db, blobs: blobs, formats: formats, clock: clock}
}

// NewVersion is a model to register.
type NewVersion struct {
	Model     string
	Format    string
	Files     map[string][]byte
	Signature model.Signature
	Threshold *float64
	Metrics   map[string]float64
	Report    []byte // evaluation report (JSON), stored as a blob; nil for none
	Profile   []byte // training profile (JSON), stored as a blob; nil for none
	Lineage   Lineage
	Gates     []Verdict
	By        string
}

// Summary is a model with its newest version and aliases.
type Summary struct {
	Name    string         `json:"name"`
	Latest  int            `json:"latest"`
	Aliases map[string]int `json:"aliases,omitempty"`
}

var errBuilding = fault.New(fault.Unsupported, "the registry is being built")

// Register stores a version and returns it. The same content as that of a
// version there is gives that version.
func (r *Registry) Register(ctx context.Context, v NewVersion) (Version, error) {
	return Version{}, errBuilding
}

// Version finds a version by a reference: its number, an alias, a prefix of
// its id of at least eight characters, or "latest".
func (r *Registry) Version(ctx context.Context, name, ref string) (Version, error) {
	return Version{}, errBuilding
}

// Versions returns the versions of a model, newest first.
func (r *Registry) Versions(ctx context.Context, name string) ([]Version, error) {
	return nil, errBuilding
}

// Models lists the models by name.
func (r *Registry) Models(ctx context.Context) ([]Summary, error) { return nil, errBuilding }

// SetAlias points an alias at a version; 0 removes it. Doing it again changes
// nothing.
func (r *Registry) SetAlias(ctx context.Context, name, alias string, version int, by string) error {
	return errBuilding
}

// History returns the changes of a model's aliases, newest first.
func (r *Registry) History(ctx context.Context, name string) ([]AliasChange, error) {
	return nil, errBuilding
}

// At returns the version that an alias pointed at at a time.
func (r *Registry) At(ctx context.Context, name, alias string, at time.Time) (Version, error) {
	return Version{}, errBuilding
}

// Load returns the model of a version, once every file is verified.
func (r *Registry) Load(ctx context.Context, v Version) (model.Model, error) {
	return nil, errBuilding
}

// Blob reads what Version.Report or Version.Profile names.
func (r *Registry) Blob(ctx context.Context, digest string) ([]byte, error) {
	return r.blobs.ReadAll(ctx, digest)
}
