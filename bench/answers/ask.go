package main

import (
	"context"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/pattern/knowledge"
)

// assistant is an assistant on the decision path of this process.
type assistant struct {
	driver *knowledge.Driver
	router *decide.Router
}

// passages is how many passages an assistant reads that says nothing.
const passages = 8

func newAssistant(ctx context.Context, s *shelf, chat knowledge.Chat, change func(*deploy.Assistant)) (*assistant, error) {
	a := deploy.Assistant{Knowledge: []deploy.KnowledgeRef{{Name: "bench", Snapshot: "live"}}, Answerer: knowledge.Answerer,
		Passages: passages, Unsupported: "mark", Fallback: "none"}
	if chat != nil {
		a.LLM = "scripted"
	}
	if change != nil {
		change(&a)
	}
	deps := knowledge.Deps{Retriever: s, Texts: s, Chat: chat}
	router := decide.NewRouter(live{a}, decide.Deps{Models: noModels{}, Assistants: knowledge.New(deps)})
	if err := router.Refresh(ctx, "bench"); err != nil {
		return nil, err
	}
	return &assistant{knowledge.NewDriver(router), router}, nil
}

func (a *assistant) ask(ctx context.Context, question string, turns []knowledge.Turn) (knowledge.Answer, error) {
	ctx = identity.With(ctx, identity.Local())
	return a.driver.Ask(ctx, knowledge.Question{Assistant: "bench", Text: question, Conversation: turns, Received: time.Now()})
}

func (a *assistant) emit(ctx context.Context, question string, emit func(knowledge.Part) error) (knowledge.Answer, error) {
	ctx = identity.With(ctx, identity.Local())
	return a.driver.Ask(ctx, knowledge.Question{Assistant: "bench", Text: question, Emit: emit, Received: time.Now()})
}

// live is where the one release comes from.
type live struct{ assistant deploy.Assistant }

func (r live) Live(ctx context.Context, _ string) (deploy.Release, error) { return r.Release(ctx, "") }

func (r live) Release(context.Context, string) (deploy.Release, error) {
	return deploy.Release{ID: "r1", Endpoint: "bench", Number: 1, Content: deploy.Content{Record: decide.RecordOff, Assistant: &r.assistant}}, nil
}

type noModels struct{}

func (noModels) Version(context.Context, string, string) (registry.Version, error) {
	return registry.Version{}, fault.New(fault.NotFound, "there are no models")
}

func (noModels) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return nil, nil, fault.New(fault.NotFound, "there are no models")
}

func (noModels) Full() bool { return false }
