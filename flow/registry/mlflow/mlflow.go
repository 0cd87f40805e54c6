// Package mlflow fetches models from MLflow servers, by the address of a
// version in their registry:
//
//	mlflow+https://host/models/NAME/3
//	mlflow+https://host/models/NAME@champion
//	mlflow+https://host/models/NAME           the newest version
//
// It stands beside flow/registry/intake, whose Fetcher it is: New, and the
// intake asks it for every address of the two schemes. What it brings is the
// folder of the model, as the server's artifact proxy hands it out, with what
// the server knows of its making: run, experiment, parameters, metrics,
// description and tags. It asks through the egress policy, and believes
// nothing: answers, listings, names and sizes are bounded and checked.
package mlflow

import (
	"context"
	"net/url"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/intake"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/model/importer"
)

// Schemes are how addresses begin that a Fetcher understands.
func Schemes() []string { return []string{"mlflow+http", "mlflow+https"} }

// Fetcher fetches from any MLflow server that the policy allows. It is safe
// for many goroutines.
type Fetcher struct {
	policy   egress.Policy
	resolver egress.Resolver // nil: the system's
}

// New returns a fetcher.
func New(policy egress.Policy) *Fetcher { return &Fetcher{policy: policy} }

// reference is an address taken apart.
type reference struct {
	base    *url.URL // of the server
	name    string
	version string // number; "" where an alias or the newest is meant
	alias   string
}

// parse takes an address apart.
func parse(address string) (reference, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return reference{}, malformed()
	}
	scheme, ok := strings.CutPrefix(u.Scheme, "mlflow+")
	if !ok {
		return reference{}, malformed()
	}
	prefix, rest, ok := strings.Cut(u.Path, "/models/")
	if !ok || u.RawQuery != "" || u.Fragment != "" {
		return reference{}, malformed()
	}
	r := reference{base: &url.URL{Scheme: scheme, Host: u.Host, User: u.User, Path: prefix}}
	name, of, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if before, alias, ok := strings.Cut(name, "@"); ok && of == "" {
		name, of = before, "@"+alias
	}
	r.name = name
	if alias, ok := strings.CutPrefix(of, "@"); ok {
		r.alias = alias
		if alias == "" {
			return reference{}, malformed()
		}
	} else if of != "" && of != "latest" {
		if n, err := strconv.Atoi(of); err != nil || n < 1 {
			return reference{}, malformed()
		}
		r.version = of
	}
	if r.name == "" {
		return reference{}, malformed()
	}
	return r, nil
}

func malformed() error {
	return fault.New(fault.Invalid, "the address is not that of a model on an MLflow server").
		Hint("write mlflow+https://host/models/NAME/VERSION or mlflow+https://host/models/NAME@alias")
}

// Fetch gets a version and what is known of it. The secret is sent to the
// server as user:password, or else as a token; "" sends none.
func (f *Fetcher) Fetch(ctx context.Context, address, secret string) (intake.Fetched, error) {
	r, err := parse(address)
	if err != nil {
		return intake.Fetched{}, err
	}
	if err := f.policy.CheckURL(r.base); err != nil {
		return intake.Fetched{}, err
	}
	s := f.open(r.base, secret)
	defer s.client.CloseIdleConnections()
	v, err := s.version(ctx, r)
	if err != nil {
		return intake.Fetched{}, err
	}
	root, err := s.location(ctx, v)
	if err != nil {
		return intake.Fetched{}, err
	}
	files, err := s.folder(ctx, root)
	if err != nil {
		return intake.Fetched{}, err
	}
	fetched := intake.Fetched{Files: files, Name: "."}
	fetched.Lineage = registry.Lineage{Source: plain(r, v), Notes: map[string]string{"mlflow_source": v.Source}}
	fetched.Notes = registry.Notes{Description: v.Description, Tags: tagMap(v.Tags)}
	if v.Run == "" {
		return fetched, nil
	}
	return fetched, s.lineage(ctx, v.Run, &fetched)
}

// plain is the address of the version that was found, without credentials.
func plain(r reference, v version) string {
	base := *r.base
	base.User = nil
	return "mlflow+" + base.JoinPath("models", v.Name, string(v.Version)).String()
}

// Folder files are bounded by what an import may hold.
const maxBody = importer.MaxBytes
