// Package compat is what the translators below it share: the way of a request
// of another protocol to the real-time pattern and back.
//
// A translator has a Front. It opens an Exchange for the endpoint that a
// request names, which says who may and holds the live release; it reads the
// body for it, makes rows of it (a realtime.Blank, Value and Table help), and
// lets the Exchange score them. Idempotency keys, limits and the record are
// the decision path's and the ledger's, as in the native route; statistics of
// what came this way are kept here.
package compat

import (
	"bytes"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/server"
)

// Endpoints says what is live.
type Endpoints interface {
	Endpoints() []string
	Release(endpoint string) (deploy.Release, error) // without waking it
	Path(endpoint string) (*decide.Path, error)
}

// Releases finds the releases of an endpoint, live or not.
type Releases interface {
	Find(ctx context.Context, endpoint, ref string) (deploy.Release, error)
}

// Front is the way in for every protocol. It is safe for many goroutines.
type Front struct {
	scoring   *realtime.Service
	endpoints Endpoints
	releases  Releases
	stats     *Statistics
	buffers   sync.Pool
}

// New returns a Front. releases may be nil: then a release that is not live is
// not told from one that does not exist.
func New(scoring *realtime.Service, endpoints Endpoints, releases Releases) *Front {
	f := &Front{scoring: scoring, endpoints: endpoints, releases: releases, stats: newStatistics()}
	f.buffers.New = func() any { return new(bytes.Buffer) }
	return f
}

// Statistics returns the counts of what came through the front.
func (f *Front) Statistics() *Statistics { return f.stats }

// Call is a request to score, whatever its protocol.
type Call struct {
	Protocol  string // tells the same bytes apart in two protocols
	Endpoint  string
	Version   string // as Named understands it; "" is the live release
	Principal identity.Principal
	Key       string // idempotency key, or ""
	Received  time.Time
}

// Exchange is a call with the release that answers it. Close it.
type Exchange struct {
	Call
	front *Front
	held  *decide.Pinned
	stats *modelStats
}

// Open holds the live release of a call's endpoint, when the caller may score
// with it and it is the one that the call names.
func (f *Front) Open(ctx context.Context, c Call) (*Exchange, error) {
	if !c.Principal.May("score", c.Endpoint) { // before an endpoint wakes for them
		return nil, fault.New(fault.Forbidden, "%s may not score with %s", c.Principal.Name, c.Endpoint).
			Hint("a key needs the grant \"score:%s\"", c.Endpoint)
	}
	held, err := f.scoring.Hold(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if err := held.Permit(c.Principal); err != nil { // before a body is read for them
		held.Close()
		return nil, err
	}
	release := held.Path().Release()
	if err := f.named(ctx, release, c.Version); err != nil {
		held.Close()
		return nil, err
	}
	return &Exchange{Call: c, front: f, held: held, stats: f.stats.of(release)}, nil
}

// Close lets the release go.
func (x *Exchange) Close() { x.held.Close() }

// Path is what answers.
func (x *Exchange) Path() *decide.Path { return x.held.Path() }

// Blank returns n rows for the path to fill.
func (x *Exchange) Blank(n int) *realtime.Blank { return x.front.scoring.Blank(x.Path(), n) }

// Score makes rows, lets them be decided, and hands the answer to write. A
// protocol without errors of single rows asks RowError there.
func (x *Exchange) Score(ctx context.Context, read func() (realtime.Rows, error), write func(*decide.Answer) error) (err error) {
	var t timing
	t.begin = time.Now()
	rows := 0
	defer func() { x.stats.add(&t, rows, err) }()
	in, err := read()
	if err != nil {
		return err
	}
	defer in.Release()
	rows = int(in.NumRows())
	t.read = time.Now()
	call := realtime.Call{Endpoint: x.Endpoint, Principal: x.Principal, Key: x.Key, Received: x.Received}
	answer, err := x.front.scoring.Decide(ctx, x.held, call, in.Batch)
	if err != nil {
		return err
	}
	defer answer.Close()
	t.waited, t.decided = answer.Waited, time.Now()
	err = write(answer)
	t.end = time.Now()
	return err
}

// Once answers a call by do, or with what its idempotency key was answered
// before. body is what came; it is not changed.
func (x *Exchange) Once(ctx context.Context, body []byte, do func(context.Context) ([]byte, error)) (reply []byte, known bool, err error) {
	call := realtime.Call{Endpoint: x.Endpoint, Principal: x.Principal, Key: x.Key}
	if x.Key != "" {
		call.Body = append([]byte(x.Protocol+"\n"), body...)
	}
	return x.front.scoring.Once(ctx, call, do)
}

// IdempotencyKey is the header, in gRPC the metadata, with which a caller may
// safely ask again.
const IdempotencyKey = "Idempotency-Key"

// maxKey bounds the idempotency key in bytes.
const maxKey = 256

// Serve answers an HTTP request with what do makes of its body for an
// exchange. The reply is written by the caller; known is whether it was given
// before.
func (f *Front) Serve(w http.ResponseWriter, r *http.Request, c Call, do func(ctx context.Context, x *Exchange, body []byte) ([]byte, error)) (reply []byte, known bool, err error) {
	c.Received, c.Key = time.Now(), r.Header.Get(IdempotencyKey)
	c.Principal, _ = identity.From(r.Context())
	if len(c.Key) > maxKey {
		return nil, false, fault.New(fault.Invalid, "the idempotency key is over %d bytes", maxKey)
	}
	x, err := f.Open(r.Context(), c)
	if err != nil {
		return nil, false, err
	}
	defer x.Close()
	body, done, err := f.body(w, r, x.Path())
	defer done()
	if err != nil {
		return nil, false, err
	}
	reply, known, err = x.Once(r.Context(), body, func(ctx context.Context) ([]byte, error) { return do(ctx, x, body) })
	if known {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	return reply, known, err
}

// maxKept is the size over which a buffer is not kept for the next request.
const maxKept = 1 << 20

// body reads and unpacks a request's body; what it returns is good until done
// is called.
func (f *Front) body(w http.ResponseWriter, r *http.Request, path *decide.Path) (body []byte, done func(), err error) {
	used := []*bytes.Buffer{f.buffers.Get().(*bytes.Buffer)}
	done = func() {
		for _, b := range used {
			if b.Cap() <= maxKept {
				f.buffers.Put(b)
			}
		}
	}
	if err := server.ReadBody(w, r, path.MaxBody(), path.Timeout(), used[0]); err != nil {
		return nil, done, err
	}
	encoding := strings.ToLower(r.Header.Get("Content-Encoding"))
	if encoding == "" || encoding == "identity" {
		return used[0].Bytes(), done, nil
	}
	used = append(used, f.buffers.Get().(*bytes.Buffer))
	err = unpack(encoding, used[0], path.MaxBody(), used[1])
	return used[1].Bytes(), done, err
}

// RowError returns the error of the first row that failed, for protocols in
// which a request succeeds or fails as a whole.
func RowError(a *decide.Answer) error {
	for row, err := range a.Errors {
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "row %d", row)
		}
	}
	return nil
}

// Version is how a release is named to clients that know versions: its number.
func Version(r deploy.Release) string { return strconv.Itoa(r.Number) }

// Release returns the live release of an endpoint that somebody may read or
// score with, if it is the version that they name.
func (f *Front) Release(ctx context.Context, p identity.Principal, endpoint, version string) (deploy.Release, error) {
	if !visible(p, endpoint) {
		return deploy.Release{}, fault.New(fault.Forbidden, "%s may not see %s", p.Name, endpoint)
	}
	r, err := f.endpoints.Release(endpoint)
	if err != nil {
		return r, err
	}
	return r, f.named(ctx, r, version)
}

// Path is Release, ready to answer: what it reads and writes is known then.
func (f *Front) Path(ctx context.Context, p identity.Principal, endpoint, version string) (*decide.Path, error) {
	if _, err := f.Release(ctx, p, endpoint, version); err != nil {
		return nil, err
	}
	return f.endpoints.Path(endpoint)
}

// Visible names the live endpoints that somebody may read or score with.
func (f *Front) Visible(p identity.Principal) []string {
	names := []string{}
	for _, name := range f.endpoints.Endpoints() {
		if visible(p, name) {
			names = append(names, name)
		}
	}
	return names
}

func visible(p identity.Principal, endpoint string) bool {
	return p.May("read", endpoint) || p.May("score", endpoint)
}

// served names what a release answers with, as model@number.
func served(r deploy.Release) string {
	if r.Content.Assistant != nil {
		return r.Endpoint + "@" + strconv.Itoa(r.Number)
	}
	v := r.Content.Variants[0]
	return v.Model + "@" + strconv.Itoa(v.Version)
}

// minPrefix is the least length of a prefix of an id.
const minPrefix = 8

// named tells whether a version is a live release: its number, its id
// or a beginning of that, or the model version that it serves, as model@number.
func (f *Front) named(ctx context.Context, r deploy.Release, version string) error {
	with := served(r)
	if version == "" || version == strconv.Itoa(r.Number) ||
		len(version) >= minPrefix && strings.HasPrefix(r.ID, version) ||
		version == with {
		return nil
	}
	if f.releases != nil {
		if other, err := f.releases.Find(ctx, r.Endpoint, version); err == nil {
			return fault.New(fault.NotFound, "release %d of %s is not live", other.Number, r.Endpoint).
				Hint("release %d is; leave the version out to be answered by what is live", r.Number)
		}
	}
	return fault.New(fault.NotFound, "%s has no version %.64q that is live", r.Endpoint, version).
		Hint("release %d is live, with %s; leave the version out to be answered by what is live", r.Number, with)
}

// only returns the one live endpoint that somebody may score with.
func (f *Front) only(p identity.Principal) (string, error) {
	var found []string
	for _, name := range f.endpoints.Endpoints() {
		if p.May("score", name) {
			found = append(found, name)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if len(f.endpoints.Endpoints()) > 0 {
			return "", fault.New(fault.Forbidden, "%s may score with no endpoint", p.Name)
		}
		return "", fault.New(fault.NotFound, "no endpoint is live").Hint("one becomes live when its pipeline deploys a model")
	}
	return "", fault.New(fault.NotFound, "there are several endpoints, and the request names none").
		Hint("ask at /endpoints/NAME/…, or name it in the header %s: %s", EndpointHeader, strings.Join(found[:min(len(found), 10)], ", "))
}

// EndpointHeader names an endpoint to protocols that have no place for it.
const EndpointHeader = "Leat-Endpoint"

// Choose returns the endpoint that a request of a protocol without a place for
// it names: in the path, in a header, or by there being one only.
func (f *Front) Choose(r *http.Request) (string, error) {
	if name := r.PathValue("endpoint"); name != "" {
		return name, nil
	}
	if name := r.Header.Get(EndpointHeader); name != "" {
		return name, nil
	}
	p, _ := identity.From(r.Context())
	return f.only(p)
}

// Predict scores rows and returns their Predictions, as what stands between
// two texts.
func (x *Exchange) Predict(ctx context.Context, read func() (realtime.Rows, error), before, after string) (reply []byte, err error) {
	err = x.Score(ctx, read, func(a *decide.Answer) error {
		if err := RowError(a); err != nil {
			return err
		}
		reply = append(Predictions(append(reply, before...), a.Rows), after...)
		return nil
	})
	return reply, err
}
