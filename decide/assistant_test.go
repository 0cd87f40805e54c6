package decide_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/feature"
	"github.com/leat-ai/leat/guard/identity"
	"github.com/leat-ai/leat/model"
)

// library finds "for NAME: QUESTION" as the passage of a question, and answers
// with the passage in capitals.
type library struct{ released int }

func (l *library) Passages(context.Context, string, *deploy.Assistant) (decide.FeatureSet, error) {
	return shelf{}, nil
}

func (l *library) Answerer(context.Context, string, *deploy.Assistant) (model.Model, func(), error) {
	return reader{}, func() { l.released++ }, nil
}

type shelf struct{}

func (shelf) Inputs() []model.Field {
	return []model.Field{{Name: "question", Type: frame.String, Required: true}}
}

func (shelf) Outputs() []frame.Column {
	return []frame.Column{{Name: "passages", Type: frame.String}}
}

func (shelf) Compute(ctx context.Context, in frame.Batch, _ feature.Asked) (frame.Batch, []error, error) {
	who, ok := identity.From(ctx)
	if !ok {
		return nil, nil, fault.New(fault.Internal, "nobody asks")
	}
	question := in.Column(0).(*array.String)
	return words("passages", question, func(s string) string { return "for " + who.Name + ": " + s }), nil, nil
}

type reader struct{}

func (reader) Signature() model.Signature {
	return model.Signature{Task: model.Custom,
		Inputs:  []model.Field{{Name: "passages", Type: frame.String}},
		Outputs: []model.Field{{Name: "answer", Type: frame.String}}}
}

func (reader) Predict(_ context.Context, in frame.Batch) (frame.Batch, error) {
	return words("answer", in.Column(0).(*array.String), strings.ToUpper), nil
}

// diary keeps what a record says of its passages.
type diary struct{ entries []string }

func (d *diary) Record(_ context.Context, e *record.Entry) error {
	d.entries = append(d.entries, e.Pattern+" "+e.Model+" "+e.Caller+" "+e.Features.Column(0).(*array.String).Value(0))
	return nil
}

func words(name string, in *array.String, f func(string) string) frame.Batch {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range in.Len() {
		b.Append(f(in.Value(i)))
	}
	column := b.NewArray()
	defer column.Release()
	return array.NewRecordBatch(frame.SchemaOf([]frame.Column{{Name: name, Type: frame.String}}), []arrow.Array{column}, int64(in.Len()))
}

func question(text string, grants ...string) decide.Request {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	b.Append(text)
	return decide.Request{Principal: identity.Principal{Name: "ann", Grants: grants}, Pattern: decide.Knowledge,
		Rows: words("question", b.NewStringArray(), func(s string) string { return s })}
}

// An assistant's release goes the same way as any other: its passages are
// features of who asks, its answer is a recorded decision.
func TestAssistantIsARelease(t *testing.T) {
	w := newWorld(t)
	shop, kept := &library{}, &diary{}
	w.live["help"] = deploy.Release{ID: "r1", Endpoint: "help", Number: 1, Content: deploy.Content{Record: decide.RecordOn,
		Assistant: &deploy.Assistant{Knowledge: []deploy.KnowledgeRef{{Name: "handbook", Snapshot: "s1"}}}}}
	deps := w.deps()
	deps.Assistants, deps.Recorder = shop, kept
	router := decide.NewRouter(w, deps)
	if err := router.Refresh(t.Context(), "help"); err != nil {
		t.Fatal(err)
	}
	a, err := router.Decide(t.Context(), "help", question("where?", "ask:help"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got := a.Rows.Column(0).(*array.String).Value(0); got != "FOR ANN: WHERE?" {
		t.Errorf("the answer is %q", got)
	}
	if want := []string{"knowledge " + decide.Extractive + " ann for ann: where?"}; !slices.Equal(kept.entries, want) {
		t.Errorf("recorded %q, want %q", kept.entries, want)
	}
	if _, err = router.Decide(t.Context(), "help", question("where?", "score:help")); !fault.Is(err, fault.Forbidden) || !strings.Contains(err.Error(), "ask") {
		t.Errorf("somebody who may only score got %v", err)
	}
	router.Close()
	if shop.released != 1 {
		t.Errorf("the answerer was let go %d times", shop.released)
	}
}
