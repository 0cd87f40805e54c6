package track

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track/filter"
	"github.com/leat-ai/leat/store/catalog"
)

// RunSearch asks for runs.
type RunSearch struct {
	Experiments []int64
	Filter      string   // see package filter; "" for all
	Order       []string // by Start, newest first, when empty
	View        View
	Page        Page
}

// Search returns the runs that a search asks for, whole, and the token of the
// page after, "" on the last.
func (r *Runs) Search(ctx context.Context, s RunSearch) (runs []*Run, next string, err error) {
	v := runVocabulary()
	q, err := v.compile(s.Filter, s.Order)
	if err != nil {
		return nil, "", err
	}
	q.fingerprint(append([]string{"runs", s.Filter}, s.Order...)...)
	err = r.db.Read(ctx, func(tx catalog.Tx) error {
		within := map[int64]Experiment{}
		runs, next, err = search(ctx, tx, r.index, s.Experiments, &q, s.Page, func(ctx context.Context, tx catalog.Tx, id int64) (func(*Run) bool, error) {
			x, err := experiment(ctx, tx, id)
			if fault.Is(err, fault.NotFound) {
				return nil, nil
			}
			within[id] = x
			return func(r *Run) bool { return s.View.shows(r.Removed || x.Deleted) }, err
		})
		if err != nil {
			return err
		}
		return whole(ctx, tx, runs, within)
	})
	return runs, next, err
}

// whole adds to runs what searches do not need. The runs of the index are
// shared, so copies of them are filled.
func whole(ctx context.Context, tx catalog.Tx, runs []*Run, within map[int64]Experiment) error {
	for i, r := range runs {
		deleted := r.Removed || within[r.Experiment].Deleted
		if len(r.Inputs) == 0 && r.Deleted == deleted {
			continue
		}
		c := *r
		c.Deleted = deleted
		runs[i] = &c
		if err := fillDatasets(ctx, tx, []*Run{&c}); err != nil {
			return err
		}
	}
	return nil
}

// runEntities are the words for what a run is searched by, with their
// variants.
func runEntity(word string) string {
	switch word {
	case "metric", "metrics":
		return "metrics"
	case "param", "params", "parameter", "parameters":
		return "params"
	case "tag", "tags":
		return "tags"
	case "", "attr", "attribute", "attributes", "run":
		return "attributes"
	case "dataset", "datasets":
		return "datasets"
	}
	return word
}

// attributeName is the one name of a field.
func attributeName(f filter.Field) string {
	name := f.Key
	switch f.Key {
	case "created", "Created":
		name = "start_time"
	case "run name", "Run name", "Run Name":
		name = "run_name"
	case "creation_timestamp", "creation_timestamp_ms":
		name = "creation_time"
	}
	return runEntity(f.Entity) + "." + name
}

const runFields = "metrics.…, params.…, tags.…, datasets.name|digest|context or attributes: run_id, run_name, user_id, status, artifact_uri, start_time, end_time"

func runVocabulary() vocabulary[Run] {
	start := key[Run]{"attributes.start_time", func(r *Run) sortable { return numeric(float64(r.Start)) }, true}
	id := key[Run]{"attributes.run_id", func(r *Run) sortable { return sortable{text: r.ID} }, false}
	return vocabulary[Run]{clause: runClause, field: runField, name: attributeName, natural: []key[Run]{start, id}, ties: []key[Run]{start, id}}
}

func runClause(c filter.Clause) (func(*Run) bool, error) {
	k := c.Field.Key
	switch runEntity(c.Field.Entity) {
	case "metrics":
		return numberClause(c, metricNamed(k))
	case "params":
		return textClause(c, pairNamed(k, func(r *Run) Pairs { return r.Params }), true, false)
	case "tags":
		return textClause(c, pairNamed(k, func(r *Run) Pairs { return r.Tags }), true, false)
	case "datasets":
		return datasetClause(c)
	case "attributes":
		if number, ok := runNumber(k); ok {
			return numberClause(c, number)
		}
		if text, ok := runText(k); ok {
			return textClause(c, text, false, k == "run_id")
		}
	}
	return nil, unknownField(c.Field, runFields)
}

func runField(f filter.Field) (func(*Run) sortable, error) {
	k := f.Key
	switch runEntity(f.Entity) {
	case "metrics":
		metric := metricNamed(k)
		return func(r *Run) sortable {
			if n, ok := metric(r); ok {
				return numeric(n)
			}
			return sortable{class: missing}
		}, nil
	case "params":
		param := pairNamed(k, func(r *Run) Pairs { return r.Params })
		return func(r *Run) sortable { return textual(param(r)) }, nil
	case "tags":
		tag := pairNamed(k, func(r *Run) Pairs { return r.Tags })
		return func(r *Run) sortable { return textual(tag(r)) }, nil
	case "attributes":
		if number, ok := runNumber(k); ok {
			return func(r *Run) sortable {
				if n, ok := number(r); ok {
					return numeric(n)
				}
				return sortable{class: missing}
			}, nil
		}
		if text, ok := runText(k); ok {
			return func(r *Run) sortable { return textual(text(r)) }, nil
		}
	}
	return nil, unknownField(f, runFields)
}

// metricNamed returns what reads a metric of runs, one after the other. Runs of
// an experiment mostly log the same keys, so it looks first where the key
// stood in the run before.
func metricNamed(key string) func(*Run) (float64, bool) {
	at := 0
	return func(r *Run) (float64, bool) {
		if at < len(r.Metrics) && r.Metrics[at].Key == key {
			return r.Metrics[at].Value, true
		}
		i, ok := slices.BinarySearchFunc(r.Metrics, key, func(m Metric, key string) int { return strings.Compare(m.Key, key) })
		if !ok {
			return 0, false
		}
		at = i
		return r.Metrics[i].Value, true
	}
}

// pairNamed is metricNamed for parameters and tags.
func pairNamed(key string, of func(*Run) Pairs) func(*Run) (string, bool) {
	at := 0
	return func(r *Run) (string, bool) {
		pairs := of(r)
		if at < len(pairs) && pairs[at].Key == key {
			return pairs[at].Value, true
		}
		i, ok := pairs.find(key)
		if !ok {
			return "", false
		}
		at = i
		return pairs[i].Value, true
	}
}

func runNumber(name string) (func(*Run) (float64, bool), bool) {
	switch name {
	case "start_time", "created", "Created":
		return func(r *Run) (float64, bool) { return float64(r.Start), true }, true
	case "end_time":
		return func(r *Run) (float64, bool) { return float64(r.End), r.End != 0 }, true
	}
	return nil, false
}

func runText(name string) (func(*Run) (string, bool), bool) {
	switch name {
	case "run_id":
		return func(r *Run) (string, bool) { return r.ID, true }, true
	case "run_name", "run name", "Run name", "Run Name":
		return func(r *Run) (string, bool) { return r.Name, true }, true
	case "user_id":
		return func(r *Run) (string, bool) { return r.User, true }, true
	case "status":
		return func(r *Run) (string, bool) { return string(r.Status), true }, true
	case "artifact_uri":
		return func(r *Run) (string, bool) { return r.Artifacts, true }, true
	}
	return nil, false
}

// datasetClause holds for a run when it does for one of its data sets.
func datasetClause(c filter.Clause) (func(*Run) bool, error) {
	of, ok := map[string]func(*Input) (string, bool){
		"name":    func(i *Input) (string, bool) { return i.Name, true },
		"digest":  func(i *Input) (string, bool) { return i.Digest, true },
		"context": func(i *Input) (string, bool) { return i.context() },
	}[c.Field.Key]
	if !ok {
		return nil, unknownField(c.Field, "datasets.name, datasets.digest or datasets.context")
	}
	match, err := textClause(c, of, false, true)
	if err != nil {
		return nil, err
	}
	return func(r *Run) bool { return slices.ContainsFunc(r.Inputs, func(i Input) bool { return match(&i) }) }, nil
}

// ExperimentSearch asks for experiments.
type ExperimentSearch struct {
	Filter string
	Order  []string // by creation, newest first, when empty
	View   View
	Page   Page
}

// Search returns the experiments that a search asks for, and the token of the
// page after.
func (e *Experiments) Search(ctx context.Context, s ExperimentSearch) (found []*Experiment, next string, err error) {
	q, err := experimentVocabulary().compile(s.Filter, s.Order)
	if err != nil {
		return nil, "", err
	}
	q.fingerprint(append([]string{"experiments", s.Filter}, s.Order...)...)
	err = e.db.Read(ctx, func(tx catalog.Tx) error {
		found, next, err = search(ctx, tx, e.index, []int64{allExperiments}, &q, s.Page,
			func(context.Context, catalog.Tx, int64) (func(*Experiment) bool, error) {
				return func(x *Experiment) bool { return s.View.shows(x.Deleted) }, nil
			})
		return err
	})
	return found, next, err
}

const experimentFields = "tags.…, name, experiment_id, creation_time or last_update_time"

func experimentVocabulary() vocabulary[Experiment] {
	created := key[Experiment]{"attributes.creation_time", func(x *Experiment) sortable { return numeric(float64(x.Created)) }, true}
	id := func(descending bool) key[Experiment] {
		return key[Experiment]{"attributes.experiment_id", func(x *Experiment) sortable { return numeric(float64(x.ID)) }, descending}
	}
	return vocabulary[Experiment]{clause: experimentClause, field: experimentField, name: attributeName,
		natural: []key[Experiment]{created, id(false)}, ties: []key[Experiment]{id(true)}}
}

func experimentClause(c filter.Clause) (func(*Experiment) bool, error) {
	k := c.Field.Key
	switch runEntity(c.Field.Entity) {
	case "tags":
		return textClause(c, func(x *Experiment) (string, bool) { return x.Tags.Get(k) }, true, false)
	case "attributes":
		switch k {
		case "name":
			return textClause(c, func(x *Experiment) (string, bool) { return x.Name, true }, false, false)
		case "experiment_id":
			return experimentIDClause(c)
		case "creation_time":
			return numberClause(c, func(x *Experiment) (float64, bool) { return float64(x.Created), true })
		case "last_update_time":
			return numberClause(c, func(x *Experiment) (float64, bool) { return float64(x.Updated), true })
		}
	}
	return nil, unknownField(c.Field, experimentFields)
}

// experimentIDClause compares ids, which are numbers that people quote.
func experimentIDClause(c filter.Clause) (func(*Experiment) bool, error) {
	for _, id := range append(slices.Clone(c.Value.List), c.Value.Text) {
		if _, err := ParseExperiment(cmp.Or(id, "0")); err != nil {
			return nil, err
		}
	}
	if c.Op == filter.Like || c.Op == filter.ILike {
		return nil, badOp(c, "an id")
	}
	return textClause(c, func(x *Experiment) (string, bool) { return experimentID(x), true }, false, true)
}

func experimentField(f filter.Field) (func(*Experiment) sortable, error) {
	if runEntity(f.Entity) == "attributes" {
		switch f.Key {
		case "name":
			return func(x *Experiment) sortable { return sortable{text: x.Name} }, nil
		case "experiment_id":
			return func(x *Experiment) sortable { return numeric(float64(x.ID)) }, nil
		case "creation_time":
			return func(x *Experiment) sortable { return numeric(float64(x.Created)) }, nil
		case "last_update_time":
			return func(x *Experiment) sortable { return numeric(float64(x.Updated)) }, nil
		}
	}
	return nil, unknownField(f, "name, experiment_id, creation_time or last_update_time")
}
