package resources_test

import (
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/spec"
)

// The release of an assistant changes with each thing that can change an
// answer: the snapshot, the prompt's text, how answers are made.
func TestReleaseOfAnAssistantHoldsWhatAnswers(t *testing.T) {
	prompt := &spec.Prompt{Name: "terse", Text: "{{passages}} {{question}}"}
	assistant := &spec.Assistant{Name: "help", Knowledge: spec.Names{"handbook"}, LLM: "gpt", Prompt: "terse"}
	assistant.Limits.Per = "assistant"
	for _, s := range []spec.Spec{prompt, assistant} {
		if _, err := spec.Of(s); err != nil {
			t.Fatal(err)
		}
	}
	inForce := []spec.Resource{{Kind: prompt.Kind(), Name: prompt.Name, Spec: prompt}}
	snapshots := map[string]string{"handbook": "s1"}
	id := func() string {
		t.Helper()
		c, err := resources.ComposeAssistant(assistant, inForce, snapshots, "1")
		if err != nil {
			t.Fatal(err)
		}
		if c.Limits.Timeout.Std() != time.Minute || c.Limits.Per != "endpoint" || c.Limits.MaxRows != 1 {
			t.Fatalf("limits %+v", c.Limits)
		}
		id, _, err := deploy.Hash("help", c)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	seen := map[string]bool{id(): true}
	for name, change := range map[string]func(){
		"snapshot": func() { snapshots["handbook"] = "s2" },
		"prompt":   func() { prompt.Text = "Be brief. {{passages}} {{question}}" },
		"policy":   func() { assistant.Unsupported = "drop" },
	} {
		change()
		if next := id(); seen[next] {
			t.Errorf("another %s is the same release", name)
		} else {
			seen[next] = true
		}
	}
	delete(snapshots, "handbook")
	if _, err := resources.ComposeAssistant(assistant, inForce, snapshots, "1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("without a snapshot: %v", err)
	}
}
