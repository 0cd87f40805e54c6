package knowledge

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/leat-ai/leat/base/clock"
)

// Search is what the pattern asks a knowledge for. Who asks is the principal
// of the context.
type Search struct {
	Knowledge string
	Snapshot  string // "" for the live one
	Text      string
	K         int
	Filter    json.RawMessage // nil for none
}

// Retriever finds passages that the principal of the context may read, best
// first. It is flow/knowledge, by way of app.
type Retriever interface {
	Search(ctx context.Context, s Search) ([]Passage, error)
}

// Texts reads the stored text of a source version, with its SHA-256 in hex. A
// source that was withdrawn, or that the principal of the context may not
// read, is a NotFound or Forbidden fault. It is flow/knowledge.
type Texts interface {
	Text(ctx context.Context, knowledge, source, version string) (text []byte, digest string, err error)
}

// Deps is what Assistants is made with. Chat may be nil where no release has a
// language model; Clock and Log may be nil.
type Deps struct {
	Retriever Retriever
	Texts     Texts
	// CacheBytes bounds the memory of cached answers; 0 is 64 MiB.
	CacheBytes int
	Clock      clock.Clock
	Log        *slog.Logger
}

// Assistants makes the parts of the decision path that a release of an
// assistant needs. It is safe for many goroutines.
type Assistants struct {
	deps Deps
}

// New returns the assistants' side of the decision path.
func New(deps Deps) *Assistants { return &Assistants{deps: deps} }
