package batching

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// echo is a slow model that answers each row with its own name. A row named
// "bad" fails the call, "some" that row alone, and "boom" breaks the model.
type echo struct {
	calls, rows atomic.Int64
	most        atomic.Int64
	pause       time.Duration
	gate        chan struct{} // Predict waits for it; nil: it does not
}

func (e *echo) Batching() model.Batching { return model.Batching{Calls: 2, Rows: 16} }

func (e *echo) Signature() model.Signature {
	return model.Signature{Task: model.Custom,
		Inputs:  []model.Field{{Name: "name", Type: frame.String}},
		Outputs: []model.Field{{Name: "echo", Type: frame.String}}}
}

func (e *echo) Predict(ctx context.Context, in frame.Batch) (frame.Batch, error) {
	e.calls.Add(1)
	e.rows.Add(in.NumRows())
	e.most.Store(max(e.most.Load(), in.NumRows()))
	if e.gate != nil {
		select {
		case <-e.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	time.Sleep(e.pause)
	names := in.Column(0).(*array.String)
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(e.Signature().Outputs))
	defer b.Release()
	errs := make([]error, in.NumRows())
	failed := false
	for i := range errs {
		name := names.Value(i)
		switch {
		case strings.HasSuffix(name, "bad"):
			return nil, fault.New(fault.Invalid, "a bad row: %s", name)
		case strings.HasSuffix(name, "boom"):
			panic(name)
		case strings.HasSuffix(name, "some"):
			b.Field(0).AppendNull()
			errs[i], failed = errors.New(name), true
		default:
			b.Field(0).(*array.StringBuilder).Append("<" + name + ">")
		}
	}
	out := b.NewRecordBatch()
	if failed {
		return nil, &model.Partial{Out: out, Errs: errs}
	}
	return out, nil
}

func batch(names ...string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{{Name: "name", Type: frame.String}}))
	defer b.Release()
	b.Field(0).(*array.StringBuilder).AppendValues(names, nil)
	return b.NewRecordBatch()
}

// check compares an answer with what the model says of the names alone.
func check(names []string, out frame.Batch, err error) error {
	text := strings.Join(names, " ")
	if strings.Contains(text, "bad") || strings.Contains(text, "boom") {
		if err == nil {
			return fmt.Errorf("%v was answered", names)
		}
		return nil
	}
	var partial *model.Partial
	if errors.As(err, &partial) {
		out, err = partial.Out, nil
	}
	if err != nil || int(out.NumRows()) != len(names) {
		return fmt.Errorf("%v: %v, %w", names, out, err)
	}
	got := out.Column(0).(*array.String)
	for i, name := range names {
		failed := strings.HasSuffix(name, "some")
		if failed != got.IsNull(i) || !failed && got.Value(i) != "<"+name+">" || failed && partial.Errs[i].Error() != name {
			return fmt.Errorf("row %d of %v is %q", i, names, got.Value(i))
		}
	}
	return nil
}

// Any callers with any rows, some of which fail: each gets its own answers and
// nobody else's.
func TestEveryCallerGetsItsOwnRows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Wrap(&echo{pause: time.Millisecond})
		callers := rapid.IntRange(1, 24).Draw(t, "callers")
		var group sync.WaitGroup
		wrong := make(chan error, callers)
		for c := range callers {
			var names []string
			for row := range rapid.IntRange(0, 20).Draw(t, "rows") {
				ending := rapid.SampledFrom([]string{"", "", "", "", "", "", "some", "bad", "boom"}).Draw(t, "ending")
				names = append(names, fmt.Sprintf("%d/%d%s", c, row, ending))
			}
			if len(names) > 8 { // goes to the model as it is, which may break under its caller
				names = strings.Fields(strings.ReplaceAll(strings.Join(names, " "), "boom", "bad"))
			}
			group.Go(func() {
				in := batch(names...)
				defer in.Release()
				out, err := m.Predict(context.Background(), in)
				if err := check(names, out, err); err != nil {
					wrong <- err
				}
			})
		}
		group.Wait()
		close(wrong)
		for err := range wrong {
			t.Error(err)
		}
	})
}

func TestRequestsGoTogetherUnderLoad(t *testing.T) {
	e := &echo{pause: 2 * time.Millisecond}
	m := Wrap(e)
	var group sync.WaitGroup
	for c := range 200 {
		group.Go(func() {
			in := batch(fmt.Sprint(c))
			defer in.Release()
			if out, err := m.Predict(t.Context(), in); check([]string{fmt.Sprint(c)}, out, err) != nil {
				t.Error(out, err)
			}
		})
	}
	group.Wait()
	if e.rows.Load() != 200 || e.calls.Load() > 60 || e.most.Load() > 16 {
		t.Errorf("%d rows in %d calls, at most %d in one", e.rows.Load(), e.calls.Load(), e.most.Load())
	}
}

// Who gives up leaves at once, takes nobody along, and a call that nobody
// waits for any more ends.
func TestCallersMayGiveUp(t *testing.T) {
	e := &echo{gate: make(chan struct{})}
	m := Wrap(e)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			in := batch("x")
			defer in.Release()
			if _, err := m.Predict(ctx, in); !errors.Is(err, context.Canceled) {
				t.Errorf("gave up with %v", err)
			}
		})
	}
	for e.calls.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	stays := make(chan error, 1)
	go func() {
		in := batch("y")
		defer in.Release()
		out, err := m.Predict(context.Background(), in)
		stays <- check([]string{"y"}, out, err)
	}()
	cancel()
	group.Wait()
	close(e.gate)
	if err := <-stays; err != nil {
		t.Error(err)
	}
}

func TestModelsThatGainNothingAreLeftAlone(t *testing.T) {
	type plain struct{ model.Model }
	m := plain{&echo{}}
	if got := Wrap(m); got != model.Model(m) {
		t.Errorf("%T was wrapped", m)
	}
}
