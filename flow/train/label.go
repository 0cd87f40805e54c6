package train

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// maxClasses bounds how many classes a label may have.
const maxClasses = 256

// label is the column to predict over all rows.
type label struct {
	name    string
	kind    frame.Type
	value   []float64 // the number; of text its position in texts; NaN without a label
	texts   []string
	task    model.Task
	classes []string
}

// readLabel reads the column and settles the task, the classes and, for two
// classes, which one is positive.
func readLabel(in *Input, name, task, positive string) (*label, error) {
	at := frame.Index(in.Schema, name)
	if at < 0 {
		return nil, fault.New(fault.Invalid, "there is no label column %q", name).
			Hint("the columns are %s", columnNames(in.Schema))
	}
	kind, err := frame.TypeOf(in.Schema.Field(at).Type)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the label %q", name)
	}
	if kind == frame.Timestamp || kind == frame.Date {
		return nil, fault.New(fault.Invalid, "the label %q is a %s, which cannot be predicted", name, kind).
			Hint("predict a number of days instead, by a column that computes it")
	}
	l := &label{name: name, kind: kind}
	if err := l.read(in.Batches, at); err != nil {
		return nil, err
	}
	return l, l.settle(task, positive)
}

func columnNames(schema *arrow.Schema) string {
	var names []string
	for _, f := range schema.Fields() {
		names = append(names, f.Name)
	}
	return strings.Join(names, ", ")
}

func (l *label) read(batches []frame.Batch, at int) error {
	codes := map[string]float64{}
	for _, b := range batches {
		from := len(l.value)
		l.value = append(l.value, make([]float64, b.NumRows())...)
		part := l.value[from:]
		text, ok := b.Column(at).(*array.String)
		if !ok {
			if err := frame.Floats(b.Column(at), part); err != nil {
				return err
			}
			continue
		}
		for i := range part {
			part[i] = l.code(text, i, codes)
		}
	}
	for i, v := range l.value {
		if math.IsInf(v, 0) {
			l.value[i] = math.NaN()
		}
	}
	return nil
}

// code numbers texts in the order of their appearance. Beyond the bound it
// stops telling them apart: settle then refuses the label anyway.
func (l *label) code(text *array.String, row int, codes map[string]float64) float64 {
	if text.IsNull(row) {
		return math.NaN()
	}
	v := text.Value(row)
	code, ok := codes[v]
	if !ok && len(codes) <= maxClasses {
		code = float64(len(codes))
		v = strings.Clone(v)
		codes[v] = code
		l.texts = append(l.texts, v)
	}
	return code
}

// settle finds the task out: two values are two classes, text is classes, any
// other number is a number, unless the task is given.
func (l *label) settle(task, positive string) error {
	counts := l.counts()
	switch {
	case len(counts) == 0:
		return fault.New(fault.Invalid, "no row has the label %q", l.name)
	case len(counts) == 1:
		return fault.New(fault.Invalid, "the label %q has only one value: there is nothing to learn", l.name)
	}
	l.task = model.Task(task)
	if task == "" {
		switch {
		case len(counts) == 2:
			l.task = model.Binary
		case l.kind == frame.String:
			l.task = model.Multiclass
		default:
			l.task = model.Regression
		}
	}
	switch {
	case l.task == model.Regression && l.kind == frame.String:
		return fault.New(fault.Invalid, "the label %q is text, which regression cannot predict", l.name)
	case l.task == model.Regression:
		return nil
	case l.task == model.Binary && len(counts) != 2:
		return fault.New(fault.Invalid, "the label %q has more than two values", l.name).Hint("its task is multiclass or regression")
	case l.task == model.Multiclass && len(counts) == 2:
		return fault.New(fault.Invalid, "the label %q has two values", l.name).Hint("its task is binary")
	case len(counts) > maxClasses:
		return fault.New(fault.Invalid, "the label %q has more than %d classes", l.name, maxClasses).
			Hint("is it the right column? A number is predicted with task: regression")
	}
	return l.number(counts, positive)
}

// counts returns how often each value stands there; one more than the bound
// is enough.
func (l *label) counts() map[float64]int {
	counts := map[float64]int{}
	for _, v := range l.value {
		if math.IsNaN(v) {
			continue
		}
		if _, ok := counts[v]; ok || len(counts) <= maxClasses {
			counts[v]++
		}
	}
	return counts
}

// number orders the classes and turns the values into their positions.
func (l *label) number(counts map[float64]int, positive string) error {
	values := make([]float64, 0, len(counts))
	for v := range counts {
		values = append(values, v)
	}
	slices.SortFunc(values, func(a, b float64) int {
		if l.kind == frame.String {
			return cmp.Compare(l.texts[int(a)], l.texts[int(b)])
		}
		return cmp.Compare(a, b)
	})
	if l.task == model.Binary {
		swap, err := l.positiveFirst(values, counts, positive)
		if err != nil {
			return err
		}
		if swap {
			values[0], values[1] = values[1], values[0]
		}
	}
	position := make(map[float64]float64, len(values))
	for i, v := range values {
		position[v] = float64(i)
		l.classes = append(l.classes, l.text(v))
	}
	for i, v := range l.value {
		if !math.IsNaN(v) {
			l.value[i] = position[v]
		}
	}
	return nil
}

func (l *label) text(v float64) string {
	switch l.kind {
	case frame.String:
		return l.texts[int(v)]
	case frame.Bool:
		return strconv.FormatBool(v == 1)
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// positiveFirst tells whether the first of two values is the positive class:
// the one asked for, the one that says yes, or else the rarer one.
func (l *label) positiveFirst(values []float64, counts map[float64]int, positive string) (bool, error) {
	first, second := l.text(values[0]), l.text(values[1])
	if positive != "" {
		if positive != first && positive != second {
			return false, fault.New(fault.Invalid, "the label %q has no class %q", l.name, positive).
				Hint("its classes are %q and %q", first, second)
		}
		return positive == first, nil
	}
	yes := []string{"yes", "true", "1", "y", "t", "positive"}
	firstYes := slices.Contains(yes, strings.ToLower(first))
	secondYes := slices.Contains(yes, strings.ToLower(second))
	if firstYes != secondYes {
		return firstYes, nil
	}
	return counts[values[0]] < counts[values[1]], nil
}
