package refdoc

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/base/expr"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/model"
)

// errorsPage lists the kinds of errors.
func errorsPage(root string) ([]byte, error) {
	meaning, err := constants(root, "base/fault")
	if err != nil {
		return nil, err
	}
	p := newPage("Errors", "base/fault")
	p.say(`
Every error has a kind for machines, a sentence for people and, where one is
known, a hint what to do next. The command line prints sentence and hint on
standard error and ends with the exit code; the API answers with the status
and a problem document (RFC 9457, ` + "`application/problem+json`" + `) whose
` + "`kind`, `detail` and `hint`" + ` are the same, and whose ` + "`errors`" + ` has each of several
mistakes. Where the same call may succeed later the answer has the header
` + "`Retry-After`" + ` if it is known when.
`)
	p.table("kind", "means", "HTTP", "gRPC", "exit code", "later again?")
	for _, k := range fault.Kinds() {
		if meaning[string(k)] == "" {
			return nil, fmt.Errorf("the kind %s has no comment in base/fault", k)
		}
		again := ""
		if k.Retryable() {
			again = "yes"
		}
		p.row(code(string(k)), meaning[string(k)], strconv.Itoa(k.HTTP()), strconv.Itoa(k.GRPC()), strconv.Itoa(k.Exit()), again)
	}
	p.say("\nA command that did what it was asked ends with 0.\n")
	return p.bytes(), nil
}

// expressionsPage describes the expression language.
func expressionsPage(root string) ([]byte, error) {
	meaning, err := part(root, "base/expr", "Meaning")
	if err != nil {
		return nil, err
	}
	promises, err := part(root, "base/expr", "Promises")
	if err != nil {
		return nil, err
	}
	p := newPage("Expressions", "base/expr")
	p.say(`
One language for the rules of a source, the features of a view and the gates
of a pipeline.

## Operators

From the loosest to the tightest:
`)
	p.table("written", "means")
	for _, row := range [][2]string{
		{"`or`", "one of two conditions"}, {"`and`", "both"}, {"`not x`", "the contrary"},
		{"`=` `!=` `<>` `<` `<=` `>` `>=`", "comparison; they do not chain"},
		{"`x is null`, `x is not null`", "whether a value is missing"},
		{"`x between a and b`, `x in (a, b)`", "also with `not`"},
		{"`s like 'a%'`", "`%` stands for any text, `_` for one character; also with `not`"},
		{"`a || b`", "texts joined"}, {"`+` `-`", ""}, {"`*` `/` `%`", "`/` divides doubles, `%` is the remainder"}, {"`-x`", ""},
		{"`case when c then x else y end`, `cast(x as double)`", "choice, and change of type"},
	} {
		p.row(row[0], row[1])
	}
	p.say("\n## Functions\n")
	p.table("function", "gives")
	for _, f := range expr.Functions() {
		p.row(code(f.Usage), f.Doc)
	}
	var types []string
	for _, t := range frame.Types() {
		types = append(types, string(t))
	}
	p.say("\nTypes: %s.\n\n## Meaning\n\n%s\n## Promises\n\n%s", codes(types), meaning, promises)
	p.say("\nAn expression has at most %d bytes, %d nested parts and %d parts in all; a pattern of `like` or `regexp_match` has at most %d bytes.\n",
		expr.MaxSource, expr.MaxDepth, expr.MaxParts, expr.MaxRegexp)
	return p.bytes(), nil
}

// trainersPage describes what a train step may name under trainer.
func trainersPage(root string) ([]byte, error) {
	l2, err := above(root, "flow/train/linear", "L2")
	if err != nil {
		return nil, err
	}
	command, err := part(root, "flow/train/command", "")
	if err != nil {
		return nil, err
	}
	_, command, _ = strings.Cut(command, "\n\n") // the first paragraph is about the package
	p := newPage("Trainers", "flow/train")
	p.say(`
A train step names one under ` + "`trainer`" + ` and sets its parameters under ` + "`params`" + `;
what it does not know is an error with the nearest name. The same rows,
parameters and seed give the same bytes on any number of cores.

## auto

Tries a few settings of ` + "`linear` and `gbdt`" + `, judges them on rows held out, and
fits the winner to all rows. The linear model is preferred while trees are not
better by more than the standard error of the difference. It has no parameters;
its notes on the model card say what was tried and why the winner won.

## gbdt

Gradient-boosted trees on histograms: binary, multi-class and regression, with
missing values, splits by sets of categories, early stopping and monotone
constraints. Names and meanings of parameters follow LightGBM's.
`)
	p.table("parameter", "default", "from", "to", "means")
	for _, x := range gbdt.Parameters() {
		name := code(x.Name)
		if x.Whole {
			name += " (whole)"
		}
		p.row(name, number(x.Default), number(x.Min), number(x.Max), x.Doc)
	}
	p.say(`
## linear

Logistic regression, its multinomial form, and ridge regression. Numbers are
standardised, a missing number is its column's mean plus a weight of its own,
categories have one weight each.
`)
	p.table("parameter", "means")
	p.row(code(linear.L2), l2)
	p.say("\n## command\n\nRuns any program, which the step names with its arguments under `command`.\n\n%s", command)
	return p.bytes(), nil
}

func number(v float64) string {
	if v >= 1e6 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// measuresPage lists the measures of a model.
func measuresPage(root string) ([]byte, error) {
	meaning, err := constants(root, "flow/train/evaluate")
	if err != nil {
		return nil, err
	}
	gates, err := part(root, "flow/registry/gate", "What a gate says")
	if err != nil {
		return nil, err
	}
	p := newPage("Measures of a model", "flow/train/evaluate and flow/registry/gate")
	p.say(`
Measured on the rows that were held out, agreeing with scikit-learn's measure of
the same meaning. A measure that has no value, such as the AUC of rows of one
class, is absent.
`)
	p.table("name", "task", "means")
	tasks := measured()
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		if meaning[name] == "" {
			return nil, fmt.Errorf("the measure %s has no comment in flow/train/evaluate", name)
		}
		p.row(code(name), strings.Join(tasks[name], ", "), meaning[name])
	}
	p.say("\n## In gates\n\n%s", gates)
	return p.bytes(), nil
}

// measured tells which measures each task has, by measuring a few rows.
func measured() map[string][]string {
	rows := map[model.Task]*evaluate.Predictions{
		model.Binary:     {Label: []float64{0, 1, 0, 1}, Scores: [][]float64{{.1, .9, .4, .6}}, Classes: []string{"no", "yes"}, Threshold: .5},
		model.Multiclass: {Label: []float64{0, 1, 2}, Scores: [][]float64{{.8, .1, .1}, {.1, .8, .1}, {.1, .1, .8}}, Classes: []string{"a", "b", "c"}},
		model.Regression: {Label: []float64{1, 2, 3}, Scores: [][]float64{{1, 2, 4}}},
	}
	tasks := map[string][]string{evaluate.P50: {"all"}, evaluate.P95: {"all"}}
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		p := rows[task]
		p.Task = task
		for name := range p.Metrics() {
			tasks[name] = append(tasks[name], string(task))
		}
	}
	return tasks
}

// metricsPage lists the metrics that a server shows under /metrics.
func metricsPage(root string) ([]byte, error) {
	files, err := sources(root, house()...)
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{"Counter": "counter", "Gauge": "gauge", "GaugeVec": "gauge", "Histogram": "histogram of seconds"}
	rows := map[string][]string{}
	for _, c := range calls(files, slices.Collect(maps.Keys(kinds))...) {
		words := texts(c)
		if len(words) < 2 || !strings.HasPrefix(words[0], "leat_") {
			continue
		}
		rows[words[0]] = []string{code(words[0]), kinds[c.name], codes(words[2:]), words[1]}
	}
	if len(rows) < 5 {
		return nil, fmt.Errorf("only %d metrics were found", len(rows))
	}
	p := newPage("Metrics", "the places that make them")
	p.say("\nA server shows them under `GET /metrics` in the format of Prometheus, together with\nthose of the Go runtime (`go_…`) and of the process (`process_…`).\n")
	p.table("name", "kind", "labels", "means")
	for _, name := range slices.Sorted(maps.Keys(rows)) {
		p.row(rows[name]...)
	}
	return p.bytes(), nil
}

// texts are the arguments of a call that are literals of text.
func texts(c call) []string {
	var words []string
	for _, x := range c.args {
		if t, ok := text(x); ok {
			words = append(words, t)
		}
	}
	return words
}
