package mlflow

import (
	"context"
	"strconv"

	"github.com/leat-ai/leat/flow/track"
)

type createExperimentQuery struct {
	Name      string `json:"name"`
	Artifacts string `json:"artifact_location"`
	Tags      []tag  `json:"tags"`
}

type experimentID struct {
	ID string `json:"experiment_id"`
}

func (m *surface) createExperiment(ctx context.Context, q createExperimentQuery) (experimentID, error) {
	x, err := m.Track.Experiments.Create(ctx, track.NewExperiment{Name: q.Name, Artifacts: q.Artifacts, Tags: pairsOf(q.Tags)})
	return experimentID{strconv.FormatInt(x.ID, 10)}, err
}

// experimentQuery names an experiment, and what should be its.
type experimentQuery struct {
	ID    id     `json:"experiment_id"`
	Name  string `json:"new_name"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

// id is required where an operation changes something: without one it would
// be the default experiment that changes.
func (q experimentQuery) id() (int64, error) {
	if q.ID == "" {
		return 0, missing("experiment_id")
	}
	return track.ParseExperiment(string(q.ID))
}

type oneExperiment struct {
	Experiment experimentMessage `json:"experiment"`
}

func (m *surface) getExperiment(ctx context.Context, q experimentQuery) (oneExperiment, error) {
	id, err := q.id()
	if err != nil {
		return oneExperiment{}, err
	}
	x, err := m.Track.Experiments.Get(ctx, id)
	return oneExperiment{messageOfExperiment(&x)}, err
}

type experimentNamed struct {
	Name string `json:"experiment_name"`
}

func (m *surface) getExperimentByName(ctx context.Context, q experimentNamed) (oneExperiment, error) {
	if q.Name == "" {
		return oneExperiment{}, missing("experiment_name")
	}
	x, err := m.Track.Experiments.ByName(ctx, q.Name)
	return oneExperiment{messageOfExperiment(&x)}, err
}

func (m *surface) deleteExperiment(ctx context.Context, q experimentQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Experiments.Delete(ctx, id)
}

func (m *surface) restoreExperiment(ctx context.Context, q experimentQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Experiments.Restore(ctx, id)
}

func (m *surface) renameExperiment(ctx context.Context, q experimentQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	if q.Name == "" {
		return none{}, missing("new_name")
	}
	return none{}, m.Track.Experiments.Rename(ctx, id, q.Name)
}

func (m *surface) setExperimentTag(ctx context.Context, q experimentQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Experiments.SetTag(ctx, id, q.Key, q.Value)
}

func (m *surface) deleteExperimentTag(ctx context.Context, q experimentQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Experiments.DeleteTag(ctx, id, q.Key)
}

type searchExperimentsQuery struct {
	Most   *integer `json:"max_results"`
	Token  string   `json:"page_token"`
	Filter string   `json:"filter"`
	Order  []string `json:"order_by"`
	View   id       `json:"view_type"`
}

type someExperiments struct {
	Experiments []experimentMessage `json:"experiments,omitempty"`
	Next        string              `json:"next_page_token,omitempty"`
}

// The sizes of pages, as clients expect them.
const (
	defaultPage = 1000
	largestPage = 50_000
)

func (m *surface) searchExperiments(ctx context.Context, q searchExperimentsQuery) (someExperiments, error) {
	size, err := pageSize(q.Most, defaultPage, largestPage)
	if err != nil {
		return someExperiments{}, err
	}
	view, err := viewOf(q.View)
	if err != nil {
		return someExperiments{}, err
	}
	found, next, err := m.Track.Experiments.Search(ctx, track.ExperimentSearch{
		Filter: q.Filter, Order: q.Order, View: view, Page: track.Page{Size: size, After: q.Token}})
	answer := someExperiments{Next: next}
	for _, x := range found {
		answer.Experiments = append(answer.Experiments, messageOfExperiment(x))
	}
	return answer, err
}

type searchDatasetsQuery struct {
	Experiments []id `json:"experiment_ids"`
}

type someDatasets struct {
	Datasets []datasetSummary `json:"dataset_summaries,omitempty"`
}

type datasetSummary struct {
	Experiment string `json:"experiment_id"`
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	Context    string `json:"context,omitempty"`
}

// maxDatasets is how many uses of data sets one answer has.
const maxDatasets = 1000

func (m *surface) searchDatasets(ctx context.Context, q searchDatasetsQuery) (answer someDatasets, err error) {
	if len(q.Experiments) == 0 {
		return answer, missing("experiment_ids")
	}
	experiments, err := experimentsOf(q.Experiments)
	if err != nil {
		return answer, err
	}
	uses, err := m.Track.Runs.Datasets(ctx, experiments, maxDatasets)
	for _, u := range uses {
		answer.Datasets = append(answer.Datasets, datasetSummary{strconv.FormatInt(u.Experiment, 10), u.Name, u.Digest, u.Context})
	}
	return answer, err
}

func experimentsOf(ids []id) ([]int64, error) {
	experiments := make([]int64, len(ids))
	for i, text := range ids {
		n, err := track.ParseExperiment(string(text))
		if err != nil {
			return nil, err
		}
		experiments[i] = n
	}
	return experiments, nil
}
