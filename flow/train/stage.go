package train

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// Input is the rows to learn from. All of them are held in memory; a step's
// MaxRows bounds how many are used.
type Input struct {
	Schema  *arrow.Schema // of the six column types
	Batches []frame.Batch // of that schema; stay the caller's
	// Inputs are the columns that the model may learn from; nil means all
	// besides the label, the weights and the column that the split is by.
	Inputs []string
}

// Options say who fits and who is told of it. Exactly one of Trainer and
// Tables is set.
type Options struct {
	Trainer Trainer
	Tables  TableTrainer
	Threads int // 0: GOMAXPROCS; the result does not depend on it
	// Champion, when set, is measured beside the candidate.
	Champion *Champion
	// Progress, when set, is called with what is being done, how much of it is
	// done, and the present validation loss (NaN when there is none).
	Progress func(doing string, done, total int, loss float64)
}

// Candidate is a trained model with all that was found out about it.
type Candidate struct {
	Artifact  *Artifact
	Signature model.Signature
	Threshold *float64           // of the score, for binary tasks
	Metrics   map[string]float64 // on the test rows, by the names of package evaluate
	Report    *evaluate.Report   // the same and more, to be stored with the version
	// Profile is the baseline of monitors: the inputs over the training rows,
	// and the column "prediction" over the test rows.
	Profile *profile.Profile
	Split   string // in words, for the lineage
}

// Run trains a candidate and measures it on rows that it has not seen. The
// same rows, step and seed give the same artifact on any number of threads.
func Run(ctx context.Context, in Input, step spec.TrainStep, o Options) (*Candidate, error) {
	if (o.Trainer == nil) == (o.Tables == nil) {
		return nil, fault.New(fault.Internal, "a training needs one trainer")
	}
	r := &run{in: &in, step: &step, options: &o}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	fit := r.fitDataset
	if o.Tables != nil {
		fit = r.fitTables
	}
	artifact, err := fit(ctx)
	if err != nil {
		return nil, err
	}
	r.tell("measuring", 0, 1)
	c, err := r.measure(ctx, artifact)
	if err != nil {
		return nil, err
	}
	r.tell("measuring", 1, 1)
	return c, nil
}

// run is one training on its way.
type run struct {
	in       *Input
	step     *spec.TrainStep
	options  *Options
	label    *label
	split    *split
	names    []string // of the inputs
	unused   []evaluate.Unused
	measured map[string]float64 // by a TableTrainer
	notes    []string
	data     *Dataset // nil with a TableTrainer
}

func (r *run) tell(doing string, done, total int) {
	if r.options.Progress != nil {
		r.options.Progress(doing, done, total, nan)
	}
}

// prepare settles the task, the split and the inputs, and finds every mistake
// that can be found before anything is computed.
func (r *run) prepare() (err error) {
	if _, _, err = r.threshold(); err != nil {
		return err
	}
	if r.label, err = readLabel(r.in, r.step.Label, r.step.Task, r.step.Positive); err != nil {
		return err
	}
	if r.split, err = splitRows(r.in, r.label, r.step); err != nil {
		return err
	}
	if err = r.knownClasses(); err != nil {
		return err
	}
	for _, name := range r.step.Slices {
		if frame.Index(r.in.Schema, name) < 0 {
			return fault.New(fault.Invalid, "there is no column %q to report by", name).
				Hint("the columns are %s", columnNames(r.in.Schema))
		}
	}
	r.names, r.unused, err = inputs(r.in, r.step)
	return err
}

// knownClasses sees to it that each class has a row to train on: a binary task
// without one is refused; of several, a class that only later rows have is
// left out with its rows.
func (r *run) knownClasses() error {
	if r.label.task == model.Regression {
		return nil
	}
	counts := make([]int, len(r.label.classes))
	for _, row := range r.split.train {
		counts[int(r.label.value[row])]++
	}
	if !slices.Contains(counts, 0) {
		return nil
	}
	absent := slices.Index(counts, 0)
	if r.label.task == model.Binary {
		return fault.New(fault.Invalid, "no row to train on has the class %q", r.label.classes[absent]).
			Hint("with another split, such as a random one, both classes may be on both sides")
	}
	r.leaveOut(counts)
	if len(r.label.classes) < 3 {
		return fault.New(fault.Invalid, "the rows to train on have fewer than three classes").Hint("try another split")
	}
	return nil
}

// leaveOut renumbers the classes without those that counts are 0 of.
func (r *run) leaveOut(counts []int) {
	var kept []string
	position := make([]int, len(counts))
	for k, n := range counts {
		position[k] = len(kept)
		if n == 0 {
			r.notes = append(r.notes, fmt.Sprintf("class %q has no row to train on: its rows are left out", r.label.classes[k]))
		} else {
			kept = append(kept, r.label.classes[k])
		}
	}
	known := func(row int) bool { return counts[int(r.label.value[row])] > 0 }
	keep := func(rows []int) []int {
		return slices.DeleteFunc(rows, func(row int) bool {
			if known(row) {
				return false
			}
			r.split.dropped++
			return true
		})
	}
	r.split.valid, r.split.test = keep(r.split.valid), keep(r.split.test)
	for row, v := range r.label.value {
		if v == v && counts[int(v)] > 0 {
			r.label.value[row] = float64(position[int(v)])
		}
	}
	r.label.classes = kept
}

// threshold returns the number that the step asks for, or chosen.
func (r *run) threshold() (v float64, chosen bool, err error) {
	if r.step.Threshold == "" || r.step.Threshold == evaluate.F1 {
		return 0, true, nil
	}
	v, err = strconv.ParseFloat(r.step.Threshold, 64)
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, false, fault.New(fault.Invalid, "the threshold is %q", r.step.Threshold).
			Hint("it is a number between 0 and 1, or %s", evaluate.F1)
	}
	return v, false, nil
}

func (r *run) params() Params {
	return Params{
		Values: r.step.Params, Monotone: r.step.Monotone, Seed: r.step.Seed, Threads: r.options.Threads,
		Progress: func(done, total int, loss float64) {
			if r.options.Progress != nil {
				r.options.Progress("training", done, total, loss)
			}
		},
	}
}

func (r *run) fitDataset(ctx context.Context) (*Artifact, error) {
	r.tell("encoding", 0, 1)
	weight, err := weights(r.in, r.step, r.label, r.split)
	if err != nil {
		return nil, err
	}
	d, skipped, err := newDataset(ctx, r.in, r.names, r.label, r.split, weight)
	if err != nil {
		return nil, err
	}
	for _, s := range skipped {
		r.unused = append(r.unused, evaluate.Unused{Name: s.Name, Why: s.Why})
	}
	r.data = d
	r.tell("encoding", 1, 1)
	return r.options.Trainer.Train(ctx, d, r.params())
}

func (r *run) fitTables(ctx context.Context) (*Artifact, error) {
	columns := append(slices.Clone(r.names), r.step.Label)
	if r.step.Weights != balanced && r.step.Weights != "" {
		columns = append(columns, r.step.Weights)
	}
	train, err := pickRows(ctx, r.in, columns, slices.Concat(r.split.train, r.split.valid))
	if err != nil {
		return nil, err
	}
	defer train.release()
	test, err := pickRows(ctx, r.in, columns, r.split.test)
	if err != nil {
		return nil, err
	}
	defer test.release()
	a, measured, err := r.options.Tables.TrainTables(ctx, &Tables{
		Train: train.batches, Test: test.batches, Schema: train.batches[0].Schema(),
		Label: r.step.Label, Task: r.label.task, Classes: r.label.classes,
	}, r.params())
	r.measured = measured
	return a, err
}
