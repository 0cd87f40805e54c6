package track

import (
	"context"
	"fmt"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/catalog"
)

// Record is a run that is over: what somebody else made and knows whole.
type Record struct {
	ID         string // of the run; what no id can hold becomes a dash
	Experiment string // name; it is made when it is not there
	Name       string
	User       string
	Start, End int64 // milliseconds since 1970
	Status     Status
	Params     []Pair
	Tags       []Pair
	Metrics    map[string]float64
	Inputs     []Dataset
}

// Record writes a run down as a whole, once, and returns its id: a second time
// it changes nothing. Keys that cannot be logged are left out, because their
// maker cannot help it.
func (t *Track) Record(ctx context.Context, rec Record) (id string, err error) {
	x, err := t.experimentNamed(ctx, rec.Experiment)
	if err != nil {
		return "", err
	}
	run := Run{ID: recordID(rec.ID), Experiment: x.ID, User: rec.User, Status: rec.Status, Start: rec.Start, End: rec.End,
		Params: loggable(rec.Params, maxParam), Tags: loggable(rec.Tags, maxTag)}
	run.name(rec.Name)
	run.Artifacts = beneath(x.Artifacts, run.ID, "artifacts")
	for _, d := range rec.Inputs {
		if err := d.check(); err != nil {
			return "", err
		}
		run.Inputs = append(run.Inputs, Input{d.Name, d.Digest, d.Tags})
	}
	var metrics []Metric
	for key, value := range rec.Metrics {
		if checkKey("metric", key) == nil {
			metrics = append(metrics, Metric{Key: key, Value: value, At: rec.End})
		}
	}
	return run.ID, t.Runs.db.Write(ctx, func(tx catalog.Tx) error {
		if _, err := readRun(ctx, tx, run.ID); !fault.Is(err, fault.NotFound) {
			return err
		}
		if err := insertRun(ctx, tx, &run); err != nil {
			return err
		}
		for _, d := range rec.Inputs {
			if err := insertDataset(ctx, tx, x.ID, d); err != nil {
				return err
			}
		}
		kept, err := readRun(ctx, tx, run.ID)
		if err != nil {
			return err
		}
		return logMetrics(ctx, tx, &kept, metrics)
	})
}

func (t *Track) experimentNamed(ctx context.Context, name string) (Experiment, error) {
	x, err := t.Experiments.ByName(ctx, name)
	if !fault.Is(err, fault.NotFound) {
		return x, err
	}
	x, err = t.Experiments.Create(ctx, NewExperiment{Name: name})
	if fault.Is(err, fault.Conflict) { // another replica was first
		return t.Experiments.ByName(ctx, name)
	}
	return x, err
}

// recordID makes an id of one that may hold what ids of runs do not.
func recordID(id string) string {
	clean := strings.Map(func(r rune) rune {
		if idPattern.MatchString("a" + string(r)) {
			return r
		}
		return '-'
	}, id)
	if !idPattern.MatchString(clean) {
		clean = fmt.Sprintf("run%.200s", clean)
	}
	return clean
}

func loggable(pairs []Pair, most int) Pairs {
	var kept Pairs
	for _, p := range pairs {
		if checkKey("key", p.Key) == nil {
			kept = kept.with(p.Key, cut(p.Value, most))
		}
	}
	return kept
}
