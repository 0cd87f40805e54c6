package app

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/llm/gateway"
	questions "github.com/leat-ai/leat/pattern/knowledge"
	"github.com/leat-ai/leat/pattern/knowledge/assess"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
)

// openAssistants makes what assistants answer with; the router compiles their
// releases with it.
func (a *App) openAssistants(context.Context) (func(context.Context) error, error) {
	a.assistants = questions.New(questions.Deps{
		Retriever: a.known, Texts: a.known, Chat: a.gateway, Clock: a.clock, Log: a.log,
	})
	return nil, nil
}

// How often it is looked whether a knowledge has another live snapshot, which
// its assistants then answer from.
const renewAssistants = 2 * time.Second

// renew gives assistants releases of the snapshots that are live by now.
func (a *App) renew(ctx context.Context) error {
	a.converging.Lock()
	defer a.converging.Unlock()
	list, err := a.resources.List(ctx, a.config.Env)
	if err != nil {
		return err
	}
	return a.releaseAssistants(ctx, list, "knowledge", spec.Plan{})
}

// releaseAssistants makes the releases that assistants' resources ask for.
func (a *App) releaseAssistants(ctx context.Context, list []spec.Resource, by string, plan spec.Plan) error {
	var mistakes fault.List
	for _, s := range spec.All[*spec.Assistant](list) {
		err := a.releaseAssistant(ctx, s, list, by, plan)
		mistakes.Add(fault.Wrap(err, fault.KindOf(err), "assistant %q", s.Name))
	}
	return mistakes.Err()
}

// releaseAssistant makes the release of an assistant whose resource a plan
// changed, that has none, or whose knowledge went on. Without a snapshot there
// is nothing to answer from yet, and nothing wrong.
func (a *App) releaseAssistant(ctx context.Context, s *spec.Assistant, list []spec.Resource, by string, plan spec.Plan) error {
	snapshots, since, err := a.snapshotsOf(ctx, s)
	if err != nil || snapshots == nil {
		return err
	}
	content, err := resources.ComposeAssistant(s, list, snapshots, questions.Answerer)
	if err != nil {
		return err
	}
	live, err := a.releases.Live(ctx, s.Name)
	switch {
	case err != nil && !fault.Is(err, fault.NotFound):
		return err
	case err != nil && !changes(plan, s) && a.unloaded(ctx, s.Name):
		return nil
	case err == nil && !changes(plan, s) && current(live, content):
		return nil
	case err == nil && !changes(plan, s):
		// A rollback stands until its knowledge goes on.
		history, err := a.releases.History(ctx, s.Name)
		if err != nil || len(history) > 0 && history[0].Why == deploy.WhyRollback && !since.After(history[0].At) {
			return err
		}
	}
	why := deploy.WhyApply
	if !changes(plan, s) {
		why = deploy.WhyKnowledge
	}
	if _, err := a.releases.Deploy(ctx, s.Name, content, by, why); err != nil {
		return err
	}
	return a.serve(ctx, s.Name)
}

// changes tells whether a plan changes an assistant, or a prompt of its.
func changes(plan spec.Plan, s *spec.Assistant) bool {
	return slices.ContainsFunc(plan.Changes, func(c spec.Change) bool {
		return c.Kind == spec.KindAssistant && c.Name == s.Name ||
			c.Kind == spec.KindPrompt && (c.Name == s.Prompt || c.Name == s.Rewrite)
	})
}

// current tells whether a live release answers from the same snapshots, in the
// same manner, as one that would be made now.
func current(live deploy.Release, content deploy.Content) bool {
	was, now := live.Content.Assistant, content.Assistant
	return was != nil && was.Answerer == now.Answerer && slices.Equal(was.Knowledge, now.Knowledge)
}

// snapshotsOf names the live snapshots that an assistant answers from, and
// since when the newest of them is live; nil while one has none.
func (a *App) snapshotsOf(ctx context.Context, s *spec.Assistant) (snapshots map[string]string, since time.Time, err error) {
	snapshots = map[string]string{}
	for _, name := range s.Knowledge {
		h, err := a.known.History(ctx, name)
		if err != nil {
			return nil, since, err
		}
		if len(h.Changes) == 0 {
			return nil, since, nil
		}
		snapshots[name] = h.Changes[0].Snapshot
		if at := h.Changes[0].At; at.After(since) {
			since = at
		}
	}
	return snapshots, since, nil
}

// repeats answers questions that are asked again under an idempotency key.
func (a *App) repeats() *questions.Repeats {
	return &questions.Repeats{Ledger: decide.NewLedger(a.catalog, a.clock, 0), Texts: a.known}
}

// asking is the assistants as surfaces see them.
type asking struct{ app *App }

// Ask meets api.Assistants.
func (s asking) Ask(ctx context.Context, q questions.Question) (questions.Answer, error) {
	if err := s.app.serving.Failure(q.Assistant); err != nil {
		return questions.Answer{}, err
	}
	if r, err := s.app.router.Release(q.Assistant); err == nil && r.Content.Assistant == nil {
		return questions.Answer{}, fault.New(fault.NotFound, "%q is an endpoint, and no assistant", q.Assistant).Hint("it is scored with, not asked")
	}
	return s.app.driver.Ask(ctx, q)
}

// Assistants lists those that can be asked.
func (s asking) Assistants() []api.Assistant {
	var all []api.Assistant
	for _, name := range s.app.router.Endpoints() {
		r, err := s.app.router.Release(name)
		if err != nil || r.Content.Assistant == nil {
			continue
		}
		of := api.Assistant{Name: name, Release: r.ID, Number: r.Number, LLM: r.Content.Assistant.LLM}
		if of.LLM == "" {
			of.LLM = "extractive"
		}
		for _, k := range r.Content.Assistant.Knowledge {
			of.Knowledge = append(of.Knowledge, k.Name+"@"+k.Snapshot)
		}
		all = append(all, of)
	}
	return all
}

// assessments asks assistants for pipelines.
type assessments struct{ app *App }

// Assess meets retrain.Assessments. Questions are asked as the run, in the
// groups that the step says.
func (e assessments) Assess(ctx context.Context, s spec.EvaluateStep, by string, asked func(done, all int)) (map[string]float64, string, error) {
	text, err := e.app.projectFile(s.Questions, maxQuestions)
	if err != nil {
		return nil, "", err
	}
	cases, err := assess.ReadCases(bytes.NewReader(text))
	if err != nil {
		return nil, "", fault.Wrap(err, fault.KindOf(err), "%s", s.Questions)
	}
	who := identity.Run("pipeline", by)
	who.Groups = append(slices.Clone(who.Groups), s.As...)
	who.Grants = append(slices.Clone(who.Grants), "ask:"+s.Assistant)
	o := assess.Options{Asked: asked}
	if s.Judge != "" {
		o.Judge = assess.Model{Chat: judge{e.app.gateway, s.Judge}, Name: s.Judge}
	}
	r, err := assess.Run(identity.With(ctx, who), asking(e), s.Assistant, cases, o)
	return r.Figures, r.Release, err
}

// judge is the language model that grades answers.
type judge struct {
	gateway *gateway.Gateway
	name    string
}

// Chat meets llm.Chat.
func (j judge) Chat(ctx context.Context, r llm.Request) (llm.Stream, error) {
	return j.gateway.Chat(gateway.Via(ctx, "evaluation"), j.name, r)
}
