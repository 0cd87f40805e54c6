package mlflow

import (
	"context"
	"strconv"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
)

type versionAnswer struct {
	Version versionMessage `json:"model_version"`
}

// unknownVersion says in the protocol's words that there is no such version.
func unknownVersion(err error, name, version string) error {
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "Model Version (name=%.200s, version=%s) not found", name, version)
	}
	return err
}

func (m *surface) answerVersion(ctx context.Context, name string, number int) (versionAnswer, error) {
	e, err := m.Registry.Entry(ctx, name, number)
	if err != nil {
		return versionAnswer{}, unknownVersion(err, name, strconv.Itoa(number))
	}
	return versionAnswer{messageOfVersion(e)}, nil
}

// versionKey is a message that names a version.
type versionKey struct {
	Name    string `json:"name"`
	Version id     `json:"version"`
}

func (m *surface) getVersion(ctx context.Context, q versionKey) (versionAnswer, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return versionAnswer{}, err
	}
	return m.answerVersion(ctx, q.Name, n)
}

type updateVersion struct {
	versionKey
	Description string `json:"description"`
}

func (m *surface) updateVersion(ctx context.Context, q updateVersion) (versionAnswer, error) {
	return m.changeVersion(ctx, q.versionKey, registry.Change{Description: &q.Description})
}

func (m *surface) changeVersion(ctx context.Context, q versionKey, c registry.Change) (versionAnswer, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return versionAnswer{}, err
	}
	e, err := m.Registry.ChangeVersion(ctx, q.Name, n, c)
	if err != nil {
		return versionAnswer{}, unknownVersion(err, q.Name, string(q.Version))
	}
	return versionAnswer{messageOfVersion(e)}, nil
}

type transition struct {
	versionKey
	Stage   string `json:"stage"`
	Archive bool   `json:"archive_existing_versions"`
}

func (m *surface) transition(ctx context.Context, q transition) (versionAnswer, error) {
	stage, err := canonicalStage(q.Stage)
	if err != nil {
		return versionAnswer{}, err
	}
	stored := storedStage(stage)
	c := registry.Change{Stage: &stored}
	if q.Archive {
		if stage != stageStaging && stage != stageProduction {
			return versionAnswer{}, fault.New(fault.Invalid,
				"Model version transition cannot archive existing model versions because '%s' is not an Active stage", stage).
				Hint("the active stages are %s and %s", stageStaging, stageProduction)
		}
		c.Others = stageArchived
	}
	return m.changeVersion(ctx, q.versionKey, c)
}

func (m *surface) deleteVersion(ctx context.Context, q versionKey) (none, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return none{}, err
	}
	return none{}, unknownVersion(m.Registry.DeleteVersion(ctx, q.Name, n, caller(ctx).Name), q.Name, string(q.Version))
}

type versionTag struct {
	versionKey
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (m *surface) setVersionTag(ctx context.Context, q versionTag) (none, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return none{}, err
	}
	err = m.Registry.SetVersionTag(ctx, q.Name, n, q.Key, q.Value, caller(ctx).Name)
	return none{}, unknownVersion(err, q.Name, string(q.Version))
}

func (m *surface) deleteVersionTag(ctx context.Context, q versionTag) (none, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return none{}, err
	}
	err = m.Registry.DeleteVersionTag(ctx, q.Name, n, q.Key, caller(ctx).Name)
	return none{}, unknownVersion(err, q.Name, string(q.Version))
}
