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
	"strconv"
	"strings"
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
	// Assistant is there in the release of an assistant, which has no Variants:
	// passages are its features, and what answers is its model.
	Assistant *Assistant `json:"assistant,omitempty"`
}

// Serves says in a few words what answers: "fraud version 3", or of an
// assistant what it knows.
func (c Content) Serves() string {
	if a := c.Assistant; a != nil {
		var parts []string
		for _, k := range a.Knowledge {
			parts = append(parts, k.Name+"@"+k.Snapshot)
		}
		text := "answers from " + strings.Join(parts, ", ")
		if a.LLM != "" {
			text += " by " + a.LLM
		}
		return text
	}
	var parts []string
	for _, v := range c.Variants {
		parts = append(parts, v.Model+" version "+strconv.Itoa(v.Version))
	}
	return strings.Join(parts, ", ")
}

// Assistant is what an assistant's release answers with.
type Assistant struct {
	// Knowledge is where passages come from, each index as of a snapshot.
	Knowledge []KnowledgeRef `json:"knowledge"`
	// LLM is the name of an LLM resource, or the address of a model; "" where
	// the built-in answerer quotes.
	LLM    string `json:"llm,omitempty"`
	Secret string `json:"secret,omitempty"` // a reference, of an address
	// Prompt and Rewrite are whole texts; "" is the built-in one.
	Prompt  string `json:"prompt,omitempty"`
	Rewrite string `json:"rewrite,omitempty"`
	// Answerer is the version of how answers are made, quoted and checked: a
	// Leat that does it otherwise makes other releases.
	Answerer    string        `json:"answerer"`
	Passages    int           `json:"passages"`
	Abstain     *float64      `json:"abstain,omitempty"`
	Unsupported string        `json:"unsupported"` // mark, drop or refuse
	Fallback    string        `json:"fallback"`    // extractive or none
	Temperature *float64      `json:"temperature,omitempty"`
	MaxTokens   int           `json:"max_tokens,omitempty"`
	Cache       spec.Duration `json:"cache,omitempty"`
	Question    spec.Bytes    `json:"question,omitempty"` // how long one may be
}

// KnowledgeRef names the content of an index.
type KnowledgeRef struct {
	Name     string `json:"name"`
	Snapshot string `json:"snapshot"`
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
	WhyDeploy    = "deploy"    // a pipeline made it
	WhyApply     = "apply"     // the project's files changed
	WhyKnowledge = "knowledge" // what an assistant answers from went on
	WhyRollback  = "rollback"  // Rollback; no other change has this reason
	WhyUnload    = "unload"    // somebody took the endpoint out of service
	WhyLoad      = "load"      // and put it back
)
