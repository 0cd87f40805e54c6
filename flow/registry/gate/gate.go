// Package gate decides whether a candidate model may go on: it evaluates the
// gate expressions of a pipeline over the candidate's figures and those of
// the champion it would replace.
//
// It stands between training and the registry, which keeps its verdicts with
// the version. Check reads gates before anything is trained; Evaluate gives
// the verdicts.
//
// # What a gate says
//
// A gate is a condition (base/expr) over
//
//	auc, p95_ms, size_bytes     figures of the candidate, by name
//	champion.auc                the champion's, on the candidate's test rows
//	min_over(country).auc       the least of the candidate's slices by a column,
//	max_over, gap_over          the greatest, and how far the two are apart
//
// The champion is measured on the rows that the candidate is tested on, when
// it can read them. Where it cannot (a column is gone, a feature it reads is
// defined otherwise now), its figures are those that are stored with it; the
// candidate's report notes which of the two it was.
//
// A gate fails closed: a figure that is not a number fails every gate that
// names it. One thing passes: where there is no champion yet, what compares
// with it (a comparison with a champion.* name in it) counts as passed, so
// that the first model is held to the other terms alone; the verdict says so.
package gate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train/evaluate"
)

// Figures are what is known of one model.
type Figures struct {
	Metrics map[string]float64 // by name: auc, logloss, p95_ms, size_bytes, …
	Slices  []evaluate.Slice   // metrics of parts of the test rows
}

const championPrefix = "champion."

// Check reads gates without evaluating them, and reports every mistake: one
// that does not parse, and one that is no condition.
func Check(gates []string) error {
	var mistakes fault.List
	for _, g := range gates {
		_, err := parse(g)
		mistakes.Add(err)
	}
	return mistakes.Err()
}

func parse(gate string) (*expr.Expr, error) {
	e, err := expr.Parse(gate)
	if err != nil {
		return nil, wrap(err, gate)
	}
	columns := make([]frame.Column, 0, len(e.Names()))
	for _, name := range e.Names() {
		columns = append(columns, frame.Column{Name: name, Type: frame.Double})
	}
	prog, err := e.Bind(columns)
	if err != nil {
		return nil, wrap(err, gate)
	}
	if prog.Type() != frame.Bool {
		return nil, wrap(fault.New(fault.Invalid, "it is a %s, not a condition", prog.Type()).
			Hint("compare it with something: %s >= 0.8", gate), gate)
	}
	return e, nil
}

func wrap(err error, gate string) error {
	return fault.Wrap(err, fault.KindOf(err), "gate %q", gate)
}

// Evaluate gives one verdict for each gate, in order. The champion is nil when
// there is none. A gate with a mistake in it, an unknown name among them, is
// an Invalid fault; every one of them is reported.
func Evaluate(gates []string, candidate Figures, champion *Figures) ([]registry.Verdict, error) {
	verdicts := make([]registry.Verdict, 0, len(gates))
	var mistakes fault.List
	for _, g := range gates {
		v, err := evaluateOne(g, candidate, champion)
		mistakes.Add(err)
		verdicts = append(verdicts, v)
	}
	if err := mistakes.Err(); err != nil {
		return nil, err
	}
	return verdicts, nil
}

// Passed tells whether every gate passed.
func Passed(verdicts []registry.Verdict) bool {
	return !slices.ContainsFunc(verdicts, func(v registry.Verdict) bool { return !v.Passed })
}

func evaluateOne(gate string, candidate Figures, champion *Figures) (registry.Verdict, error) {
	e, err := parse(gate)
	if err != nil {
		return registry.Verdict{}, err
	}
	r := reading{candidate: candidate, champion: champion, env: map[string]expr.Value{},
		verdict: registry.Verdict{Gate: gate, Figures: map[string]float64{}}}
	var mistakes fault.List
	for _, ref := range e.Refs() {
		if err := r.read(ref); err != nil {
			mistakes.Add(wrap(err, gate))
		}
	}
	if err := mistakes.Err(); err != nil {
		return registry.Verdict{}, err
	}
	holds, err := e.EvalScalar(r.env)
	if err != nil {
		return registry.Verdict{}, wrap(err, gate)
	}
	r.judge(holds)
	return r.verdict, nil
}

// reading is one gate with the figures that it names.
type reading struct {
	candidate Figures
	champion  *Figures
	env       map[string]expr.Value
	verdict   registry.Verdict
	shown     []string // the figures as the reason shows them
	undefined []string // names whose figure is not a number, or not known
	alone     bool     // a champion is named, and there is none
}

// judge turns the value of the gate into a verdict. Without a champion its
// figures are NULL, so by three-valued logic a gate that is NULL is one whose
// other terms hold.
func (r *reading) judge(holds expr.Value) {
	v := &r.verdict
	switch {
	case len(r.undefined) > 0:
		v.Reason = strings.Join(r.undefined, ", ")
	case holds.Valid && holds.B:
		v.Passed = true
	case holds.Valid:
		v.Reason = strings.Join(r.shown, ", ")
	case r.alone:
		v.Passed = true
	default:
		v.Reason = "it has no value for " + strings.Join(r.shown, ", ")
	}
	if v.Passed && r.alone {
		v.Reason = "there is no champion yet, so what compares with it passes"
	}
}

// read finds the figure of one name.
func (r *reading) read(ref expr.Ref) error {
	if ref.Over != "" {
		return r.readSlices(ref)
	}
	metric, ofChampion := strings.CutPrefix(ref.Name, championPrefix)
	if _, known := r.candidate.Metrics[metric]; !known && !r.championHas(metric, ofChampion) {
		return r.unknown(ref.Name, ofChampion)
	}
	if !ofChampion {
		r.take(ref.Name, r.candidate.Metrics[metric], "")
		return nil
	}
	if r.champion == nil {
		r.alone = true
		r.env[ref.Name] = expr.Null(frame.Double)
		return nil
	}
	x, known := r.champion.Metrics[metric]
	if !known {
		r.refuse(ref.Name, "the champion has no figure "+metric)
		return nil
	}
	r.take(ref.Name, x, "")
	return nil
}

func (r *reading) championHas(metric string, ofChampion bool) bool {
	if !ofChampion || r.champion == nil {
		return false
	}
	_, known := r.champion.Metrics[metric]
	return known
}

// take gives a name its figure. What is not finite is left out of the figures,
// which are stored as JSON.
func (r *reading) take(name string, x float64, note string) {
	if math.IsNaN(x) {
		r.refuse(name, name+" is not a number")
		return
	}
	r.env[name] = expr.Double(x)
	if !math.IsInf(x, 0) {
		r.verdict.Figures[name] = x
	}
	r.shown = append(r.shown, fmt.Sprintf("%s is %s%s", name, strconv.FormatFloat(x, 'g', 6, 64), note))
}

func (r *reading) refuse(name, why string) {
	r.env[name] = expr.Null(frame.Double)
	r.undefined = append(r.undefined, why)
}

func (r *reading) unknown(name string, ofChampion bool) error {
	known := make([]string, 0, len(r.candidate.Metrics))
	for m := range r.candidate.Metrics {
		if ofChampion {
			m = championPrefix + m
		}
		known = append(known, m)
	}
	slices.Sort(known)
	err := fault.New(fault.Invalid, "there is no figure %q", name)
	if near := fault.Nearest(name, known); near != "" {
		return err.Hint("did you mean %s?", near)
	}
	return err.Hint("the figures are %s", strings.Join(known, ", "))
}

// readSlices folds the slices by a column into one figure. A slice that has no
// such metric (the AUC of rows that are all of one class) is left out; when
// all are, there is no figure.
func (r *reading) readSlices(ref expr.Ref) error {
	var columns, metrics []string
	var found []evaluate.Slice
	for _, s := range r.candidate.Slices {
		columns = append(columns, s.Column)
		if s.Column != ref.Column {
			continue
		}
		for m := range s.Metrics {
			metrics = append(metrics, m)
		}
		if _, has := s.Metrics[ref.Metric]; has {
			found = append(found, s)
		}
	}
	if !slices.Contains(columns, ref.Column) {
		return noSlices(ref.Column, columns)
	}
	if len(found) > 0 {
		x, note := fold(ref, found)
		r.take(ref.Name, x, note)
		return nil
	}
	if _, known := r.candidate.Metrics[ref.Metric]; known {
		r.refuse(ref.Name, "no slice by "+ref.Column+" has "+ref.Metric)
		return nil
	}
	slices.Sort(metrics)
	err := fault.New(fault.Invalid, "slices have no figure %q", ref.Metric)
	if near := fault.Nearest(ref.Metric, metrics); near != "" {
		return err.Hint("did you mean %s?", near)
	}
	return err.Hint("the figures of slices are %s", strings.Join(slices.Compact(metrics), ", "))
}

func noSlices(column string, columns []string) error {
	err := fault.New(fault.Invalid, "the test rows were not measured by %q", column)
	if near := fault.Nearest(column, columns); near != "" {
		return err.Hint("did you mean %s?", near)
	}
	return err.Hint("add slices: [%s] to the train step", column)
}

// fold gives the least, the greatest or the gap, and notes whose it is. One
// NaN makes the figure NaN.
func fold(ref expr.Ref, found []evaluate.Slice) (float64, string) {
	low, high := found[0], found[0]
	for _, s := range found {
		x := s.Metrics[ref.Metric]
		if math.IsNaN(x) {
			return x, ""
		}
		if x < low.Metrics[ref.Metric] {
			low = s
		}
		if x > high.Metrics[ref.Metric] {
			high = s
		}
	}
	switch ref.Over {
	case "min_over":
		return low.Metrics[ref.Metric], fmt.Sprintf(" (%s)", low.Value)
	case "max_over":
		return high.Metrics[ref.Metric], fmt.Sprintf(" (%s)", high.Value)
	}
	return high.Metrics[ref.Metric] - low.Metrics[ref.Metric], fmt.Sprintf(" (%s to %s)", low.Value, high.Value)
}
