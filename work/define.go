package work

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strings"

	"github.com/dbos-inc/dbos-transact-golang/dbos"

	"github.com/leat-ai/leat/base/fault"
)

// kind is what runs of one kind do, with its type erased.
type kind struct {
	engine  *Engine
	name    string
	run     func(ctx context.Context, r *Run, in json.RawMessage) (json.RawMessage, error)
	gate    gate
	backlog int
}

// ConfigName tells the library which of the kinds a stored run belongs to.
func (k *kind) ConfigName() string { return k.name }

// KindOption changes how runs of a kind work.
type KindOption func(*kind)

// Limit lets at most n runs of the kind work at a time; the others are queued.
func Limit(n int) KindOption { return func(k *kind) { k.gate.limit = n } }

// OnePerName lets only one run of a name work at a time.
func OnePerName() KindOption { return func(k *kind) { k.gate.alone = true } }

// Backlog bounds how many runs of the kind may be queued in this process
// before Start answers Overloaded; 1000 unless told otherwise.
func Backlog(n int) KindOption { return func(k *kind) { k.backlog = n } }

// Define says what a run of a kind does; call it before Launch, once per kind
// and the same in every process. In and Out are kept as JSON.
//
// f may run several times over the life of one run, always from its beginning:
// what it does outside of steps must be quick, without effect and the same
// each time. A panic in f ends the run with an Internal fault.
func Define[In, Out any](e *Engine, name string, f func(ctx context.Context, r *Run, in In) (Out, error), opts ...KindOption) {
	k := &kind{engine: e, name: name, backlog: 1000}
	k.gate.names = map[string]bool{}
	for _, opt := range opts {
		opt(k)
	}
	k.run = func(ctx context.Context, r *Run, raw json.RawMessage) (json.RawMessage, error) {
		var in In
		if err := json.Unmarshal(raw, &in); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the stored input of the run is not what its kind reads")
		}
		out, err := f(ctx, r, in)
		if err != nil {
			return nil, err
		}
		return encode(out)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case name == "":
		e.mistakes.Add(fault.New(fault.Internal, "a kind of run has no name"))
	case e.launched:
		e.mistakes.Add(fault.New(fault.Internal, "the kind of run %q is defined after Launch", name))
	case e.kinds[name] != nil:
		e.mistakes.Add(fault.New(fault.Internal, "the kind of run %q is defined twice", name))
	default:
		e.kinds[name] = k
		dbos.RegisterWorkflow(e.dbos, k.body, dbos.WithInstance(k),
			dbos.WithWorkflowName(name), dbos.WithMaxRecoveryAttempts(recoveries))
	}
}

// request is what is stored as the input of a run.
type request struct {
	Name  string          `json:"name"`
	By    string          `json:"by,omitempty"`
	Input json.RawMessage `json:"input"`
}

// StartOption changes one run.
type StartOption func(*start)

type start struct{ id, by string }

// ID sets the id of the run; a run of that id that exists already is left as
// it is, whatever its state, and Start returns its id: starting is idempotent.
func ID(id string) StartOption { return func(s *start) { s.id = id } }

// By notes who started the run.
func By(principal string) StartOption { return func(s *start) { s.by = principal } }

// Start begins a run of a kind and returns its id as soon as the run is
// durable. name is the resource that it works for. An unknown kind is a
// NotFound fault, a full queue Overloaded, an id that a run of another kind
// has Conflict.
func (e *Engine) Start(ctx context.Context, kindName, name string, in any, opts ...StartOption) (string, error) {
	k, err := e.ready(kindName)
	if err != nil {
		return "", err
	}
	if k.gate.queue() >= k.backlog {
		return "", fault.New(fault.Overloaded, "%d runs of kind %q are queued", k.backlog, kindName).
			Hint("wait until some have ended, or cancel some")
	}
	var s start
	for _, opt := range opts {
		opt(&s)
	}
	if s.id == "" {
		s.id = newID(name)
	}
	input, err := encode(in)
	if err != nil {
		return "", err
	}
	stored, err := encode(request{Name: name, By: s.by, Input: input})
	if err != nil {
		return "", err
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	_, err = dbos.RunWorkflow(e.dbos, k.body, string(stored), dbos.WithRunInstance(k),
		dbos.WithWorkflowID(s.id), dbos.WithAuthenticatedUser(s.by))
	return s.id, asFault(err, "run %q cannot start", s.id)
}

func (e *Engine) ready(kindName string) (*kind, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.launched || e.closed {
		return nil, fault.New(fault.Unavailable, "the engine of runs does not run")
	}
	k := e.kinds[kindName]
	if k == nil {
		return nil, fault.New(fault.NotFound, "there is no kind of run %q", kindName)
	}
	return k, nil
}

// newID makes an id that says what it is of.
func newID(name string) string {
	var b [10]byte
	rand.Read(b[:]) // never fails
	return name + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

func encode(v any) (json.RawMessage, error) {
	b, err := json.Marshal(v)
	return b, fault.Wrap(err, fault.Internal, "a value of a run cannot be kept as JSON")
}

// body is what the library calls, at the start of a run and after a kill.
func (k *kind) body(ctx dbos.Context, stored string) (string, error) {
	var req request
	if err := json.Unmarshal([]byte(stored), &req); err != nil {
		return "", err
	}
	r, err := k.begin(ctx, req)
	if err != nil {
		return "", err
	}
	defer k.engine.forget(r)
	out, err := k.work(r, req)
	if err == nil {
		return string(out), r.tellEnded(nil)
	}
	if ctx.Err() != nil { // the engine stops: the run goes on at the next Launch
		return "", err
	}
	if !errors.Is(context.Cause(r.ctx), errCancelled) {
		r.fail(err)
		if stopped := r.tellEnded(err); stopped != nil {
			return "", stopped
		}
		k.engine.keepFailure(r)
	}
	return "", err
}

func (k *kind) begin(ctx dbos.Context, req request) (*Run, error) {
	id, err := dbos.GetWorkflowID(ctx)
	if err != nil {
		return nil, err
	}
	r := &Run{engine: k.engine, dbos: ctx, id: id, kind: k.name, name: req.Name, by: req.By}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	k.engine.remember(r)
	return r, nil
}

func (k *kind) work(r *Run, req request) (out json.RawMessage, err error) {
	if err := k.gate.enter(r.ctx, r.name); err != nil {
		return nil, err
	}
	defer k.gate.leave(r.name)
	if err := r.replay(); err != nil {
		return nil, err
	}
	defer r.recovered(&err)
	return k.run(r.ctx, r, req.Input)
}

// recovered turns a panic in the code of a run into its failure: one run must
// not take the process along. The stack goes to the log, not to the caller.
func (r *Run) recovered(err *error) {
	if p := recover(); p != nil {
		r.engine.log.Error("a run panicked", "run", r.id, "kind", r.kind, "panic", p, "stack", string(debug.Stack()))
		*err = fault.New(fault.Internal, "run %q met a defect of Leat", r.id).
			Hint("the log has the details under this run's id; report them")
	}
}
