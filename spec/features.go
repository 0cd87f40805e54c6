package spec

import (
	"slices"
	"strconv"
	"time"
)

// Op is what an aggregate computes, by its name in files.
type Op string

// The operations of aggregates.
const (
	OpCount    Op = "count"
	OpSum      Op = "sum"
	OpAvg      Op = "avg"
	OpMin      Op = "min"
	OpMax      Op = "max"
	OpLast     Op = "last"
	OpFirst    Op = "first"
	OpDistinct Op = "distinct"
	OpStddev   Op = "stddev"
	OpQuantile Op = "quantile"
)

// Ops lists the operations in the order of documentation.
func Ops() []Op {
	return []Op{OpCount, OpSum, OpAvg, OpMin, OpMax, OpLast, OpFirst, OpDistinct, OpStddev, OpQuantile}
}

// Every is what an aggregate counts that counts every event.
const Every = "*"

// Windowed tells whether a view has aggregates, and so is a view over windows
// of events: its values are those as of a time.
func (v *FeatureView) Windowed() bool {
	return slices.ContainsFunc(v.Features, func(f FeatureDef) bool { return f.Aggregate != nil })
}

// OnDemand tells whether a view is computed from the request, and from what
// other views give.
func (v *FeatureView) OnDemand() bool { return v.Source == "" && v.SQL == "" }

// Op is what the aggregate computes, and the expression over the columns of
// an event that it computes it of; Every for a count of all.
func (a *Aggregate) Op() (op Op, of string) {
	for i, text := range a.operands() {
		if *text != "" {
			return Ops()[i], *text
		}
	}
	return "", ""
}

// operands are the fields of the operations, in the order of Ops.
func (a *Aggregate) operands() []*string {
	return []*string{&a.Count, &a.Sum, &a.Avg, &a.Min, &a.Max, &a.Last, &a.First, &a.Distinct, &a.Stddev, &a.Quantile}
}

// Output is one feature of an aggregate.
type Output struct {
	Name   string
	Window time.Duration // 0: none
}

// Expand lists the features that an aggregate of a name is: one of that name,
// or with several windows one for each, such as spend_1h and spend_24h.
func (a *Aggregate) Expand(name string) []Output {
	switch len(a.Window) {
	case 0:
		return []Output{{Name: name}}
	case 1:
		return []Output{{name, a.Window[0].Std()}}
	}
	all := make([]Output, len(a.Window))
	for i, w := range a.Window {
		all[i] = Output{name + "_" + suffix(w.Std()), w.Std()}
	}
	return all
}

// suffix names a window by a whole number of the largest unit that there is:
// 90m, 24h, 7d. A single day is 24h, as most people call it.
func suffix(w time.Duration) string {
	for _, u := range [...]struct {
		name string
		size time.Duration
	}{{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if w%u.size == 0 && (w != day || u.size < day) {
			return strconv.FormatInt(int64(w/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(w/time.Microsecond), 10) + "us"
}

// Names lists the names that a feature is seen by.
func (f *FeatureDef) Names() []string {
	if f.Aggregate == nil {
		return []string{f.Name}
	}
	var names []string
	for _, o := range f.Aggregate.Expand(f.Name) {
		names = append(names, o.Name)
	}
	return names
}

// reads lists the expressions over columns of the source that a feature of a
// view reads: none for an expression over aggregates.
func (v *FeatureView) reads(f FeatureDef) []string {
	switch {
	case f.Aggregate != nil:
		_, of := f.Aggregate.Op()
		var all []string
		if of != Every {
			all = append(all, of)
		}
		if f.Aggregate.Where != "" {
			all = append(all, f.Aggregate.Where)
		}
		return all
	case v.Windowed():
		return nil
	}
	return []string{f.Expr}
}
