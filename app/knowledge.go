package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge"
	"github.com/leat-ai/leat/flow/knowledge/source"
	"github.com/leat-ai/leat/flow/retrain/trigger"
	"github.com/leat-ai/leat/guard/egress"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/guard/secret"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/index"
	"github.com/leat-ai/leat/work"
)

// syncSoon is how long documents that were sent wait for others to come, before
// a run takes them in together.
const syncSoon = 500 * time.Millisecond

// maxQuestions bounds a file of questions, in bytes.
const maxQuestions = 64 << 20

// openKnowledge makes what holds documents and their indexes; converge says
// which knowledge there is.
func (a *App) openKnowledge(context.Context) (func(context.Context) error, error) {
	policy, err := egress.Parse(a.config.Egress)
	if err != nil {
		return nil, err
	}
	root, err := filepath.Abs(a.config.Project)
	if err != nil {
		return nil, err
	}
	resolve := resolveSecret(secret.NewResolver(nil))
	a.known = knowledge.New(knowledge.Deps{
		DB: a.catalog, Blobs: a.blobs, Space: a.config.Env, Clock: a.clock, Log: a.log, Scratch: a.scratch(),
		Engines: knowledgeEngines{a, resolve, policy},
		Sources: knowledgeSources{a, backends.KnowledgeSources{Policy: policy, Secret: resolve, Root: root,
			Folder: filepath.Join(a.scratch(), "git"), Lake: a.lake}},
		Questions: func(_ context.Context, file string) ([]knowledge.Question, error) {
			content, err := a.projectFile(file, maxQuestions)
			if err != nil {
				return nil, err
			}
			return knowledge.ParseQuestions(content)
		},
		Used: a.servedSnapshots, Listener: knowledgeTold{a},
	})
	return a.known.Close, nil
}

// knowledgeEngines opens indexes, and the models that passages go through.
type knowledgeEngines struct {
	app    *App
	secret func(context.Context, string) (string, error)
	policy egress.Policy // of indexes on other servers
}

// Index meets knowledge.Engines.
func (e knowledgeEngines) Index(ctx context.Context, k spec.Knowledge) (index.Index, error) {
	password := ""
	if k.Secret != "" {
		var err error
		if password, err = e.secret(ctx, k.Secret); err != nil {
			return nil, err
		}
	}
	a := e.app
	return backends.Index(ctx, backends.IndexConfig{
		Address: k.Index, Secret: password, Name: a.config.Env + "_" + k.Name,
		Folder: filepath.Join(a.config.Home, "knowledge", a.config.Env, k.Name), Policy: e.policy,
	})
}

// Embedder meets knowledge.Engines.
func (e knowledgeEngines) Embedder(_ context.Context, k spec.Knowledge) (llm.Embedder, error) {
	if k.Embed == "" {
		return nil, nil
	}
	return viaGateway{e.app, k.Name, k.Embed}, nil
}

// Reranker meets knowledge.Engines.
func (e knowledgeEngines) Reranker(_ context.Context, k spec.Knowledge) (llm.Reranker, error) {
	if k.Rerank == "" {
		return nil, nil
	}
	return viaGateway{e.app, k.Name, k.Rerank}, nil
}

// viaGateway asks a model on behalf of a knowledge.
type viaGateway struct {
	app             *App
	knowledge, name string
}

func (v viaGateway) within(ctx context.Context) context.Context {
	if _, ok := identity.From(ctx); !ok {
		ctx = identity.With(ctx, identity.Run(string(spec.KindKnowledge), v.knowledge))
	}
	return gateway.Via(ctx, "knowledge/"+v.knowledge)
}

// Embed meets llm.Embedder.
func (v viaGateway) Embed(ctx context.Context, r llm.EmbedRequest) (llm.Embeddings, error) {
	made, _, err := v.app.gateway.Embed(v.within(ctx), v.name, r)
	return made, err
}

// Rerank meets llm.Reranker.
func (v viaGateway) Rerank(ctx context.Context, r llm.RerankRequest) (llm.Ranking, error) {
	ranking, _, err := v.app.gateway.Rerank(v.within(ctx), v.name, r)
	return ranking, err
}

// knowledgeSources opens where documents come from.
type knowledgeSources struct {
	app    *App
	others backends.KnowledgeSources
}

// Source meets knowledge.Sources.
func (s knowledgeSources) Source(ctx context.Context, name string, from spec.KnowledgeSource) (source.Source, error) {
	if spec.Scheme(from.From) == "push" {
		return s.app.known.Inbox(name, from), nil
	}
	return s.others.Source(ctx, name, from)
}

// servedSnapshots are those that releases of assistants answer from.
func (a *App) servedSnapshots(ctx context.Context, name string) ([]string, error) {
	endpoints, err := a.releases.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	var used []string
	for _, e := range endpoints {
		r, err := a.releases.Live(ctx, e)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if r.Content.Assistant == nil {
			continue
		}
		for _, k := range r.Content.Assistant.Knowledge {
			if k.Name == name {
				used = append(used, k.Snapshot)
			}
		}
	}
	return used, nil
}

// knowledgeTold publishes what becomes of runs.
type knowledgeTold struct{ app *App }

// Live meets knowledge.Listener.
func (t knowledgeTold) Live(ctx context.Context, tx catalog.Tx, name string, s knowledge.Snapshot) error {
	return t.app.events.Publish(ctx, tx, trigger.Event{
		ID: fmt.Sprintf("%s/%s/%s/%s", spec.EventKnowledge, name, s.Name, s.Run), Type: spec.EventKnowledge, Subject: name, At: s.Made,
		Fields: map[string]expr.Value{"knowledge": expr.String(name), "run": expr.String(s.Run), "snapshot": expr.String(s.Name),
			"documents": expr.Int(int64(s.Documents)), "passages": expr.Int(int64(s.Passages)), "changed": expr.Int(int64(s.Changed)),
			"errors": expr.Int(int64(s.Errors))},
	})
}

// Failed meets knowledge.Listener.
func (t knowledgeTold) Failed(ctx context.Context, name, run string, why error) {
	e := trigger.Event{ID: fmt.Sprintf("%s/%s/%s", spec.EventKnowledgeBad, name, run), Type: spec.EventKnowledgeBad, Subject: name, At: t.app.clock.Now(),
		Fields: map[string]expr.Value{"knowledge": expr.String(name), "run": expr.String(run), "reason": expr.String(why.Error())}}
	if err := t.app.events.Tell(ctx, e); err != nil && ctx.Err() == nil {
		t.app.log.Error("that a knowledge is not current could not be told", "knowledge", name, "error", err)
	}
}

// convergeKnowledge says which knowledge there is, and has that read which a
// plan has changed. A server that stays also looks after what the last one may
// have left: documents that were sent to it, and what has no snapshot yet.
func (a *App) convergeKnowledge(ctx context.Context, list []spec.Resource, plan spec.Plan) {
	a.known.Converge(list)
	for _, k := range spec.All[*spec.Knowledge](list) {
		changed := slices.ContainsFunc(plan.Changes, func(c spec.Change) bool { return c.Kind == spec.KindKnowledge && c.Name == k.Name })
		if changed || !a.config.Silent && a.leftOver(ctx, k) {
			a.wanted.add(k.Name)
		}
	}
}

func (a *App) leftOver(ctx context.Context, k *spec.Knowledge) bool {
	if slices.ContainsFunc(k.All(), func(s spec.KnowledgeSource) bool { return spec.Scheme(s.From) == "push" }) {
		return true
	}
	_, err := a.known.Live(ctx, k.Name)
	return fault.Is(err, fault.NotFound)
}

// wanted are the knowledge of which a run is to begin soon.
type wanted struct {
	mu    sync.Mutex
	names map[string]bool
}

func (w *wanted) add(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.names == nil {
		w.names = map[string]bool{}
	}
	w.names[name] = true
}

func (w *wanted) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := slices.Sorted(maps.Keys(w.names))
	clear(w.names)
	return names
}

// syncWanted begins a run of each knowledge that something was sent to. One
// that is queued already will find it.
func (a *App) syncWanted(ctx context.Context) error {
	var mistakes fault.List
	for _, name := range a.wanted.take() {
		queued, err := a.runs.List(ctx, work.Filter{Kind: knowledge.Kind, Name: name, States: []work.State{work.Queued}, Limit: 1})
		if err == nil && len(queued) == 0 {
			_, err = a.known.Start(ctx, a.runs, name, work.By("changes"))
		}
		if fault.Is(err, fault.NotFound) {
			continue // it is not in force any more
		}
		if err != nil {
			a.wanted.add(name)
		}
		mistakes.Add(err)
	}
	return mistakes.Err()
}

// knowledgeService is what surfaces see: what is sent is taken in soon.
type knowledgeService struct {
	*knowledge.Store
	app *App
}

// Push keeps a document that was sent.
func (s knowledgeService) Push(ctx context.Context, name string, p knowledge.Pushed, body io.Reader, by string) (knowledge.Pushed, error) {
	kept, err := s.Store.Push(ctx, name, p, body, by)
	if err == nil && !kept.Same {
		s.app.wanted.add(name)
	}
	return kept, err
}

// Remove takes a document that was sent out of every answer.
func (s knowledgeService) Remove(ctx context.Context, name, document string) error {
	err := s.Store.Remove(ctx, name, document)
	if err == nil {
		s.app.wanted.add(name)
	}
	return err
}
