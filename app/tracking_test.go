package app

import (
	"testing"

	"github.com/leat-ai/leat/flow/track"
)

// What a pipeline trains is tracked, and the version says as which run.
func TestTrainingIsTracked(t *testing.T) {
	l := newLoop(t, 2000)
	l.run("Pipeline", "learn", "the-learn")
	run, err := l.track.Runs.Get(t.Context(), "the-learn")
	if err != nil {
		t.Fatal(err)
	}
	v, err := l.registry.Version(t.Context(), "risk", "champion")
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Metrics) == 0 || len(run.Metrics) != len(v.Metrics) {
		t.Errorf("the run has the metrics %+v, the version %+v", run.Metrics, v.Metrics)
	}
	for _, m := range run.Metrics {
		if v.Metrics[m.Key] != m.Value {
			t.Errorf("%s is %v in the run, %v in the version", m.Key, m.Value, v.Metrics[m.Key])
		}
	}
	if trainer, _ := run.Params.Get("trainer"); trainer != v.Lineage.Trainer || run.Status != track.Finished || len(run.Datasets) != 1 {
		t.Errorf("the run is %+v", run)
	}
	x, err := l.track.Experiments.ByName(t.Context(), "learn")
	if err != nil || x.ID != run.Experiment {
		t.Errorf("the experiment is %+v, %v", x, err)
	}
	found, _, err := l.track.Runs.Search(t.Context(), track.RunSearch{Experiments: []int64{x.ID}, Filter: "tags.`leat.model` = 'risk'", Page: track.Page{Size: 2}})
	if err != nil || len(found) != 1 || found[0].ID != run.ID {
		t.Errorf("the search finds %+v, %v", found, err)
	}
}
