package app

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
)

// confined checks that a project which somebody sends stays inside of itself:
// it names no file beyond its folder, no program to run, no secret to send
// somewhere, and no index on another server. Otherwise a key that may apply and
// run could read and write whatever the server may. Who administers the server,
// and the user of its machine, may do that anyway.
func confined(ctx context.Context, list []spec.Resource) error {
	p, ok := identity.From(ctx)
	if !ok || p.May("admin", "*") {
		return nil
	}
	var mistakes fault.List
	refuse := func(r spec.Resource, what string) {
		mistakes.Add(fault.New(fault.Forbidden, "%s %q %s", r.Kind, r.Name, what).At("%s", r.At.String()).
			Hint("a key with the grant admin:* is needed, or `leat apply` on the server itself"))
	}
	for _, r := range list {
		for _, name := range locations(r) {
			name = strings.TrimPrefix(name, "file://")
			if !strings.Contains(name, "://") && !filepath.IsLocal(name) {
				refuse(r, "names a file outside of the project")
			}
		}
		if sendsSecret(r) {
			refuse(r, "sends a secret or an identity of the server to another one")
		}
		if indexesElsewhere(r) {
			refuse(r, "keeps its index on another server")
		}
		if runsCommand(r) {
			refuse(r, "runs a program on the server")
		}
	}
	return mistakes.Err()
}

// sendsSecret tells whether a resource shows a secret of the server to whatever
// address it names itself: who chooses both reads the secret.
func sendsSecret(r spec.Resource) bool {
	switch s := r.Spec.(type) {
	case *spec.Source:
		return s.Secret != ""
	case *spec.Stream:
		return s.Secret != "" || s.Codec[codecLogin] != ""
	case *spec.Trigger: // what is signed with it tells something of it
		return s.Start.Secret != ""
	case *spec.Knowledge:
		return s.Secret != "" || slices.ContainsFunc(s.Sources, func(from spec.KnowledgeSource) bool { return from.Secret != "" })
	case *spec.LLM:
		return slices.ContainsFunc(s.Deployments, func(d spec.LLMDeployment) bool { return d.Secret != "" })
	case *spec.Assistant:
		return s.Secret != ""
	case *spec.Model:
		return s.Remote != nil && (s.Remote.Secret != "" || s.Remote.Entra != nil)
	}
	return false
}

// indexesElsewhere tells whether a knowledge has its index on another server.
// That one is asked with what the server has of its own where no secret is
// named: the identity of its machine, or for PostgreSQL the passwords and keys
// of its environment and of any file that the address names.
func indexesElsewhere(r spec.Resource) bool {
	k, ok := r.Spec.(*spec.Knowledge)
	return ok && k.Index != "" && k.Index != "embedded"
}

// locations are the files and addresses that a resource names.
func locations(r spec.Resource) []string {
	switch s := r.Spec.(type) {
	case *spec.Source:
		return []string{s.From}
	case *spec.Batch:
		return []string{s.From, s.To}
	case *spec.Stream:
		return append(s.Targets(), s.From)
	case *spec.Knowledge:
		names := []string{s.Questions, s.Embed, s.Rerank}
		for _, from := range s.All() {
			names = append(names, strings.TrimPrefix(from.From, "git+"))
		}
		return slices.DeleteFunc(names, func(name string) bool { return name == "" })
	case *spec.LLM:
		var names []string
		for _, d := range s.Deployments {
			names = append(names, d.At)
		}
		return names
	case *spec.Assistant:
		if s.LLM != "" {
			return []string{s.LLM}
		}
	case *spec.Pipeline:
		return modelFiles(s)
	case *spec.Model:
		if s.Process != nil {
			return []string{s.Process.From}
		}
	}
	return nil
}

// modelFiles are the models that a pipeline imports.
func modelFiles(p *spec.Pipeline) (files []string) {
	for _, s := range p.Steps {
		if s.Train != nil && s.Train.From != "" {
			files = append(files, s.Train.From)
		}
	}
	return files
}

func runsCommand(r spec.Resource) bool {
	if m, ok := r.Spec.(*spec.Model); ok {
		return m.Process != nil
	}
	p, ok := r.Spec.(*spec.Pipeline)
	if !ok {
		return false
	}
	for _, s := range p.Steps {
		if s.Train != nil && (s.Train.Trainer == "command" || len(s.Train.Command) > 0) {
			return true
		}
	}
	return false
}
