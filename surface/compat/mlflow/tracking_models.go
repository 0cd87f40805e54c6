package mlflow

import (
	"context"

	"github.com/leat-ai/leat/flow/track"
)

type createLoggedQuery struct {
	Experiment id     `json:"experiment_id"`
	Name       string `json:"name"`
	Kind       string `json:"model_type"`
	SourceRun  string `json:"source_run_id"`
	Params     []tag  `json:"params"`
	Tags       []tag  `json:"tags"`
}

type oneLogged struct {
	Model loggedMessage `json:"model"`
}

func (m *surface) createLogged(ctx context.Context, q createLoggedQuery) (oneLogged, error) {
	if q.Experiment == "" {
		return oneLogged{}, missing("experiment_id")
	}
	experiment, err := track.ParseExperiment(string(q.Experiment))
	if err != nil {
		return oneLogged{}, err
	}
	model, err := m.Track.Models.Create(ctx, track.NewModel{Experiment: experiment, Name: q.Name, Kind: q.Kind, SourceRun: q.SourceRun,
		Params: pairsOf(q.Params), Tags: pairsOf(q.Tags)})
	return oneLogged{messageOfLogged(&model)}, err
}

type getLoggedQuery struct {
	Deleted flag `json:"allow_deleted"`
}

func (m *surface) getLogged(ctx context.Context, value func(string) string, q getLoggedQuery) (oneLogged, error) {
	model, err := m.Track.Models.Get(ctx, value("model_id"), bool(q.Deleted))
	return oneLogged{messageOfLogged(&model)}, err
}

type finishLoggedQuery struct {
	Status statusText `json:"status"`
}

func (m *surface) finishLogged(ctx context.Context, value func(string) string, q finishLoggedQuery) (oneLogged, error) {
	status, err := loggedStatus(q.Status)
	if err == nil && status == "" {
		err = missing("status")
	}
	if err != nil {
		return oneLogged{}, err
	}
	model, err := m.Track.Models.Finish(ctx, value("model_id"), status)
	return oneLogged{messageOfLogged(&model)}, err
}

func (m *surface) deleteLogged(ctx context.Context, value func(string) string, _ none) (none, error) {
	return none{}, m.Track.Models.Delete(ctx, value("model_id"))
}

type tagLoggedQuery struct {
	Tags []tag `json:"tags"`
}

func (m *surface) tagLogged(ctx context.Context, value func(string) string, q tagLoggedQuery) (oneLogged, error) {
	model, err := m.Track.Models.SetTags(ctx, value("model_id"), pairsOf(q.Tags))
	return oneLogged{messageOfLogged(&model)}, err
}

func (m *surface) untagLogged(ctx context.Context, value func(string) string, _ none) (none, error) {
	return none{}, m.Track.Models.DeleteTag(ctx, value("model_id"), value("key"))
}

type paramsLoggedQuery struct {
	Params []tag `json:"params"`
}

func (m *surface) paramsLogged(ctx context.Context, value func(string) string, q paramsLoggedQuery) (none, error) {
	return none{}, m.Track.Models.LogParams(ctx, value("model_id"), pairsOf(q.Params))
}

type searchLoggedQuery struct {
	Experiments []id            `json:"experiment_ids"`
	Filter      string          `json:"filter"`
	Datasets    []loggedDataset `json:"datasets"`
	Most        *integer        `json:"max_results"`
	Order       []loggedOrder   `json:"order_by"`
	Token       string          `json:"page_token"`
}

type loggedDataset struct {
	Name   string `json:"dataset_name"`
	Digest string `json:"dataset_digest"`
}

type loggedOrder struct {
	Field     string `json:"field_name"`
	Ascending *flag  `json:"ascending"`
	loggedDataset
}

type someLogged struct {
	Models []loggedMessage `json:"models,omitempty"`
	Next   string          `json:"next_page_token,omitempty"`
}

// The sizes of pages of logged models.
const (
	loggedPage    = 50
	largestLogged = 1000
)

func (m *surface) searchLogged(ctx context.Context, q searchLoggedQuery) (answer someLogged, err error) {
	if len(q.Experiments) == 0 {
		return answer, missing("experiment_ids")
	}
	ask := track.ModelSearch{Filter: q.Filter, Page: track.Page{After: q.Token}}
	if ask.Experiments, err = experimentsOf(q.Experiments); err != nil {
		return answer, err
	}
	if ask.Page.Size, err = pageSize(q.Most, loggedPage, largestLogged); err != nil {
		return answer, err
	}
	for _, d := range q.Datasets {
		ask.Datasets = append(ask.Datasets, track.OnDataset(d))
	}
	for _, o := range q.Order {
		ask.Order = append(ask.Order, track.ModelOrder{Field: o.Field, Descending: o.Ascending != nil && !bool(*o.Ascending), On: track.OnDataset(o.loggedDataset)})
	}
	models, next, err := m.Track.Models.Search(ctx, ask)
	answer.Next = next
	for _, model := range models {
		answer.Models = append(answer.Models, messageOfLogged(model))
	}
	return answer, err
}
