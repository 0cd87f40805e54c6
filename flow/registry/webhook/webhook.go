// Package webhook tells other servers of changes of the registry: a model or
// version was created, a tag or alias set or removed.
//
// It stands in flow/registry/ and is a registry.Listener. Call New, make the
// registry Announce to it, and let Run deliver for as long as the server
// lives. What has to be told is written into the catalog in the transaction
// of the change itself, so a change that happened is told of, whatever crashes
// in between, and one that was taken back is not. Replicas share the work.
//
// A delivery is a POST of JSON, signed as MLflow signs it when the hook has a
// secret (see Sign). It goes through the egress policy. It is repeated with
// growing pauses where the receiver is busy or away, with the same delivery
// id, so that who receives it twice can tell; after Attempts it is given up.
// Deliveries may overtake one another: their time says when things happened.
package webhook

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"net/http"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/store/catalog"
)

// Event names what a hook is told of, as entity and action.
type Event string

// The events.
const (
	ModelCreated   Event = "registered_model.created"
	VersionCreated Event = "model_version.created"
	TagSet         Event = "model_version_tag.set"
	TagDeleted     Event = "model_version_tag.deleted"
	AliasCreated   Event = "model_version_alias.created"
	AliasDeleted   Event = "model_version_alias.deleted"
)

// Events lists them.
func Events() []Event {
	return []Event{ModelCreated, VersionCreated, TagSet, TagDeleted, AliasCreated, AliasDeleted}
}

// events has the event of each change of the registry.
var events = map[registry.EventKind]Event{
	registry.ModelCreated:      ModelCreated,
	registry.VersionCreated:    VersionCreated,
	registry.VersionTagSet:     TagSet,
	registry.VersionTagDeleted: TagDeleted,
	registry.AliasSet:          AliasCreated,
	registry.AliasDeleted:      AliasDeleted,
}

// Hook is somebody who wants to be told.
type Hook struct {
	ID          string
	Name        string
	Description string
	URL         string
	Events      []Event
	Active      bool
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Bounds.
const (
	Attempts   = 8      // of one delivery; with the pauses between them about six minutes
	maxHooks   = 100    // of a server
	maxWaiting = 10_000 // deliveries of one hook; what comes on top is not told, and counted
	maxPayload = 1 << 20
)

// Config is what Hooks work with.
type Config struct {
	DB     catalog.Database
	Policy egress.Policy // which addresses may be told
	Clock  clock.Clock
	Log    *slog.Logger
	// Deliveries counts by what became of them: delivered, retried, given_up,
	// dropped. The zero value counts nothing.
	Deliveries telemetry.Counter
	// Resolver finds addresses; nil: the system's.
	Resolver egress.Resolver
	// Trigger returns the receiver that a trigger in force tells of events. One
	// that is not in force any more is a NotFound fault. nil: there are none.
	Trigger func(ctx context.Context, name string) (Receiver, error)
}

// Receiver is the webhook of a trigger: it is told of events as CloudEvents
// in JSON, signed as the Standard Webhooks specification says, under the
// headers webhook-id, webhook-timestamp and webhook-signature.
type Receiver struct {
	URL    string
	Secret secret.Value // empty: unsigned
}

// Hooks keeps webhooks and delivers to them. It is safe for many goroutines.
type Hooks struct {
	Config
	client *http.Client
}

// New returns the webhooks of a catalog.
func New(c Config) *Hooks {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	client := egress.Client(c.Policy, egress.Options{
		MaxBody: maxAnswer, Redirects: -1, Timeout: requestTimeout, Resolver: c.Resolver,
	})
	return &Hooks{Config: c, client: client}
}

// NewHook is a hook to create, and what may be changed of one.
type NewHook struct {
	Name, Description, URL string
	Events                 []Event
	Active                 bool
	Secret                 secret.Value // that deliveries are signed with; empty: unsigned
}

func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: see crypto/rand
	return hex.EncodeToString(b[:])
}
