package decide

import (
	"context"
)

// Router holds the live path of each endpoint. It is safe for many
// goroutines.
type Router struct {
	releases Releases
	deps     Deps
}

// NewRouter returns a router without endpoints; Refresh adds them.
func NewRouter(releases Releases, deps Deps) *Router {
	return &Router{releases: releases, deps: deps}
}

// Refresh compiles the live release of an endpoint and puts it in place of
// the present path, which goes on until its last request is answered. When it
// fails the present path stays. It is what to call on a change
// (deploy.Releases.Watch) and for every endpoint at start.
func (r *Router) Refresh(ctx context.Context, endpoint string) error { return errBuilding }

// Endpoints names the endpoints that have a path, sorted.
func (r *Router) Endpoints() []string { return nil }

// Path returns the live path of an endpoint, for its Inputs and Outputs.
func (r *Router) Path(endpoint string) (*Path, error) { return nil, errBuilding }

// Decide answers a request with the live release of an endpoint. The request
// fails whole when it is not admitted; otherwise each row has an output or an
// error.
func (r *Router) Decide(ctx context.Context, endpoint string, q Request) (*Answer, error) {
	return nil, errBuilding
}

// Pin holds one release for a batch, live or not, until Close.
func (r *Router) Pin(ctx context.Context, release string) (*Pinned, error) { return nil, errBuilding }

// Pinned is a path that no deploy or rollback replaces.
type Pinned struct{ path *Path }

// Path returns the pinned path.
func (p *Pinned) Path() *Path { return p.path }

// Decide answers a request with the pinned release.
func (p *Pinned) Decide(ctx context.Context, q Request) (*Answer, error) { return nil, errBuilding }

// Close lets the release go. It is safe to call twice.
func (p *Pinned) Close() {}

// Close ends every path once its requests are answered.
func (r *Router) Close() {}

// Close gives back the memory of the answer's rows.
func (a *Answer) Close() {
	if a.Rows != nil {
		a.Rows.Release()
	}
}
