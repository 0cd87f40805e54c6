package resources_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/deploy/resources"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

func open(t *testing.T) *resources.Resources {
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return resources.New(db, clock.System{})
}

func project(t *testing.T, text string) []spec.Resource {
	p, err := spec.LoadFiles(map[string]string{"leat.yaml": text}, spec.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Resources
}

const shop = `
kind: Source
name: orders
from: orders.csv
---
kind: FeatureView
name: basket
source: orders
columns: [amount]
---
kind: Model
name: churn
---
kind: Endpoint
name: churn
model: churn@champion
`

func TestSecondApplyChangesNothing(t *testing.T) {
	ctx, r := t.Context(), open(t)
	first, err := r.Apply(ctx, "default", project(t, shop), "ann")
	if err != nil || len(first.Plan.Changes) != 4 || first.ID == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := r.Apply(ctx, "default", project(t, shop), "bob")
	if err != nil || !again.Plan.Empty() || again.ID != "" {
		t.Errorf("%+v, %v", again, err)
	}
	if other, err := r.List(ctx, "prod"); err != nil || len(other) != 0 {
		t.Errorf("the environment prod has %d resources, %v", len(other), err)
	}
	changed := strings.Replace(shop, "orders.csv", "orders/*.csv", 1)
	third, err := r.Apply(ctx, "default", project(t, changed), "bob")
	if err != nil || len(third.Plan.Changes) != 1 || third.Plan.Changes[0].Action != spec.Update {
		t.Errorf("%+v, %v", third.Plan, err)
	}
	gone, err := r.Apply(ctx, "default", nil, "bob")
	if err != nil || len(gone.Plan.Changes) != 4 {
		t.Errorf("%+v, %v", gone.Plan, err)
	}
	history, err := r.History(ctx, "default", 10)
	if err != nil || len(history) != 3 || history[0].By != "bob" || history[2].ID != first.ID {
		t.Errorf("history %+v, %v", history, err)
	}
}

func TestConcurrentAppliesAreEachWhole(t *testing.T) {
	ctx, r := t.Context(), open(t)
	var group sync.WaitGroup
	for i := range 12 {
		group.Go(func() {
			text := strings.ReplaceAll(shop, "orders", fmt.Sprintf("orders%d", i))
			if _, err := r.Apply(ctx, "default", project(t, text), "x"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	list, err := r.List(ctx, "default")
	if err != nil || len(list) != 4 {
		t.Fatalf("%d resources in force, want those of one apply; %v", len(list), err)
	}
	view, _ := spec.Find[*spec.FeatureView](list, "basket")
	if _, ok := spec.Find[*spec.Source](list, view.Source); !ok {
		t.Errorf("the view of one apply reads %q, the source is of another", view.Source)
	}
}

// pins is a lake in which nothing is looked up.
type pins struct{}

func (pins) Sources(context.Context, []spec.FeatureView) (map[string][]frame.Column, error) {
	return map[string][]frame.Column{"orders": {{Name: "amount", Type: frame.Double}}}, nil
}

func (pins) Pin(context.Context, []spec.FeatureView) (map[string]int64, error) { return nil, nil }

func TestComposeHoldsWhatTheVersionLearnedFrom(t *testing.T) {
	list := project(t, shop)
	view, _ := spec.Find[*spec.FeatureView](list, "basket")
	endpoint, _ := spec.Find[*spec.Endpoint](list, "churn")
	threshold := 0.4
	v := registry.Version{Model: "churn", Number: 3, ID: "abc", Manifest: registry.Manifest{Threshold: &threshold},
		Lineage: registry.Lineage{Features: []string{"basket@" + feature.Hash(*view)}}}

	c, err := resources.Compose(t.Context(), endpoint, v, list, pins{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Variants) != 1 || c.Variants[0].ID != "abc" || len(c.Features) != 1 || *c.Decide.Threshold != threshold || len(c.Sources) != 1 {
		t.Errorf("content %+v", c)
	}

	changed := project(t, strings.Replace(shop, "columns: [amount]", "columns: [amount, discount]", 1))
	_, err = resources.Compose(t.Context(), endpoint, v, changed, pins{})
	if !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "basket") {
		t.Errorf("a view that changed after the training gives %v", err)
	}
}

func TestModelRef(t *testing.T) {
	for text, want := range map[string][2]string{"fraud": {"fraud", "champion"}, "fraud@3": {"fraud", "3"}, "fraud@challenger": {"fraud", "challenger"}} {
		if name, ref := resources.ModelRef(text); name != want[0] || ref != want[1] {
			t.Errorf("%s is %s, %s", text, name, ref)
		}
	}
}
