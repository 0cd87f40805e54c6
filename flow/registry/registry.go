// Package registry is the stage that keeps model versions: immutable, named
// by the hash of their content, each with its signature, metrics, lineage and
// gate verdicts, and the aliases that point at them.
//
// Nothing is ever changed or removed here: an alias that moves appends to a
// history, so Registry.At can say what was live at any time. Artifacts lie in
// the blob store under their digests; a version whose bytes do not match is
// not loaded.
package registry

import (
	"time"

	"github.com/leat-ai/leat/model"
)

// Version is one immutable model version.
type Version struct {
	Model     string             `json:"model"`
	Number    int                `json:"version"` // 1, 2, … within the model
	ID        string             `json:"id"`      // SHA-256, in hex, of the manifest below
	Manifest  Manifest           `json:"manifest"`
	Metrics   map[string]float64 `json:"metrics"`           // on the test rows
	Report    string             `json:"report,omitempty"`  // digest of the evaluation report (JSON)
	Profile   string             `json:"profile,omitempty"` // digest of the training profile (JSON), the baseline of monitors
	Lineage   Lineage            `json:"lineage"`
	Gates     []Verdict          `json:"gates,omitempty"`
	CreatedAt time.Time          `json:"created_at"`
	CreatedBy string             `json:"created_by"`
}

// Manifest is what the ID of a version is the hash of: all that decides what
// the version answers, and nothing else.
type Manifest struct {
	Format    string            `json:"format"` // model.Format's name
	Files     map[string]string `json:"files"`  // name → digest
	Signature model.Signature   `json:"signature"`
	Threshold *float64          `json:"threshold,omitempty"` // chosen on validation rows, for binary tasks
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
