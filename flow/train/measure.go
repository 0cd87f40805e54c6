package train

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

var nan = math.NaN()

// PredictionColumn is the name of what the model said, in a Profile.
const PredictionColumn = "prediction"

// measure scores the test rows and puts the candidate together.
func (r *run) measure(ctx context.Context, a *Artifact) (*Candidate, error) {
	signature := a.Model.Signature()
	test, err := pickRows(ctx, r.in, r.wanted(signature), r.split.test)
	if err != nil {
		return nil, err
	}
	defer test.release()
	predictions, prediction, err := r.predict(ctx, a.Model, test)
	if err != nil {
		return nil, err
	}
	defer release(prediction)
	c := &Candidate{Artifact: a, Signature: signature, Report: r.report(a), Split: r.words()}
	if predictions.Task == model.Binary {
		if predictions.Threshold, err = r.chooseThreshold(ctx, a); err != nil {
			return nil, err
		}
		c.Threshold = &predictions.Threshold
	}
	c.Report.Fill(predictions)
	c.Report.Slices = r.slices(predictions, test)
	if err := latency(ctx, a.Model, test.batches[0], c.Report.Metrics); err != nil {
		return nil, err
	}
	for name, v := range r.measured {
		if _, ours := c.Report.Metrics[name]; !ours {
			c.Report.Metrics[name] = v
		}
	}
	c.Metrics = maps.Clone(c.Report.Metrics)
	if err := r.meet(ctx, c.Report); err != nil {
		return nil, err
	}
	c.Profile, err = r.profile(ctx, signature, prediction)
	return c, err
}

// wanted are the columns that the test rows keep: what the model reads and
// what the report is by.
func (r *run) wanted(s model.Signature) []string {
	columns := slices.Clone(r.step.Slices)
	for _, f := range s.Inputs {
		columns = append(columns, f.Name)
	}
	return columns
}

func (r *run) report(a *Artifact) *evaluate.Report {
	report := &evaluate.Report{
		Label:   r.step.Label,
		Rows:    evaluate.Rows{Train: len(r.split.train), Valid: len(r.split.valid), Test: len(r.split.test), Dropped: r.split.dropped, Sampled: r.split.sampled},
		Columns: r.unused,
		Notes:   append(slices.Clone(r.notes), a.Notes...),
	}
	if r.options.Tables != nil { // it was handed the rows for validation too
		report.Rows.Train, report.Rows.Valid = report.Rows.Train+report.Rows.Valid, 0
	}
	if e, ok := a.Model.(model.Explainer); ok {
		report.Rank(e.Importance())
	}
	return report
}

// words says how the rows were split.
func (r *run) words() string {
	n := float64(len(r.split.train) + len(r.split.valid) + len(r.split.test))
	share := fmt.Sprintf("%.0f%%", 100*float64(len(r.split.test))/n)
	switch {
	case r.step.Split.By != "":
		return fmt.Sprintf("last %s by %s", share, r.step.Split.By)
	case r.step.Split.Every > 0:
		return fmt.Sprintf("every %d rows", r.step.Split.Every)
	}
	return fmt.Sprintf("random %s, seed %d", share, r.step.Seed)
}

// predict scores rows, and returns beside what was predicted the column
// PredictionColumn of each batch, for the profile.
func (r *run) predict(ctx context.Context, m model.Model, set *rowSet) (*evaluate.Predictions, []frame.Batch, error) {
	p := &evaluate.Predictions{Task: r.label.task, Classes: r.label.classes}
	var said []frame.Batch
	for i, b := range set.batches {
		out, err := m.Predict(ctx, b)
		if err != nil {
			release(said)
			return nil, nil, fault.Wrap(err, fault.KindOf(err), "the rows that were held out cannot be scored")
		}
		said = append(said, predictionOf(out))
		p.Scores, err = Scores(p.Scores, out, p.Task, p.Classes)
		out.Release()
		if err != nil {
			release(said)
			return nil, nil, err
		}
		for _, row := range set.rows[i] {
			p.Label = append(p.Label, r.label.value[row])
		}
	}
	return p, said, nil
}

func release(batches []frame.Batch) {
	for _, b := range batches {
		b.Release()
	}
}

// Scores appends what a model gave to columns of scores, as
// evaluate.Predictions has them; nil columns are made. An output that is
// absent, NULL or not finite is a fault.
func Scores(scores [][]float64, out frame.Batch, task model.Task, classes []string) ([][]float64, error) {
	columns := []string{model.ScoreColumn}
	if task == model.Multiclass {
		columns = columns[:0]
		for _, class := range classes {
			columns = append(columns, model.ScoreColumn+"_"+class)
		}
	}
	if scores == nil {
		scores = make([][]float64, len(columns))
	}
	for k, name := range columns {
		at := frame.Index(out.Schema(), name)
		if at < 0 {
			return nil, fault.New(fault.Unsupported, "the model has no output %q to measure", name).
				Hint("a model that is to be measured gives %q", columns)
		}
		from := len(scores[k])
		scores[k] = append(scores[k], make([]float64, out.NumRows())...)
		if err := frame.Floats(out.Column(at), scores[k][from:]); err != nil {
			return nil, fault.Wrap(err, fault.Unsupported, "the output %q", name)
		}
		for _, v := range scores[k][from:] {
			if v-v != 0 {
				return nil, fault.New(fault.Invalid, "the model gave %v as %q", v, name)
			}
		}
	}
	return scores, nil
}

// predictionOf returns a batch of the one column that monitors watch.
func predictionOf(out frame.Batch) frame.Batch {
	at := frame.Index(out.Schema(), model.ScoreColumn)
	if at < 0 {
		at = max(frame.Index(out.Schema(), model.LabelColumn), 0)
	}
	col := out.Column(at)
	schema := arrow.NewSchema([]arrow.Field{{Name: PredictionColumn, Type: col.DataType(), Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{col}, out.NumRows())
}

// chooseThreshold returns the threshold that the step gives, or the one that
// is best on rows which the model has not fitted, and which are not the test
// rows either.
func (r *run) chooseThreshold(ctx context.Context, a *Artifact) (float64, error) {
	v, chosen, err := r.threshold()
	if err != nil || !chosen {
		return v, err
	}
	if n := len(a.HeldOut); n > 0 && r.data != nil && n <= r.data.Rows() {
		v, _ = evaluate.BestThreshold(r.data.Label[r.data.Rows()-n:], a.HeldOut)
		return v, nil
	}
	if len(r.split.valid) == 0 || r.options.Tables != nil {
		return 0.5, nil
	}
	set, err := pickRows(ctx, r.in, r.wanted(a.Model.Signature()), r.split.valid)
	if err != nil {
		return 0, err
	}
	defer set.release()
	p, said, err := r.predict(ctx, a.Model, set)
	if err != nil {
		return 0, err
	}
	release(said)
	v, _ = evaluate.BestThreshold(p.Label, p.Scores[0])
	return v, nil
}

// slices measures the test rows by the columns that the step names.
func (r *run) slices(p *evaluate.Predictions, test *rowSet) []evaluate.Slice {
	var all []evaluate.Slice
	for _, name := range r.step.Slices {
		at := frame.Index(test.batches[0].Schema(), name)
		if values, err := numbers(test.batches, at); err == nil {
			all = append(all, p.SliceByNumber(name, values)...)
			continue
		}
		var (
			texts   []string
			present []bool
		)
		for _, b := range test.batches {
			col := b.Column(at)
			for row := range col.Len() {
				texts, present = append(texts, col.ValueStr(row)), append(present, col.IsValid(row))
			}
		}
		all = append(all, p.SliceByText(name, texts, func(row int) bool { return present[row] })...)
	}
	return all
}

// Rows for the latency of one row: enough for a 95th percentile, and few
// enough for the slowest of models.
const (
	latencyRows   = 400
	latencyWarmup = 20
	latencyTime   = 2 * time.Second
)

// latency measures how long one row takes to predict, in milliseconds.
func latency(ctx context.Context, m model.Model, rows frame.Batch, metrics map[string]float64) error {
	var took []float64
	begin := time.Now()
	for i := range latencyRows + latencyWarmup {
		if time.Since(begin) > latencyTime && len(took) > 0 {
			break
		}
		at := int64(i) % rows.NumRows()
		one := rows.NewSlice(at, at+1)
		start := time.Now()
		out, err := m.Predict(ctx, one)
		elapsed := time.Since(start)
		one.Release()
		if err != nil {
			return err
		}
		out.Release()
		if i >= latencyWarmup || time.Since(begin) > latencyTime {
			took = append(took, float64(elapsed.Nanoseconds())/1e6)
		}
	}
	slices.Sort(took)
	metrics[evaluate.P50], metrics[evaluate.P95] = evaluate.Quantile(took, 0.5), evaluate.Quantile(took, 0.95)
	return nil
}

// profile is that of the inputs over the rows that were trained on, and of
// the predictions over the test rows: those on training rows are surer than
// any later row's will be.
func (r *run) profile(ctx context.Context, s model.Signature, said []frame.Batch) (*profile.Profile, error) {
	columns := make([]frame.Column, len(s.Inputs))
	names := make([]string, len(s.Inputs))
	for i, f := range s.Inputs {
		columns[i], names[i] = frame.Column{Name: f.Name, Type: f.Type}, f.Name
	}
	set, err := pickRows(ctx, r.in, names, slices.Concat(r.split.train, r.split.valid))
	if err != nil {
		return nil, err
	}
	defer set.release()
	inputs, err := profileOf(columns, set.batches)
	if err != nil {
		return nil, err
	}
	predicted, err := frame.ColumnsOf(said[0].Schema())
	if err != nil {
		return nil, err
	}
	outputs, err := profileOf(predicted, said)
	if err != nil {
		return nil, err
	}
	inputs.Columns = append(inputs.Columns, outputs.Columns...)
	return inputs, nil
}

func profileOf(columns []frame.Column, batches []frame.Batch) (*profile.Profile, error) {
	b := profile.NewBuilder(columns)
	for _, batch := range batches {
		if err := b.Add(batch); err != nil {
			return nil, err
		}
	}
	return b.Profile(), nil
}
