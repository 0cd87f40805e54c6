package registry

import (
	"context"
	"time"

	"github.com/leat-ai/leat/store/catalog"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	ModelCreated      EventKind = "model.created"
	VersionCreated    EventKind = "version.created"
	VersionTagSet     EventKind = "version.tag.set"
	VersionTagDeleted EventKind = "version.tag.deleted"
	AliasSet          EventKind = "alias.set"
	AliasDeleted      EventKind = "alias.deleted"
)

// Event is a change of the registry.
type Event struct {
	Kind    EventKind
	Model   string
	Version int // 0 where the event is of a model, or of an alias that went
	At      time.Time
	By      string

	Key, Value  string            // tag; the alias is the key
	Description string            // of what was created
	Tags        map[string]string // of what was created
	Run, Source string            // of a version that was created
}

// Listener is told of changes.
type Listener interface {
	// Happened is called in the transaction of the change, before its commit:
	// what it writes happens with the change or not at all. It does nothing
	// that cannot be taken back, and may be called again.
	Happened(ctx context.Context, tx catalog.Tx, e Event) error
}

// Announce makes a listener hear of changes. It is called once, before the
// registry is used.
func (r *Registry) Announce(to Listener) { r.listener = to }

func (r *Registry) tell(ctx context.Context, tx catalog.Tx, e Event) error {
	if r.listener == nil {
		return nil
	}
	return r.listener.Happened(ctx, tx, e)
}
