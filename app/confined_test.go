package app

import (
	"context"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/spec"
)

// TestKeyThatAppliesIsConfined has a key that may apply send language models,
// assistants and indexes that would show it what the server has.
func TestKeyThatAppliesIsConfined(t *testing.T) {
	const knowledge = "kind: Knowledge\nname: k\nfrom: docs/**/*.md\n"
	const secret, file, index = "sends a secret", "names a file outside", "keeps its index on another server"
	key := identity.With(t.Context(), identity.Principal{Name: "deployer", Grants: []string{"apply:*", "chat:*"}})
	admin := identity.With(t.Context(), identity.Principal{Name: "root", Grants: []string{"admin:*"}})
	for text, want := range map[string]string{
		"kind: LLM\nname: m\ndeployments: [{at: openai://evil.example/x, secret: env:ANY}]\n":                               secret,
		"kind: LLM\nname: m\ndeployments: [{at: openai://one.example/x}, {at: cohere://evil.example/x, secret: file:/k}]\n": secret,
		"kind: LLM\nname: m\ndeployments: [{at: ../others/model}]\n":                                                        file,
		"kind: LLM\nname: m\ndeployments: [{at: models/mine}, {at: /srv/model}]\n":                                          file,
		knowledge + "---\nkind: Assistant\nname: a\nknowledge: k\nllm: openai://evil.example/x\nsecret: env:ANY\n":          secret,
		knowledge + "index: azure-search://evil.example\n":                                                                  index,
		knowledge + "index: azure-search://ours\n":                                                                          index,
		knowledge + "index: postgres://evil.example/db?passfile=/root/.pgpass\n":                                            index,
		knowledge + "index: postgres://db/db\nsecret: env:ANY\n":                                                            secret,

		"kind: LLM\nname: m\ndeployments: [{at: openai://one.example/x}, {at: models/mine}]\n":              "",
		knowledge + "---\nkind: Assistant\nname: a\nknowledge: k\n":                                         "",
		knowledge + "index: embedded\n---\nkind: Assistant\nname: a\nknowledge: k\nllm: openai://gpt\n":     "",
		knowledge + "---\nkind: Assistant\nname: a\nknowledge: k\nllm: openai+http://inside.example:8000/x": "",
	} {
		list, err := parsed(text)
		if err != nil {
			t.Errorf("%s%v", text, err)
			continue
		}
		if err := confined(key, list); want == "" && err != nil || want != "" && (!fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s%v, want %q", text, err, want)
		}
		for _, ctx := range []context.Context{admin, t.Context()} {
			if err := confined(ctx, list); err != nil {
				t.Errorf("%swho may do anyway: %v", text, err)
			}
		}
	}
}

// The language model of an assistant is held to the project like every other
// location, also where it is no address of a server.
func TestAssistantNamesNoFile(t *testing.T) {
	key := identity.With(t.Context(), identity.Principal{Name: "deployer", Grants: []string{"apply:*"}})
	list := []spec.Resource{{Kind: spec.KindAssistant, Name: "a", Spec: &spec.Assistant{Name: "a", LLM: "file:///srv/model"}}}
	if err := confined(key, list); !fault.Is(err, fault.Forbidden) {
		t.Error(err)
	}
}

func parsed(text string) ([]spec.Resource, error) {
	return project{&App{config: Config{Env: "default"}}}.parse(map[string]string{"leat.yaml": text})
}
