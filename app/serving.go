package app

import (
	"context"
	"sync"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
)

// serving is the router as requests see it: an endpoint whose live release
// cannot be served, because its model is damaged for instance, is answered
// with the reason.
type serving struct {
	router *decide.Router
	mu     sync.Mutex
	failed map[string]error // by endpoint, why its live release is not served
}

func newServing(r *decide.Router) *serving { return &serving{router: r, failed: map[string]error{}} }

// Refresh puts the live release of an endpoint in place, or keeps why not.
func (s *serving) Refresh(ctx context.Context, endpoint string) error {
	err := s.router.Refresh(ctx, endpoint)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		delete(s.failed, endpoint)
	} else if ctx.Err() == nil {
		s.failed[endpoint] = fault.Wrap(err, fault.KindOf(err), "the live release of endpoint %q cannot be served", endpoint)
	}
	return err
}

// Failure returns why the live release of an endpoint is not served, or nil.
func (s *serving) Failure(endpoint string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed[endpoint]
}

// Hold holds the path of an endpoint for one request.
func (s *serving) Hold(endpoint string) (*decide.Pinned, error) {
	p, err := s.router.Hold(endpoint)
	return p, s.explain(endpoint, err)
}

// Path returns the path of an endpoint.
func (s *serving) Path(endpoint string) (*decide.Path, error) {
	p, err := s.router.Path(endpoint)
	return p, s.explain(endpoint, err)
}

// Release returns the live release of an endpoint.
func (s *serving) Release(endpoint string) (deploy.Release, error) {
	r, err := s.router.Release(endpoint)
	return r, s.explain(endpoint, err)
}

func (s *serving) explain(endpoint string, err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if why := s.Failure(endpoint); why != nil {
		return why
	}
	return err
}
