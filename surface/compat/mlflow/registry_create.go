package mlflow

import (
	"context"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/flow/registry/tracked"
)

type createVersion struct {
	Name        string `json:"name"`
	Source      string `json:"source"`
	Run         string `json:"run_id"`
	Model       string `json:"model_id"`
	RunLink     string `json:"run_link"`
	Description string `json:"description"`
	Tags        []tag  `json:"tags"`
}

// verbAdmin is the verb of grants to have the server run programs, as a
// python_function is one.
const verbAdmin = "admin"

// createVersion answers once the version can be loaded, so its status is
// ready at once.
func (m *surface) createVersion(ctx context.Context, q createVersion) (versionAnswer, error) {
	if err := required("name", q.Name); err != nil {
		return versionAnswer{}, err
	}
	if err := required("source", q.Source); err != nil {
		return versionAnswer{}, err
	}
	if _, err := m.Registry.Model(ctx, q.Name); err != nil {
		return versionAnswer{}, unknownModel(err, q.Name)
	}
	tags := tagMap(q.Tags)
	v, err := m.Versions.Register(ctx, tracked.Request{
		Model: q.Name, Source: q.Source, Run: q.Run, Logged: q.Model, RunLink: q.RunLink, Description: q.Description, Tags: tags,
		Prompt: strings.EqualFold(tags[promptTag], "true"), Programs: caller(ctx).May(verbAdmin, "*"), By: caller(ctx).Name,
	})
	if err != nil {
		return versionAnswer{}, err
	}
	return m.answerVersion(ctx, v.Model, v.Number)
}

type uriAnswer struct {
	URI string `json:"artifact_uri"`
}

// downloadURI says where the files of a version are: below ownRoot, but for
// those that Leat does not have.
func (m *surface) downloadURI(ctx context.Context, q versionKey) (uriAnswer, error) {
	n, err := versionNumber(q.Version)
	if err != nil {
		return uriAnswer{}, err
	}
	e, err := m.Registry.Entry(ctx, q.Name, n)
	if err != nil {
		return uriAnswer{}, unknownVersion(err, q.Name, strconv.Itoa(n))
	}
	if len(e.Manifest.Files) == 0 && e.Folder == "" { // an address alone
		return uriAnswer{e.Head.Source}, nil
	}
	return uriAnswer{ownAddress(q.Name, n)}, nil
}
