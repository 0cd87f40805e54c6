package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/deploy"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog"
	"github.com/leat-ai/leat/store/catalog/postgres"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// open opens a catalog at the path of a file, or at the address of a server.
func open(t testing.TB, at string) *catalog.DB {
	t.Helper()
	var db *catalog.DB
	var err error
	if strings.HasPrefix(at, "postgres://") {
		db, err = postgres.Open(context.Background(), postgres.Config{URL: at})
	} else {
		db, err = sqlite.Open(context.Background(), sqlite.Config{Path: at})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func releases(t testing.TB) *deploy.Releases {
	return deploy.New(open(t, filepath.Join(t.TempDir(), "catalog.db")), clock.System{})
}

// content is what differs by the version of its model alone.
func content(version int) deploy.Content {
	threshold := 0.8
	return deploy.Content{
		Variants: []deploy.Variant{{Name: "stable", Weight: 1, Model: "fraud", Version: version, ID: fmt.Sprintf("%064x", version)}},
		Features: []spec.FeatureView{{Name: "f", Source: "t", Features: []spec.FeatureDef{{Name: "a", Expr: "b < 1 && c > 2"}}}},
		Decide:   spec.Decide{Threshold: &threshold, OnAbove: "review"},
		Limits:   spec.Limits{Rate: 500, Timeout: spec.Duration(time.Second)},
		SLO:      spec.SLO{Availability: 0.999, P95: spec.Duration(20 * time.Millisecond)},
	}
}

func must(t testing.TB, r deploy.Release, err error) deploy.Release {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestDeployMakesContentLive(t *testing.T) {
	r, ctx := releases(t), t.Context()
	if _, err := r.Live(ctx, "fraud"); !fault.Is(err, fault.NotFound) {
		t.Fatalf("Live before any: %v", err)
	}
	made, err := r.Deploy(ctx, "fraud", content(1), "ada", deploy.WhyDeploy)
	must(t, made, err)
	live, err := r.Live(ctx, "fraud")
	if must(t, live, err); !reflect.DeepEqual(live, made) || !reflect.DeepEqual(live.Content, content(1)) {
		t.Errorf("live is %+v\nmade %+v", live, made)
	}
	again, err := r.Deploy(ctx, "fraud", content(1), "bob", deploy.WhyApply)
	if must(t, again, err); !reflect.DeepEqual(again, made) {
		t.Errorf("the same content made %+v", again)
	}
	if h, err := r.History(ctx, "fraud"); err != nil || len(h) != 1 {
		t.Errorf("history %v, %v", h, err)
	}
	other, err := r.Deploy(ctx, "churn", content(1), "ada", deploy.WhyDeploy)
	if must(t, other, err); other.ID == made.ID || other.Number != 1 {
		t.Errorf("the same content of another endpoint is release %d %s", other.Number, other.ID)
	}
}

func TestEmptyAndNilAreOneContent(t *testing.T) {
	a := content(1)
	a.Features = nil
	b := a
	b.Features, b.Allow, b.Snapshots = []spec.FeatureView{}, []string{}, map[string]int64{}
	ida, _, _ := deploy.Hash("e", a)
	idb, _, _ := deploy.Hash("e", b)
	if ida != idb {
		t.Error("empty lists and none hash differently")
	}
}

func TestRollbackGoesBackAndNotForthAgain(t *testing.T) {
	r, ctx := releases(t), t.Context()
	if _, err := r.Rollback(ctx, "fraud", "", "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("rollback of nothing: %v", err)
	}
	for v := 1; v <= 3; v++ {
		made, err := r.Deploy(ctx, "fraud", content(v), "ada", deploy.WhyDeploy)
		must(t, made, err)
	}
	for _, want := range []int{2, 1} {
		got, err := r.Rollback(ctx, "fraud", "", "ada")
		if must(t, got, err); got.Number != want {
			t.Errorf("rolled back to %d, want %d", got.Number, want)
		}
	}
	if _, err := r.Rollback(ctx, "fraud", "", "ada"); !fault.Is(err, fault.NotFound) {
		t.Errorf("rollback before the first: %v", err)
	}
	third, err := r.Rollback(ctx, "fraud", "3", "ada")
	if must(t, third, err); third.Number != 3 {
		t.Errorf("rollback to 3 gave %d", third.Number)
	}
	byPrefix, err := r.Rollback(ctx, "fraud", third.ID[:10], "ada")
	if must(t, byPrefix, err); byPrefix.ID != third.ID {
		t.Error("a prefix of the id named another release")
	}
	for _, bad := range []string{"9", "abc", "%", "zzzzzzzz", "ffffffff", "________"} {
		if _, err := r.Rollback(ctx, "fraud", bad, "ada"); !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) {
			t.Errorf("rollback to %q: %v", bad, err)
		}
	}
	deployed, err := r.Deploy(ctx, "fraud", content(2), "ada", deploy.WhyDeploy)
	if must(t, deployed, err); deployed.Number != 2 {
		t.Errorf("content released before is number %d", deployed.Number)
	}
}

func TestRetire(t *testing.T) {
	r, ctx := releases(t), t.Context()
	made, err := r.Deploy(ctx, "fraud", content(1), "ada", deploy.WhyDeploy)
	must(t, made, err)
	for range 2 {
		if err := r.Retire(ctx, "fraud", "ada", deploy.WhyApply); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Live(ctx, "fraud"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a retired endpoint is live: %v", err)
	}
	if h, _ := r.History(ctx, "fraud"); len(h) != 2 || h[0].Release != "" {
		t.Errorf("history %+v", h)
	}
	if _, err := r.At(ctx, "fraud", time.Now().Add(time.Hour)); !fault.Is(err, fault.NotFound) {
		t.Errorf("At after retirement: %v", err)
	}
}

func TestAtAgreesWithHistory(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "catalog.db"))
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		endpoint, ctx := fmt.Sprintf("e%d", n), context.Background()
		start := time.Unix(1_800_000_000, 0)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			// Clocks of replicas differ: time may stand still or go back.
			now := start.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "clock")) * time.Second)
			r := deploy.New(db, clock.Fixed(now))
			if _, err := r.Deploy(ctx, endpoint, content(rapid.IntRange(1, 3).Draw(t, "version")), "x", "y"); err != nil {
				t.Fatal(err)
			}
		}
		r := deploy.New(db, clock.Fixed(start))
		changes, err := r.History(ctx, endpoint)
		if err != nil {
			t.Fatal(err)
		}
		for i, c := range changes {
			if i > 0 && !c.At.Before(changes[i-1].At) {
				t.Fatalf("change %d at %s is not before %s", i, c.At, changes[i-1].At)
			}
			if got, err := r.At(ctx, endpoint, c.At); err != nil || got.ID != c.Release {
				t.Fatalf("At(%s) is %s, %v; history says %s", c.At, got.ID, err, c.Release)
			}
		}
	})
}

// TestRaceLeavesOneHistory runs promotes and rollbacks of two replicas at the
// same time. Whatever order they got, the history must be one line: each
// change differs from the one before, ends at what is live, and replaying the
// changes by their own rules gives the same line.
func TestRaceLeavesOneHistory(t *testing.T) {
	raceLeavesOneHistory(t, filepath.Join(t.TempDir(), "catalog.db"))
}

// TestOnPostgres runs what several replicas do to one catalog.
func TestOnPostgres(t *testing.T) {
	server := testserver.Postgres(t)
	t.Run("race", func(t *testing.T) { raceLeavesOneHistory(t, server.URL(t)) })
	t.Run("watch", func(t *testing.T) { watchSeesReplicas(t, server.URL(t)) })
}

func raceLeavesOneHistory(t *testing.T, path string) {
	ctx := t.Context()
	replicas := []*deploy.Releases{deploy.New(open(t, path), clock.System{}), deploy.New(open(t, path), clock.System{})}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			r := replicas[i%2]
			var err error
			if i%3 == 0 {
				_, err = r.Rollback(ctx, "fraud", "", fmt.Sprint(i))
			} else {
				_, err = r.Deploy(ctx, "fraud", content(i%7+1), fmt.Sprint(i), deploy.WhyDeploy)
			}
			if err != nil && !fault.Is(err, fault.NotFound) {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	changes, err := replicas[0].History(ctx, "fraud")
	if err != nil {
		t.Fatal(err)
	}
	checkLine(t, changes)
	live, err := replicas[1].Live(ctx, "fraud")
	if must(t, live, err); live.ID != changes[0].Release {
		t.Errorf("live is %s, history ends at %s", live.ID, changes[0].Release)
	}
	for _, c := range changes {
		if at, err := replicas[0].At(ctx, "fraud", c.At); err != nil || at.ID != c.Release {
			t.Errorf("At(%s) is %.8s, %v; history says %.8s", c.At, at.ID, err, c.Release)
		}
	}
	all, err := replicas[0].Releases(ctx, "fraud")
	if err != nil || len(all) > 7 {
		t.Errorf("%d releases, %v", len(all), err)
	}
	for i, r := range all {
		if r.Number != len(all)-i {
			t.Errorf("release %d has number %d: numbers have gaps or doubles", len(all)-i, r.Number)
		}
	}
}

// checkLine replays changes, newest first, by the rules of Rollback.
func checkLine(t *testing.T, changes []deploy.Change) {
	t.Helper()
	var stack []string
	for i := len(changes) - 1; i >= 0; i-- {
		c := changes[i]
		if n := len(stack); n > 0 && stack[n-1] == c.Release {
			t.Errorf("change by %s made live what was live already", c.By)
		}
		if c.Why != deploy.WhyRollback {
			stack = append(stack, c.Release)
			continue
		}
		if len(stack) < 2 || stack[len(stack)-2] != c.Release {
			t.Fatalf("the rollback by %s went to %.8s with %d on the stack", c.By, c.Release, len(stack))
		}
		stack = stack[:len(stack)-1]
	}
}

func TestWatchSeesOwnAndOtherReplicas(t *testing.T) {
	watchSeesReplicas(t, filepath.Join(t.TempDir(), "catalog.db"))
}

func watchSeesReplicas(t *testing.T, path string) {
	here, there := deploy.New(open(t, path), clock.System{}), deploy.New(open(t, path), clock.System{})
	made, err := here.Deploy(t.Context(), "first", content(1), "x", "y")
	must(t, made, err)
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended, failed := make(chan string, 10), make(chan error), false
	go func() {
		ended <- here.Watch(ctx, func(_ context.Context, endpoint string) error {
			if endpoint == "third" && !failed {
				failed = true
				return errors.New("not ready")
			}
			seen <- endpoint
			return nil
		})
	}()
	expect := func(want string) {
		t.Helper()
		select {
		case got := <-seen:
			if got != want {
				t.Errorf("saw %q, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("never saw %q", want)
		}
	}
	expect("first")
	made, err = here.Deploy(t.Context(), "second", content(1), "x", "y")
	must(t, made, err)
	expect("second")
	made, err = there.Deploy(t.Context(), "third", content(1), "x", "y")
	must(t, made, err)
	expect("third")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Watch ended with %v", err)
	}
}

func TestCorruptReleaseIsNotServed(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "catalog.db"))
	r := deploy.New(db, clock.System{})
	made, err := r.Deploy(t.Context(), "fraud", content(1), "x", "y")
	must(t, made, err)
	err = db.Write(t.Context(), func(tx catalog.Tx) error {
		_, err := tx.Exec(t.Context(), `UPDATE releases SET body = REPLACE(body, 'review', 'accept')`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Live(t.Context(), "fraud"); !fault.Is(err, fault.Corrupt) {
		t.Errorf("a changed release: %v, want Corrupt", err)
	}
}

func TestDeployRefusesWhatNamesNoModel(t *testing.T) {
	r := releases(t)
	for _, c := range []deploy.Content{{}, {Variants: []deploy.Variant{{Name: "stable"}}}} {
		if _, err := r.Deploy(t.Context(), "fraud", c, "x", "y"); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := r.Deploy(t.Context(), "fraud", content(1), "x", deploy.WhyRollback); !fault.Is(err, fault.Invalid) {
		t.Errorf("a deploy that calls itself a rollback: %v", err)
	}
}
