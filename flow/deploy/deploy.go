// Package deploy is the stage that makes releases and says which one is live.
//
// A Release is one immutable unit named by the hash of its content: model
// version, feature definitions, thresholds, policy. An endpoint points at one
// release; pointing it elsewhere is one write, forwards or back, and every
// change is kept, so History says what was live when: one line of changes for
// each endpoint, whoever promotes and rolls back at the same time. Who serves
// releases (the decision path) is told of a change by Watch. Call New first.
package deploy

import (
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Release is what an endpoint, batch or stream serves.
type Release struct {
	ID        string    `json:"id"` // SHA-256, in hex, of Endpoint and Content; see Hash
	Endpoint  string    `json:"endpoint"`
	Number    int       `json:"number"` // 1, 2, … within the endpoint
	Content   Content   `json:"content"`
	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
}

// Content is all that decides what a release answers.
type Content struct {
	Variants []Variant          `json:"variants"`
	Features []spec.FeatureView `json:"features"` // whole definitions, not names
	Decide   spec.Decide        `json:"decide"`
	Limits   spec.Limits        `json:"limits"`
	Record   string             `json:"record"`
	Allow    []string           `json:"allow,omitempty"`
	SLO      spec.SLO           `json:"slo"`
	// Sources has the columns of each table that the views read rows of, so
	// that serving needs no table that may change.
	Sources map[string][]frame.Column `json:"sources,omitempty"`
	// Snapshots pins the lake tables that features are looked up in, by view.
	Snapshots map[string]int64 `json:"snapshots,omitempty"`
}

// Variant is one arm of a release's traffic.
type Variant struct {
	Name    string  `json:"name"` // "stable"
	Weight  float64 `json:"weight"`
	Model   string  `json:"model"`
	Version int     `json:"version"`
	ID      string  `json:"id"` // of the version: its content hash
}

// Change is one line of an endpoint's history.
type Change struct {
	Endpoint string    `json:"endpoint"`
	Release  string    `json:"release"`
	Number   int       `json:"number"`
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Why      string    `json:"why"` // WhyDeploy, WhyRollback, or what Deploy was told
}

// Reasons of a change.
const (
	WhyDeploy   = "deploy"   // a pipeline made it
	WhyApply    = "apply"    // the project's files changed
	WhyRollback = "rollback" // Rollback; no other change has this reason
	WhyUnload   = "unload"   // somebody took the endpoint out of service
	WhyLoad     = "load"     // and put it back
)
