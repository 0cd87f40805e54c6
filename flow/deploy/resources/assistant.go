package resources

import (
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/spec"
)

// ComposeAssistant makes the content of an assistant's release: its resource,
// the whole text of its prompts, and what it knows as of the snapshots that
// are live (by the name of the Knowledge). answerer is the version of how
// answers are made.
func ComposeAssistant(a *spec.Assistant, inForce []spec.Resource, snapshots map[string]string, answerer string) (c deploy.Content, err error) {
	of := &deploy.Assistant{
		LLM: a.LLM, Secret: a.Secret, Answerer: answerer, Passages: a.Passages, Abstain: a.Abstain,
		Unsupported: a.Unsupported, Fallback: a.Fallback, Temperature: a.Temperature, MaxTokens: a.MaxTokens,
		Cache: a.Cache, Question: a.Limits.Question,
	}
	for _, name := range a.Knowledge {
		snapshot, ok := snapshots[name]
		if !ok {
			return c, fault.New(fault.NotFound, "the knowledge %q of assistant %q has no live snapshot", name, a.Name).
				Hint("`leat knowledge status %s` says how far it is", name)
		}
		of.Knowledge = append(of.Knowledge, deploy.KnowledgeRef{Name: name, Snapshot: snapshot})
	}
	if of.Prompt, err = promptText(a.Prompt, inForce); err != nil {
		return c, err
	}
	if of.Rewrite, err = promptText(a.Rewrite, inForce); err != nil {
		return c, err
	}
	l := a.Limits
	c.Limits = spec.Limits{Rate: l.Rate, Per: l.Per, Concurrency: l.Concurrency, MaxRows: 1, MaxBody: l.Question, Timeout: l.Timeout}
	if l.Per == "assistant" {
		c.Limits.Per = "endpoint"
	}
	c.Assistant, c.Record, c.Allow, c.SLO = of, a.Record, a.Allow, a.SLO
	return c, nil
}

func promptText(name string, inForce []spec.Resource) (string, error) {
	if name == "" {
		return "", nil
	}
	p, ok := spec.Find[*spec.Prompt](inForce, name)
	if !ok {
		return "", fault.New(fault.NotFound, "the prompt %q is not in force", name)
	}
	return p.Text, nil
}
