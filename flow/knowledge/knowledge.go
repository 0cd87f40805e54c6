// Package knowledge keeps an index over documents current: it reads what is new
// or changed in the sources of a Knowledge, builds a snapshot beside the live
// one, measures it, and swaps.
//
// It stands in flow/ after ingest and lake, which it reads from, and before
// decide, whose answers rest on it. New makes a Store; Define adds the kind of
// run that brings a knowledge up to date, Start begins one. Search asks, Text
// and Verify give back what was quoted.
//
// Below it are its parts: source lists and opens documents, document turns
// them into text, chunk into passages, evaluate measures a snapshot.
//
// What is promised:
//
//   - Every version of a document that was read is kept byte for byte under its
//     SHA-256, with the text that was made of it, so that a citation can be
//     proved after the document has changed.
//   - A run is durable: killed anywhere it goes on, what is live stays live
//     until a transaction of the catalog swaps it, and a document that cannot
//     be read is noted and stops no other.
//   - Only what changed is read, cut and embedded again.
//   - A document that was deleted, or whose readers became fewer, is out of
//     every answer once that is seen, before the next snapshot is built; that
//     readers became more counts only once the new snapshot is live.
//   - Nothing is answered to whom may not read it, and there is no telling
//     whether it exists.
package knowledge

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
)

// Kind is the kind of a run that brings a knowledge up to date.
const Kind = "knowledge"

// Deps is what a Store works with.
type Deps struct {
	DB    catalog.Database
	Blobs *blob.Store
	// Space is the environment; two of them share nothing.
	Space   string
	Engines Engines
	// Sources opens where documents come from.
	Sources Sources
	// Questions reads the file of questions that a resource names; nil: there
	// are none.
	Questions func(ctx context.Context, file string) ([]Question, error)
	// Used names the snapshots that something still serves, which are not
	// dropped; nil: none.
	Used func(ctx context.Context, knowledge string) ([]string, error)
	// Listener is told of what becomes of runs; nil: nobody.
	Listener Listener
	Clock    clock.Clock  // clock.System when nil
	Log      *slog.Logger // discards when nil
	Scratch  string       // folder for files of the moment
	Workers  int          // documents read at a time; four times GOMAXPROCS, 8 at most, when 0
}

// Engines opens what a knowledge's resource names.
type Engines interface {
	// Index opens the index. It is closed by the Store.
	Index(ctx context.Context, k spec.Knowledge) (index.Index, error)
	// Embedder makes vectors; nil where the knowledge has none.
	Embedder(ctx context.Context, k spec.Knowledge) (llm.Embedder, error)
	// Reranker orders passages anew; nil where the knowledge has none.
	Reranker(ctx context.Context, k spec.Knowledge) (llm.Reranker, error)
}

// Sources opens where documents come from. Which knowledge it is for matters
// to push:// alone.
type Sources interface {
	Source(ctx context.Context, knowledge string, s spec.KnowledgeSource) (source.Source, error)
}

// Listener is told of what becomes of runs.
type Listener interface {
	// Live is called in the transaction that makes a snapshot live.
	Live(ctx context.Context, tx catalog.Tx, knowledge string, s Snapshot) error
	// Failed is called when a run failed for good.
	Failed(ctx context.Context, knowledge, run string, why error)
}

// Store holds what every Knowledge knows. It is safe for many goroutines.
type Store struct {
	deps  Deps
	texts *texts

	access sync.Mutex // held while who may read what is changed by two

	mu    sync.Mutex
	specs map[string]spec.Knowledge // in force
	open  map[string]*handle
}

// New returns a store without any knowledge: Converge says which there are.
func New(d Deps) *Store {
	if d.Clock == nil {
		d.Clock = clock.System{}
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{deps: d, specs: map[string]spec.Knowledge{}, open: map[string]*handle{}}
	s.texts = newTexts(func(ctx context.Context, digest blob.Digest) (io.ReadCloser, error) { return d.Blobs.Open(ctx, digest) }, maxKeptTexts, maxReadingTexts)
	return s
}

// Converge says which knowledge there is now. What the store has of others
// stays, and is found again when they come back.
func (s *Store) Converge(list []spec.Resource) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.specs = map[string]spec.Knowledge{}
	for _, k := range spec.All[*spec.Knowledge](list) {
		s.specs[k.Name] = *k
	}
}

// spec returns the resource in force of a name.
func (s *Store) spec(name string) (spec.Knowledge, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.specs[name]
	if !ok {
		return k, fault.New(fault.NotFound, "no knowledge is called %q", name).Hint("is the project applied? `leat apply`")
	}
	return k, nil
}

// Snapshot is an immutable state of an index.
type Snapshot struct {
	Name      string             `json:"name"`
	Run       string             `json:"run"` // that built it
	State     string             `json:"state" enum:"ready,rejected,dropped"`
	Documents int                `json:"documents"`
	Passages  int                `json:"passages"`
	Changed   int                `json:"changed"` // documents that are new or other than in the one before
	Removed   int                `json:"removed"`
	Errors    int                `json:"errors"` // documents that could not be read
	Measures  map[string]float64 `json:"measures,omitempty"`
	Reason    string             `json:"reason,omitempty"` // why it was rejected
	Embedder  string             `json:"embedder,omitempty"`
	Made      time.Time          `json:"made"`
	Live      bool               `json:"live,omitempty"`
}

// States of snapshots.
const (
	Ready    = "ready"
	Rejected = "rejected" // by the gate
	Dropped  = "dropped"  // its passages are gone
)

// Change is a moment at which another snapshot became live.
type Change struct {
	Snapshot string    `json:"snapshot"`
	At       time.Time `json:"at"`
	By       string    `json:"by,omitempty"`
	Why      string    `json:"why" enum:"built,rollback,resumed"`
	Held     bool      `json:"held,omitempty" doc:"new snapshots do not go live until this is over"`
}

// Question is one question with the documents that answer it.
type Question struct {
	ID        string `json:"id,omitempty"`
	Text      string `json:"question"`
	Documents Grades `json:"documents"` // grades by document: above 0 it answers
}
