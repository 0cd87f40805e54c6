package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/monitor"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/api"
	"github.com/leat-ai/leat/surface/client"
)

type reading = monitor.Reading

// compareValue orders readings by how far they are over their threshold.
func compareValue(a, b reading) int {
	x, y := a.Value/max(a.Threshold, 1e-9), b.Value/max(b.Threshold, 1e-9)
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// namesFor names the resources of a project around a table.
func namesFor(table string) names {
	base := table
	if table == "transactions" {
		base = "fraud"
	}
	return names{
		source: table, view: base + "_features", model: base, pipeline: base, endpoint: base,
		batch: base + "-nightly", scores: table + "_scores", monitor: base + "-drift",
	}
}

// baseline is the pipeline of the first version, that the next must beat.
func (n names) baseline() string { return n.pipeline + "-baseline" }

// tableName makes a table's name of a file's: lower case, words joined by _.
func tableName(path string) string {
	base, _, _ := strings.Cut(filepath.Base(path), ".")
	if base == "data" { // data/telco-churn/data.csv.gz says more with its folder
		base = filepath.Base(filepath.Dir(path))
	}
	name := strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) && r < unicode.MaxASCII || unicode.IsDigit(r) && r < unicode.MaxASCII {
			return unicode.ToLower(r)
		}
		return '_'
	}, base)
	name = strings.Trim(name, "_")
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		name = "table_" + name
	}
	return strings.TrimRight(name, "_")
}

// tablePlan is what is to be learned from a table.
type tablePlan struct {
	label   string
	time    string
	task    string
	columns []string
	derived []spec.FeatureDef
	slices  []string
	notes   []string
}

// columnFacts are what a look at the table says of a column.
type columnFacts struct {
	api.Column
	distinct, present int64
}

// planTable looks at a table and chooses what to learn from.
func planTable(ctx context.Context, cl *client.Client, table string, o demoOptions) (tablePlan, error) {
	rows, facts, err := factsOf(ctx, cl, table)
	if err != nil {
		return tablePlan{}, err
	}
	p := tablePlan{label: o.label, time: o.time}
	label, ok := find(facts, o.label)
	if !ok {
		return p, unknownColumn("--label", o.label, facts)
	}
	for _, name := range append(slices.Clone(o.drop), o.time) {
		if _, ok := find(facts, name); !ok && name != "" {
			return p, unknownColumn("--drop or --time", name, facts)
		}
	}
	if label.distinct < 2 {
		return p, fault.New(fault.Invalid, "the label %q has %d value(s): there is nothing to tell apart", o.label, label.distinct)
	}
	p.task = taskOf(label)
	for _, f := range facts {
		if f.Name != o.label && !slices.Contains(o.drop, f.Name) {
			p.consider(f, rows, o)
		}
	}
	if len(p.columns)+len(p.derived) == 0 {
		return p, fault.New(fault.Invalid, "no column is left to learn from")
	}
	return p, nil
}

func find(facts []columnFacts, name string) (columnFacts, bool) {
	i := slices.IndexFunc(facts, func(f columnFacts) bool { return f.Name == name })
	if i < 0 {
		return columnFacts{}, false
	}
	return facts[i], true
}

func unknownColumn(flag, name string, facts []columnFacts) error {
	known := make([]string, len(facts))
	for i, f := range facts {
		known[i] = f.Name
	}
	return fault.New(fault.NotFound, "%s names %q, which the table does not have", flag, name).
		Hint("its columns are %s", strings.Join(known, ", "))
}

// taskOf chooses by the label: two values are a binary task, more words are
// classes, more numbers are numbers.
func taskOf(label columnFacts) string {
	switch {
	case label.distinct == 2:
		return string(model.Binary)
	case label.Type == string(frame.String):
		return string(model.Multiclass)
	}
	return string(model.Regression)
}

// consider adds a column, or what can be said of a time, or leaves it out with
// a note.
func (p *tablePlan) consider(f columnFacts, rows int64, o demoOptions) {
	isTime := f.Type == string(frame.Timestamp) || f.Type == string(frame.Date)
	switch {
	case f.distinct <= 1:
		p.notes = append(p.notes, fmt.Sprintf("%s is left out: it has only one value", f.Name))
	case isTime:
		p.derive(f, f.Name == o.time)
	case f.Name == o.time:
	case f.Type == string(frame.String) && f.distinct > 100 && float64(f.distinct) > 0.5*float64(f.present):
		p.notes = append(p.notes, fmt.Sprintf("%s is left out: %s different texts in %s rows look like an identifier", f.Name, count(f.distinct), count(rows)))
	default:
		p.columns = append(p.columns, f.Name)
		if f.Type == string(frame.String) && f.distinct <= 10 && len(p.slices) < 3 {
			p.slices = append(p.slices, f.Name)
		}
	}
}

// derive makes features of a time: what repeats and, unless rows are held out
// by it, how far along it is.
func (p *tablePlan) derive(f columnFacts, heldOutBy bool) {
	parts := []string{"dayofweek"}
	if f.Type == string(frame.Timestamp) {
		parts = append(parts, "hour")
	}
	if !heldOutBy { // months to come are like none that were
		parts = append(parts, "day", "month", "epoch")
	}
	for _, part := range parts {
		p.derived = append(p.derived, spec.FeatureDef{Name: tableName(f.Name) + "_" + part, Expr: part + "(" + quoteName(f.Name) + ")"})
	}
}

// view is the FeatureView of the plan.
func (p tablePlan) view(n names) *spec.FeatureView {
	return &spec.FeatureView{Name: n.view, Source: n.source, Timestamp: p.time, Columns: p.columns, Features: p.derived}
}

// resources are everything after the features: model, pipeline, endpoint,
// batch, monitor.
func (p tablePlan) resources(n names, o demoOptions) []spec.Spec {
	train := &spec.TrainStep{
		Model: n.model, Features: spec.Names{n.view}, Label: p.label, Task: p.task, Trainer: "auto",
		Slices: p.slices, Seed: o.seed,
	}
	if p.time != "" {
		train.Split.By = p.time
	}
	if _, err := fmt.Sscanf(o.split, "every:%d", &train.Split.Every); err == nil {
		train.Split.By = ""
	}
	endpoint := &spec.Endpoint{Name: n.endpoint, Model: n.model + "@champion"}
	if p.task == string(model.Binary) {
		endpoint.Decide = spec.Decide{OnAbove: "review", OnBelow: "pass"}
	}
	pipeline := func(name string, t *spec.TrainStep) *spec.Pipeline {
		return &spec.Pipeline{Name: name, Steps: []spec.Step{
			{Train: t},
			{Gate: p.gates(n)},
			{Register: &spec.RegisterStep{Alias: "challenger"}},
			{Deploy: &spec.DeployStep{Endpoint: n.endpoint, Alias: "champion"}},
		}}
	}
	baseline := *train
	baseline.Trainer = "linear"
	return []spec.Spec{
		&spec.Model{Name: n.model, Description: "Predicts " + p.label + " of " + n.source + "."},
		pipeline(n.baseline(), &baseline),
		pipeline(n.pipeline, train),
		endpoint,
		&spec.Batch{Name: n.batch, From: "lake://" + n.source, Score: n.endpoint, To: "lake://" + n.scores},
		&spec.Monitor{Name: n.monitor, Watch: n.endpoint},
	}
}

// gates are what a first version must pass, and a later one too.
func (p tablePlan) gates(n names) []string {
	latency := "p95_ms <= 20"
	switch {
	case n.source == "transactions":
		return []string{"auc >= 0.8", "auc >= champion.auc - 0.005", "min_over(channel).auc >= 0.6", latency}
	case p.task == string(model.Regression):
		return []string{"r2 >= 0.05", "rmse <= champion.rmse * 1.02", latency}
	}
	return []string{"auc >= 0.55", "auc >= champion.auc - 0.005", latency}
}

// quoteName quotes a column or table for SQL and for expressions.
func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// factsOf counts each column's values and distinct values.
func factsOf(ctx context.Context, cl *client.Client, table string) (rows int64, facts []columnFacts, err error) {
	tables, err := cl.Tables(ctx)
	if err != nil {
		return 0, nil, err
	}
	at := slices.IndexFunc(tables, func(t api.Table) bool { return t.Name == table })
	if at < 0 {
		return 0, nil, fault.New(fault.NotFound, "the lake has no table %q", table)
	}
	query := []string{"count(*)"}
	for _, c := range tables[at].Columns {
		query = append(query, "count("+quoteName(c.Name)+")", "count(distinct "+quoteName(c.Name)+")")
	}
	res, err := cl.SQL(ctx, "select "+strings.Join(query, ", ")+" from "+quoteName(table), 1)
	if err != nil {
		return 0, nil, err
	}
	var counts [][]int64
	if err := json.Unmarshal(res.Rows, &counts); err != nil || len(counts) != 1 {
		return 0, nil, fault.Wrap(err, fault.Internal, "the table %q cannot be counted", table)
	}
	for i, c := range tables[at].Columns {
		facts = append(facts, columnFacts{Column: c, present: counts[0][1+2*i], distinct: counts[0][2+2*i]})
	}
	return counts[0][0], facts, nil
}

func sortedKeys(m map[string]int64) []string { return slices.Sorted(maps.Keys(m)) }
