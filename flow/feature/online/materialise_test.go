//go:build duckdb_arrow

package online

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/window"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/sqlite"
	kv "github.com/leat-ai/leat/store/online"
	"github.com/leat-ai/leat/store/online/local"
	"github.com/leat-ai/leat/store/online/postgres"
	"github.com/leat-ai/leat/store/online/redis"
	"github.com/leat-ai/leat/store/query/duckdb"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"materialise": materialiseJob}) }

// site is a lake with transactions, a store, and what materialises.
type site struct {
	deps   Deps
	engine *work.Engine
	closes []func() error
}

// openSite opens what is below a folder; another store may be given.
func openSite(ctx context.Context, dir string, store kv.Store) (_ *site, err error) {
	s := &site{}
	defer func() {
		if err != nil {
			_ = s.close()
		}
	}()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(dir, "catalog.db")})
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, db.Close)
	warehouse := filepath.Join(dir, "lake")
	if err := os.MkdirAll(filepath.Join(dir, "scratch"), 0o700); err != nil {
		return s, err
	}
	l, err := lake.Open(ctx, lake.Config{Warehouse: warehouse, DB: db.SQL(), Dialect: db.Dialect(), Scratch: filepath.Join(dir, "scratch")})
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, l.Close)
	sql, err := duckdb.Open(ctx, duckdb.Config{Temp: filepath.Join(dir, "scratch"), Dirs: []string{warehouse}})
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, sql.Close)
	if store == nil {
		if store, err = local.Open(ctx, local.Config{Path: filepath.Join(dir, "online"), Clock: clock.Fixed(noon)}); err != nil {
			return s, err
		}
		s.closes = append(s.closes, store.Close)
	}
	f := New(Config{Store: store, Clock: clock.Fixed(noon), Timeout: time.Minute})
	s.deps = Deps{Features: f, Lake: l, Run: runner{lake.SQL{Lake: l, Engine: sql}}, DB: db, ChunkRows: 500}
	s.engine, err = work.Open(ctx, work.Config{URL: "sqlite:" + filepath.Join(dir, "work.db")})
	if err != nil {
		return s, err
	}
	s.closes = append(s.closes, func() error { return s.engine.Close(context.WithoutCancel(ctx)) })
	Define(s.engine, s.deps)
	return s, s.engine.Launch(ctx)
}

type runner struct{ sql lake.SQL }

func (r runner) Query(ctx context.Context, sql string) (frame.Reader, error) {
	return r.sql.Query(ctx, sql)
}

func (s *site) close() error {
	var all []error
	for i := len(s.closes) - 1; i >= 0; i-- {
		all = append(all, s.closes[i]())
	}
	s.closes = nil
	return errors.Join(all...)
}

// append adds rows to the source.
func (s *site) append(ctx context.Context, rows []txn) error {
	t, err := s.deps.Lake.Ensure(ctx, "transactions", transactions)
	if err != nil {
		return err
	}
	b := batchOf(rows...)
	defer b.Release()
	_, err = t.Append(ctx, frame.FromBatches(b.Schema(), b), nil)
	return err
}

// materialise runs an order to its end.
func (s *site) materialise(ctx context.Context, id string, o Order) error {
	if _, err := Materialise(ctx, s.engine, o, work.ID(id)); err != nil {
		return err
	}
	status, err := s.engine.Wait(ctx, id)
	if err != nil {
		return err
	}
	return status.Err()
}

// many are transactions that are the same each time.
func many(n int) []txn {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]txn, n)
	for i := range rows {
		rows[i] = txn{customer: fmt.Sprint("c", random.IntN(200)), at: began + int64(i)*second/50, amount: random.NormFloat64() * 100, country: []string{"", "NL", "BE", "FR"}[random.IntN(4)]}
	}
	return rows
}

func parsed(text string) (spec.FeatureView, error) {
	project, err := spec.LoadFiles(map[string]string{"view.yaml": text + source}, spec.Options{})
	if err != nil {
		return spec.FeatureView{}, err
	}
	v, _ := spec.Find[*spec.FeatureView](project.Resources, "view")
	return *v, nil
}

// killedRows is how many transactions the killed run reads.
const killedRows = 20_000

// ended is the time before which the killed run takes rows.
var ended = time.UnixMicro(began + killedRows*second/50)

func materialiseJob(ctx context.Context, dir string) error {
	s, err := openSite(ctx, dir, nil)
	if err != nil {
		return err
	}
	for _, text := range []string{latest, windows} {
		v, err := parsed(text)
		if err != nil {
			return err
		}
		if err := s.materialise(ctx, fmt.Sprint("run-", v.Windowed()), Order{View: v, To: ended}); err != nil {
			return err
		}
	}
	return s.close()
}

// TestKilledMaterialise kills the run and compares what is online with a run
// that nobody disturbed.
func TestKilledMaterialise(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "materialise", Kills: 3, Prepare: func(dir string) error {
		s, err := openSite(context.Background(), dir, nil)
		if err != nil {
			return err
		}
		return errors.Join(s.append(context.Background(), many(killedRows)), s.close())
	}, Outcome: func(dir string) (string, error) {
		s, err := openSite(context.Background(), dir, nil)
		if err != nil {
			return "", err
		}
		text, err := s.online(context.Background())
		return text, errors.Join(err, s.close())
	}})
}

// online describes everything that is online of both views, and what the
// ledger says.
func (s *site) online(ctx context.Context) (string, error) {
	var names []string
	for i := range 201 {
		names = append(names, fmt.Sprint("c", i))
	}
	b := customers(names...)
	defer b.Release()
	var out strings.Builder
	for _, text := range []string{latest, windows} {
		def, err := parsed(text)
		if err != nil {
			return "", err
		}
		v, err := s.deps.Compile(ctx, def)
		if err != nil {
			return "", err
		}
		var a Answer
		if err := s.deps.Features.Read(ctx, []Ask{{View: v}}, b, ended, &a); err != nil {
			return "", err
		}
		for row := range a.Rows {
			fmt.Fprintln(&out, names[row], describe(&a.Parts[0], row))
		}
		last, ok, err := s.deps.Last(ctx, v)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&out, ok, last.To, last.Complete, last.Entities, last.Written)
	}
	return out.String(), nil
}

// stores are all that there are.
func stores(t *testing.T) map[string]kv.Store {
	t.Helper()
	r, err := redis.Open(t.Context(), redis.Config{URL: testserver.Redis(t).URL(0)})
	if err != nil {
		t.Fatal(err)
	}
	p, err := postgres.Open(t.Context(), postgres.Config{URL: testserver.Postgres(t).URL(t), Clock: clock.Fixed(noon)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := local.Open(t.Context(), local.Config{Path: filepath.Join(t.TempDir(), "online"), Clock: clock.Fixed(noon)})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]kv.Store{"redis": r, "postgres": p, "local": l}
	for _, s := range all {
		t.Cleanup(func() { _ = s.Close() })
	}
	return all
}

// TestStoresAgree materialises the same in every store.
func TestStoresAgree(t *testing.T) {
	want := ""
	for name, store := range stores(t) {
		s, err := openSite(t.Context(), t.TempDir(), unexpiring{store})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.close() })
		if err := s.append(t.Context(), many(2000)); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{latest, windows} {
			v, err := parsed(text)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.materialise(t.Context(), fmt.Sprint("run-", v.Windowed()), Order{View: v, To: ended}); err != nil {
				t.Fatal(err)
			}
		}
		got, err := s.online(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s gives other answers", name)
		}
	}
}

// unexpiring is a store whose server has the time of today, and not that of the
// test.
type unexpiring struct{ kv.Store }

func (u unexpiring) Put(ctx context.Context, table string, entries []kv.Entry) (int, error) {
	for i := range entries {
		entries[i].Expires = time.Time{}
	}
	return u.Store.Put(ctx, table, entries)
}

func (u unexpiring) Swap(ctx context.Context, table string, changes []kv.Change) ([]int, error) {
	for i := range changes {
		changes[i].Expires = time.Time{}
	}
	return u.Store.Swap(ctx, table, changes)
}

// TestBatchAndPushAgree brings some events by the lake and some by pushes, in
// any order, and holds both against a state that saw all of them, bit for bit,
// as of any time.
func TestBatchAndPushAgree(t *testing.T) {
	def, err := parsed(windows)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	run := 0
	s, err := openSite(ctx, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	rapid.Check(t, func(r *rapid.T) {
		if run++; run > 12 { // each writes a table
			return
		}
		rows := make([]txn, rapid.IntRange(2, 60).Draw(r, "rows"))
		for i := range rows {
			rows[i] = txn{customer: rapid.SampledFrom([]string{"ann", "bob", "cat"}).Draw(r, "customer"),
				at:     began + rapid.Int64Range(0, 120).Draw(r, "at")*second,
				amount: rapid.Float64Range(-1e9, 1e9).Draw(r, "amount"), country: rapid.SampledFrom([]string{"", "NL"}).Draw(r, "country")}
		}
		view := def
		view.Source = fmt.Sprint("transactions", run)
		table, err := s.deps.Lake.Create(ctx, view.Source, transactions)
		if err != nil {
			r.Fatal(err)
		}
		cut := rapid.IntRange(1, len(rows)).Draw(r, "in the lake")
		inLake := batchOf(rows[:cut]...)
		defer inLake.Release()
		if _, err := table.Append(ctx, frame.FromBatches(inLake.Schema(), inLake), nil); err != nil {
			r.Fatal(err)
		}
		to := time.UnixMicro(began + 121*second)
		if err := s.materialise(ctx, fmt.Sprint("run", run), Order{View: view, To: to}); err != nil {
			r.Fatal(err)
		}
		v, err := s.deps.Compile(ctx, view)
		if err != nil {
			r.Fatal(err)
		}
		reference := window.NewState(v.Plan(), window.Bounds{})
		if _, err := reference.Add(inLake, nil); err != nil {
			r.Fatal(err)
		}
		for _, i := range rapid.Permutation(numbers(len(rows)-cut)).Draw(r, "order") {
			b := batchOf(rows[cut+i])
			if _, err := s.deps.Features.Push(ctx, v, b, nil); err != nil {
				r.Fatal(err)
			}
			if _, err := reference.Add(b, nil); err != nil {
				r.Fatal(err)
			}
			b.Release()
		}
		same(t, r, s.deps.Features, v, reference, began+rapid.Int64Range(0, 250).Draw(r, "as of")*second)
	})
}

// TestIncremental materialises what came since, and nothing else.
func TestIncremental(t *testing.T) {
	ctx := t.Context()
	s, err := openSite(ctx, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	at := func(minutes int64) int64 { return began + minutes*60*second }
	for step, text := range []string{latest, strings.ReplaceAll(windows, "60s", "1h")} {
		def, err := parsed(text)
		if err != nil {
			t.Fatal(err)
		}
		def.Lateness = 0
		def.Source = fmt.Sprint("source", step)
		table, err := s.deps.Lake.Create(ctx, def.Source, transactions)
		if err != nil {
			t.Fatal(err)
		}
		add := func(rows ...txn) {
			b := batchOf(rows...)
			defer b.Release()
			if table, err = table.Append(ctx, frame.FromBatches(b.Schema(), b), nil); err != nil {
				t.Fatal(err)
			}
		}
		run := func(id string, to int64) Materialised {
			if err := s.materialise(ctx, fmt.Sprint(id, step), Order{View: def, To: time.UnixMicro(to)}); err != nil {
				t.Fatal(err)
			}
			v, err := s.deps.Compile(ctx, def)
			if err != nil {
				t.Fatal(err)
			}
			last, ok, err := s.deps.Last(ctx, v)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			return last
		}
		add(txn{"ann", at(0), 1, "NL"}, txn{"bob", at(0), 1, "NL"}, txn{"cat", at(10), 1, "NL"})
		if m := run("first", at(5)); !m.Complete || m.Written != 2 {
			t.Errorf("the first wrote %+v", m)
		}
		add(txn{"ann", at(12), 2, "BE"})
		if m := run("second", at(20)); m.Complete || m.Written != 2 || m.Entities != 2 {
			t.Errorf("the second wrote %+v", m)
		}
		v, _ := s.deps.Compile(ctx, def)
		if got := show(t, s.deps.Features, v, at(20), "ann", "cat"); !strings.HasPrefix(got[0], "present 720") || !strings.HasPrefix(got[1], "present 600") {
			t.Errorf("after the second: %q", got)
		}
	}
}

func TestMaterialiseNothing(t *testing.T) {
	s, err := openSite(t.Context(), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	def, err := parsed(latest)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.materialise(t.Context(), "absent", Order{View: def}); !fault.Is(err, fault.NotFound) {
		t.Errorf("a source that is not there: %v", err)
	}
}
