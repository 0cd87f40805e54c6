package spec

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func drawResources(t *rapid.T) []Resource {
	seen := map[string]bool{}
	var all []Resource
	for range rapid.IntRange(0, 5).Draw(t, "resources") {
		r, err := Of(drawSpec(t))
		if err == nil && !seen[r.ID()] {
			seen[r.ID()] = true
			all = append(all, r)
		}
	}
	return sorted(all)
}

func hashes(resources []Resource) (all []string) {
	for _, r := range resources {
		all = append(all, r.ID()+"@"+r.Hash)
	}
	return all
}

// TestDiffThenApply proves that a plan makes the new set of the old one, and
// that nothing is left to do after it.
func TestDiffThenApply(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old, want := drawResources(t), drawResources(t)
		plan := Diff(old, want)
		got := plan.Apply(old)
		if g, w := hashes(got), hashes(want); len(g) != len(w) {
			t.Fatalf("%v, not %v", g, w)
		} else {
			for i := range g {
				if g[i] != w[i] {
					t.Fatalf("%v, not %v", g, w)
				}
			}
		}
		if again := Diff(got, want); !again.Empty() {
			t.Fatalf("a second plan does something:\n%s", again)
		}
		for _, c := range plan.Changes {
			if c.Action == Update && len(c.Fields) == 0 {
				t.Fatalf("the update of %s names no field", c.New.ID())
			}
		}
	})
}

func TestPlanIsReadable(t *testing.T) {
	of := func(s Spec) Resource {
		r, err := Of(s)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	source := func(order ...string) Resource {
		s := &Source{Name: "t", From: "t.csv"}
		for _, name := range order {
			s.Schema = append(s.Schema, Columns{{Name: name, Type: "int"}}...)
		}
		return of(s)
	}
	pipeline := func(seed int64) Resource {
		return of(&Pipeline{Name: "p", Steps: []Step{{Train: &TrainStep{Model: "m", Features: Names{"v"}, Label: "y", Seed: seed}}}})
	}
	old := []Resource{source("a", "b"), of(&Model{Name: "gone"}), pipeline(1),
		of(&Endpoint{Name: "e", Model: "m", Limits: Limits{Rate: 500}})}
	next := []Resource{source("b", "a"), of(&Model{Name: "m", Owner: "us"}), pipeline(2),
		of(&Endpoint{Name: "e", Model: "m@champion", Allow: Names{"payments"}})}
	plan := Diff(old, next)
	golden(t, "testdata/plan.txt", plan.String())
	data, err := json.MarshalIndent(plan, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/plan.json", string(data)+"\n")
	if got := Diff(next, next).String(); got != "nothing to change\n" {
		t.Errorf("%q", got)
	}
}
