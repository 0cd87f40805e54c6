package decide_test

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/decide"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/gbdt"
	linearfit "github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
)

// TestRealModelsAnswerAlikeInAnyBatch trains on the churn table, takes the
// models through registry and release, and asks for the same customers in one
// batch, in small ones and alone: scores must be the same to the last bit, and
// those of the model itself.
func TestRealModelsAnswerAlikeInAnyBatch(t *testing.T) {
	in := traintest.Read(t, "tabular-telco-churn/data.csv.gz", ',').Input()
	customers := in.Batches[0].NewSlice(0, 500)
	for name, trainer := range map[string]train.Trainer{"trees": gbdt.Trainer{}, "linear": linearfit.Trainer{}} {
		t.Run(name, func(t *testing.T) {
			artifact := fit(t, trainer, in)
			router := serveReal(t, artifact)
			direct, err := artifact.Model.Predict(t.Context(), customers)
			if err != nil {
				t.Fatal(err)
			}
			want := direct.Column(frame.Index(direct.Schema(), model.ScoreColumn)).(*array.Float64)
			for _, size := range []int{500, 7, 1} {
				for from := 0; from < 500; from += size {
					to := min(from+size, 500)
					got := scoresOf(t, router, customers.NewSlice(int64(from), int64(to)))
					for i, v := range got {
						if math.Float64bits(v) != math.Float64bits(want.Value(from+i)) {
							t.Fatalf("customer %d in batches of %d: %v, the model says %v", from+i, size, v, want.Value(from+i))
						}
					}
				}
			}
		})
	}
}

func fit(t *testing.T, trainer train.Trainer, in train.Input) *train.Artifact {
	t.Helper()
	e, _, err := encode.Fit(t.Context(), in.Schema, in.Batches, encode.Options{Exclude: []string{"customerID", "Churn"}})
	if err != nil {
		t.Fatal(err)
	}
	b := in.Batches[0]
	d := &train.Dataset{Encoder: e, Columns: e.Matrix(int(b.NumRows())), Task: model.Binary, Classes: []string{"No", "Yes"}}
	if err := e.Encode(b, d.Columns); err != nil {
		t.Fatal(err)
	}
	churn := b.Column(frame.Index(b.Schema(), "Churn")).(*array.String)
	for row := range churn.Len() {
		label := 0.0
		if churn.Value(row) == "Yes" {
			label = 1
		}
		d.Label = append(d.Label, label)
	}
	p := train.Params{Threads: 1}
	if _, ok := trainer.(gbdt.Trainer); ok {
		p.Values = map[string]float64{"trees": 10}
	}
	a, err := trainer.Train(t.Context(), d, p)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func serveReal(t *testing.T, a *train.Artifact) *decide.Router {
	t.Helper()
	ctx := t.Context()
	db := openCatalog(t, filepath.Join(t.TempDir(), "catalog.db"))
	bucket, err := file.Open(ctx, file.Config{Path: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	models := registry.New(db, blob.NewStore(bucket, t.TempDir()), []model.Format{tree.Format{}, linear.Format{}}, clock.System{})
	v, err := models.Register(ctx, registry.NewVersion{
		Model: "churn", Format: a.Format, Files: a.Files, Signature: a.Model.Signature(), By: "test"})
	if err != nil {
		t.Fatal(err)
	}
	releases := deploy.New(db, clock.System{})
	_, err = releases.Deploy(ctx, "churn", deploy.Content{Variants: []deploy.Variant{
		{Name: "stable", Weight: 1, Model: "churn", Version: v.Number, ID: v.ID}}}, "test", deploy.WhyDeploy)
	if err != nil {
		t.Fatal(err)
	}
	router := decide.NewRouter(releases, decide.Deps{Models: models, Clock: clock.System{}})
	if err := router.Refresh(ctx, "churn"); err != nil {
		t.Fatal(err)
	}
	return router
}

func scoresOf(t *testing.T, router *decide.Router, rows frame.Batch) []float64 {
	t.Helper()
	pattern := []decide.Pattern{decide.Realtime, decide.Batch}[rand.IntN(2)]
	a, err := router.Decide(context.Background(), "churn", decide.Request{Principal: app, Pattern: pattern, Rows: rows})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if a.Errors != nil {
		t.Fatalf("rows failed: %v", a.Errors)
	}
	at := frame.Index(a.Rows.Schema(), model.ScoreColumn)
	return append([]float64(nil), a.Rows.Column(at).(*array.Float64).Float64Values()...)
}
