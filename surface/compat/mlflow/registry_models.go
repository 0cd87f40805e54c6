package mlflow

import (
	"context"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
)

// modelAnswer is an answer with a registered model.
type modelAnswer struct {
	Model modelMessage `json:"registered_model"`
}

type createModel struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Tags        []tag  `json:"tags"`
}

func (m *surface) createModel(ctx context.Context, q createModel) (modelAnswer, error) {
	if err := required("name", q.Name); err != nil {
		return modelAnswer{}, err
	}
	made, err := m.Registry.CreateModel(ctx, registry.Model{Name: q.Name, Description: q.Description, Tags: tagMap(q.Tags)}, caller(ctx).Name)
	if fault.Is(err, fault.Conflict) {
		return modelAnswer{}, fault.New(fault.Conflict, "Registered Model (name=%s) already exists", q.Name)
	}
	return modelAnswer{messageOfModel(made, nil)}, err
}

// described returns a registered model with its newest versions.
func (m *surface) described(ctx context.Context, model registry.Model) (modelMessage, error) {
	latest, err := m.Registry.LatestByStage(ctx, model.Name)
	return messageOfModel(model, latest), err
}

func (m *surface) answerModel(ctx context.Context, model registry.Model, err error) (modelAnswer, error) {
	if err != nil {
		return modelAnswer{}, unknownModel(err, model.Name)
	}
	message, err := m.described(ctx, model)
	return modelAnswer{message}, err
}

// unknownModel says in the protocol's words that there is no such model.
func unknownModel(err error, name string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "Registered Model with name=%.200s not found", name)
	}
	return err
}

type renameModel struct {
	Name    string `json:"name"`
	NewName string `json:"new_name"`
}

func (m *surface) renameModel(ctx context.Context, q renameModel) (modelAnswer, error) {
	if err := required("new_name", q.NewName); err != nil {
		return modelAnswer{}, err
	}
	model, err := m.Registry.RenameModel(ctx, q.Name, q.NewName)
	if err != nil {
		return modelAnswer{}, unknownModel(err, q.Name)
	}
	return m.answerModel(ctx, model, nil)
}

type updateModel struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

func (m *surface) updateModel(ctx context.Context, q updateModel) (modelAnswer, error) {
	model, err := m.Registry.DescribeModel(ctx, q.Name, q.Description)
	model.Name = q.Name
	return m.answerModel(ctx, model, err)
}

// named is a message that names a registered model.
type named struct {
	Name string `json:"name"`
}

func (m *surface) deleteModel(ctx context.Context, q named) (none, error) {
	return none{}, unknownModel(m.Registry.DeleteModel(ctx, q.Name, caller(ctx).Name), q.Name)
}

func (m *surface) getModel(ctx context.Context, q named) (modelAnswer, error) {
	model, err := m.Registry.Model(ctx, q.Name)
	model.Name = q.Name
	return m.answerModel(ctx, model, err)
}

type latestVersions struct {
	Name   string   `json:"name"`
	Stages []string `json:"stages"`
}

type versionsAnswer struct {
	Versions []versionMessage `json:"model_versions,omitempty"`
	Next     string           `json:"next_page_token,omitempty"`
}

func (m *surface) latestVersions(ctx context.Context, q latestVersions) (versionsAnswer, error) {
	latest, err := m.Registry.LatestByStage(ctx, q.Name)
	if err != nil {
		return versionsAnswer{}, unknownModel(err, q.Name)
	}
	stages := q.Stages
	if len(stages) == 0 {
		stages = []string{stageNone, stageStaging, stageProduction, stageArchived}
	}
	var a versionsAnswer
	for _, text := range stages {
		stage, err := canonicalStage(text)
		if err != nil {
			return versionsAnswer{}, err
		}
		if e, ok := latest[storedStage(stage)]; ok {
			a.Versions = append(a.Versions, messageOfVersion(e))
		}
	}
	return a, nil
}

type modelTag struct {
	Name  string `json:"name"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (m *surface) setModelTag(ctx context.Context, q modelTag) (none, error) {
	if err := required("key", q.Key); err != nil {
		return none{}, err
	}
	return none{}, unknownModel(m.Registry.SetModelTag(ctx, q.Name, q.Key, q.Value), q.Name)
}

func (m *surface) deleteModelTag(ctx context.Context, q modelTag) (none, error) {
	return none{}, unknownModel(m.Registry.DeleteModelTag(ctx, q.Name, q.Key), q.Name)
}

type modelAlias struct {
	Name    string `json:"name"`
	Alias   string `json:"alias"`
	Version id     `json:"version"`
}

func (m *surface) setAlias(ctx context.Context, q modelAlias) (none, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return none{}, err
	}
	if _, err := m.Registry.Model(ctx, q.Name); err != nil {
		return none{}, unknownModel(err, q.Name)
	}
	if err := m.Registry.SetAlias(ctx, q.Name, q.Alias, n, caller(ctx).Name); err != nil {
		return none{}, unknownVersion(err, q.Name, strconv.Itoa(n))
	}
	m.Aliased(ctx, caller(ctx).Name)
	return none{}, nil
}

func (m *surface) deleteAlias(ctx context.Context, q modelAlias) (none, error) {
	if _, err := m.Registry.Model(ctx, q.Name); err != nil {
		return none{}, unknownModel(err, q.Name)
	}
	return none{}, m.Registry.SetAlias(ctx, q.Name, q.Alias, 0, caller(ctx).Name)
}

func (m *surface) getByAlias(ctx context.Context, q modelAlias) (versionAnswer, error) {
	model, err := m.Registry.Model(ctx, q.Name)
	if err != nil {
		return versionAnswer{}, unknownModel(err, q.Name)
	}
	n, ok := model.Aliases[q.Alias]
	if !ok {
		// The code is what MLflow answers with here.
		return versionAnswer{}, fault.New(fault.Invalid, "Registered model alias %.80s not found.", q.Alias)
	}
	return m.answerVersion(ctx, q.Name, n)
}
