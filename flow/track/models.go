package track

import (
	"cmp"
	"context"
	"database/sql"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/track/filter"
	"github.com/leat-ai/leat/store/catalog"
)

// ModelStatus says how far the upload of a logged model is.
type ModelStatus string

// The statuses of a logged model.
const (
	Pending      ModelStatus = "PENDING"
	Ready        ModelStatus = "READY"
	UploadFailed ModelStatus = "UPLOAD_FAILED"
)

// Model is a logged model: files that a run made, before anybody registers
// them as a version.
type Model struct {
	ID            string      `json:"-"`
	Experiment    int64       `json:"-"`
	Name          string      `json:"name"`
	Kind          string      `json:"kind,omitempty"` // as its maker calls it: Agent, …
	SourceRun     string      `json:"run,omitempty"`
	Status        ModelStatus `json:"status"`
	StatusMessage string      `json:"why,omitempty"`
	Artifacts     string      `json:"artifacts"` // address beneath which its files lie
	Created       int64       `json:"created"`   // milliseconds since 1970
	Updated       int64       `json:"updated"`
	Removed       bool        `json:"deleted,omitempty"`
	Params        Pairs       `json:"params,omitempty"`
	Tags          Pairs       `json:"tags,omitempty"`
	// Metrics are the last value of each metric, for each run and data set
	// that it was measured in and on.
	Metrics []Metric `json:"-"`
	Deleted bool     `json:"-"` // Removed, or its experiment is deleted
}

// Models is the part of Track that keeps logged models.
type Models struct {
	*shared
	index *index[Model]
}

func newModels(s *shared, memory int64) *Models {
	return &Models{shared: s, index: newIndex(memory, readModels,
		func(m *Model) string { return m.ID },
		func(a, b *Model) int { return cmp.Or(cmp.Compare(b.Created, a.Created), cmp.Compare(a.ID, b.ID)) })}
}

// NewModel is a logged model to make.
type NewModel struct {
	Experiment int64
	Name       string // one is made up when it is ""
	Kind       string
	SourceRun  string
	Params     []Pair
	Tags       []Pair
}

// Create makes a logged model, which is Pending until Finish.
func (s *Models) Create(ctx context.Context, n NewModel) (Model, error) {
	var l fault.List
	l.Add(checkModelName(n.Name))
	l.Add(checkLength("type of the model", n.Kind, maxExperimentName))
	if n.SourceRun != "" {
		l.Add(checkID("run", n.SourceRun))
	}
	params, err := checkPairs("param", n.Params, maxParam, false)
	l.Add(err)
	tags, err := checkPairs("tag", n.Tags, maxTag, false)
	l.Add(err)
	if err := l.Err(); err != nil {
		return Model{}, err
	}
	m := Model{ID: "m-" + newID(), Experiment: n.Experiment, Name: cmp.Or(n.Name, madeUpName()), Kind: n.Kind, SourceRun: n.SourceRun,
		Status: Pending, Created: s.now(), Params: Pairs(nil).withAll(params), Tags: Pairs(nil).withAll(tags)}
	m.Updated = m.Created
	return m, s.db.Write(ctx, func(tx catalog.Tx) error {
		x, err := experiment(ctx, tx, n.Experiment)
		if err != nil {
			return err
		}
		if err := x.active(); err != nil {
			return err
		}
		m.Artifacts = beneath(x.Artifacts, "models", m.ID, "artifacts")
		return insertModel(ctx, tx, &m)
	})
}

func insertModel(ctx context.Context, tx catalog.Tx, m *Model) error {
	body, err := encode(m)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("models", m.Experiment))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO logged_models (id, experiment, seq, body, metrics) VALUES (?, ?, ?, ?, '[]')`, m.ID, m.Experiment, seq, body)
	return err
}

// Get returns a logged model that is not deleted, or any with deleted set.
func (s *Models) Get(ctx context.Context, id string, deleted bool) (m Model, err error) {
	err = s.db.Read(ctx, func(tx catalog.Tx) error {
		if m, err = readModel(ctx, tx, id); err == nil && m.Removed && !deleted {
			err = unknownModel(id)
		}
		return err
	})
	return m, err
}

// Finish says how the upload of a model ended.
func (s *Models) Finish(ctx context.Context, id string, status ModelStatus) (Model, error) {
	if status != Ready && status != UploadFailed && status != Pending {
		return Model{}, fault.New(fault.Invalid, "%q is no status of a logged model", status)
	}
	return s.change(ctx, id, func(m *Model) error { m.Status = status; return nil })
}

// Delete marks a logged model.
func (s *Models) Delete(ctx context.Context, id string) error {
	_, err := s.change(ctx, id, func(m *Model) error { m.Removed = true; return nil })
	return err
}

// SetTags sets tags of a logged model and returns it.
func (s *Models) SetTags(ctx context.Context, id string, tags []Pair) (Model, error) {
	tags, err := checkPairs("tag", tags, maxTag, false)
	if err != nil {
		return Model{}, err
	}
	return s.change(ctx, id, func(m *Model) error { m.Tags = m.Tags.withAll(tags); return nil })
}

// DeleteTag removes a tag; one that is not there is a NotFound fault.
func (s *Models) DeleteTag(ctx context.Context, id, key string) error {
	_, err := s.change(ctx, id, func(m *Model) (err error) {
		var ok bool
		if m.Tags, ok = m.Tags.without(key); !ok {
			return fault.New(fault.NotFound, "logged model %s has no tag %q", id, key)
		}
		return nil
	})
	return err
}

// LogParams adds parameters; one that was logged with another value is an
// Invalid fault.
func (s *Models) LogParams(ctx context.Context, id string, params []Pair) error {
	params, err := checkPairs("param", params, maxParam, true)
	if err != nil {
		return err
	}
	_, err = s.change(ctx, id, func(m *Model) error {
		for _, p := range params {
			if before, ok := m.Params.Get(p.Key); ok && before != p.Value {
				return fault.New(fault.Invalid, "parameter %q of logged model %s was logged as %.200q", p.Key, id, before)
			}
			m.Params = m.Params.with(p.Key, p.Value)
		}
		return nil
	})
	return err
}

func (s *Models) change(ctx context.Context, id string, f func(*Model) error) (m Model, err error) {
	err = s.db.Write(ctx, func(tx catalog.Tx) error {
		if m, err = readModel(ctx, tx, id); err != nil {
			return err
		}
		if m.Removed {
			return unknownModel(id)
		}
		if err := f(&m); err != nil {
			return err
		}
		return saveModel(ctx, tx, &m, s.now())
	})
	return m, err
}

func unknownModel(id string) error {
	return fault.New(fault.NotFound, "there is no logged model %.100s", id)
}

func saveModel(ctx context.Context, tx catalog.Tx, m *Model, now int64) error {
	m.Updated = max(m.Updated, now)
	if err := checkKept(m.Params, m.Tags, m.Metrics); err != nil {
		return err
	}
	body, err := encode(m)
	if err != nil {
		return err
	}
	metrics, err := encodeMetrics(m.Metrics)
	if err != nil {
		return err
	}
	seq, err := catalog.Next(ctx, tx, sequence("models", m.Experiment))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `UPDATE logged_models SET seq = ?, body = ?, metrics = ? WHERE id = ?`, seq, body, metrics, m.ID)
	return err
}

func readModel(ctx context.Context, tx catalog.Tx, id string) (Model, error) {
	if err := checkID("model", id); err != nil {
		return Model{}, err
	}
	m := Model{ID: id}
	var body, metrics, within string
	err := tx.Row(ctx, `SELECT m.experiment, m.body, m.metrics, e.body FROM logged_models m JOIN experiments e ON e.id = m.experiment WHERE m.id = ?`,
		[]any{id}, &m.Experiment, &body, &metrics, &within)
	if fault.Is(err, fault.NotFound) {
		return Model{}, unknownModel(id)
	}
	if err != nil {
		return Model{}, err
	}
	var x Experiment
	if err := decode(within, &x); err != nil {
		return Model{}, err
	}
	err = m.read(body, metrics)
	m.Deleted = m.Removed || x.Deleted
	return m, err
}

func (m *Model) read(body, metrics string) (err error) {
	if err := decode(body, m); err != nil {
		return err
	}
	m.Metrics, err = decodeMetrics(metrics, "", m.ID)
	return err
}

func readModels(ctx context.Context, tx catalog.Tx, group, after int64, limit int) ([]changed[Model], error) {
	return catalog.Collect(ctx, tx, func(rows *sql.Rows) (c changed[Model], err error) {
		m := &Model{Experiment: group}
		var body, metrics string
		if err := rows.Scan(&m.ID, &c.seq, &body, &metrics); err != nil {
			return c, err
		}
		c.row, c.size = m, int64(2*(len(body)+len(metrics))+500)
		return c, m.read(body, metrics)
	}, `SELECT id, seq, body, metrics FROM logged_models WHERE experiment = ? AND seq > ? ORDER BY seq LIMIT ?`, group, after, limit)
}

// logModelMetrics adds metrics of a run to the logged models that they name.
func logModelMetrics(ctx context.Context, tx catalog.Tx, run *Run, metrics []Metric) error {
	of := map[string][]Metric{}
	for _, metric := range metrics {
		if metric.Model != "" {
			metric.Run = run.ID
			of[metric.Model] = append(of[metric.Model], metric)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(of)) {
		m, err := readModel(ctx, tx, id)
		if err != nil {
			return err
		}
		for _, metric := range of[id] {
			m.measure(metric)
		}
		if err := saveModel(ctx, tx, &m, m.Updated); err != nil {
			return err
		}
	}
	return nil
}

// measure keeps a metric if it is the last of its kind.
func (m *Model) measure(metric Metric) {
	i, ok := slices.BinarySearchFunc(m.Metrics, metric, func(a, b Metric) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Run, b.Run),
			strings.Compare(a.DatasetName, b.DatasetName), strings.Compare(a.DatasetDigest, b.DatasetDigest))
	})
	if !ok {
		m.Metrics = slices.Insert(m.Metrics, i, metric)
	} else if metric.later(m.Metrics[i]) {
		m.Metrics[i] = metric
	}
}

// OnDataset restricts metrics to those measured on a data set; Digest "" is
// any of its versions.
type OnDataset struct{ Name, Digest string }

func (d OnDataset) covers(m Metric) bool {
	return (d.Name == "" || d.Name == m.DatasetName) && (d.Digest == "" || d.Digest == m.DatasetDigest)
}

// ModelOrder is one part of an order of logged models: an attribute, or a
// metric, of a data set where one is named.
type ModelOrder struct {
	Field      string
	Descending bool
	On         OnDataset
}

// ModelSearch asks for logged models.
type ModelSearch struct {
	Experiments []int64
	Filter      string
	Datasets    []OnDataset // metrics of the filter are those on one of these
	Order       []ModelOrder
	Page        Page
}

// Search returns the logged models that a search asks for, and the token of
// the page after.
func (s *Models) Search(ctx context.Context, ask ModelSearch) (models []*Model, next string, err error) {
	q, err := ask.compile()
	if err != nil {
		return nil, "", err
	}
	err = s.db.Read(ctx, func(tx catalog.Tx) error {
		models, next, err = search(ctx, tx, s.index, ask.Experiments, &q, ask.Page,
			func(ctx context.Context, tx catalog.Tx, id int64) (func(*Model) bool, error) {
				x, err := experiment(ctx, tx, id)
				if fault.Is(err, fault.NotFound) || err == nil && x.Deleted {
					return nil, nil
				}
				return func(m *Model) bool { return !m.Removed }, err
			})
		return err
	})
	return models, next, err
}

func (s ModelSearch) compile() (query[Model], error) {
	v := s.vocabulary()
	q, err := v.compile(s.Filter, nil)
	if err != nil {
		return q, err
	}
	if len(s.Datasets) > 0 {
		for _, d := range s.Datasets {
			if d.Name == "" {
				return q, fault.New(fault.Invalid, "a data set to search by needs its name")
			}
		}
		q.where = append(q.where, func(m *Model) bool { return slices.ContainsFunc(m.Metrics, s.counts) })
	}
	question := []string{"models", s.Filter}
	if len(s.Order) > 0 {
		q.order, q.sorted = nil, false
	}
	for _, o := range s.Order {
		k, err := o.key()
		if err != nil {
			return q, err
		}
		q.order = append(q.order, k)
		question = append(question, k.name, strconv.FormatBool(o.Descending))
	}
	q.fingerprint(question...)
	return q, v.settle(&q)
}

// counts tells whether a metric is on one of the data sets asked for.
func (s ModelSearch) counts(m Metric) bool {
	return len(s.Datasets) == 0 || slices.ContainsFunc(s.Datasets, func(d OnDataset) bool { return d.covers(m) })
}

func (s ModelSearch) vocabulary() vocabulary[Model] {
	created := key[Model]{"attributes.creation_time", func(m *Model) sortable { return numeric(float64(m.Created)) }, true}
	id := key[Model]{"attributes.model_id", func(m *Model) sortable { return sortable{text: m.ID} }, false}
	return vocabulary[Model]{clause: s.clause, name: attributeName, natural: []key[Model]{created, id}, ties: []key[Model]{created, id}}
}

const modelFields = "metrics.…, params.…, tags.… or attributes: name, model_id, model_type, status, source_run_id, experiment_id, artifact_uri, creation_timestamp, last_updated_timestamp"

func (s ModelSearch) clause(c filter.Clause) (func(*Model) bool, error) {
	k := c.Field.Key
	switch runEntity(c.Field.Entity) {
	case "metrics":
		if !c.Op.Numeric() || c.Value.Kind != filter.Number {
			return nil, badOp(c, "a number")
		}
		return func(m *Model) bool {
			return slices.ContainsFunc(m.Metrics, func(v Metric) bool {
				return v.Key == k && s.counts(v) && c.Op.Number(v.Value, c.Value.Number)
			})
		}, nil
	case "params":
		return textClause(c, func(m *Model) (string, bool) { return m.Params.Get(k) }, true, true)
	case "tags":
		return textClause(c, func(m *Model) (string, bool) { return m.Tags.Get(k) }, true, true)
	case "attributes":
		if number, ok := modelNumber(k); ok {
			return numberClause(c, number)
		}
		if text, ok := modelText(k); ok {
			return textClause(c, text, false, true)
		}
	}
	return nil, unknownField(c.Field, modelFields)
}

func modelNumber(name string) (func(*Model) (float64, bool), bool) {
	switch name {
	case "creation_timestamp", "creation_time", "creation_timestamp_ms":
		return func(m *Model) (float64, bool) { return float64(m.Created), true }, true
	case "last_updated_timestamp", "last_updated_timestamp_ms":
		return func(m *Model) (float64, bool) { return float64(m.Updated), true }, true
	}
	return nil, false
}

func modelText(name string) (func(*Model) (string, bool), bool) {
	switch name {
	case "name":
		return func(m *Model) (string, bool) { return m.Name, true }, true
	case "model_id":
		return func(m *Model) (string, bool) { return m.ID, true }, true
	case "model_type":
		return func(m *Model) (string, bool) { return m.Kind, m.Kind != "" }, true
	case "source_run_id":
		return func(m *Model) (string, bool) { return m.SourceRun, m.SourceRun != "" }, true
	case "status":
		return func(m *Model) (string, bool) { return string(m.Status), true }, true
	case "experiment_id":
		return func(m *Model) (string, bool) { return strconv.FormatInt(m.Experiment, 10), true }, true
	case "artifact_uri", "artifact_location":
		return func(m *Model) (string, bool) { return m.Artifacts, true }, true
	}
	return nil, false
}

// key makes a part of an order. The value of a metric is the one logged last
// on the data set.
func (o ModelOrder) key() (key[Model], error) {
	parsed, err := filter.ParseOrder(o.Field)
	if err != nil {
		return key[Model]{}, err
	}
	k := key[Model]{name: strings.Join([]string{attributeName(parsed.Field), o.On.Name, o.On.Digest}, " "), descending: o.Descending}
	if o.On == (OnDataset{}) {
		k.name = attributeName(parsed.Field)
	}
	number, isNumber := modelNumber(parsed.Field.Key)
	text, isText := modelText(parsed.Field.Key)
	switch entity := runEntity(parsed.Field.Entity); {
	case entity == "metrics":
		k.of = func(m *Model) sortable { return m.latest(parsed.Field.Key, o.On) }
	case entity == "attributes" && isNumber:
		k.of = func(m *Model) sortable { n, _ := number(m); return numeric(n) }
	case entity == "attributes" && isText:
		k.of = func(m *Model) sortable { return textual(text(m)) }
	default:
		return key[Model]{}, unknownField(parsed.Field, "metrics.… or an attribute")
	}
	return k, nil
}

func (m *Model) latest(key string, on OnDataset) sortable {
	var last *Metric
	for i := range m.Metrics {
		v := &m.Metrics[i]
		if v.Key == key && on.covers(*v) && (last == nil || cmp.Or(cmp.Compare(v.At, last.At), cmp.Compare(v.Step, last.Step)) > 0) {
			last = v
		}
	}
	if last == nil {
		return sortable{class: missing}
	}
	return numeric(last.Value)
}
