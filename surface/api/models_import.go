package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/model/importer"
	"github.com/leat-ai/leat/surface/server"
)

// Importer registers models that were made elsewhere: flow/registry/intake.
type Importer interface {
	Import(ctx context.Context, r intake.Request) (intake.Imported, error)
}

// Media types of a model that is sent.
const (
	tarType  = "application/x-tar"
	fileType = "application/octet-stream"
	jsonType = "application/json"
)

// ImportOptions say what to import besides files, and what is known of it. An
// upload has them as parameters of the query, of which tag and column may
// stand there several times.
type ImportOptions struct {
	URI         string            `json:"uri,omitempty" doc:"address to fetch the model from: https://, s3://, azblob://; a folder of a bucket ends in /"`
	Secret      string            `json:"secret,omitempty" doc:"reference to a secret for the address"`
	File        string            `json:"file,omitempty" doc:"the model's file among those sent; found out when absent"`
	Source      string            `json:"source,omitempty" doc:"where the files came from, for the lineage"`
	Alias       string            `json:"alias,omitempty" doc:"alias to point at the version"`
	Label       string            `json:"label,omitempty" doc:"column that the model predicts"`
	Description string            `json:"description,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Columns     []string          `json:"columns,omitempty" doc:"names of the columns of a model that has none"`
	Flavor      string            `json:"flavor,omitempty" doc:"flavor of an MLflow model to use"`
}

// maxUpload leaves room for the headers of a tar archive.
const maxUpload = importer.MaxBytes + 16<<20

// uploadTime bounds how long an upload may take.
const uploadTime = 9 * time.Minute

const importRoute = "/v1/models/{name}/versions"

func (a *API) importing(s *server.Server) {
	s.HandleLarge("POST "+importRoute, maxUpload, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := a.importModel(w, r)
		if err != nil {
			server.WriteProblem(w, err)
			return
		}
		text, err := json.Marshal(answer)
		if err != nil {
			server.WriteProblem(w, fault.Wrap(err, fault.Internal, "the version cannot be written"))
			return
		}
		w.Header().Set("Content-Type", jsonType)
		if !answer.Existing {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(text) // a client that is gone has nobody to tell
	}))
	a.huma.OpenAPI().AddOperation(importOperation())
}

func (a *API) importModel(w http.ResponseWriter, r *http.Request) (intake.Imported, error) {
	name := r.PathValue("name")
	p, err := allowed(r.Context(), verbApply, name)
	if err != nil {
		return intake.Imported{}, err
	}
	// In the tests of handlers there is no connection that could be slow.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(uploadTime))
	o, sent, err := importOptions(r)
	if err != nil {
		return intake.Imported{}, err
	}
	return a.services.Importer.Import(r.Context(), intake.Request{
		Model: name, Sent: sent, Name: o.File, URI: o.URI, Secret: o.Secret, Source: o.Source,
		Hints: importer.Hints{Columns: o.Columns, Flavor: o.Flavor, Programs: p.May(verbAdmin, "*")},
		Alias: o.Alias, Label: o.Label, Description: o.Description, Tags: o.Tags, By: p.Name,
	})
}

// importOptions reads what is asked for. sent reads the files; it is nil when
// an address is named instead.
func importOptions(r *http.Request) (o ImportOptions, sent func(context.Context) (importer.Files, error), err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	switch kind {
	case jsonType:
		o, err = jsonOptions(r)
		return o, nil, err
	case tarType:
		o, err = queryOptions(r)
		return o, func(context.Context) (importer.Files, error) { return importer.Unpack(r.Body) }, err
	case fileType:
		o, err = queryOptions(r)
		if o.File == "" {
			o.File = "model"
		}
		return o, func(context.Context) (importer.Files, error) { return oneFile(r.Body, o.File) }, err
	}
	return o, nil, fault.New(fault.Unsupported, "a model is not sent as %q", kind).
		Hint("send the file as %s, a folder as %s, or an address as %s", fileType, tarType, jsonType)
}

func jsonOptions(r *http.Request) (o ImportOptions, err error) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return o, fault.New(fault.Invalid, "the body ended too early").Because(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&o); err != nil {
		return o, fault.New(fault.Invalid, "the body is not what an import asks for").Because(err).Hint(`send {"uri": "https://…"}`)
	}
	if o.URI == "" {
		return o, fault.New(fault.Invalid, "the body names no uri").Hint("send the model itself as %s or %s", fileType, tarType)
	}
	return o, nil
}

func queryOptions(r *http.Request) (o ImportOptions, err error) {
	q := r.URL.Query()
	o = ImportOptions{
		File: q.Get("file"), Source: q.Get("source"), Alias: q.Get("alias"), Label: q.Get("label"),
		Description: q.Get("description"), Columns: q["column"], Flavor: q.Get("flavor"),
	}
	for _, tag := range q["tag"] {
		key, value, ok := strings.Cut(tag, "=")
		if !ok || key == "" {
			return o, fault.New(fault.Invalid, "the tag %q is not of the form key=value", tag)
		}
		if o.Tags == nil {
			o.Tags = map[string]string{}
		}
		o.Tags[key] = value
	}
	return o, nil
}

// oneFile reads a body that is the model's file.
func oneFile(body io.Reader, name string) (importer.Files, error) {
	data, err := io.ReadAll(io.LimitReader(body, importer.MaxBytes+1))
	if err != nil {
		return nil, fault.New(fault.Invalid, "the body ended too early").Because(err)
	}
	if len(data) > importer.MaxBytes {
		return nil, fault.New(fault.TooLarge, "the model has more than %d MiB", importer.MaxBytes>>20)
	}
	files := importer.Files{}
	return files, files.Add(path.Clean(name), data)
}

// importOperation describes the route in the OpenAPI document.
func importOperation() *huma.Operation {
	text := &huma.Schema{Type: "string"}
	query := func(name, doc string) *huma.Param {
		return &huma.Param{Name: name, In: "query", Schema: text, Description: doc}
	}
	many := func(name, doc string) *huma.Param {
		p := query(name, doc)
		p.Schema = &huma.Schema{Type: "array", Items: text}
		return p
	}
	binary := &huma.MediaType{Schema: &huma.Schema{Type: "string", Format: "binary"}}
	answer := jsonOf(&huma.Schema{
		Type: "object", Required: []string{"version", "kind"}, AdditionalProperties: true,
		Properties: map[string]*huma.Schema{
			"version":  {Ref: "#/components/schemas/RegistryVersion"},
			"existing": {Type: "boolean", Description: "The same model was there already."},
			"kind":     {Type: "string", Description: "What was found, for people."},
			"notes":    {Type: "array", Items: text},
		},
	})
	return &huma.Operation{
		Method: http.MethodPost, Path: importRoute, OperationID: "import-model",
		Summary:     "Import a model that was made elsewhere as a version",
		Description: "The body is the model's file, a tar archive of its folder, or JSON with an address to fetch it from.",
		Tags:        []string{"models"}, Security: needs(verbApply),
		Parameters: []*huma.Param{
			{Name: "name", In: "path", Required: true, Schema: text, Description: "name of the model in the registry"},
			query("file", "the model's file among those sent; found out when absent"),
			query("source", "where the files came from, for the lineage"),
			query("alias", "alias to point at the version"),
			query("label", "column that the model predicts"),
			query("description", "what the version is, for people"),
			query("flavor", "flavor of an MLflow model to use"),
			many("column", "names of the columns of a model that has none, in its order"),
			many("tag", "key=value"),
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			fileType: binary, tarType: binary,
			jsonType: {Schema: &huma.Schema{Type: "object", Required: []string{"uri"}, Properties: importProperties(text)}},
		}},
		Responses: map[string]*huma.Response{
			"200":     {Description: "The same model was there already, as this version.", Content: answer},
			"201":     {Description: "The version that was made.", Content: answer},
			"default": {Description: "A problem document (RFC 9457)."},
		},
	}
}

func importProperties(text *huma.Schema) map[string]*huma.Schema {
	described := func(doc string) *huma.Schema { return &huma.Schema{Type: "string", Description: doc} }
	return map[string]*huma.Schema{
		"uri":    described("https://, s3:// or azblob://; a folder of a bucket ends in /"),
		"secret": described("reference to a secret for the address"),
		"file":   described("the model's file among those found"), "alias": text, "label": text, "description": text,
		"flavor": text, "columns": {Type: "array", Items: text},
		"tags": {Type: "object", AdditionalProperties: text},
	}
}
