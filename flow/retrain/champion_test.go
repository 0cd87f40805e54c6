package retrain

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

// shelf is a registry of one champion, or of none.
type shelf struct {
	version *registry.Version
	err     error // of Load
}

func (s shelf) Version(_ context.Context, name, ref string) (registry.Version, error) {
	if s.version == nil || ref != champion {
		return registry.Version{}, fault.New(fault.NotFound, "%s has no %s", name, ref)
	}
	return *s.version, nil
}

func (s shelf) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return still{}, func() {}, s.err
}

type still struct{}

func (still) Signature() model.Signature { return model.Signature{} }
func (still) Predict(context.Context, frame.Batch) (frame.Batch, error) {
	return nil, fault.New(fault.Unsupported, "it says nothing")
}

func crowned() *registry.Version {
	return &registry.Version{Model: "fraud", Number: 4, ID: "aaaa", Metrics: map[string]float64{"auc": 0.95, "size_bytes": 10},
		Lineage: registry.Lineage{Table: "transactions", Split: "last 20% by at", Features: []string{"customers@1"}}}
}

func candidate(t *testing.T, c *evaluate.Champion) registry.NewVersion {
	t.Helper()
	report, err := json.Marshal(evaluate.Report{Champion: c})
	if err != nil {
		t.Fatal(err)
	}
	return registry.NewVersion{Model: "fraud", Metrics: map[string]float64{"auc": 0.8, "size_bytes": 9}, Report: report}
}

func TestGatesCompareOnTheSameRows(t *testing.T) {
	sameRows := &evaluate.Champion{Version: "aaaa", Number: 4, Metrics: map[string]float64{"auc": 0.75}}
	gates := []string{"auc >= champion.auc", "size_bytes <= champion.size_bytes"}
	for name, c := range map[string]struct {
		measured *evaluate.Champion
		passes   bool
		figure   float64
		basis    string
	}{
		"measured beside the candidate":     {sameRows, true, 0.75, "of the same rows"},
		"could not be measured":             {&evaluate.Champion{Version: "aaaa", Why: "a column is missing"}, false, 0.95, "of other rows"},
		"another became champion meanwhile": {&evaluate.Champion{Version: "bbbb", Metrics: map[string]float64{"auc": 0.1}}, false, 0.95, "of other rows"},
		"trained before there was one":      {nil, false, 0.95, "of other rows"},
	} {
		t.Run(name, func(t *testing.T) {
			verdicts, basis, err := judge(t.Context(), shelf{version: crowned()}, "fraud", gates, candidate(t, c.measured))
			if err != nil {
				t.Fatal(err)
			}
			if verdicts[0].Passed != c.passes || verdicts[0].Figures["champion.auc"] != c.figure || !strings.Contains(basis, c.basis) {
				t.Errorf("%+v, %s", verdicts[0], basis)
			}
			if !verdicts[1].Passed {
				t.Errorf("the size is stored with the version in any case: %+v", verdicts[1])
			}
		})
	}
}

func TestFirstModelHasNoChampion(t *testing.T) {
	verdicts, basis, err := judge(t.Context(), shelf{}, "fraud", []string{"auc >= champion.auc"}, candidate(t, nil))
	if err != nil || !verdicts[0].Passed || basis != "" {
		t.Errorf("%+v, %q, %v", verdicts, basis, err)
	}
	c, _, err := championOf(t.Context(), shelf{}, "fraud", "transactions", nil)
	if c != nil || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestChampionIsHandedIn(t *testing.T) {
	broken := fault.New(fault.Corrupt, "its bytes are not what was stored")
	for name, c := range map[string]struct {
		table, split, why string
		features          []string
		err               error
	}{
		"as it was trained":              {"transactions", "last 20% by at", "", []string{"customers@1", "cards@7"}, nil},
		"another table, another split":   {"payments", "", "", []string{"customers@1"}, nil},
		"a feature that means another":   {"transactions", "last 20% by at", "defined otherwise", []string{"customers@2"}, nil},
		"a model that can not be loaded": {"transactions", "last 20% by at", "not what was stored", []string{"customers@1"}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			got, release, err := championOf(t.Context(), shelf{crowned(), c.err}, "fraud", c.table, c.features)
			defer release()
			if err != nil {
				t.Fatal(err)
			}
			if got.Number != 4 || got.Split != c.split || !strings.Contains(got.Why, c.why) || (got.Why == "") != (c.why == "") {
				t.Errorf("%+v", got)
			}
		})
	}
}
