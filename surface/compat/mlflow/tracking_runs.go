package mlflow

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track"
)

type createRunQuery struct {
	Experiment id      `json:"experiment_id"`
	User       string  `json:"user_id"`
	Name       string  `json:"run_name"`
	Start      integer `json:"start_time"`
	Tags       []tag   `json:"tags"`
}

type oneRun struct {
	Run runMessage `json:"run"`
}

func (m *surface) createRun(ctx context.Context, q createRunQuery) (oneRun, error) {
	experiment, err := track.ParseExperiment(string(q.Experiment))
	if err != nil {
		return oneRun{}, err
	}
	r, err := m.Track.Runs.Create(ctx, track.NewRun{Experiment: experiment, Name: q.Name, User: q.User, Start: int64(q.Start), Tags: pairsOf(q.Tags)})
	return oneRun{messageOfRun(&r)}, err
}

// runQuery names a run: by run_uuid where a client is old.
type runQuery struct {
	ID   string `json:"run_id"`
	UUID string `json:"run_uuid"`
}

func (q runQuery) id() (string, error) {
	if id := cmp.Or(q.ID, q.UUID); id != "" {
		return id, nil
	}
	return "", missing("run_id")
}

func (m *surface) getRun(ctx context.Context, q runQuery) (oneRun, error) {
	id, err := q.id()
	if err != nil {
		return oneRun{}, err
	}
	r, err := m.Track.Runs.Get(ctx, id)
	return oneRun{messageOfRun(&r)}, err
}

type updateRunQuery struct {
	runQuery
	Status statusText `json:"status"`
	End    integer    `json:"end_time"`
	Name   string     `json:"run_name"`
}

// statusText is a status by its name or its number.
type statusText = id

type updatedRun struct {
	Info runInfo `json:"run_info"`
}

func (m *surface) updateRun(ctx context.Context, q updateRunQuery) (updatedRun, error) {
	id, err := q.id()
	if err != nil {
		return updatedRun{}, err
	}
	status, err := runStatus(q.Status)
	if err != nil {
		return updatedRun{}, err
	}
	r, err := m.Track.Runs.Update(ctx, id, track.Update{Status: status, End: int64(q.End), Name: q.Name})
	return updatedRun{infoOfRun(&r)}, err
}

func (m *surface) deleteRun(ctx context.Context, q runQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Runs.Delete(ctx, id)
}

func (m *surface) restoreRun(ctx context.Context, q runQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Runs.Restore(ctx, id)
}

type searchRunsQuery struct {
	Experiments []id     `json:"experiment_ids"`
	Filter      string   `json:"filter"`
	View        id       `json:"run_view_type"`
	Most        *integer `json:"max_results"`
	Order       []string `json:"order_by"`
	Token       string   `json:"page_token"`
}

// searchRuns writes its answer by hand: a page has a thousand runs of a dozen
// values each.
func (m *surface) searchRuns(w http.ResponseWriter, r *http.Request) error {
	var q searchRunsQuery
	if err := decode(w, r, nil, &q); err != nil {
		return err
	}
	size, err := pageSize(q.Most, defaultPage, largestPage)
	if err != nil {
		return err
	}
	ask := track.RunSearch{Filter: q.Filter, Order: q.Order, Page: track.Page{Size: size, After: q.Token}}
	if ask.View, err = viewOf(q.View); err != nil {
		return err
	}
	if ask.Experiments, err = experimentsOf(q.Experiments); err != nil {
		return err
	}
	runs, next, err := m.Track.Runs.Search(r.Context(), ask)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	writeRuns(w, runs, next)
	return nil
}

type logMetricQuery struct {
	runQuery
	Key           string   `json:"key"`
	Value         *number  `json:"value"`
	At            *integer `json:"timestamp"`
	Step          integer  `json:"step"`
	Model         string   `json:"model_id"`
	DatasetName   string   `json:"dataset_name"`
	DatasetDigest string   `json:"dataset_digest"`
}

func (m *surface) logMetric(ctx context.Context, q logMetricQuery) (none, error) {
	id, err := q.id()
	switch {
	case err != nil:
		return none{}, err
	case q.Key == "":
		return none{}, missing("key")
	case q.Value == nil:
		return none{}, missing("value")
	case q.At == nil:
		return none{}, missing("timestamp")
	}
	return none{}, m.Track.Runs.Log(ctx, id, track.Batch{Metrics: []track.Metric{{Key: q.Key, Value: float64(*q.Value), At: int64(*q.At),
		Step: int64(q.Step), Model: q.Model, DatasetName: q.DatasetName, DatasetDigest: q.DatasetDigest}}})
}

type pairQuery struct {
	runQuery
	tag
}

func (m *surface) logParam(ctx context.Context, q pairQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Runs.Log(ctx, id, track.Batch{Params: []track.Pair{track.Pair(q.tag)}})
}

func (m *surface) setTag(ctx context.Context, q pairQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Runs.SetTag(ctx, id, q.Key, q.Value)
}

func (m *surface) deleteTag(ctx context.Context, q pairQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	return none{}, m.Track.Runs.DeleteTag(ctx, id, q.Key)
}

type logBatchQuery struct {
	runQuery
	Metrics []metricMessage `json:"metrics"`
	Params  []tag           `json:"params"`
	Tags    []tag           `json:"tags"`
}

func (m *surface) logBatch(ctx context.Context, q logBatchQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	b := track.Batch{Params: pairsOf(q.Params), Tags: pairsOf(q.Tags)}
	for i, message := range q.Metrics {
		metric, err := message.metric()
		if err != nil {
			return none{}, fault.Wrap(err, fault.Invalid, "metrics[%d]", i)
		}
		b.Metrics = append(b.Metrics, metric)
	}
	return none{}, m.Track.Runs.Log(ctx, id, b)
}

type logModelQuery struct {
	runQuery
	Model string `json:"model_json"`
}

// modelsTag is where clients of 2.x keep what models a run logged: a JSON list.
const modelsTag = "mlflow.log-model.history"

// logModel adds to the list of models that a client of 2.x logged.
func (m *surface) logModel(ctx context.Context, q logModelQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	var model map[string]json.RawMessage
	if err := json.Unmarshal([]byte(q.Model), &model); err != nil {
		return none{}, fault.New(fault.Invalid, "model_json is no JSON object").Because(err)
	}
	for _, field := range [...]string{"artifact_path", "flavors", "utc_time_created", "run_id"} {
		if model[field] == nil {
			return none{}, fault.New(fault.Invalid, "model_json has no %s", field)
		}
	}
	model = shortened(model)
	return none{}, m.Track.Runs.Amend(ctx, id, modelsTag, func(before string) (string, error) {
		var list []map[string]json.RawMessage
		if before != "" {
			if err := json.Unmarshal([]byte(before), &list); err != nil {
				return "", fault.New(fault.Invalid, "the tag %s of run %s is not a list of models", modelsTag, id)
			}
		}
		text, err := json.Marshal(append(list, model))
		return string(text), fault.Wrap(err, fault.Internal, "the list of models")
	})
}

// shortened is what of a model's description is worth a place in a tag; all of
// it is in the model's folder.
func shortened(model map[string]json.RawMessage) map[string]json.RawMessage {
	short := map[string]json.RawMessage{}
	for _, field := range [...]string{"run_id", "artifact_path", "utc_time_created", "model_uuid"} {
		if model[field] != nil {
			short[field] = model[field]
		}
	}
	var flavors map[string]json.RawMessage
	if json.Unmarshal(model["flavors"], &flavors) != nil {
		return short
	}
	for name, text := range flavors {
		var flavor map[string]json.RawMessage
		if json.Unmarshal(text, &flavor) != nil {
			continue // it is no object, and short
		}
		delete(flavor, "config")
		flavors[name], _ = json.Marshal(flavor) // of what was JSON
	}
	short["flavors"], _ = json.Marshal(flavors)
	return short
}

type logInputsQuery struct {
	runQuery
	Datasets []datasetInput `json:"datasets"`
	Models   []modelLink    `json:"models"`
}

func (m *surface) logInputs(ctx context.Context, q logInputsQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	var datasets []track.Dataset
	for i, d := range q.Datasets {
		if d.Dataset == nil {
			return none{}, fault.New(fault.Invalid, "datasets[%d] has no dataset", i)
		}
		datasets = append(datasets, track.Dataset{Name: d.Dataset.Name, Digest: d.Dataset.Digest, SourceType: d.Dataset.SourceType,
			Source: d.Dataset.Source, Schema: d.Dataset.Schema, Profile: d.Dataset.Profile, Tags: pairsOf(d.Tags)})
	}
	var models []string
	for _, link := range q.Models {
		models = append(models, link.Model)
	}
	return none{}, m.Track.Runs.LogInputs(ctx, id, datasets, models)
}

type logOutputsQuery struct {
	runQuery
	Models []modelLink `json:"models"`
}

func (m *surface) logOutputs(ctx context.Context, q logOutputsQuery) (none, error) {
	id, err := q.id()
	if err != nil {
		return none{}, err
	}
	var outputs []track.Output
	for _, link := range q.Models {
		outputs = append(outputs, track.Output{Model: link.Model, Step: int64(link.Step)})
	}
	return none{}, m.Track.Runs.LogOutputs(ctx, id, outputs)
}

// The bounds of histories, as clients expect them.
const (
	defaultHistory  = 25_000
	historyRuns     = 100
	historyInterval = 2500
)

type historyQuery struct {
	runQuery
	Key   string   `json:"metric_key"`
	Most  *integer `json:"max_results"`
	Token string   `json:"page_token"`
}

type someMetrics struct {
	Metrics []metricMessage `json:"metrics,omitempty"`
	Next    string          `json:"next_page_token,omitempty"`
}

func (m *surface) history(ctx context.Context, q historyQuery) (someMetrics, error) {
	id, err := q.id()
	if err != nil {
		return someMetrics{}, err
	}
	if q.Key == "" {
		return someMetrics{}, missing("metric_key")
	}
	size, err := pageSize(q.Most, defaultHistory, largestPage)
	if err != nil {
		return someMetrics{}, err
	}
	values, next, err := m.Track.Runs.History(ctx, id, q.Key, track.Page{Size: size, After: q.Token})
	return someMetrics{messagesOfMetrics(values), next}, err
}

// bulkQuery asks for a metric of several runs; the older of the two operations
// calls them run_id.
type bulkQuery struct {
	Runs  []string `json:"run_ids"`
	Old   []string `json:"run_id"`
	Key   string   `json:"metric_key"`
	Most  *integer `json:"max_results"`
	Start *integer `json:"start_step"`
	End   *integer `json:"end_step"`
}

func (q bulkQuery) check() error {
	switch n := len(q.Runs) + len(q.Old); {
	case n == 0:
		return missing("run_ids")
	case n > historyRuns:
		return fault.New(fault.Invalid, "%d runs are asked for; %d is the most", n, historyRuns)
	case q.Key == "":
		return missing("metric_key")
	case (q.Start == nil) != (q.End == nil):
		return fault.New(fault.Invalid, "start_step and end_step are given together, or neither is")
	case q.Start != nil && *q.Start > *q.End:
		return fault.New(fault.Invalid, "end_step %d is before start_step %d", *q.End, *q.Start)
	}
	return nil
}

func (m *surface) historyBulk(ctx context.Context, q bulkQuery) (answer someMetrics, err error) {
	if err := q.check(); err != nil {
		return answer, err
	}
	left, err := pageSize(q.Most, defaultHistory, defaultHistory)
	if err != nil {
		return answer, err
	}
	runs := append(q.Runs, q.Old...)
	slices.Sort(runs)
	for _, run := range runs {
		if left == 0 {
			break
		}
		values, _, err := m.Track.Runs.History(ctx, run, q.Key, track.Page{Size: left})
		if err != nil {
			return answer, err
		}
		left -= len(values)
		answer.Metrics = append(answer.Metrics, messagesOfMetrics(values)...)
	}
	return answer, nil
}

func (m *surface) historyInterval(ctx context.Context, q bulkQuery) (answer someMetrics, err error) {
	if err := q.check(); err != nil {
		return answer, err
	}
	most, err := pageSize(q.Most, historyInterval, historyInterval)
	if err != nil {
		return answer, err
	}
	var within *track.Steps
	if q.Start != nil {
		within = &track.Steps{From: int64(*q.Start), To: int64(*q.End)}
	}
	for _, run := range append(q.Runs, q.Old...) {
		values, err := m.Track.Runs.Sample(ctx, run, q.Key, within, most)
		if err != nil {
			return answer, err
		}
		answer.Metrics = append(answer.Metrics, messagesOfMetrics(values)...)
	}
	return answer, nil
}
