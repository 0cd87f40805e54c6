// Package feast speaks as the feature server of Feast does, so that whoever
// reads and writes features through a Feast client whose online store is
// "remote", or by plain requests, does so with Leat.
//
//	POST /get-online-features       features of entities, with status and time
//	POST /write-to-online-store     rows of one feature view
//	POST /push                      rows of a push source
//	POST /materialize               a stretch of time from the lake, to be read online
//	POST /materialize-incremental   what came since
//	GET  /health
//
// It is a translator: Register gives it a server and the Services that answer.
// The words are mapped like this: a feature view of Feast is one of Leat, its
// join keys are the view's entity; what a feature service and a push source are
// is for Services to say.
//
// Errors are those of Feast by name, which its client raises again, with the
// status that the native API would have: Feast answers 500 to most mistakes of
// callers, which its client takes for a reason to try again.
package feast

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/online"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/surface/server"
)

// View is what the protocol has to know of a feature view. It is not changed;
// a view that changes is another View.
type View struct {
	Name string
	// Keys are the columns that a reader gives: the entity, and of a view that
	// is computed on demand what it reads of the request.
	Keys []frame.Column
	// Features are what it has.
	Features []frame.Column
	// Rows are the columns of what is written, its keys and times among them;
	// nil where nothing can be written.
	Rows []frame.Column
	// More are columns that are written where rows have them.
	More []frame.Column
	// Timestamp is the one of Rows that has the time of the event.
	Timestamp string
	// Source is where rows that are written offline go; views of one source have
	// them there once.
	Source string
}

// Wanted is some features of a view.
type Wanted struct {
	View     *View
	Features []string
}

// Names finds what requests name. It answers with NotFound faults.
type Names interface {
	// View is a feature view.
	View(ctx context.Context, name string) (*View, error)
	// Service is what a feature service has.
	Service(ctx context.Context, name string) ([]Wanted, error)
	// Source is the views that are written by pushing to a source.
	Source(ctx context.Context, name string) ([]*View, error)
}

// Found is some features of one view for each of the rows asked for.
type Found struct {
	Statuses []online.Status // by row
	Times    []int64         // of the event, by row, in microseconds since 1970; where NotFound it says nothing
	Cells    Cells
}

// Cells are values by row and by the position of a feature in Wanted.Features;
// online.Part is some.
type Cells interface {
	Cell(row, feature int) *online.Cell
}

// Reader reads the same features again and again. It is safe for many
// goroutines.
type Reader interface {
	// Read hands the features of entities to use, one Found for each Wanted; they
	// are good until it returns. keys has the columns of all Keys, in any order.
	Read(ctx context.Context, keys frame.Batch, use func([]Found) error) error
}

// Store reads and writes.
type Store interface {
	Reader(ctx context.Context, wanted []Wanted) (Reader, error)
	// Write writes rows with the columns of v.Rows, and of v.More those that there
	// are. Doing it again with the same rows does no harm online.
	Write(ctx context.Context, v *View, rows frame.Batch, to Target) error
	// Materialise brings what the lake has of views up to a time online. It
	// waits for the end where the order says so, and is a Conflict where a view
	// is being materialised already.
	Materialise(ctx context.Context, o Order) (views []string, err error)
}

// Target says where rows are written to.
type Target struct{ Online, Offline bool }

// Order says what to materialise.
type Order struct {
	Views    []string  // all that can be when empty
	From, To time.Time // of the events; zero From: since it was done last
	Wait     bool
	Force    bool // also where it is being done already
	By       string
}

// Services is what answers.
type Services struct {
	Names Names
	Store Store
	// Ready is asked by GET /health; where it is nil somebody else answers that.
	Ready func(context.Context) bool
}

// The bounds of a request.
const (
	maxBody = 16 << 20
	maxWait = 30 * time.Second
	maxRows = 10_000
	// maxValues bounds rows times features of an answer, each of which takes
	// about fifty bytes.
	maxValues = 2_000_000
)

type surface struct {
	Services
	buffers sync.Pool
	plans   plans
}

// Register puts the protocol's routes on a server.
func Register(s *server.Server, services Services) {
	f := &surface{Services: services, plans: plans{known: map[string]*plan{}}}
	f.buffers.New = func() any { return new(buffer) }
	handle := func(pattern string, h func(http.ResponseWriter, *http.Request, identity.Principal) error) {
		s.HandleAs(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := identity.From(r.Context())
			if err := h(w, r, p); err != nil {
				refuse(w, err)
			}
		}), refuse)
	}
	handle("POST /get-online-features", f.read)
	handle("POST /write-to-online-store", f.write)
	handle("POST /push", f.push)
	handle("POST /materialize", f.materialise)
	handle("POST /materialize-incremental", f.materialiseOn)
	if services.Ready != nil {
		s.HandleOpen("GET /health", http.HandlerFunc(f.health))
	}
}

// health answers 200 or 503 and no more.
func (f *surface) health(w http.ResponseWriter, r *http.Request) {
	if !f.Ready(r.Context()) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// buffer is what a request reads its body into and writes its answer from.
type buffer struct {
	body  bytes.Buffer
	reply []byte
}

// maxKept is the size over which a buffer is not kept for the next request.
const maxKept = 4 << 20

// message reads a request's body. Give the buffer back with done.
func (f *surface) message(w http.ResponseWriter, r *http.Request) (b *buffer, done func(), err error) {
	b = f.buffers.Get().(*buffer)
	done = func() {
		if b.body.Cap() <= maxKept && cap(b.reply) <= maxKept {
			f.buffers.Put(b)
		}
	}
	return b, done, server.ReadBody(w, r, maxBody, maxWait, &b.body)
}

// reply answers with JSON.
func reply(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone has nobody to tell
}

// permit refuses who may not.
func permit(p identity.Principal, verb, name string) error {
	if p.May(verb, name) {
		return nil
	}
	return fault.New(fault.Forbidden, "%s may not %s %s", p.Name, verb, name).Hint("a key needs the grant \"%s:%s\"", verb, name)
}

// hidden is an error about a thing, as somebody is told of it who may not do
// anything with things of that name.
func hidden(p identity.Principal, verb, name string, err error) error {
	if refused := permit(p, verb, name); refused != nil {
		return refused
	}
	return err
}
