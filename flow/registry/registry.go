// Package registry is the stage that keeps model versions: immutable, named
// by the hash of their content, each with its signature, metrics, lineage and
// gate verdicts, and the aliases that point at them.
//
// No version is ever changed or removed here: an alias that moves appends to a
// history, so Registry.At can say what was live at any time. Artifacts lie in
// the blob store under their digests; a version whose bytes do not match is
// not loaded.
//
// What may change about a model and its versions (description, tags, stage,
// name, the mark that it was deleted) is kept beside them: see Model and
// Entry. Every change is an Event, which a Listener writes down in the same
// transaction.
package registry

import (
	"time"

	"github.com/leat-ai/leat/model"
)

// Version is one immutable model version.
type Version struct {
	Model    string             `json:"model"`
	Number   int                `json:"version"` // 1, 2, … within the model
	ID       string             `json:"id"`      // SHA-256, in hex, of the manifest below
	Manifest Manifest           `json:"manifest"`
	Metrics  map[string]float64 `json:"metrics"`           // on the test rows
	Report   string             `json:"report,omitempty"`  // digest of the evaluation report (JSON)
	Profile  string             `json:"profile,omitempty"` // digest of the training profile (JSON), the baseline of monitors
	Lineage  Lineage            `json:"lineage"`
	Gates    []Verdict          `json:"gates,omitempty"`
	// Folder is the digest of the listing (JSON, name → digest) of the files
	// that the version was made of, as they came: see Registry.Folder.
	Folder string `json:"folder,omitempty"`
	// Unservable says why a version of the format Reference is only kept.
	Unservable string    `json:"unservable,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
}

// Manifest is what the ID of a version is the hash of: all that decides what
// the version answers, and nothing else.
type Manifest struct {
	Format    string            `json:"format"` // model.Format's name
	Files     map[string]string `json:"files"`  // name → digest
	Signature model.Signature   `json:"signature"`
	Threshold *float64          `json:"threshold,omitempty"` // chosen on validation rows, for binary tasks
	// Edition tells versions of one content apart that were registered to be
	// distinct: see NewVersion.Distinct. It is "" for the first of them.
	Edition string `json:"edition,omitempty"`
}

// Lineage says where a version came from.
type Lineage struct {
	Run      string             `json:"run,omitempty"`      // that trained it
	Table    string             `json:"table,omitempty"`    // that it was trained on
	Snapshot int64              `json:"snapshot,omitempty"` // of the table
	Rows     int64              `json:"rows,omitempty"`     // that training was handed
	Features []string           `json:"features,omitempty"` // FeatureViews with the hash of their definition, name@hash
	Label    string             `json:"label,omitempty"`
	Split    string             `json:"split,omitempty"` // which rows were held out, in words
	Trainer  string             `json:"trainer,omitempty"`
	Params   map[string]float64 `json:"params,omitempty"` // as used, defaults filled in
	Seed     int64              `json:"seed,omitempty"`
	Code     string             `json:"code,omitempty"` // revision of the project's repository
	Leat     string             `json:"leat,omitempty"` // version of the program
	// Of a version that was made elsewhere and brought here:
	Source     string            `json:"source,omitempty"`     // address, without credentials
	Experiment string            `json:"experiment,omitempty"` // that Run belongs to, by name
	Notes      map[string]string `json:"notes,omitempty"`      // what else its files tell, such as its library
}

// Verdict is the answer of one gate, with the figures that it was given on.
type Verdict struct {
	Gate    string             `json:"gate"` // the expression as written
	Passed  bool               `json:"passed"`
	Figures map[string]float64 `json:"figures"` // value of each name in the expression
	Reason  string             `json:"reason,omitempty"`
}

// AliasChange is one line of an alias's history.
type AliasChange struct {
	Model   string    `json:"model"`
	Alias   string    `json:"alias"`
	Version int       `json:"version"` // 0: removed
	At      time.Time `json:"at"`
	By      string    `json:"by"`
}
