// Package identity answers who is asking, and what they may ask.
//
// A Principal is made once, where a request enters (surface/ for HTTP, the
// pattern itself for jobs), and flows through the decision path to the record.
// Keys authenticates API keys, which are stored hashed.
package identity

import (
	"context"
	"slices"
	"strings"
)

// Principal is somebody, or something, that asks.
type Principal struct {
	Name   string   `json:"name"`
	Groups []string `json:"groups,omitempty"`
	// Grants say what the principal may do, as "verb:name" with * as a
	// wildcard of either part: "score:fraud", "score:*", "*:*".
	Grants []string `json:"grants,omitempty"`
}

// May tells whether a grant of p covers a verb on a name.
func (p Principal) May(verb, name string) bool {
	return slices.ContainsFunc(p.Grants, func(grant string) bool {
		v, n, ok := strings.Cut(grant, ":")
		return ok && (v == "*" || v == verb) && (n == "*" || n == name)
	})
}

// Local is the principal of somebody who reached a server that listens only
// on loopback and asks for no key: the user of this machine.
func Local() Principal {
	return Principal{Name: "local", Grants: []string{"*:*"}}
}

// RunGroup is the group of durable runs. No API key can have it: the groups
// of keys hold no colon.
const RunGroup = "leat:run"

// Run is the principal of a durable run, by the name of its resource. Whoever
// may apply a resource may run it, so a run may score with every endpoint.
func Run(kind, name string) Principal {
	return Principal{Name: kind + "/" + name, Groups: []string{RunGroup}, Grants: []string{"score:*"}}
}

// In tells whether p is in one of some groups.
func (p Principal) In(groups []string) bool {
	return slices.ContainsFunc(p.Groups, func(g string) bool { return slices.Contains(groups, g) })
}

type contextKey struct{}

// With returns a context that carries p.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns the principal of a context, if there is one.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}
