// Package azureml speaks as an online endpoint of Azure Machine Learning does,
// so that applications that call one call Leat by another address.
//
//	POST /endpoints/NAME/score   of that endpoint
//	POST /score                  of the only one, or of the one named by a header
//
// On Azure the host names the endpoint, and azureml-model-deployment one of
// its deployments. Here the header names a variant of the endpoint's release;
// at /score it may name the endpoint instead, as Leat-Endpoint does.
//
// A body is {"data": rows}, {"input_data": rows}, {"input_data": {"columns",
// "index", "data"}} or {"Inputs": {name: rows}}; the answer is the array of
// predictions, which is {"Results": […]} for the last. What a model's script
// would have refused is 424 with the status that it would have had in
// ms-azureml-model-error-statuscode.
package azureml

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

// The headers of the protocol.
const (
	deploymentHeader = "Azureml-Model-Deployment"
	statusHeader     = "Ms-Azureml-Model-Error-Statuscode"
	reasonHeader     = "Ms-Azureml-Model-Error-Reason"
	requestHeader    = "X-Ms-Request-Id"
	clientHeader     = "X-Ms-Client-Request-Id"
)

type surface struct{ *compat.Front }

// Register puts the protocol's routes on a server.
func Register(s *server.Server, front *compat.Front) {
	a := surface{front}
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error) {
		s.HandleAs(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				refuse(w, err)
			}
		}), refuse)
	}
	handle("POST /score", a.score)
	handle("POST /endpoints/{endpoint}/score", a.score)
	handle("GET /swagger.json", a.swagger)
	handle("GET /endpoints/{endpoint}/swagger.json", a.swagger)
	s.HandleOpen("GET /{$}", http.HandlerFunc(healthy))
}

// healthy answers as the inference server of the protocol's local runs does.
func healthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("Healthy")) // a client that is gone has nobody to tell
}

// refuse tells of an error: what the model's side of the protocol found is
// 424, the front's own findings have statuses of their own.
func refuse(w http.ResponseWriter, err error) {
	kind, status := fault.KindOf(err), 0
	switch kind {
	case fault.Unauthenticated, fault.Forbidden, fault.NotFound, fault.TooLarge:
		status = kind.HTTP()
	case fault.Timeout:
		status = http.StatusRequestTimeout
	case fault.Limited, fault.Overloaded:
		status = http.StatusTooManyRequests
	case fault.Unavailable, fault.Full:
		status = http.StatusServiceUnavailable
	default:
		status = http.StatusFailedDependency
		w.Header().Set(statusHeader, strconv.Itoa(kind.HTTP()))
		w.Header().Set(reasonHeader, oneLine(server.NewProblem(err).Detail))
	}
	server.SetRetryAfter(w.Header(), err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]map[string]string{ // a client that is gone has nobody to tell
		"error": {"code": string(kind), "message": server.Sentence(err)},
	})
}

// oneLine makes a text fit for a header.
func oneLine(text string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, text[:min(len(text), 500)])
}

func (a surface) score(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set(requestHeader, w.Header().Get(server.RequestID))
	if id := r.Header.Get(clientHeader); id != "" {
		w.Header().Set(clientHeader, oneLine(id))
	}
	endpoint, deployment, err := a.choose(r)
	if err != nil {
		return err
	}
	call := compat.Call{Protocol: "azureml", Endpoint: endpoint}
	body, _, err := a.Serve(w, r, call, func(ctx context.Context, x *compat.Exchange, body []byte) ([]byte, error) {
		if err := deployed(x.Path().Release(), deployment); err != nil {
			return nil, err
		}
		read, results, err := parse(x, body)
		if err != nil {
			return nil, err
		}
		if results {
			return x.Predict(ctx, read, `{"Results": `, "}")
		}
		return x.Predict(ctx, read, "", "")
	})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that is gone has nobody to tell
	return nil
}

// choose returns the endpoint of a request, and its deployment if it names
// one.
func (a surface) choose(r *http.Request) (endpoint, deployment string, err error) {
	deployment = r.Header.Get(deploymentHeader)
	if r.PathValue("endpoint") == "" && r.Header.Get(compat.EndpointHeader) == "" && deployment != "" {
		p, _ := identity.From(r.Context())
		if slices.Contains(a.Visible(p), deployment) {
			return deployment, "", nil
		}
	}
	endpoint, err = a.Choose(r)
	return endpoint, deployment, err
}

// deployed refuses a deployment that the release has not.
func deployed(r deploy.Release, deployment string) error {
	var names []string
	for _, v := range r.Content.Variants {
		names = append(names, v.Name)
	}
	if deployment == "" || slices.Contains(names, deployment) {
		return nil
	}
	return fault.New(fault.NotFound, "%s has no deployment %.64q", r.Endpoint, deployment).Hint("it has %s", strings.Join(names, ", "))
}

// parse finds the rows of a body, and tells whether the answer is called
// Results.
func parse(x *compat.Exchange, body []byte) (read func() (realtime.Rows, error), results bool, err error) {
	var q struct {
		Data   jsontext.Value            `json:"data"`
		Input  jsontext.Value            `json:"input_data"`
		Inputs map[string]jsontext.Value `json:"Inputs"`
	}
	if err := wire.Unmarshal(body, &q); err != nil {
		return nil, false, fault.New(fault.Invalid, "the body is not understood").Because(err)
	}
	rows := q.Data
	switch {
	case len(q.Data) == 0 && len(q.Input) > 0 && len(q.Inputs) == 0:
		rows = q.Input
	case len(q.Data) == 0 && len(q.Input) == 0 && len(q.Inputs) == 1:
		for _, rows = range q.Inputs {
			results = true
		}
	case len(q.Data) == 0 || len(q.Input) > 0 || len(q.Inputs) > 0:
		return nil, false, fault.New(fault.Invalid, "the body has no rows, or several sets of them").
			Hint(`send {"data": [row, …]} or {"input_data": {"columns": […], "data": [[…], …]}}`)
	}
	if rows.Kind() == '{' {
		return func() (realtime.Rows, error) { return x.Split(rows) }, results, nil
	}
	return func() (realtime.Rows, error) { return x.Rows(rows) }, results, nil
}

// swagger describes scoring with an endpoint: OpenAPI 3 for ?version=3,
// Swagger 2 otherwise.
func (a surface) swagger(w http.ResponseWriter, r *http.Request) error {
	endpoint, _, err := a.choose(r)
	if err != nil {
		return err
	}
	p, _ := identity.From(r.Context())
	path, err := a.Path(r.Context(), p, endpoint, "")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(describe(path, strings.TrimSuffix(r.URL.Path, "swagger.json")+"score", r.URL.Query().Get("version") == "3"))
	return nil
}

// document is a part of a description.
type document map[string]any

func describe(path *decide.Path, route string, three bool) document {
	row, prediction := document{}, document{}
	for _, in := range path.Inputs() {
		row[in.Name] = typeOf(in.Type)
	}
	for _, out := range path.Outputs() {
		prediction[out.Name] = typeOf(out.Type)
	}
	list := func(of document) document {
		return document{"type": "array", "items": document{"type": "object", "properties": of}}
	}
	in := document{"type": "object", "required": []string{"data"}, "properties": document{"data": list(row)}}
	release := path.Release()
	d := document{"info": document{"title": release.Endpoint, "version": compat.Version(release)}}
	operation := document{"operationId": "score", "summary": "Score rows"}
	if three {
		content := func(of document) document { return document{"application/json": document{"schema": of}} }
		operation["requestBody"] = document{"required": true, "content": content(in)}
		operation["responses"] = document{"200": document{"description": "A prediction for each row", "content": content(list(prediction))}}
		d["openapi"] = "3.0.3"
	} else {
		operation["consumes"], operation["produces"] = []string{"application/json"}, []string{"application/json"}
		operation["parameters"] = []document{{"name": "body", "in": "body", "required": true, "schema": in}}
		operation["responses"] = document{"200": document{"description": "A prediction for each row", "schema": list(prediction)}}
		d["swagger"] = "2.0"
	}
	d["paths"] = document{route: document{"post": operation}}
	return d
}

// typeOf is the schema of a column's values.
func typeOf(t frame.Type) document {
	switch t {
	case frame.Double:
		return document{"type": "number", "format": "double"}
	case frame.Int:
		return document{"type": "integer", "format": "int64"}
	case frame.Bool:
		return document{"type": "boolean"}
	case frame.Timestamp:
		return document{"type": "string", "format": "date-time"}
	case frame.Date:
		return document{"type": "string", "format": "date"}
	}
	return document{"type": "string"}
}
