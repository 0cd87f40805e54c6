package decide_test

import (
	"context"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/decide/record"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// TestSwapIsAtomic deploys back and forth under load: every answer must be
// wholly that of the release it names, and no request may fail.
func TestSwapIsAtomic(t *testing.T) {
	w := newWorld(t)
	w.deploy(2, nil)
	router := w.serve(nil)
	want := map[string]float64{}
	for number := 1; number <= 2; number++ {
		r := w.deploy(number, nil)
		if err := router.Refresh(t.Context(), "fraud"); err != nil {
			t.Fatal(err)
		}
		want[r.ID] = scores(ask(t, router, request(0.3))).Value(0)
	}
	var stop atomic.Bool
	var answered atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				a, err := router.Decide(context.Background(), "fraud", request(0.3, 0.3, 0.3))
				if err != nil {
					t.Error(err)
					return
				}
				if got := scores(a).Value(0); got != want[a.Release] {
					t.Errorf("release %.8s answered %v, want %v", a.Release, got, want[a.Release])
				}
				answered.Add(1)
				a.Close()
			}
		})
	}
	for i := 0; i < 200 || answered.Load() < 1000; i++ {
		w.deploy(i%2+1, nil)
		if err := router.Refresh(t.Context(), "fraud"); err != nil {
			t.Fatal(err)
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestReplacedPathEndsAfterItsLastRequest(t *testing.T) {
	w := newWorld(t)
	withFeatures := func(c *deploy.Content) { c.Features = []spec.FeatureView{{Name: "f"}} }
	router := w.serve(withFeatures)
	set := w.features
	held, err := router.Hold("fraud")
	if err != nil {
		t.Fatal(err)
	}
	w.deploy(2, nil)
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	if set.closed.Load() != 0 {
		t.Fatal("the old release was closed under a request")
	}
	a, err := held.Decide(t.Context(), request(1))
	if err != nil || a.Release != held.Path().Release().ID {
		t.Fatalf("the held release answers %+v, %v", a, err)
	}
	a.Close()
	held.Close()
	held.Close()
	if set.closed.Load() != 1 {
		t.Errorf("the old release was closed %d times", set.closed.Load())
	}
	if _, err := held.Decide(t.Context(), request(1)); !fault.Is(err, fault.Internal) {
		t.Errorf("after Close: %v", err)
	}
}

func TestPinHoldsAReleaseThatIsNotLive(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	old := w.live["fraud"]
	w.deploy(2, nil)
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{old.ID, w.live["fraud"].ID} {
		pin, err := router.Pin(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		a, err := pin.Decide(t.Context(), request(1))
		if err != nil || a.Release != id {
			t.Errorf("pinned %.8s, answered by %+v, %v", id, a, err)
		}
		a.Close()
		pin.Close()
	}
	if _, err := router.Pin(t.Context(), "none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no such release: %v", err)
	}
}

func TestFailedRefreshKeepsWhatServes(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	first := w.live["fraud"].ID
	w.deploy(2, func(c *deploy.Content) { c.Variants[0].ID = "changed" })
	if err := router.Refresh(t.Context(), "fraud"); !fault.Is(err, fault.Corrupt) {
		t.Fatalf("a release of another model: %v", err)
	}
	if a := ask(t, router, request(1)); a.Release != first {
		t.Errorf("answered by %s", a.Release)
	}
}

func TestSameReleaseIsCompiledOnce(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	for range 3 {
		if err := router.Refresh(t.Context(), "fraud"); err != nil {
			t.Fatal(err)
		}
	}
	if w.compiled != 1 {
		t.Errorf("compiled %d times", w.compiled)
	}
}

func TestRetiredEndpointIsGone(t *testing.T) {
	w := newWorld(t)
	router := w.serve(nil)
	delete(w.live, "fraud")
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	if _, err := router.Decide(t.Context(), "fraud", request(1)); !fault.Is(err, fault.NotFound) || len(router.Endpoints()) != 0 {
		t.Errorf("a retired endpoint: %v", err)
	}
	w.deploy(1, nil)
	if err := router.Refresh(t.Context(), "fraud"); err != nil {
		t.Fatal(err)
	}
	router.Close()
	router.Close()
	if _, err := router.Decide(t.Context(), "fraud", request(1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("a closed router: %v", err)
	}
	if err := router.Refresh(t.Context(), "fraud"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("Refresh after Close: %v", err)
	}
}

// TestRealReleasesAndLog joins the path with the stages that it meets in the
// product: deploy on a catalog and the decision log on disk.
func TestRealReleasesAndLog(t *testing.T) {
	w, ctx := newWorld(t), t.Context()
	releases := deploy.New(openCatalog(t, filepath.Join(t.TempDir(), "c.db")), clock.System{})
	log, err := record.Open(record.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	deps := w.deps()
	deps.Recorder, deps.Clock = log, clock.System{}
	router := decide.NewRouter(releases, deps)
	watching, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- releases.Watch(watching, router.Refresh) }()
	for number := 1; number <= 2; number++ {
		c := w.deploy(number, nil).Content
		c.Record = decide.RecordRequired
		if _, err := releases.Deploy(ctx, "fraud", c, "ada", deploy.WhyDeploy); err != nil {
			t.Fatal(err)
		}
	}
	back, err := releases.Rollback(ctx, "fraud", "", "ada")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if p, err := router.Path("fraud"); err == nil && p.Release().ID == back.ID {
			break
		}
	}
	a := ask(t, router, request(2, null))
	for row, id := range a.IDs {
		d, err := log.Find(ctx, id)
		if err != nil || d.Release != back.ID || d.Version != 1 || (d.Error != "") != (row == 1) {
			t.Errorf("row %d is recorded as %+v, %v", row, d, err)
		}
	}
	stop()
	<-ended
}

func TestAnswerOutlivesThePass(t *testing.T) {
	router := newWorld(t).serve(nil)
	a := ask(t, router, request(1))
	columns, err := frame.ColumnsOf(a.Rows.Schema())
	path, _ := router.Path("fraud")
	if err != nil || !reflect.DeepEqual(columns, path.Outputs()) {
		t.Errorf("columns %v, promised %v", columns, path.Outputs())
	}
}

// constant is a model that costs nothing, to measure what the path does.
type constant struct {
	signature model.Signature
	out       frame.Batch
}

func (c *constant) Signature() model.Signature { return c.signature }
func (c *constant) Predict(context.Context, frame.Batch) (frame.Batch, error) {
	c.out.Retain()
	return c.out, nil
}

func BenchmarkDecideOneRow(b *testing.B) {
	for name, recorded := range map[string]bool{"recorded": true, "unrecorded": false} {
		b.Run(name, func(b *testing.B) { benchmarkOneRow(b, recorded) })
	}
}

func benchmarkOneRow(b *testing.B, recorded bool) {
	w := newWorld(b)
	inputs := make([]model.Field, 30)
	for i := range inputs {
		inputs[i] = model.Field{Name: string(rune('a'+i%26)) + "_feature_" + string(rune('a'+i/26)), Type: frame.Double, Required: true}
	}
	m := &constant{
		signature: model.Signature{Task: model.Binary, Classes: []string{"ok", "fraud"}, Inputs: inputs, Outputs: model.Outputs(model.Binary, nil)},
		out:       scored(model.Signature{Classes: []string{"ok", "fraud"}}, []float64{1}),
	}
	release := w.deploy(1, func(c *deploy.Content) { c.Limits = spec.Limits{Rate: 1e9, Concurrency: 64} })
	deps := decide.Deps{Models: loader{w, m}, Clock: clock.System{}}
	if recorded {
		log, err := record.Open(record.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer log.Close()
		deps.Recorder = log
	}
	router := decide.NewRouter(w, deps)
	if err := router.Refresh(b.Context(), release.Endpoint); err != nil {
		b.Fatal(err)
	}
	path, err := router.Path("fraud")
	if err != nil {
		b.Fatal(err)
	}
	row := oneRow(path)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		a, err := router.Decide(ctx, "fraud", decide.Request{Principal: app, Pattern: decide.Realtime, Rows: row})
		if err != nil {
			b.Fatal(err)
		}
		a.Close()
	}
}

func oneRow(path *decide.Path) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, path.Schema())
	defer b.Release()
	for i := range path.Inputs() {
		b.Field(i).(*array.Float64Builder).Append(float64(i))
	}
	return b.NewRecordBatch()
}

// loader loads one model whatever the version.
type loader struct {
	*world
	m model.Model
}

func (l loader) Hold(context.Context, registry.Version) (model.Model, func(), error) {
	return l.m, func() {}, nil
}
