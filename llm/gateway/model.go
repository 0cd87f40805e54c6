package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/spec"
)

// defaultOutput is how long an answer may be that a budget pays for, where
// neither the call nor the LLM says.
const defaultOutput = 4096

// model is an LLM in force.
type model struct {
	spec        *spec.LLM
	since       time.Time
	deployments []*deployment
	meters      *meters
	retries     *retries
	budget      Money
	priced      bool // every deployment has a price
	form        string
	seen        watch
}

// watch are the instruments of an LLM.
type watch struct {
	tokens [3]telemetry.BoundCounter // in, from the cache, out
	cost   telemetry.BoundCounter
	took   [3]telemetry.BoundHistogram // by operation
	first  telemetry.BoundHistogram
}

// worst is what a call costs at most, at the dearest deployment.
func (m *model) worst(w workload) Money {
	most := Money(0)
	for _, d := range m.deployments {
		most = max(most, d.price.worst(w))
	}
	return most
}

// output is how many tokens an answer of a chat may have, and whether the
// provider is to be told.
func (m *model) output(asked int) (most int, tell bool) {
	switch {
	case asked > 0:
		return asked, false
	case m.spec.MaxTokens > 0:
		return m.spec.MaxTokens, true
	}
	return defaultOutput, m.budget > 0
}

// Converge puts LLM resources in force, in place of those before. What is
// known of deployments, limits and budgets that remain is kept; calls under
// way end as they began.
func (g *Gateway) Converge(list []*spec.LLM) {
	now := g.deps.Clock.Now()
	g.mu.Lock()
	before := g.models
	next := make(map[string]*model, len(list))
	for _, s := range list {
		next[s.Name] = g.model(s, before[s.Name], now)
	}
	g.models = next
	g.direct = map[string]*model{}
	g.mu.Unlock()
	kept := map[*deployment]bool{}
	for _, m := range next {
		for _, d := range m.deployments {
			kept[d] = true
		}
	}
	for _, m := range before {
		for _, d := range m.deployments {
			if !kept[d] {
				d.retire()
			}
		}
	}
}

// model makes an LLM of its resource. was is the one of the name before, or
// nil.
func (g *Gateway) model(s *spec.LLM, was *model, now time.Time) *model {
	form, _ := json.Marshal(s) // the structs of spec can be written
	if was != nil && was.form == string(form) {
		return was
	}
	m := &model{spec: s, since: now, retries: newRetries(), budget: DollarsOf(s.Budget.USD), priced: true, form: string(form)}
	if was != nil {
		m.meters, m.retries, m.since = was.meters, was.retries, was.since
	} else {
		m.meters = g.restored(s.Name)
	}
	for _, d := range s.Deployments {
		one := g.deployment(s, d, was)
		m.priced = m.priced && one.priced
		m.deployments = append(m.deployments, one)
	}
	m.seen = g.tell.watch(s.Name)
	return m
}

// deployment makes one of an LLM's deployments, or keeps the one before if
// nothing about it changed.
func (g *Gateway) deployment(s *spec.LLM, d spec.LLMDeployment, was *model) *deployment {
	one := &deployment{Deployment: Deployment{At: d.At, Secret: d.Secret, Options: d.Options}, weight: d.Share(), open: g.deps.Open}
	one.price, one.priced = g.price(s, d)
	if was != nil {
		for _, old := range was.deployments {
			if old.same(one) {
				return old
			}
		}
	}
	one.calls = g.tell.attempts(s.Name, d.At)
	return one
}

func (d *deployment) same(e *deployment) bool {
	if d.At != e.At || d.Secret != e.Secret || d.weight != e.weight || d.price != e.price || d.priced != e.priced || len(d.Options) != len(e.Options) {
		return false
	}
	for k, v := range d.Options {
		if w, ok := e.Options[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// price finds what a deployment costs: by itself, by its LLM, by the table. A
// model that runs in this process costs nothing.
func (g *Gateway) price(s *spec.LLM, d spec.LLMDeployment) (Price, bool) {
	switch {
	case d.Price != nil:
		return priceOf(d.Price), true
	case s.Price != nil:
		return priceOf(s.Price), true
	}
	a, err := llm.ParseAddress(d.At)
	if err != nil {
		return Price{}, !strings.Contains(d.At, "://")
	}
	return g.deps.Prices.Find(a.Model)
}

// find returns an LLM by its name, or where the call is made for something of
// the house, one that is an address or folder.
func (g *Gateway) find(ctx context.Context, name string) (*model, error) {
	g.mu.RLock()
	m, ok := g.models[name]
	if !ok {
		m, ok = g.direct[name]
		ok = ok && via(ctx) != ""
	}
	g.mu.RUnlock()
	if ok {
		return m, nil
	}
	if via(ctx) != "" && strings.ContainsAny(name, ":/.") {
		return g.open(name)
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	known := make([]string, 0, len(g.models))
	for n := range g.models {
		known = append(known, n)
	}
	slices.Sort(known)
	err := fault.New(fault.NotFound, "no LLM is called %q", name)
	if near := fault.Nearest(name, known); near != "" {
		return nil, err.Hint("did you mean %s?", near)
	}
	return nil, err.Hint("apply a resource of kind LLM with this name")
}

// maxDirect bounds how many addresses are known beside the resources.
const maxDirect = 1000

// open makes an LLM of an address.
func (g *Gateway) open(address string) (*model, error) {
	s := &spec.LLM{Name: "direct", Deployments: []spec.LLMDeployment{{At: address}}}
	if err := spec.Validate(s); err != nil {
		return nil, fault.New(fault.Invalid, "%q is no LLM", address).Because(err).Hint("%s", fault.HintOf(err))
	}
	s.Name = address
	g.mu.Lock()
	defer g.mu.Unlock()
	if m, ok := g.direct[address]; ok {
		return m, nil
	}
	if len(g.direct) >= maxDirect {
		return nil, fault.New(fault.Overloaded, "too many language models are named by their addresses").Hint("apply resources of kind LLM for them")
	}
	m := g.model(s, nil, g.deps.Clock.Now())
	g.direct[address] = m
	return m, nil
}

// Models lists the LLMs that the caller may use, by name.
func (g *Gateway) Models(ctx context.Context) []Model {
	who := g.deps.Who(ctx)
	g.mu.RLock()
	defer g.mu.RUnlock()
	var list []Model
	for name, m := range g.models {
		if m.admits(who) != nil {
			continue
		}
		list = append(list, Model{Name: name, Description: m.spec.Description, Since: m.since, Fallback: m.spec.Fallback})
	}
	slices.SortFunc(list, func(a, b Model) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// admits tells whether a caller may use an LLM.
func (m *model) admits(who Caller) error {
	if who.May == nil || !who.May("chat", m.spec.Name) {
		return fault.New(fault.Forbidden, "%s may not use LLM %q", who, m.spec.Name).Hint("ask for a key with the grant chat:%s", m.spec.Name)
	}
	if len(m.spec.Allow) > 0 && !slices.ContainsFunc(m.spec.Allow, func(group string) bool { return slices.Contains(who.Groups, group) }) {
		return fault.New(fault.Forbidden, "%s is in no group that may use LLM %q", who, m.spec.Name)
	}
	return nil
}

// String names the caller in sentences.
func (c Caller) String() string {
	if c.Name == "" {
		return "nobody"
	}
	return c.Name
}
