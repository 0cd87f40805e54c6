// Package oip speaks the Open Inference Protocol v2 over REST, which KServe,
// Triton and MLServer speak too: an endpoint is a model, its releases are the
// versions, its columns are the tensors.
//
// It is a translator and nothing more: tensors in, a call of the real-time
// pattern, tensors out. Errors have the protocol's shape, {"error": "…"}.
// Specification: kserve.github.io/open-inference-protocol.
package oip

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/server"
)

// Endpoints says what is live.
type Endpoints interface {
	Path(endpoint string) (*decide.Path, error)
	Endpoints() []string
}

// Services is what the protocol is a surface of.
type Services struct {
	Version   string
	Scoring   *realtime.Service
	Endpoints Endpoints
}

type surface struct{ Services }

// Register puts the protocol's routes on a server.
func Register(s *server.Server, services Services) {
	o := surface{services}
	open := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		s.HandleOpen(pattern, handler(f))
	}
	asked := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		s.Handle(pattern, handler(f))
	}
	open("GET /v2/health/live", o.live)
	open("GET /v2/health/ready", o.ready)
	asked("GET /v2", o.server)
	for _, path := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		asked("GET "+path, o.model)
		asked("GET "+path+"/ready", o.modelReady)
		asked("POST "+path+"/infer", o.infer)
	}
}

// handler answers errors in the protocol's shape.
func handler(f func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := f(w, r)
		if err == nil {
			return
		}
		p := server.NewProblem(err)
		text := p.Detail
		for _, m := range p.Errors {
			text += "; " + m.Detail
		}
		server.SetRetryAfter(w.Header(), err)
		answer(w, p.Status, map[string]string{"error": text})
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone has nobody to tell
}

func (o surface) live(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]bool{"live": true})
	return nil
}

func (o surface) ready(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, map[string]bool{"ready": true})
	return nil
}

func (o surface) server(w http.ResponseWriter, _ *http.Request) error {
	answer(w, http.StatusOK, struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{"leat", o.Version, []string{}})
	return nil
}

// tensorInfo describes an input or output of a model.
type tensorInfo struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

func (o surface) model(w http.ResponseWriter, r *http.Request) error {
	path, err := o.path(r)
	if err != nil {
		return err
	}
	meta := struct {
		Name     string       `json:"name"`
		Versions []string     `json:"versions"`
		Platform string       `json:"platform"`
		Inputs   []tensorInfo `json:"inputs"`
		Outputs  []tensorInfo `json:"outputs"`
	}{Name: r.PathValue("model"), Versions: []string{versionOf(path)}, Platform: "leat"}
	for _, in := range path.Inputs() {
		meta.Inputs = append(meta.Inputs, tensorInfo{in.Name, datatypeOf(in.Type), []int{-1}})
	}
	for _, out := range path.Outputs() {
		meta.Outputs = append(meta.Outputs, tensorInfo{out.Name, datatypeOf(out.Type), []int{-1}})
	}
	answer(w, http.StatusOK, meta)
	return nil
}

func (o surface) modelReady(w http.ResponseWriter, r *http.Request) error {
	if _, err := o.path(r); err != nil {
		return err
	}
	answer(w, http.StatusOK, map[string]any{"name": r.PathValue("model"), "ready": true})
	return nil
}

// path returns the live path of the model that a request names, if it is of
// the version that it names.
func (o surface) path(r *http.Request) (*decide.Path, error) {
	name := r.PathValue("model")
	p, _ := identity.From(r.Context())
	if !p.May("read", name) && !p.May("score", name) {
		return nil, fault.New(fault.Forbidden, "%s may not see %s", p.Name, name)
	}
	path, err := o.Endpoints.Path(name)
	if err != nil {
		return nil, err
	}
	return path, sameVersion(r, path)
}

func versionOf(path *decide.Path) string { return strconv.Itoa(path.Release().Number) }

func sameVersion(r *http.Request, path *decide.Path) error {
	if v := r.PathValue("version"); v != "" && v != versionOf(path) {
		return fault.New(fault.NotFound, "%s serves version %s, not %s", r.PathValue("model"), versionOf(path), v)
	}
	return nil
}

// request is the body of an inference.
type request struct {
	ID      string   `json:"id"`
	Inputs  []tensor `json:"inputs"`
	Outputs []struct {
		Name string `json:"name"`
	} `json:"outputs"`
}

// response is its answer.
type response struct {
	ModelName    string            `json:"model_name"`
	ModelVersion string            `json:"model_version"`
	ID           string            `json:"id,omitempty"`
	Parameters   map[string]string `json:"parameters"`
	Outputs      []output          `json:"outputs"`
}

func (o surface) infer(w http.ResponseWriter, r *http.Request) error {
	received := time.Now()
	held, err := o.Scoring.Hold(r.PathValue("model"))
	if err != nil {
		return err
	}
	defer held.Close()
	path := held.Path()
	p, _ := identity.From(r.Context())
	if err := held.Permit(p); err != nil { // before a body is read for them
		return err
	}
	if err := sameVersion(r, path); err != nil {
		return err
	}
	q, err := read(w, r, path)
	if err != nil {
		return err
	}
	rows, err := batchOf(q.Inputs, path.Inputs(), path.MaxRows())
	if err != nil {
		return err
	}
	defer rows.Release()
	scored, err := o.Scoring.Decide(r.Context(), held, realtime.Call{Endpoint: r.PathValue("model"), Principal: p, Received: received}, rows)
	if err != nil {
		return err
	}
	defer scored.Close()
	outputs, err := outputsOf(scored, q)
	if err != nil {
		return err
	}
	answer(w, http.StatusOK, response{
		ModelName: r.PathValue("model"), ModelVersion: versionOf(path), ID: q.ID, Outputs: outputs,
		Parameters: map[string]string{"release": scored.Release, "variant": scored.Variant},
	})
	return nil
}

func read(w http.ResponseWriter, r *http.Request, path *decide.Path) (*request, error) {
	var body bytes.Buffer
	if err := server.ReadBody(w, r, path.MaxBody(), path.Timeout(), &body); err != nil {
		return nil, err
	}
	q := new(request)
	if err := json.Unmarshal(body.Bytes(), q); err != nil {
		return nil, fault.New(fault.Invalid, "the request is not understood").Because(err)
	}
	return q, nil
}

// decisionID is the name of an output that is given when it is asked for.
const decisionID = "decision_id"

// outputsOf makes tensors of an answer. The protocol has no error of a single
// row, so one failed row fails the request.
func outputsOf(a *decide.Answer, q *request) ([]output, error) {
	for row, err := range a.Errors {
		if err != nil {
			return nil, fault.Wrap(err, fault.KindOf(err), "row %d", row)
		}
	}
	asked := func(name string) bool {
		for _, want := range q.Outputs {
			if want.Name == name {
				return true
			}
		}
		return false
	}
	if err := knownOutputs(a.Rows, q); err != nil {
		return nil, err
	}
	var outputs []output
	for i, f := range a.Rows.Schema().Fields() {
		if len(q.Outputs) > 0 && !asked(f.Name) {
			continue
		}
		t, err := frame.TypeOf(f.Type)
		if err != nil {
			return nil, err
		}
		outputs = append(outputs, output{Name: f.Name, Datatype: datatypeOf(t), Shape: []int{len(a.IDs)}, column: a.Rows.Column(i)})
	}
	if asked(decisionID) {
		outputs = append(outputs, output{Name: decisionID, Datatype: bytesType, Shape: []int{len(a.IDs)}, texts: a.IDs})
	}
	return outputs, nil
}

func knownOutputs(rows frame.Batch, q *request) error {
	names := []string{decisionID}
	for _, f := range rows.Schema().Fields() {
		names = append(names, f.Name)
	}
	for _, want := range q.Outputs {
		if !slices.Contains(names, want.Name) {
			return fault.New(fault.Invalid, "there is no output %q; the outputs are %s", want.Name, strings.Join(names, ", "))
		}
	}
	return nil
}
