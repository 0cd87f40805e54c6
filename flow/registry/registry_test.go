package registry_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/registry"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/file"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// plain is a format whose model answers nothing: the registry never asks.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Load(_ context.Context, files fs.FS) (model.Model, error) {
	content, err := fs.ReadFile(files, "weights")
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "no weights")
	}
	if bytes.Equal(content, []byte("panic")) {
		panic("lying sizes")
	}
	return &plainModel{weights: content}, nil
}

type plainModel struct{ weights []byte }

func (m *plainModel) Signature() model.Signature {
	s := signature()
	if bytes.HasPrefix(m.weights, []byte("other")) {
		s.Inputs[0].Name = "other"
	}
	return s
}

func (m *plainModel) Predict(context.Context, frame.Batch) (frame.Batch, error) {
	return nil, fault.New(fault.Unsupported, "not asked for")
}

func signature() model.Signature {
	return model.Signature{
		Task: model.Binary, Classes: []string{"no", "yes"},
		Inputs:  []model.Field{{Name: "amount", Type: frame.Double, Required: true}},
		Outputs: model.Outputs(model.Binary, nil),
	}
}

type world struct {
	*registry.Registry
	blobs string // folder
	store *blob.Store
}

func open(t testing.TB) world {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return over(t, db)
}

// over is a registry over a catalog, with blobs in a folder of its own.
func over(t testing.TB, db *catalog.DB) world {
	t.Helper()
	w := world{blobs: t.TempDir()}
	bucket, err := file.Open(t.Context(), file.Config{Path: w.blobs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bucket.Close() })
	w.store = blob.NewStore(bucket, t.TempDir())
	w.Registry = registry.New(db, w.store, []model.Format{plain{}}, clock.System{})
	return w
}

func newVersion(weights string) registry.NewVersion {
	threshold := 0.4
	return registry.NewVersion{
		Model: "fraud", Format: "plain", Files: map[string][]byte{"weights": []byte(weights)},
		Signature: signature(), Threshold: &threshold, Metrics: map[string]float64{"auc": 0.9},
		Report: []byte(`{}`), Lineage: registry.Lineage{Table: "t", Snapshot: 7},
		Gates: []registry.Verdict{{Gate: "auc > 0.8 && x < 1", Passed: true}}, By: "ada",
	}
}

func register(t testing.TB, w world, weights string) registry.Version {
	t.Helper()
	v, err := w.Register(t.Context(), newVersion(weights))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVersionReadsBackAsRegistered(t *testing.T) { versionReadsBack(t, open(t)) }

func versionReadsBack(t *testing.T, w world) {
	v := register(t, w, "a")
	for _, ref := range []string{"1", "latest", v.ID, v.ID[:8]} {
		got, err := w.Version(t.Context(), "fraud", ref)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("Version(%q) = %+v, %v\nwant %+v", ref, got, err, v)
		}
	}
	report, err := w.Blob(t.Context(), v.Report)
	if err != nil || string(report) != "{}" {
		t.Errorf("report %q, %v", report, err)
	}
	for _, ref := range []string{"", "2", "0", "-1", "champion", "ffffffff", "%%%%%%%%", v.ID[:7]} {
		if _, err := w.Version(t.Context(), "fraud", ref); !fault.Is(err, fault.NotFound) {
			t.Errorf("Version(%q): %v, want NotFound", ref, err)
		}
	}
}

func TestSameContentIsOneVersion(t *testing.T) {
	w := open(t)
	first := register(t, w, "a")
	changed := newVersion("a")
	changed.Metrics, changed.By = map[string]float64{"auc": 0.1}, "bob"
	again, err := w.Register(t.Context(), changed)
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the same content gave %+v, %v", again, err)
	}
	threshold := 0.5
	changed.Threshold = &threshold
	other, err := w.Register(t.Context(), changed)
	if err != nil || other.Number != 2 {
		t.Errorf("another threshold gave version %d, %v", other.Number, err)
	}
}

func TestNumbersHaveNoGapsUnderARace(t *testing.T) { numbersHaveNoGaps(t, open(t)) }

func numbersHaveNoGaps(t *testing.T, w world) {
	var wg sync.WaitGroup
	for i := range 30 {
		wg.Go(func() {
			if _, err := w.Register(t.Context(), newVersion(fmt.Sprint(i%10))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	versions, err := w.Versions(t.Context(), "fraud")
	if err != nil || len(versions) != 10 {
		t.Fatalf("%d versions, %v", len(versions), err)
	}
	for i, v := range versions {
		if v.Number != 10-i {
			t.Errorf("version %d at place %d", v.Number, i)
		}
	}
}

func TestAliasesMoveAndAreRemembered(t *testing.T) { aliasesMove(t, open(t)) }

func aliasesMove(t *testing.T, w world) {
	ctx := t.Context()
	register(t, w, "a")
	register(t, w, "b")
	if err := w.SetAlias(ctx, "fraud", "champion", 3, "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("alias of no version: %v", err)
	}
	for _, bad := range []string{"", "latest", "1", "deadbeef", "a b"} {
		if err := w.SetAlias(ctx, "fraud", bad, 1, "ada"); !fault.Is(err, fault.Invalid) {
			t.Errorf("alias %q: %v", bad, err)
		}
	}
	for _, version := range []int{1, 2, 2, 1, 0, 0} {
		if err := w.SetAlias(ctx, "fraud", "champion", version, "ada"); err != nil {
			t.Fatal(err)
		}
		got, err := w.Version(ctx, "fraud", "champion")
		if version == 0 != fault.Is(err, fault.NotFound) || err == nil && got.Number != version {
			t.Errorf("champion is %d, %v; want %d", got.Number, err, version)
		}
	}
	history, err := w.History(ctx, "fraud")
	if err != nil || len(history) != 4 {
		t.Fatalf("history %+v, %v", history, err)
	}
	for i, want := range []int{0, 1, 2, 1} {
		c := history[i]
		got, err := w.At(ctx, "fraud", "champion", c.At)
		if c.Version != want || want > 0 && got.Number != want || want == 0 && !fault.Is(err, fault.NotFound) {
			t.Errorf("change %d is to %d, At says %d, %v; want %d", i, c.Version, got.Number, err, want)
		}
	}
	if _, err := w.At(ctx, "fraud", "champion", time.Unix(0, 0)); !fault.Is(err, fault.NotFound) {
		t.Errorf("At before everything: %v", err)
	}
}

// TestOnPostgres runs what differs most between the databases.
func TestOnPostgres(t *testing.T) {
	server := testserver.Postgres(t)
	for name, test := range map[string]func(*testing.T, world){
		"reads back": versionReadsBack, "numbers": numbersHaveNoGaps, "aliases": aliasesMove,
	} {
		t.Run(name, func(t *testing.T) {
			db, err := postgres.Open(t.Context(), postgres.Config{URL: server.URL(t)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			test(t, over(t, db))
		})
	}
}

func TestModels(t *testing.T) {
	w := open(t)
	register(t, w, "a")
	other := newVersion("a")
	other.Model = "churn"
	if _, err := w.Register(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := w.SetAlias(t.Context(), "fraud", "champion", 1, "x"); err != nil {
		t.Fatal(err)
	}
	got, err := w.Models(t.Context())
	want := []registry.Summary{
		{Name: "churn", Latest: 1, Aliases: map[string]int{}},
		{Name: "fraud", Latest: 1, Aliases: map[string]int{"champion": 1}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Models = %+v, %v", got, err)
	}
}

func TestHoldSharesTheModel(t *testing.T) {
	w := open(t)
	v := register(t, w, "a")
	first, release, err := w.Hold(t.Context(), v)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	again, releaseAgain, err := w.Hold(t.Context(), v)
	if err != nil || again != first {
		t.Fatalf("a second Hold gave %p, %v", again, err)
	}
	releaseAgain()
	releaseAgain() // twice is once
}

// TestFlippedBitIsNotLoaded changes each stored file in turn, on disk.
func TestFlippedBitIsNotLoaded(t *testing.T) {
	w := open(t)
	v := register(t, w, "weights of a model")
	name := filepath.Join(w.blobs, filepath.FromSlash("sha256/"+v.Manifest.Files["weights"][:2]+"/"+v.Manifest.Files["weights"][2:]))
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	content[3] ^= 0x10
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Hold(t.Context(), v); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a flipped bit: %v, want Corrupt", err)
	}
}

func TestLoadRefusesWhatIsNotTheVersion(t *testing.T) {
	w := open(t)
	changed := register(t, w, "a")
	changed.Manifest.Threshold = nil
	if _, _, err := w.Hold(t.Context(), changed); !fault.Is(err, fault.Corrupt) {
		t.Errorf("another manifest: %v, want Corrupt", err)
	}
	if _, _, err := w.Hold(t.Context(), register(t, w, "other")); !fault.Is(err, fault.Invalid) {
		t.Errorf("another signature: %v, want Invalid", err)
	}
	if _, _, err := w.Hold(t.Context(), register(t, w, "panic")); !fault.Is(err, fault.Internal) {
		t.Errorf("a format that panics: %v, want Internal", err)
	}
}

func TestRegisterReportsMistakes(t *testing.T) {
	w := open(t)
	for name, change := range map[string]func(*registry.NewVersion){
		"model":     func(n *registry.NewVersion) { n.Model = "../x" },
		"format":    func(n *registry.NewVersion) { n.Format = "pickle" },
		"files":     func(n *registry.NewVersion) { n.Files = nil },
		"file name": func(n *registry.NewVersion) { n.Files = map[string][]byte{"../x": nil} },
		"outputs":   func(n *registry.NewVersion) { n.Signature.Outputs = nil },
		"double":    func(n *registry.NewVersion) { n.Signature.Inputs = append(n.Signature.Inputs, n.Signature.Inputs[0]) },
		"type":      func(n *registry.NewVersion) { n.Signature.Inputs[0].Type = "decimal" },
	} {
		n := newVersion("a")
		change(&n)
		if _, err := w.Register(t.Context(), n); !fault.Is(err, fault.Invalid) && !fault.Is(err, fault.Unsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
