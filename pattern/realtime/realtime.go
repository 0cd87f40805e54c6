// Package realtime is the pattern for answers within milliseconds: bytes of a
// request in, a batch of one to a few rows through the decision path, bytes of
// the answer out.
//
// It drives the path and nothing more: Service.Score is what the native API
// calls with JSON; Service.Decide is what the translators of other protocols
// call with a batch that they decoded themselves. A call with an idempotency
// key that was answered before gets the same bytes again, from the ledger.
package realtime

import (
	"context"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
)

// Paths is what the pattern needs of the decision path's router: the live
// path of an endpoint, held for the length of one request, so that rows are
// read and decided by the same release.
type Paths interface {
	Hold(endpoint string) (*decide.Pinned, error)
}

// Ledger remembers answers by idempotency key.
type Ledger interface {
	Once(ctx context.Context, c decide.Claim, do func(ctx context.Context) ([]byte, error)) (answer []byte, known bool, err error)
}

// Call is one request to score rows.
type Call struct {
	Endpoint  string
	Principal identity.Principal
	Body      []byte
	Key       string // idempotency key, or ""
	Received  time.Time
}

// Service scores calls. It is safe for many goroutines.
type Service struct {
	paths  Paths
	ledger Ledger
	clock  clock.Clock
	// layouts has the layout of each endpoint's latest path, so that it is
	// made once for a release.
	layouts sync.Map // endpoint → *pathLayout
}

// pathLayout knows its path by the schema of its inputs: the path itself would
// stay in memory with its models.
type pathLayout struct {
	schema *arrow.Schema
	layout *Layout
}

func (s *Service) layout(path *decide.Path) *Layout {
	endpoint := path.Release().Endpoint
	if l, ok := s.layouts.Load(endpoint); ok && l.(*pathLayout).schema == path.Schema() {
		return l.(*pathLayout).layout
	}
	l := &pathLayout{path.Schema(), NewLayout(path.Inputs(), path.Schema())}
	s.layouts.Store(endpoint, l)
	return l.layout
}

// New returns a service on the live paths. A nil ledger refuses calls that
// carry an idempotency key.
func New(paths Paths, ledger Ledger, clock clock.Clock) *Service {
	return &Service{paths: paths, ledger: ledger, clock: clock}
}

// Score answers a JSON body, appending the JSON of the answer to dst. Known
// tells that the answer was given before, under the same key.
//
// The body is {"rows": [{column: value, …}, …]}, one row object, or an array
// of row objects. The answer is
//
//	{"endpoint", "release", "variant", ["served_by",] "decisions": [{"id", output: value, …} | {"id", "error": {"kind", "message", "hint"}}]}
func (s *Service) Score(ctx context.Context, c Call, dst []byte) (reply []byte, known bool, err error) {
	if c.Key == "" {
		reply, err = s.score(ctx, c, dst)
		return reply, false, err
	}
	answer, known, err := s.Once(ctx, c, func(ctx context.Context) ([]byte, error) { return s.score(ctx, c, nil) })
	return append(dst, answer...), known, err
}

// Once answers a call by do, which translates another protocol. Known tells
// that the answer is that of an earlier call with the same idempotency key,
// caller and body; the same key with another body is a Conflict fault. A call
// without a key is answered by do each time.
func (s *Service) Once(ctx context.Context, c Call, do func(context.Context) ([]byte, error)) (reply []byte, known bool, err error) {
	if c.Key == "" {
		reply, err = do(ctx)
		return reply, false, err
	}
	if s.ledger == nil {
		return nil, false, fault.New(fault.Unsupported, "this server keeps no ledger of idempotency keys")
	}
	return s.ledger.Once(ctx, decide.Claim{Endpoint: c.Endpoint, Principal: c.Principal.Name, Key: c.Key, Body: c.Body}, do)
}

// Read reads JSON rows as ReadRows does, for a path: what it needs to know of
// the path is made once for a release.
func (s *Service) Read(path *decide.Path, body []byte) (Rows, error) {
	return ReadRows(body, s.layout(path), path.MaxRows())
}

func (s *Service) score(ctx context.Context, c Call, dst []byte) ([]byte, error) {
	path, err := s.paths.Hold(c.Endpoint)
	if err != nil {
		return dst, err
	}
	defer path.Close()
	rows, err := s.Read(path.Path(), c.Body)
	if err != nil {
		return dst, err
	}
	defer rows.Release()
	answer, err := s.decide(ctx, path, c, rows.Batch)
	if err != nil {
		return dst, err
	}
	defer answer.Close()
	return AppendAnswer(dst, c.Endpoint, answer)
}

// Decide answers rows that the caller decoded, with the release it holds. The
// caller closes the answer.
func (s *Service) Decide(ctx context.Context, path *decide.Pinned, c Call, rows frame.Batch) (*decide.Answer, error) {
	return s.decide(ctx, path, c, rows)
}

// Hold returns the live path of an endpoint for one call of Decide.
func (s *Service) Hold(endpoint string) (*decide.Pinned, error) { return s.paths.Hold(endpoint) }

func (s *Service) decide(ctx context.Context, path *decide.Pinned, c Call, rows frame.Batch) (*decide.Answer, error) {
	q := decide.Request{Principal: c.Principal, Pattern: decide.Realtime, Rows: rows, Received: c.Received}
	if q.Received.IsZero() {
		q.Received = s.clock.Now()
	}
	if c.Key != "" && rows.NumRows() == 1 {
		q.Keys = []string{c.Key}
	}
	return path.Decide(ctx, q)
}
