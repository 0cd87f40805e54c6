package decide

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
)

// Releases is where the router learns what is live: flow/deploy.
type Releases interface {
	Live(ctx context.Context, endpoint string) (deploy.Release, error)
	Release(ctx context.Context, id string) (deploy.Release, error)
}

// Router holds the live path of each endpoint. A request sees one path from
// its first step to its last; a path that is replaced goes on until its last
// request is answered. When models have no more room in memory, endpoints that
// nobody asks fall asleep: their paths are let go, and compiled again for the
// next request. It is safe for many goroutines.
type Router struct {
	releases Releases
	deps     Deps
	routes   atomic.Pointer[map[string]*route] // replaced whole, never changed
	waking   chan struct{}                     // a place for each path that is compiled at the same time

	mu     sync.Mutex // changes of routes
	closed bool
	hand   int // where the look for an endpoint to put to sleep goes on
}

// maxWaking is how many endpoints may wake at a time: each takes memory before
// others can give some back.
const maxWaking = 4

// route is an endpoint's place in the router.
type route struct {
	endpoint string
	changing sync.Mutex // one change of live at a time
	live     atomic.Pointer[served]
}

// served is a live release with its path and what bounds it. It is replaced
// whole, but for used.
type served struct {
	release deploy.Release
	path    *Path // nil: asleep
	gate    *gate
	used    atomic.Bool // since it was looked at last
	failed  error       // why it did not wake
	retry   time.Time   // when it may try again
}

// NewRouter returns a router without endpoints; Refresh adds them.
func NewRouter(releases Releases, deps Deps) *Router {
	if deps.Clock == nil {
		deps.Clock = clock.System{}
	}
	r := &Router{releases: releases, deps: deps, waking: make(chan struct{}, maxWaking)}
	r.routes.Store(&map[string]*route{})
	return r
}

// Refresh puts the live release of an endpoint in place of the present path,
// or removes the endpoint when it has none. When compiling fails the present
// path stays. A release that is in place already is not compiled again. It is
// what to call on a change (deploy.Releases.Watch).
func (r *Router) Refresh(ctx context.Context, endpoint string) error {
	return r.place(ctx, endpoint, true)
}

// Place is Refresh for a release that need not be ready at once: its path is
// compiled when somebody asks. It is for a start with many endpoints.
func (r *Router) Place(ctx context.Context, endpoint string) error {
	return r.place(ctx, endpoint, false)
}

func (r *Router) place(ctx context.Context, endpoint string, awake bool) error {
	at, err := r.route(endpoint)
	if err != nil {
		return err
	}
	at.changing.Lock()
	defer at.changing.Unlock()
	release, err := r.releases.Live(ctx, endpoint)
	if fault.Is(err, fault.NotFound) {
		r.remove(at)
		return nil
	}
	if err != nil {
		return r.without(at, err)
	}
	old := at.live.Load()
	if old != nil && old.release.ID == release.ID && (old.path != nil || !awake) {
		return nil
	}
	next := &served{release: release}
	if awake {
		if next.path, err = r.compile(ctx, release); err != nil {
			return r.without(at, err)
		}
	}
	if old != nil && old.gate.limits == release.Content.Limits {
		next.gate = old.gate
	} else {
		next.gate = newGate(release.Content.Limits)
	}
	if !r.put(at, next) {
		return closedRouter()
	}
	r.settle()
	return nil
}

// route finds the place of an endpoint, and makes one that nobody sees yet
// where there is none.
func (r *Router) route(endpoint string) (*route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, closedRouter()
	}
	if at := (*r.routes.Load())[endpoint]; at != nil {
		return at, nil
	}
	at := &route{endpoint: endpoint}
	r.replace(func(routes map[string]*route) { routes[endpoint] = at })
	return at, nil
}

func closedRouter() error { return fault.New(fault.Unavailable, "the router is closed") }

// without takes back a place that did not come to have a release.
func (r *Router) without(at *route, err error) error {
	if at.live.Load() == nil {
		r.remove(at)
	}
	return err
}

// put makes s what an endpoint serves, and lets go of what it served.
func (r *Router) put(at *route, s *served) bool {
	r.mu.Lock()
	if r.closed || (*r.routes.Load())[at.endpoint] != at {
		r.mu.Unlock()
		if s.path != nil {
			s.path.leave()
		}
		return false
	}
	s.used.Store(true)
	old := at.live.Swap(s)
	r.mu.Unlock()
	if old != nil && old.path != nil {
		old.path.leave()
	}
	return true
}

// remove takes an endpoint away. Whoever changes at calls it.
func (r *Router) remove(at *route) {
	r.mu.Lock()
	if (*r.routes.Load())[at.endpoint] == at {
		r.replace(func(routes map[string]*route) { delete(routes, at.endpoint) })
	}
	old := at.live.Swap(nil)
	r.mu.Unlock()
	if old != nil && old.path != nil {
		old.path.leave()
	}
}

func (r *Router) replace(change func(map[string]*route)) {
	routes := maps.Clone(*r.routes.Load())
	change(routes)
	r.routes.Store(&routes)
}

// Endpoints names the endpoints that have a live release, sorted.
func (r *Router) Endpoints() []string {
	var names []string
	for name, at := range *r.routes.Load() {
		if at.live.Load() != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Release returns the live release of an endpoint. It wakes nobody.
func (r *Router) Release(endpoint string) (deploy.Release, error) {
	if at := (*r.routes.Load())[endpoint]; at != nil {
		if s := at.live.Load(); s != nil {
			return s.release, nil
		}
	}
	return deploy.Release{}, noPath(endpoint)
}

// Path returns the live path of an endpoint, to look at its release, Inputs
// and Outputs. To decide several things with one path, Hold it.
func (r *Router) Path(endpoint string) (*Path, error) {
	s, err := r.hold(endpoint)
	if err != nil {
		return nil, err
	}
	defer s.path.leave()
	return s.path, nil
}

// hold takes the live path of an endpoint.
func (r *Router) hold(endpoint string) (*served, error) {
	for {
		at := (*r.routes.Load())[endpoint]
		if at == nil {
			return nil, noPath(endpoint)
		}
		s := at.live.Load()
		switch {
		case s == nil:
			return nil, noPath(endpoint)
		case s.path == nil:
			return r.wake(at)
		case s.path.take():
			if !s.used.Load() { // a write for each request would cost every processor
				s.used.Store(true)
			}
			return s, nil
		}
		// It was replaced between the two; the next look finds its successor.
	}
}

func noPath(endpoint string) error {
	return fault.New(fault.NotFound, "there is no endpoint %q with a live release", endpoint).
		Hint("`leat releases` lists the endpoints; one becomes live when its pipeline deploys a model")
}

// Decide answers a request with the live release of an endpoint. The request
// fails whole when it is not admitted; otherwise each row has an output or an
// error.
func (r *Router) Decide(ctx context.Context, endpoint string, q Request) (*Answer, error) {
	s, err := r.hold(endpoint)
	if err != nil {
		return nil, err
	}
	defer s.path.leave()
	return s.path.admit(ctx, s.gate, q)
}

// Hold holds the live path of an endpoint until Close, so that rows are read
// and decided by the same release.
func (r *Router) Hold(endpoint string) (*Pinned, error) {
	s, err := r.hold(endpoint)
	if err != nil {
		return nil, err
	}
	return &Pinned{path: s.path, gate: s.gate}, nil
}

// Pin holds one release, live or not, until Close: what a batch scores with
// from its first chunk to its last, and again when it goes on after a kill.
func (r *Router) Pin(ctx context.Context, release string) (*Pinned, error) {
	for _, at := range *r.routes.Load() {
		if s := at.live.Load(); s != nil && s.release.ID == release && s.path != nil && s.path.take() {
			return &Pinned{path: s.path, gate: s.gate}, nil
		}
	}
	found, err := r.releases.Release(ctx, release)
	if err != nil {
		return nil, err
	}
	path, err := Compile(ctx, found, r.deps)
	if err != nil {
		return nil, err
	}
	return &Pinned{path: path, gate: newGate(found.Content.Limits)}, nil
}

// Pinned is a path that no deploy or rollback replaces. It is safe for many
// goroutines.
type Pinned struct {
	path *Path
	gate *gate
	done atomic.Bool
}

// Path returns the pinned path.
func (p *Pinned) Path() *Path { return p.path }

// Permit says whether somebody may ask at all, for callers who want to know it
// before they read a body. Decide asks again.
func (p *Pinned) Permit(who identity.Principal) error { return permit(&p.path.release, who) }

// Decide answers a request with the pinned release, as Router.Decide does. It
// must not be called after Close.
func (p *Pinned) Decide(ctx context.Context, q Request) (*Answer, error) {
	if p.done.Load() {
		return nil, fault.New(fault.Internal, "a decision was asked of a release that was let go")
	}
	return p.path.admit(ctx, p.gate, q)
}

// Close lets the release go. It is safe to call twice.
func (p *Pinned) Close() {
	if !p.done.Swap(true) {
		p.path.leave()
	}
}

// Close takes every endpoint away; paths end once their requests are answered.
// It is safe to call twice.
func (r *Router) Close() {
	r.mu.Lock()
	r.closed = true
	routes := *r.routes.Load()
	r.mu.Unlock()
	for _, at := range routes {
		r.remove(at)
	}
}

// Close gives back the memory of the answer's rows.
func (a *Answer) Close() {
	if a.Rows != nil {
		a.Rows.Release()
		a.Rows = nil
	}
}
