package mlflow

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/registry/tracked"
)

// modelMessage is a registered model.
type modelMessage struct {
	Name        string           `json:"name"`
	Created     integer          `json:"creation_timestamp"`
	Updated     integer          `json:"last_updated_timestamp"`
	Description string           `json:"description,omitempty"`
	Latest      []versionMessage `json:"latest_versions,omitempty"`
	Tags        []tag            `json:"tags,omitempty"`
	Aliases     []aliasMessage   `json:"aliases,omitempty"`
}

type aliasMessage struct {
	Alias   string `json:"alias"`
	Version string `json:"version"`
}

// versionMessage is a version of a registered model.
type versionMessage struct {
	Name          string   `json:"name"`
	Version       string   `json:"version"`
	Created       integer  `json:"creation_timestamp"`
	Updated       integer  `json:"last_updated_timestamp"`
	User          string   `json:"user_id,omitempty"`
	Stage         string   `json:"current_stage"`
	Description   string   `json:"description,omitempty"`
	Source        string   `json:"source"`
	Run           string   `json:"run_id,omitempty"`
	Status        string   `json:"status"`
	StatusMessage string   `json:"status_message,omitempty"`
	Tags          []tag    `json:"tags,omitempty"`
	RunLink       string   `json:"run_link,omitempty"`
	Aliases       []string `json:"aliases,omitempty"`
	Model         string   `json:"model_id,omitempty"`
}

func millis(t time.Time) integer { return integer(t.UnixMilli()) }

func tagsOf(m map[string]string) []tag {
	var tags []tag
	for _, key := range slices.Sorted(maps.Keys(m)) {
		tags = append(tags, tag{key, m[key]})
	}
	return tags
}

// tagMap is the last value of each key.
func tagMap(tags []tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

func messageOfModel(m registry.Model, latest map[string]registry.Entry) modelMessage {
	message := modelMessage{
		Name: m.Name, Created: millis(m.CreatedAt), Updated: millis(m.UpdatedAt), Description: m.Description, Tags: tagsOf(m.Tags),
	}
	for _, stage := range slices.Sorted(maps.Keys(latest)) {
		message.Latest = append(message.Latest, messageOfVersion(latest[stage]))
	}
	for _, alias := range slices.Sorted(maps.Keys(m.Aliases)) {
		message.Aliases = append(message.Aliases, aliasMessage{alias, strconv.Itoa(m.Aliases[alias])})
	}
	return message
}

// ready is the status of every version: what can be seen can be loaded.
const ready = "READY"

func messageOfVersion(e registry.Entry) versionMessage {
	return versionMessage{
		Name: e.Head.Model, Version: strconv.Itoa(e.Head.Number), Created: millis(e.Head.CreatedAt), Updated: millis(e.Head.UpdatedAt),
		User: e.CreatedBy, Stage: cmp.Or(e.Head.Stage, stageNone), Description: e.Head.Description,
		Source: cmp.Or(e.Head.Source, ownAddress(e.Head.Model, e.Head.Number)), Run: e.Head.Run,
		Status: ready, StatusMessage: e.Unservable, Tags: tagsOf(e.Head.Tags), Aliases: e.Head.Aliases,
		RunLink: e.Lineage.Notes[tracked.NoteRunLink], Model: e.Lineage.Notes[tracked.NoteModel],
	}
}

// The stages that MLflow knows.
const (
	stageNone       = "None"
	stageStaging    = "Staging"
	stageProduction = "Production"
	stageArchived   = "Archived"
)

// canonicalStage returns a stage as it is written, whatever the case it was
// asked for in.
func canonicalStage(text string) (string, error) {
	all := []string{stageNone, stageStaging, stageProduction, stageArchived}
	for _, stage := range all {
		if strings.EqualFold(stage, text) {
			return stage, nil
		}
	}
	return "", fault.New(fault.Invalid, "Invalid Model Version stage: %.80s", text).Hint("the stages are %s", strings.Join(all, ", "))
}

// storedStage is how a stage is kept: None is none.
func storedStage(stage string) string {
	if stage == stageNone {
		return ""
	}
	return stage
}

// versionNumber reads a version of a message.
func versionNumber(v id) (int, error) {
	n, err := strconv.Atoi(string(v))
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, "Model version must be an integer, got '%.80s'", string(v))
	}
	return n, nil
}

// required is an Invalid fault where a field of a message is missing.
func required(name, value string) error {
	if value != "" {
		return nil
	}
	return fault.New(fault.Invalid, "Missing value for required parameter '%s'", name)
}
