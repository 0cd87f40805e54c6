package decide

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

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
// request is answered. It is safe for many goroutines.
type Router struct {
	releases Releases
	deps     Deps
	routes   atomic.Pointer[map[string]*route] // replaced whole, never changed

	mu     sync.Mutex // one change at a time
	closed bool
}

// route is an endpoint's place in the router.
type route struct {
	live atomic.Pointer[served]
}

// served is a path with what bounds it.
type served struct {
	path *Path
	gate *gate
}

// NewRouter returns a router without endpoints; Refresh adds them.
func NewRouter(releases Releases, deps Deps) *Router {
	r := &Router{releases: releases, deps: deps}
	r.routes.Store(&map[string]*route{})
	return r
}

// Refresh puts the live release of an endpoint in place of the present path,
// or removes the endpoint when it has none. When compiling fails the present
// path stays. A release that is in place already is not compiled again. It is
// what to call on a change (deploy.Releases.Watch), and for every endpoint at
// start.
func (r *Router) Refresh(ctx context.Context, endpoint string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fault.New(fault.Unavailable, "the router is closed")
	}
	release, err := r.releases.Live(ctx, endpoint)
	if fault.Is(err, fault.NotFound) {
		r.remove(endpoint)
		return nil
	}
	if err != nil {
		return err
	}
	at := (*r.routes.Load())[endpoint]
	if at != nil && at.live.Load().path.release.ID == release.ID {
		return nil
	}
	path, err := Compile(ctx, release, r.deps)
	if err != nil {
		return err
	}
	if at == nil {
		at = &route{}
		at.live.Store(&served{path, newGate(release.Content.Limits)})
		r.replace(func(routes map[string]*route) { routes[endpoint] = at })
		return nil
	}
	old := at.live.Load()
	g := old.gate
	if g.limits != release.Content.Limits {
		g = newGate(release.Content.Limits)
	}
	at.live.Store(&served{path, g})
	old.path.leave()
	return nil
}

func (r *Router) remove(endpoint string) {
	at := (*r.routes.Load())[endpoint]
	if at == nil {
		return
	}
	r.replace(func(routes map[string]*route) { delete(routes, endpoint) })
	at.live.Load().path.leave()
}

func (r *Router) replace(change func(map[string]*route)) {
	routes := maps.Clone(*r.routes.Load())
	change(routes)
	r.routes.Store(&routes)
}

// Endpoints names the endpoints that have a path, sorted.
func (r *Router) Endpoints() []string { return slices.Sorted(maps.Keys(*r.routes.Load())) }

// Path returns the live path of an endpoint, to look at its release, Inputs
// and Outputs. To decide several things with one path, Hold it.
func (r *Router) Path(endpoint string) (*Path, error) {
	at := (*r.routes.Load())[endpoint]
	if at == nil {
		return nil, noPath(endpoint)
	}
	return at.live.Load().path, nil
}

// hold takes the live path of an endpoint.
func (r *Router) hold(endpoint string) (*served, error) {
	for {
		at := (*r.routes.Load())[endpoint]
		if at == nil {
			return nil, noPath(endpoint)
		}
		if s := at.live.Load(); s.path.take() {
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
		if s := at.live.Load(); s.path.release.ID == release && s.path.take() {
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
	defer r.mu.Unlock()
	r.closed = true
	for _, endpoint := range r.Endpoints() {
		r.remove(endpoint)
	}
}

// Close gives back the memory of the answer's rows.
func (a *Answer) Close() {
	if a.Rows != nil {
		a.Rows.Release()
		a.Rows = nil
	}
}
