// Package predict speaks two small protocols of scoring servers: the first
// version of KServe's and TensorFlow Serving's, and that of MLflow's scoring
// server, which SageMaker calls too.
//
//	POST /v1/models/ENDPOINT:predict   {"instances": [row, …]} → {"predictions": […]}
//	POST /invocations                  dataframe_split, dataframe_records, instances, inputs or CSV → {"predictions": […]}
//
// A row is an object by column or an array in the order of the endpoint's
// inputs. A prediction is the value of the endpoint's output, or an object
// where it has several. /invocations asks the only endpoint there is, the one
// that the header Leat-Endpoint names, or that of /endpoints/NAME/invocations.
// The first protocol is also whole below /kserve, because its status of a
// model stands where the registry's models are.
package predict

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/pattern/realtime"
	"github.com/leat-ai/leat/surface/compat"
	"github.com/leat-ai/leat/surface/server"
)

type surface struct{ *compat.Front }

// Register puts the protocols' routes on a server.
func Register(s *server.Server, front *compat.Front) {
	p := surface{front}
	handle := func(pattern string, f func(http.ResponseWriter, *http.Request) error, refuse func(http.ResponseWriter, error)) {
		s.HandleAs(pattern, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if err := f(w, r); err != nil {
				refuse(w, err)
			}
		}), refuse)
	}
	for _, path := range []string{"/v1/models/{model}", "/v1/models/{model}/versions/{version}"} {
		handle("POST "+path, p.predict, refuseV1)
		handle("POST /kserve"+path, p.predict, refuseV1)
		handle("GET /kserve"+path, p.status, refuseV1)
	}
	handle("GET /kserve/v1/models", p.list, refuseV1)
	handle("POST /invocations", p.invoke, refuseMLflow)
	handle("POST /endpoints/{endpoint}/invocations", p.invoke, refuseMLflow)
	s.HandleOpen("GET /ping", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that is gone has nobody to tell
}

// refuseV1 tells of an error as KServe and TensorFlow Serving do.
func refuseV1(w http.ResponseWriter, err error) {
	server.SetRetryAfter(w.Header(), err)
	answer(w, server.NewProblem(err).Status, map[string]string{"error": server.Sentence(err)})
}

// refuseMLflow tells of an error as MLflow does.
func refuseMLflow(w http.ResponseWriter, err error) {
	server.SetRetryAfter(w.Header(), err)
	answer(w, server.NewProblem(err).Status, map[string]string{"error_code": errorCode(fault.KindOf(err)), "message": server.Sentence(err)})
}

func errorCode(k fault.Kind) string {
	switch k {
	case fault.Invalid, fault.TooLarge, fault.Rejected, fault.Unsupported:
		return "BAD_REQUEST"
	case fault.NotFound:
		return "RESOURCE_DOES_NOT_EXIST"
	case fault.Unauthenticated:
		return "UNAUTHENTICATED"
	case fault.Forbidden:
		return "PERMISSION_DENIED"
	case fault.Limited:
		return "REQUEST_LIMIT_EXCEEDED"
	case fault.Overloaded, fault.Unavailable, fault.Timeout:
		return "TEMPORARILY_UNAVAILABLE"
	}
	return "INTERNAL_ERROR"
}

func reply(w http.ResponseWriter, body []byte, err error) error {
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // a client that is gone has nobody to tell
	return nil
}

// verb divides the last part of a path, as in model:predict.
func verb(r *http.Request) (model, version, verb string) {
	model, version = r.PathValue("model"), r.PathValue("version")
	if version == "" {
		model, verb, _ = strings.Cut(model, ":")
		return model, "", verb
	}
	version, verb, _ = strings.Cut(version, ":")
	return model, version, verb
}

func (p surface) predict(w http.ResponseWriter, r *http.Request) error {
	model, version, verb := verb(r)
	call := compat.Call{Protocol: "v1", Endpoint: model, Version: version}
	body, _, err := p.Serve(w, r, call, func(ctx context.Context, x *compat.Exchange, body []byte) ([]byte, error) {
		if verb != "predict" {
			return nil, fault.New(fault.NotFound, "there is nothing at %.200s for %s", r.URL.Path, r.Method).Hint("models have the verb :predict")
		}
		var q struct {
			Instances jsontext.Value `json:"instances"`
		}
		if err := wire.Unmarshal(body, &q); err != nil {
			return nil, fault.New(fault.Invalid, "the body is not understood").Because(err)
		}
		if len(q.Instances) == 0 {
			return nil, fault.New(fault.Invalid, "the body has no instances").Hint(`send {"instances": [row, …]}`)
		}
		return x.Predict(ctx, func() (realtime.Rows, error) { return x.Rows(q.Instances) }, `{"predictions":`, "}\n")
	})
	return reply(w, body, err)
}

// status answers what clients of KServe and of TensorFlow Serving look at.
func (p surface) status(w http.ResponseWriter, r *http.Request) error {
	who, _ := identity.From(r.Context())
	model := r.PathValue("model")
	release, err := p.Release(r.Context(), who, model, r.PathValue("version"))
	if err != nil {
		return err
	}
	type state struct {
		Version string            `json:"version"`
		State   string            `json:"state"`
		Status  map[string]string `json:"status"`
	}
	answer(w, http.StatusOK, struct {
		Name     string  `json:"name"`
		Ready    bool    `json:"ready"`
		Versions []state `json:"model_version_status"`
	}{model, true, []state{{compat.Version(release), "AVAILABLE", map[string]string{"error_code": "OK", "error_message": ""}}}})
	return nil
}

func (p surface) list(w http.ResponseWriter, r *http.Request) error {
	who, _ := identity.From(r.Context())
	answer(w, http.StatusOK, map[string][]string{"models": p.Visible(who)})
	return nil
}

func (p surface) invoke(w http.ResponseWriter, r *http.Request) error {
	endpoint, err := p.Choose(r)
	if err != nil {
		return err
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	call := compat.Call{Protocol: "invocations " + media, Endpoint: endpoint}
	body, _, err := p.Serve(w, r, call, func(ctx context.Context, x *compat.Exchange, body []byte) ([]byte, error) {
		return x.Predict(ctx, func() (realtime.Rows, error) { return dataframe(x, media, body) }, `{"predictions": `, "}\n")
	})
	return reply(w, body, err)
}

// dataframe reads rows in any of the forms that MLflow's scoring server takes.
// Its parameters of a model ("params") say nothing to a release.
func dataframe(x *compat.Exchange, media string, body []byte) (realtime.Rows, error) {
	switch media {
	case "text/csv":
		return x.CSV(body)
	case "application/json", "":
	default:
		return realtime.Rows{}, fault.New(fault.Invalid, "the body is %.60q", media).Hint("send application/json or text/csv")
	}
	var q struct {
		Split     jsontext.Value `json:"dataframe_split"`
		Records   jsontext.Value `json:"dataframe_records"`
		Instances jsontext.Value `json:"instances"`
		Inputs    jsontext.Value `json:"inputs"`
	}
	if err := wire.Unmarshal(body, &q); err != nil {
		return realtime.Rows{}, fault.New(fault.Invalid, "the body is not understood").Because(err)
	}
	forms := 0
	for _, v := range []jsontext.Value{q.Split, q.Records, q.Instances, q.Inputs} {
		if len(v) > 0 {
			forms++
		}
	}
	switch {
	case forms != 1:
		return realtime.Rows{}, fault.New(fault.Invalid, "the body has %d of the forms of rows", forms).
			Hint("send one of dataframe_split, dataframe_records, instances and inputs")
	case len(q.Split) > 0:
		return x.Split(q.Split)
	case len(q.Records) > 0:
		return x.Rows(q.Records)
	case len(q.Instances) > 0:
		return x.Rows(q.Instances)
	case q.Inputs.Kind() == '{':
		return x.Columns(q.Inputs)
	}
	return x.Rows(q.Inputs)
}
