package refdoc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/server"
)

// openAPI is the document that a server shows under /openapi.json, without
// the version of a build.
func openAPI(string) ([]byte, error) {
	s, err := server.New(server.Config{}, nil, nil)
	if err != nil {
		return nil, err
	}
	raw, err := api.New(s, api.Services{Version: "1"}).OpenAPI()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		return nil, err
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}

// The part of OpenAPI that the page shows.
type (
	document struct {
		Paths      map[string]map[string]operation
		Components struct{ Schemas map[string]*schema }
	}
	operation struct {
		Summary     string
		Tags        []string
		Security    []map[string][]string
		Parameters  []parameter
		RequestBody struct{ Content map[string]media }
		Responses   map[string]struct{ Content map[string]media }
	}
	parameter struct {
		Name, In, Description string
		Required              bool
		Schema                *schema
	}
	media  struct{ Schema *schema }
	schema struct {
		Ref                  string `json:"$ref"`
		Type                 json.RawMessage
		Format, Description  string
		Enum                 []json.RawMessage
		Default              json.RawMessage
		Minimum, Maximum     *float64
		Items                *schema
		Properties           map[string]*schema
		AdditionalProperties json.RawMessage
		Required             []string
	}
)

// route is an operation with its place.
type route struct {
	method, path string
	operation
}

// apiPage describes the native API.
func apiPage(root string) ([]byte, error) {
	raw, err := openAPI(root)
	if err != nil {
		return nil, err
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("the OpenAPI document is not understood: %w", err)
	}
	words, err := readStructs(root)
	if err != nil {
		return nil, err
	}
	byTag := map[string][]route{}
	for at, methods := range d.Paths {
		for method, op := range methods {
			byTag[op.Tags[0]] = append(byTag[op.Tags[0]], route{strings.ToUpper(method), at, op})
		}
	}
	p := newPage("The HTTP API", "surface/api")
	p.say("%s", apiHead)
	for _, tag := range slices.Sorted(maps.Keys(byTag)) {
		p.say("\n## %s%s\n", strings.ToUpper(tag[:1]), tag[1:])
		routes := byTag[tag]
		slices.SortFunc(routes, func(a, b route) int { return strings.Compare(a.path+" "+a.method, b.path+" "+b.method) })
		for _, r := range routes {
			p.route(r)
		}
	}
	p.say("\n## Types\n")
	for _, name := range slices.Sorted(maps.Keys(d.Components.Schemas)) {
		if s := d.Components.Schemas[name]; len(s.Properties) > 0 {
			p.say("\n### %s\n", name)
			p.fields(s, words[name])
		}
	}
	return p.bytes(), nil
}

const apiHead = `
JSON over HTTP. [openapi.json](openapi.json) has the same for machines; a server
shows it under ` + "`/openapi.json`" + `. A server that asks for API keys takes them as
` + "`Authorization: Bearer leat_…`" + `; the grant beside an operation is the verb that the
key must have (` + "`verb:name`" + `, with ` + "`*`" + ` for any). Errors are [problem documents](errors.md).

Beside the API a server answers ` + "`GET /healthz`" + ` (it lives) and ` + "`GET /readyz`" + ` (every part
that requests need answers) without a key, ` + "`GET /metrics`" + ` ([Prometheus](metrics.md)), and
the Open Inference Protocol v2 below ` + "`/v2`" + `, where an endpoint is a model and its
release a version.
`

func (p *page) route(r route) {
	p.say("\n### %s %s\n\n%s. Grant: %s.\n", r.method, r.path, r.Summary, code(verbOf(r.operation)))
	if len(r.Parameters) > 0 {
		p.table("parameter", "in", "value", "means")
	}
	for _, x := range r.Parameters {
		p.row(named(x.Name, x.Required), x.In, x.Schema.words(), x.meaning())
	}
	if body := schemaOf(r.RequestBody.Content); body != nil {
		p.say("\nBody: %s.\n", body.words())
		if body.Ref == "" {
			p.fields(body, nil)
		}
	}
	if answer := schemaOf(r.Responses["200"].Content); answer != nil {
		p.say("\nAnswer: %s.\n", answer.words())
		if answer.Ref == "" {
			p.fields(answer, nil)
		}
	}
}

func verbOf(op operation) string {
	for _, s := range op.Security {
		for _, verbs := range s {
			return strings.Join(verbs, " ")
		}
	}
	return "none"
}

func (x parameter) meaning() string { return cmp.Or(x.Description, x.Schema.Description) }

func schemaOf(content map[string]media) *schema {
	for _, kind := range slices.Sorted(maps.Keys(content)) {
		return content[kind].Schema
	}
	return nil
}

// fields shows the fields of an object; said has words for those that the
// document has none for.
func (p *page) fields(s *schema, said map[string]string) {
	if len(s.Properties) == 0 {
		return
	}
	p.table("field", "value", "means")
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		if name == "$schema" {
			continue
		}
		f := s.Properties[name]
		p.row(named(name, slices.Contains(s.Required, name)), f.words(), cmp.Or(f.Description, said[name]))
	}
}

func named(name string, required bool) string {
	if required {
		return "**" + code(name) + "**"
	}
	return code(name)
}

// words says what a value is, with a link where it is a type of its own.
func (s *schema) words() string {
	if s == nil {
		return "nothing"
	}
	if s.Ref != "" {
		name := path.Base(s.Ref)
		return fmt.Sprintf("[%s](#%s)", name, strings.ToLower(name))
	}
	if len(s.Enum) > 0 {
		var words []string
		for _, x := range s.Enum {
			words = append(words, strings.Trim(string(x), `"`))
		}
		return codes(words)
	}
	return s.kind() + s.bounds()
}

func (s *schema) kind() string {
	switch {
	case strings.Contains(string(s.Type), "array"):
		return "list of " + s.Items.words()
	case strings.Contains(string(s.Type), "object") && len(s.Properties) == 0:
		var of schema
		if json.Unmarshal(s.AdditionalProperties, &of) == nil && (of.Ref != "" || len(of.Type) > 0) {
			return "object of " + of.words()
		}
		return "object"
	case s.Format == "date-time":
		return "time (RFC 3339)"
	case len(s.Type) == 0:
		return "any JSON"
	}
	return strings.NewReplacer(`"`, "", "[", "", "]", "", ",", " or ").Replace(string(s.Type))
}

func (s *schema) bounds() string {
	text := ""
	if s.Minimum != nil {
		text += ", at least " + number(*s.Minimum)
	}
	if s.Maximum != nil {
		text += ", at most " + number(*s.Maximum)
	}
	if len(s.Default) > 0 {
		text += ", default " + code(strings.Trim(string(s.Default), `"`))
	}
	return text
}
