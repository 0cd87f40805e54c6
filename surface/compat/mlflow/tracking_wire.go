package mlflow

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
)

// experimentMessage is an experiment.
type experimentMessage struct {
	ID        string  `json:"experiment_id"`
	Name      string  `json:"name"`
	Artifacts string  `json:"artifact_location"`
	Stage     string  `json:"lifecycle_stage"`
	Updated   integer `json:"last_update_time"`
	Created   integer `json:"creation_time"`
	Tags      []tag   `json:"tags,omitempty"`
}

func messageOfExperiment(x *track.Experiment) experimentMessage {
	return experimentMessage{ID: strconv.FormatInt(x.ID, 10), Name: x.Name, Artifacts: x.Artifacts, Stage: stage(x.Deleted),
		Updated: integer(x.Updated), Created: integer(x.Created), Tags: tagsOfPairs(x.Tags)}
}

func stage(deleted bool) string {
	if deleted {
		return "deleted"
	}
	return "active"
}

func tagsOfPairs(pairs []track.Pair) []tag {
	tags := make([]tag, len(pairs))
	for i, p := range pairs {
		tags[i] = tag(p)
	}
	return tags
}

func pairsOf(tags []tag) []track.Pair {
	pairs := make([]track.Pair, len(tags))
	for i, t := range tags {
		pairs[i] = track.Pair(t)
	}
	return pairs
}

// metricMessage is a value of a metric.
type metricMessage struct {
	Key           string  `json:"key"`
	Value         *number `json:"value"`
	At            integer `json:"timestamp"`
	Step          integer `json:"step"`
	DatasetName   string  `json:"dataset_name,omitempty"`
	DatasetDigest string  `json:"dataset_digest,omitempty"`
	Model         string  `json:"model_id,omitempty"`
	Run           string  `json:"run_id,omitempty"`
}

func (m metricMessage) metric() (track.Metric, error) {
	if m.Value == nil {
		return track.Metric{}, missing("value")
	}
	return track.Metric{Key: m.Key, Value: float64(*m.Value), At: int64(m.At), Step: int64(m.Step),
		Model: m.Model, DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest}, nil
}

func messageOfMetric(m track.Metric) metricMessage {
	value := number(m.Value)
	return metricMessage{Key: m.Key, Value: &value, At: integer(m.At), Step: integer(m.Step),
		Model: m.Model, DatasetName: m.DatasetName, DatasetDigest: m.DatasetDigest, Run: m.Run}
}

func messagesOfMetrics(metrics []track.Metric) []metricMessage {
	messages := make([]metricMessage, len(metrics))
	for i, m := range metrics {
		messages[i] = messageOfMetric(m)
	}
	return messages
}

// runInfo is what a run is, without what was logged to it.
type runInfo struct {
	ID         string   `json:"run_id"`
	UUID       string   `json:"run_uuid"`
	Name       string   `json:"run_name"`
	Experiment string   `json:"experiment_id"`
	User       string   `json:"user_id"`
	Status     string   `json:"status"`
	Start      integer  `json:"start_time"`
	End        *integer `json:"end_time,omitempty"`
	Artifacts  string   `json:"artifact_uri"`
	Stage      string   `json:"lifecycle_stage"`
}

func infoOfRun(r *track.Run) runInfo {
	info := runInfo{ID: r.ID, UUID: r.ID, Name: r.Name, Experiment: strconv.FormatInt(r.Experiment, 10), User: r.User,
		Status: string(r.Status), Start: integer(r.Start), Artifacts: r.Artifacts, Stage: stage(r.Deleted)}
	if r.End != 0 {
		end := integer(r.End)
		info.End = &end
	}
	return info
}

// runMessage is a run with all that was logged to it.
type runMessage struct {
	Info    runInfo    `json:"info"`
	Data    runData    `json:"data"`
	Inputs  runInputs  `json:"inputs"`
	Outputs runOutputs `json:"outputs"`
}

type runData struct {
	Metrics []metricMessage `json:"metrics,omitempty"`
	Params  []tag           `json:"params,omitempty"`
	Tags    []tag           `json:"tags,omitempty"`
}

type runInputs struct {
	Datasets []datasetInput `json:"dataset_inputs,omitempty"`
	Models   []modelLink    `json:"model_inputs,omitempty"`
}

type runOutputs struct {
	Models []modelLink `json:"model_outputs,omitempty"`
}

type modelLink struct {
	Model string  `json:"model_id"`
	Step  integer `json:"step"`
}

type datasetInput struct {
	Tags    []tag          `json:"tags,omitempty"`
	Dataset *datasetOfWire `json:"dataset"`
}

type datasetOfWire struct {
	Name       string `json:"name"`
	Digest     string `json:"digest"`
	SourceType string `json:"source_type"`
	Source     string `json:"source"`
	Schema     string `json:"schema,omitempty"`
	Profile    string `json:"profile,omitempty"`
}

func messageOfRun(r *track.Run) runMessage {
	metrics := messagesOfMetrics(r.Metrics)
	for i := range metrics {
		metrics[i].Run = "" // it is the run's own
	}
	return runMessage{infoOfRun(r), runData{metrics, tagsOfPairs(r.Params), tagsOfPairs(r.Tags)}, inputsOf(r), outputsOf(r)}
}

func inputsOf(r *track.Run) (in runInputs) {
	for _, d := range r.Datasets {
		in.Datasets = append(in.Datasets, datasetInput{tagsOfPairs(d.Tags),
			&datasetOfWire{d.Name, d.Digest, d.SourceType, d.Source, d.Schema, d.Profile}})
	}
	for _, id := range r.ModelsIn {
		in.Models = append(in.Models, modelLink{Model: id})
	}
	return in
}

func outputsOf(r *track.Run) (out runOutputs) {
	for _, o := range r.ModelsOut {
		out.Models = append(out.Models, modelLink{o.Model, integer(o.Step)})
	}
	return out
}

// enum is one of some names, which may come as its number.
type enum struct {
	names []string // the name of number i is names[i]
	text  string
}

// read returns the name that a message gives, "" for none.
func (e enum) read() (string, error) {
	if e.text == "" {
		return "", nil
	}
	if n, err := strconv.Atoi(e.text); err == nil && n > 0 && n < len(e.names) {
		return e.names[n], nil
	}
	for _, name := range e.names[1:] {
		if e.text == name {
			return name, nil
		}
	}
	return "", fault.New(fault.Invalid, "%.60q is none of %s", e.text, strings.Join(e.names[1:], ", "))
}

func viewOf(text id) (track.View, error) {
	name, err := enum{[]string{"", "ACTIVE_ONLY", "DELETED_ONLY", "ALL"}, string(text)}.read()
	switch name {
	case "DELETED_ONLY":
		return track.Deleted, err
	case "ALL":
		return track.All, err
	}
	return track.Active, err
}

func runStatus(text id) (track.Status, error) {
	name, err := enum{[]string{"", string(track.Running), string(track.Scheduled), string(track.Finished), string(track.Failed), string(track.Killed)}, string(text)}.read()
	return track.Status(name), err
}

// loggedPrefix is before the statuses of logged models on the wire.
const loggedPrefix = "LOGGED_MODEL_"

func loggedStatus(text id) (track.ModelStatus, error) {
	name, err := enum{[]string{"", string(track.Pending), string(track.Ready), string(track.UploadFailed)}, strings.TrimPrefix(string(text), loggedPrefix)}.read()
	return track.ModelStatus(name), err
}

// loggedMessage is a logged model.
type loggedMessage struct {
	Info loggedInfo `json:"info"`
	Data loggedData `json:"data"`
}

type loggedInfo struct {
	ID            string               `json:"model_id"`
	Experiment    string               `json:"experiment_id"`
	Name          string               `json:"name"`
	Created       integer              `json:"creation_timestamp_ms"`
	Updated       integer              `json:"last_updated_timestamp_ms"`
	Artifacts     string               `json:"artifact_uri"`
	Status        string               `json:"status"`
	Kind          string               `json:"model_type,omitempty"`
	SourceRun     string               `json:"source_run_id,omitempty"`
	StatusMessage string               `json:"status_message,omitempty"`
	Tags          []tag                `json:"tags,omitempty"`
	Registrations []loggedRegistration `json:"registrations,omitempty"`
}

// loggedRegistration is a version that was made of a logged model.
type loggedRegistration struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

type loggedData struct {
	Params  []tag           `json:"params,omitempty"`
	Metrics []metricMessage `json:"metrics,omitempty"`
}

// versionsTag is the tag in which a client keeps what a logged model was
// registered as: a JSON list of names and versions.
const versionsTag = "mlflow.modelVersions"

func messageOfLogged(m *track.Model) loggedMessage {
	info := loggedInfo{ID: m.ID, Experiment: strconv.FormatInt(m.Experiment, 10), Name: m.Name, Created: integer(m.Created), Updated: integer(m.Updated),
		Artifacts: m.Artifacts, Status: loggedPrefix + string(m.Status), Kind: m.Kind, SourceRun: m.SourceRun, StatusMessage: m.StatusMessage, Tags: tagsOfPairs(m.Tags)}
	if text, ok := m.Tags.Get(versionsTag); ok {
		var versions []struct {
			Name    string `json:"name"`
			Version id     `json:"version"`
		}
		if json.Unmarshal([]byte(text), &versions) == nil { // it is the client's own, and may be anything
			for _, v := range versions {
				info.Registrations = append(info.Registrations, loggedRegistration{v.Name, string(v.Version)})
			}
		}
	}
	return loggedMessage{info, loggedData{tagsOfPairs(m.Params), messagesOfMetrics(m.Metrics)}}
}
