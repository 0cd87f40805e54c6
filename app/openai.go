package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/compat/cohere"
	"github.com/leat-ai/leat/surface/compat/openai"
	"github.com/leat-ai/leat/surface/server"
)

// openOpenAI lets in who asks assistants and language models by OpenAI's
// protocol, and has documents ranked by Cohere's.
func (a *App) openOpenAI(s *server.Server) {
	openai.Register(s, openai.Services{
		Assistants: asking{a}, LLMs: a.gateway, Names: &a.askable,
		Searcher: a.known, Stores: vectorStores{a}, Repeats: a.repeats(),
	})
	cohere.Register(s, a.gateway)
}

// askable is what can be asked by name: the assistants and LLMs in force. It
// answers from memory, because every request looks here. The zero askable has
// none.
type askable struct {
	mu     sync.RWMutex
	models []openai.Model
}

// converge puts the resources of a project in force, at a time.
func (k *askable) converge(list []spec.Resource, now time.Time) {
	var models []openai.Model
	for _, s := range spec.All[*spec.Assistant](list) {
		models = append(models, openai.Model{Kind: openai.Assistant, Name: s.Name, Knowledge: s.Knowledge, LLM: s.LLM})
	}
	for _, s := range spec.All[*spec.LLM](list) {
		models = append(models, openai.Model{Kind: openai.LLM, Name: s.Name, Description: s.Description})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range models {
		m := &models[i]
		m.Since = now
		if was := slices.IndexFunc(k.models, func(w openai.Model) bool { return w.Kind == m.Kind && w.Name == m.Name }); was >= 0 {
			m.Since = k.models[was].Since
		}
	}
	k.models = models
}

// All meets openai.Names.
func (k *askable) All(context.Context) []openai.Model {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.models)
}

// Find meets openai.Names.
func (k *askable) Find(_ context.Context, kind openai.Kind, name string) (openai.Model, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	for _, m := range k.models {
		if m.Kind == kind && m.Name == name {
			return m, true
		}
	}
	return openai.Model{}, false
}

// List meets api.Askable.
func (k *askable) List(ctx context.Context, p identity.Principal) []api.AskableModel {
	var list []api.AskableModel
	for _, e := range openai.List(ctx, k, p) {
		list = append(list, api.AskableModel(e))
	}
	return list
}

// Show meets api.Askable.
func (k *askable) Show(ctx context.Context, p identity.Principal, id string) (api.AskableModel, error) {
	e, err := openai.Show(ctx, k, p, id)
	return api.AskableModel(e), err
}

// vectorStores is every knowledge as clients of OpenAI see it.
type vectorStores struct{ app *App }

// Stores meets openai.Stores.
func (v vectorStores) Stores(ctx context.Context) ([]openai.Store, error) {
	all, err := v.app.known.List(ctx)
	if err != nil {
		return nil, err
	}
	stores := make([]openai.Store, len(all))
	for i, st := range all {
		stores[i] = openai.Store{Name: st.Name, Since: st.Live, Documents: st.Documents, Failed: st.Errors, Ready: st.Snapshot != ""}
		for _, s := range st.Sources {
			stores[i].Bytes += s.Bytes
		}
	}
	return stores, nil
}
