package decide_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/limit"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

var null = math.NaN()

func TestAnswerHasOutputsDecisionAndRecord(t *testing.T) {
	w := newWorld(t)
	router := w.serve(func(c *deploy.Content) { c.Decide.OnAbove = "review" })
	a := ask(t, router, request(2, -100))
	if a.Release != w.live["fraud"].ID || a.Variant != "stable" || a.Errors != nil || len(a.IDs) != 2 || a.IDs[0] == a.IDs[1] {
		t.Errorf("answer %+v", a)
	}
	words := a.Rows.Column(2).(*array.String)
	if a.Rows.ColumnName(2) != decide.DecisionColumn || words.Value(0) != "review" || !words.IsNull(1) {
		t.Errorf("decisions %v", words)
	}
	if len(w.records) != 1 || w.records[0].Model != "m" || w.records[0].Version != 1 || w.records[0].Caller != "app" ||
		!slices.Equal(w.records[0].IDs, a.IDs) || w.records[0].Required {
		t.Errorf("records %+v", w.records)
	}
	if len(w.noted) != 1 || w.noted[0].Rows != 2 || w.noted[0].Failed != 0 || w.noted[0].Endpoint != "fraud" {
		t.Errorf("observed %+v", w.noted)
	}
}

func TestDecisionWords(t *testing.T) {
	half := 0.5
	for name, c := range map[string]struct {
		decide spec.Decide
		want   string // for a score of 0.55: the version's threshold is 0.6
	}{
		"classes":       {spec.Decide{}, "ok"},
		"own threshold": {spec.Decide{Threshold: &half}, "fraud"},
		"words":         {spec.Decide{OnAbove: "stop", OnBelow: "go"}, "go"},
		"one word":      {spec.Decide{Threshold: &half, OnAbove: "stop"}, "stop"},
	} {
		router := newWorld(t).serve(func(content *deploy.Content) { content.Decide = c.decide })
		a := ask(t, router, request(0.2-0.125)) // and 0.25/2 of the age: 0.2 → 0.5498
		if got := a.Rows.Column(2).(*array.String).Value(0); got != c.want {
			t.Errorf("%s: %q for %v, want %q", name, got, scores(a).Value(0), c.want)
		}
	}
}

// TestSameRowSameAnswer asks for rows alone, all together, and in any parts,
// some of which fail, and compares bit for bit.
func TestSameRowSameAnswer(t *testing.T) {
	for name, change := range map[string]func(*deploy.Content){
		"inputs":   nil,
		"features": func(c *deploy.Content) { c.Features = []spec.FeatureView{{Name: "f"}} },
	} {
		w := newWorld(t)
		w.models["m-1"] = &sum{weight: 1, inputs: fraudInputs()}
		if name == "features" {
			w.models["m-1"].inputs = append(fraudInputs(), model.Field{Name: "twice", Type: frame.Double, Required: true})
		}
		router := w.serve(change)
		rapid.Check(t, func(rt *rapid.T) {
			amounts := rapid.SliceOfN(rapid.SampledFrom([]float64{0.1, -3.7, 1e10, 13, 14, 99, null, 5}), 1, 40).Draw(rt, "amounts")
			whole := ask(t, router, request(amounts...))
			all := rows(amounts...)
			defer all.Release()
			for from := 0; from < len(amounts); {
				to := rapid.IntRange(from+1, len(amounts)).Draw(rt, "part")
				q := request()
				q.Rows = all.NewSlice(int64(from), int64(to))
				part := ask(t, router, q)
				for row := from; row < to; row++ {
					compare(rt, whole, row, part, row-from)
				}
				from = to
			}
		})
	}
}

func compare(t *rapid.T, a *decide.Answer, i int, b *decide.Answer, j int) {
	x, y := errorAt(a, i), errorAt(b, j)
	if fault.KindOf(x) != fault.KindOf(y) {
		t.Fatalf("row %d: %v in one batch, %v in another", i, x, y)
	}
	for c := range int(a.Rows.NumCols()) {
		p, q := a.Rows.Column(c), b.Rows.Column(c)
		if p.IsNull(i) != q.IsNull(j) || !p.IsNull(i) && p.ValueStr(i) != q.ValueStr(j) {
			t.Fatalf("row %d column %d: %s in one batch, %s in another", i, c, p.ValueStr(i), q.ValueStr(j))
		}
		if x != nil && !p.IsNull(i) {
			t.Fatalf("row %d failed and has a value in column %d", i, c)
		}
	}
	if x == nil && math.Float64bits(scores(a).Value(i)) != math.Float64bits(scores(b).Value(j)) {
		t.Fatalf("row %d: scores differ", i)
	}
}

func errorAt(a *decide.Answer, row int) error {
	if a.Errors == nil {
		return nil
	}
	return a.Errors[row]
}

func TestRowsFailAlone(t *testing.T) {
	router := newWorld(t).serve(nil)
	a := ask(t, router, request(1, null, 13, 2, 14, 3))
	for row, want := range []fault.Kind{"", fault.Invalid, fault.Internal, "", fault.Invalid, ""} {
		if got := fault.KindOf(errorAt(a, row)); got != want {
			t.Errorf("row %d: %v, want %q", row, errorAt(a, row), want)
		}
		if scores(a).IsNull(row) != (want != "") {
			t.Errorf("row %d: score is NULL: %v", row, scores(a).IsNull(row))
		}
	}
	if text := errorAt(a, 1).Error(); !strings.Contains(text, `"amount"`) {
		t.Errorf("the column is not named: %s", text)
	}
	if text := errorAt(a, 2).Error(); strings.Contains(text, "thirteen") {
		t.Errorf("the panic is shown to the caller: %s", text)
	}
}

func TestModelThatAlwaysBreaksIsGivenUp(t *testing.T) {
	w := newWorld(t)
	router := w.serve(func(c *deploy.Content) { c.Limits.MaxRows = 100_000 })
	amounts := make([]float64, 50_000)
	for i := range amounts {
		amounts[i] = 13
	}
	a := ask(t, router, request(amounts...))
	for row, err := range a.Errors {
		if !fault.Is(err, fault.Internal) {
			t.Fatalf("row %d: %v", row, err)
		}
	}
	if n := w.models["m-1"].calls.Load(); n > 200 {
		t.Errorf("the model was asked %d times", n)
	}
}

func TestSignatureIsEnforced(t *testing.T) {
	router := newWorld(t).serve(nil)
	batch := func(columns ...frame.Column) frame.Batch {
		b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
		defer b.Release()
		for i := range columns {
			b.Field(i).AppendEmptyValue()
		}
		return b.NewRecordBatch()
	}
	amount, age := frame.Column{Name: "amount", Type: frame.Double}, frame.Column{Name: "age", Type: frame.Double}
	for name, c := range map[string]struct {
		columns []frame.Column
		wrong   string // the column to name; "" for none
	}{
		"as it is":            {[]frame.Column{amount, age, {Name: "visits", Type: frame.Int}}, ""},
		"any order, others":   {[]frame.Column{{Name: "more", Type: frame.Bool}, age, amount}, ""},
		"optional is absent":  {[]frame.Column{amount}, ""},
		"required is absent":  {[]frame.Column{age}, "amount"},
		"text for a number":   {[]frame.Column{{Name: "amount", Type: frame.String}}, "amount"},
		"int for a double":    {[]frame.Column{{Name: "amount", Type: frame.Int}}, ""},
		"double for an int":   {[]frame.Column{amount, {Name: "visits", Type: frame.Double}}, "visits"},
		"twice the same name": {[]frame.Column{age, amount, amount}, "amount"},
	} {
		q := request(1)
		q.Rows = batch(c.columns...)
		a, err := router.Decide(t.Context(), "fraud", q)
		switch {
		case c.wrong == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.wrong != "" && (!fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), `"`+c.wrong+`"`)):
			t.Errorf("%s: %v, want Invalid that names %s", name, err, c.wrong)
		}
		if a != nil {
			a.Close()
		}
	}
}

func TestLargeIntegersAreNotRounded(t *testing.T) {
	router := newWorld(t).serve(nil)
	b := array.NewInt64Builder(memory.DefaultAllocator)
	b.Append(1<<53 + 1)
	q := request()
	q.Rows = array.NewRecordBatch(frame.SchemaOf([]frame.Column{{Name: "amount", Type: frame.Int}}), []arrow.Array{b.NewArray()}, 1)
	if _, err := router.Decide(t.Context(), "fraud", q); !fault.Is(err, fault.Invalid) {
		t.Errorf("2⁵³+1 as a double: %v", err)
	}
}

func TestFeaturesFeedTheModel(t *testing.T) {
	w := newWorld(t)
	w.models["m-1"] = &sum{weight: 1, inputs: []model.Field{
		{Name: "age", Type: frame.Double}, {Name: "twice", Type: frame.Double, Required: true}}}
	router := w.serve(func(c *deploy.Content) { c.Features = []spec.FeatureView{{Name: "f"}} })
	path, err := router.Path("fraud")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range path.Inputs() {
		names = append(names, f.Name)
	}
	if fmt.Sprint(names) != "[amount age]" {
		t.Errorf("a request has %v", names)
	}
	a := ask(t, router, request(3, null, 99))
	if want := 1 / (1 + math.Exp(-(0.25 + 6.0/2))); scores(a).Value(0) != want {
		t.Errorf("score %v, want %v", scores(a).Value(0), want)
	}
	if !fault.Is(errorAt(a, 1), fault.Invalid) || !strings.Contains(errorAt(a, 1).Error(), `"twice"`) {
		t.Errorf("a required feature without a value: %v", errorAt(a, 1))
	}
	if !fault.Is(errorAt(a, 2), fault.Invalid) || !strings.Contains(errorAt(a, 2).Error(), "ninety-nine") {
		t.Errorf("a feature that fails: %v", errorAt(a, 2))
	}
	if e := w.records[0]; e.Features == nil || e.Inputs == nil {
		t.Errorf("the record lacks inputs or features: %+v", e)
	}
}

func TestWhatDoesNotFitIsFoundWhenCompiled(t *testing.T) {
	for name, c := range map[string]struct {
		inputs []model.Field
		change func(*deploy.Content)
		want   fault.Kind
	}{
		"feature of another type": {[]model.Field{{Name: "twice", Type: frame.Int}},
			func(c *deploy.Content) { c.Features = []spec.FeatureView{{}} }, fault.Invalid},
		"column of two types": {[]model.Field{{Name: "amount", Type: frame.String}},
			func(c *deploy.Content) { c.Features = []spec.FeatureView{{}} }, fault.Invalid},
		"another version": {fraudInputs(), func(c *deploy.Content) { c.Variants[0].ID = "else" }, fault.Corrupt},
		"two variants":    {fraudInputs(), func(c *deploy.Content) { c.Variants = append(c.Variants, c.Variants[0]) }, fault.Unsupported},
		"no such model":   {nil, nil, fault.Corrupt},
	} {
		w := newWorld(t)
		if c.inputs != nil {
			w.models["m-1"] = &sum{inputs: c.inputs}
		}
		release := w.deploy(1, c.change)
		if c.inputs == nil {
			delete(w.models, "m-1")
		}
		if _, err := decide.Compile(t.Context(), release, w.deps()); !fault.Is(err, c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

func TestWhoMayAsk(t *testing.T) {
	router := newWorld(t).serve(func(c *deploy.Content) { c.Allow = []string{"shop"} })
	for name, c := range map[string]struct {
		p    identity.Principal
		want fault.Kind
	}{
		"granted and in the group": {app, ""},
		"granted, in no group":     {identity.Principal{Name: "x", Grants: []string{"score:fraud"}}, fault.Forbidden},
		"in the group, no grant":   {identity.Principal{Name: "x", Groups: []string{"shop"}, Grants: []string{"read:*"}}, fault.Forbidden},
		"another endpoint":         {identity.Principal{Name: "x", Groups: []string{"shop"}, Grants: []string{"score:churn"}}, fault.Forbidden},
		"nobody":                   {identity.Principal{}, fault.Forbidden},
		"the user of this machine": {identity.Local(), ""},
		"a run":                    {identity.Run("batch", "nightly"), ""},
	} {
		q := request(1)
		q.Principal = c.p
		a, err := router.Decide(t.Context(), "fraud", q)
		if fault.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
		if a != nil {
			a.Close()
		}
	}
	if _, err := router.Decide(t.Context(), "churn", request(1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such endpoint: %v", err)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t)
	router := w.serve(func(c *deploy.Content) { c.Limits = spec.Limits{Rate: 10, MaxRows: 20, Concurrency: 1} })
	if _, err := router.Decide(t.Context(), "fraud", request(make([]float64, 21)...)); !fault.Is(err, fault.TooLarge) {
		t.Errorf("21 rows: %v", err)
	}
	ask(t, router, request(make([]float64, 20)...))
	_, err := router.Decide(t.Context(), "fraud", request(1))
	wait, told := limit.After(err)
	if !fault.Is(err, fault.Limited) || !told {
		t.Errorf("over the rate: %v", err)
	}
	batch := request(make([]float64, 30)...)
	batch.Pattern, batch.Run, batch.Keys = decide.Batch, "r", make([]string, 30)
	ask(t, router, batch) // a batch paces itself
	w.deploy(2, func(c *deploy.Content) { c.Limits = spec.Limits{Rate: 10, MaxRows: 20, Concurrency: 1} })
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	if _, err := router.Decide(t.Context(), "fraud", request(1)); !fault.Is(err, fault.Limited) {
		t.Errorf("a deploy gave a new allowance: %v", err)
	}
	w.clock.forward(wait)
	ask(t, router, request(1))
}

func TestConcurrencyAndDeadline(t *testing.T) {
	w := newWorld(t)
	w.models["m-1"] = &sum{inputs: fraudInputs(), wait: make(chan struct{})}
	router := w.serve(func(c *deploy.Content) {
		c.Limits = spec.Limits{Concurrency: 1, Timeout: spec.Duration(50 * time.Millisecond)}
	})
	kinds := make(chan fault.Kind, 10)
	for range 10 {
		go func() {
			_, err := router.Decide(context.Background(), "fraud", request(1))
			kinds <- fault.KindOf(err)
		}()
	}
	count := map[fault.Kind]int{}
	for range 10 {
		count[<-kinds]++
	}
	// One works until its deadline, one waits as long; the others find the
	// queue full. The one that waited may get the slot at the very end.
	if count[fault.Timeout] < 1 || count[fault.Timeout]+count[fault.Overloaded] != 10 {
		t.Errorf("outcomes %v", count)
	}
}

func TestRequiredRecordOrNoAnswer(t *testing.T) {
	for mode, want := range map[string]fault.Kind{"required": fault.Full, "on": "", "off": ""} {
		w := newWorld(t)
		w.refuse = fault.New(fault.Full, "the disk is full")
		router := w.serve(func(c *deploy.Content) { c.Record = mode })
		a, err := router.Decide(t.Context(), "fraud", request(1))
		if fault.KindOf(err) != want {
			t.Errorf("record %s: %v", mode, err)
		}
		if (len(w.records) == 0) != (mode == "off") {
			t.Errorf("record %s: %d records", mode, len(w.records))
		}
		if a != nil {
			a.Close()
		}
	}
}

func TestBatchDecisionsAreNamedByRunAndKey(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	q := request(1, 2, 3)
	q.Pattern, q.Run, q.Keys = decide.Batch, "run-1", []string{"a", "b", "c"}
	first := ask(t, router, q)
	second := ask(t, router, q)
	if !slices.Equal(first.IDs, second.IDs) || len(w.records) != 0 {
		t.Errorf("%v, then %v, %d records", first.IDs, second.IDs, len(w.records))
	}
	q.Run = "run-2"
	if other := ask(t, router, q); other.IDs[0] == first.IDs[0] {
		t.Error("two runs share an id")
	}
	q.Keys = nil
	if _, err := router.Decide(t.Context(), "fraud", q); !fault.Is(err, fault.Internal) {
		t.Errorf("a run without keys: %v", err)
	}
}

func TestRealTimeIDsSortByTime(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	var ids []string
	for range 50 {
		ids = append(ids, ask(t, router, request(1)).IDs...)
		w.clock.forward(time.Millisecond)
	}
	if !sort.StringsAreSorted(ids) {
		t.Errorf("not in order: %v", ids)
	}
	seen := map[string]bool{}
	for _, id := range ask(t, router, request(make([]float64, 5000)...)).IDs {
		if seen[id] || len(id) != 26 {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
}

func TestScreensWrapTheModel(t *testing.T) {
	w, order := newWorld(t), []string{}
	screen := func(name string) decide.Screen {
		return func(next decide.Step) decide.Step {
			return func(ctx context.Context, p *decide.Pass) error {
				order = append(order, name+" in")
				if name == "outer" {
					p.Fail(1, fault.New(fault.Rejected, "refused"))
				}
				err := next(ctx, p)
				order = append(order, name+" out")
				return err
			}
		}
	}
	w.deploy(1, nil)
	deps := w.deps()
	deps.Screens = []decide.Screen{screen("outer"), screen("inner")}
	router := decide.NewRouter(w, deps)
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	a := ask(t, router, request(1, 2, 3))
	if fmt.Sprint(order) != "[outer in inner in inner out outer out]" {
		t.Errorf("order %v", order)
	}
	if !fault.Is(errorAt(a, 1), fault.Rejected) || errorAt(a, 0) != nil || !scores(a).IsNull(1) || scores(a).IsNull(2) {
		t.Errorf("errors %v", a.Errors)
	}
}

func TestCanceledRequestIsNotBlamedOnRows(t *testing.T) {
	w := newWorld(t)
	w.models["m-1"] = &sum{inputs: fraudInputs(), wait: make(chan struct{})}
	router := w.serve(nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	_, err := router.Decide(ctx, "fraud", request(1, 2, 3))
	if !fault.Is(err, fault.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("canceled: %v", err)
	}
}
