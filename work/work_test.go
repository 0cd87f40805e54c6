package work_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/work"
)

func TestSQLite(t *testing.T) {
	suite(t, func(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "work.db") })
}

func TestPostgres(t *testing.T) {
	suite(t, testserver.Postgres(t).URL)
}

// suite is what must hold on every database.
func suite(t *testing.T, fresh func(testing.TB) string) {
	for name, test := range map[string]func(*testing.T, func(testing.TB) string){
		"Run returns what its steps made":                                  testRunReturnsWhatItsStepsMade,
		"Failure keeps its fault and retry goes on from there":             testFailureKeepsItsFaultAndRetryGoesOnFromThere,
		"Retries only what may pass":                                       testRetriesOnlyWhatMayPass,
		"Panic fails the run alone":                                        testPanicFailsTheRunAlone,
		"Cancel ends a running step and stays":                             testCancelEndsARunningStepAndStays,
		"Close interrupts and launch goes on":                              testCloseInterruptsAndLaunchGoesOn,
		"Parallel keeps order bounds workers and stops at the first error": testParallelKeepsOrderBoundsWorkersAndStopsAtTheFirstError,
		"Gate limits a kind and a name":                                    testGateLimitsAKindAndAName,
		"Full backlog is refused":                                          testFullBacklogIsRefused,
		"Watch ends with the run":                                          testWatchEndsWithTheRun,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh) })
	}
}

// start opens an engine, lets define add kinds, and launches it.
func start(t *testing.T, url string, define func(e *work.Engine)) *work.Engine {
	t.Helper()
	e, err := work.Open(t.Context(), work.Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	define(e)
	if err := e.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func stop(t *testing.T, e *work.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Error(err)
	}
}

// run starts a run and waits for its end.
func run(t *testing.T, e *work.Engine, kind, name string, in any, opts ...work.StartOption) work.Status {
	t.Helper()
	id, err := e.Start(t.Context(), kind, name, in, opts...)
	if err != nil {
		t.Fatal(err)
	}
	return wait(t, e, id)
}

func wait(t *testing.T, e *work.Engine, id string) work.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	st, err := e.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

type numbers struct{ A, B int }

func testRunReturnsWhatItsStepsMade(t *testing.T, fresh func(testing.TB) string) {
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "sum", func(_ context.Context, r *work.Run, in numbers) (int, error) {
			a, err := work.Step(r, "a", work.StepOptions{}, func(context.Context, *work.Progress) (int, error) { return in.A, nil })
			if err != nil {
				return 0, err
			}
			b, err := work.Step(r, "b", work.StepOptions{}, func(_ context.Context, p *work.Progress) (int, error) {
				p.Total(5, "rows")
				p.Add(5)
				return in.B, nil
			})
			return a + b, err
		})
		work.Define(e, "other", func(context.Context, *work.Run, numbers) (int, error) { return 0, nil })
	})
	st := run(t, e, "sum", "nightly", numbers{2, 3}, work.By("ann"))
	if st.State != work.Succeeded || string(st.Output) != "5" || string(st.Input) != `{"A":2,"B":3}` ||
		st.Name != "nightly" || st.Kind != "sum" || st.By != "ann" || st.Err() != nil {
		t.Errorf("status %+v", st)
	}
	if len(st.Steps) != 2 || st.Steps[0].Name != "a" || st.Steps[1].Progress.Done != 5 || st.Steps[1].Progress.Unit != "rows" {
		t.Errorf("steps %+v", st.Steps)
	}
	if st.Ended.Before(st.Started) || st.Created.IsZero() || st.Ended.IsZero() {
		t.Errorf("times: created %v started %v ended %v", st.Created, st.Started, st.Ended)
	}
	again := run(t, e, "sum", "nightly", numbers{7, 7}, work.ID(st.ID))
	if string(again.Output) != "5" {
		t.Errorf("a second start of the same id ran again: %s", again.Output)
	}
	if _, err := e.Start(t.Context(), "other", "nightly", numbers{}, work.ID(st.ID)); !fault.Is(err, fault.Conflict) {
		t.Errorf("Start of another kind under the same id: %v", err)
	}
	if _, err := e.Get(t.Context(), "nobody"); !fault.Is(err, fault.NotFound) {
		t.Errorf("Get of an unknown run: %v", err)
	}
	if _, err := e.Start(t.Context(), "nothing", "x", nil); !fault.Is(err, fault.NotFound) {
		t.Errorf("Start of an unknown kind: %v", err)
	}
}

func testFailureKeepsItsFaultAndRetryGoesOnFromThere(t *testing.T, fresh func(testing.TB) string) {
	var first, second atomic.Int32
	var broken atomic.Bool
	broken.Store(true)
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "job", func(_ context.Context, r *work.Run, _ int) (string, error) {
			_, err := work.Step(r, "first", work.StepOptions{}, func(context.Context, *work.Progress) (int, error) {
				return int(first.Add(1)), nil
			})
			if err != nil {
				return "", err
			}
			return work.Step(r, "second", work.StepOptions{}, func(context.Context, *work.Progress) (string, error) {
				second.Add(1)
				if broken.Load() {
					return "", fault.New(fault.Rejected, "auc 0.7 is below 0.8").Hint("train longer")
				}
				return "done by " + r.ID(), nil
			})
		})
	})
	st := run(t, e, "job", "j", 1)
	err := st.Err()
	if st.State != work.Failed || !fault.Is(err, fault.Rejected) || fault.HintOf(err) != "train longer" {
		t.Fatalf("state %s, error %v, hint %q", st.State, err, fault.HintOf(err))
	}
	if len(st.Steps) != 2 || st.Steps[0].State != work.Succeeded || st.Steps[1].Name != "second" ||
		st.Steps[1].State != work.Failed || st.Steps[1].Error.Kind != fault.Rejected {
		t.Errorf("steps of the failed run: %+v", st.Steps)
	}
	if err := e.Cancel(t.Context(), st.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("Cancel of a failed run: %v", err)
	}
	broken.Store(false)
	if err := e.Retry(t.Context(), st.ID); err != nil {
		t.Fatal(err)
	}
	again := wait(t, e, st.ID)
	if again.State != work.Succeeded || string(again.Output) != `"done by `+st.ID+`"` {
		t.Errorf("after Retry: %+v", again)
	}
	if first.Load() != 1 || second.Load() != 2 {
		t.Errorf("first step ran %d times, second %d", first.Load(), second.Load())
	}
	if err := e.Retry(t.Context(), st.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("Retry of a run that succeeded: %v", err)
	}
}

func testRetriesOnlyWhatMayPass(t *testing.T, fresh func(testing.TB) string) {
	var calls atomic.Int32
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "flaky", func(_ context.Context, r *work.Run, kind fault.Kind) (int, error) {
			opts := work.StepOptions{Retries: 3, Backoff: time.Millisecond}
			return work.Step(r, "call", opts, func(_ context.Context, p *work.Progress) (int, error) {
				p.Add(10)
				if n := calls.Add(1); n < 3 {
					return 0, fault.New(kind, "attempt %d", n)
				}
				return 42, nil
			})
		})
	})
	st := run(t, e, "flaky", "x", fault.Unavailable)
	if st.State != work.Succeeded || calls.Load() != 3 || st.Steps[0].Attempts != 3 || st.Steps[0].Progress.Done != 10 {
		t.Errorf("unavailable: %d calls, %+v", calls.Load(), st)
	}
	calls.Store(0)
	st = run(t, e, "flaky", "x", fault.Invalid)
	if st.State != work.Failed || calls.Load() != 1 {
		t.Errorf("invalid: %d calls, %+v", calls.Load(), st)
	}
	calls.Store(-100)
	st = run(t, e, "flaky", "x", fault.Timeout)
	if st.State != work.Failed || calls.Load() != -96 || !fault.Is(st.Err(), fault.Timeout) {
		t.Errorf("budget: %d calls, %+v", calls.Load()+100, st)
	}
}

func testPanicFailsTheRunAlone(t *testing.T, fresh func(testing.TB) string) {
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "boom", func(_ context.Context, r *work.Run, where string) (int, error) {
			if where == "run" {
				panic("secret")
			}
			return work.Step(r, "s", work.StepOptions{Retries: 3}, func(context.Context, *work.Progress) (int, error) { panic("secret") })
		})
	})
	for _, where := range []string{"run", "step"} {
		st := run(t, e, "boom", where, where)
		if st.State != work.Failed || !fault.Is(st.Err(), fault.Internal) {
			t.Errorf("%s: %+v", where, st)
		}
	}
}

func testCancelEndsARunningStepAndStays(t *testing.T, fresh func(testing.TB) string) {
	url := fresh(t)
	entered := make(chan struct{}, 10)
	var cause atomic.Value
	define := func(e *work.Engine) {
		work.Define(e, "long", func(_ context.Context, r *work.Run, _ int) (int, error) {
			return work.Step(r, "sleep", work.StepOptions{Retries: 5}, func(ctx context.Context, _ *work.Progress) (int, error) {
				entered <- struct{}{}
				<-ctx.Done()
				cause.Store(context.Cause(ctx))
				return 0, ctx.Err()
			})
		})
	}
	e := start(t, url, define)
	id, err := e.Start(t.Context(), "long", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	if st, err := e.Get(t.Context(), id); err != nil || st.State != work.Running || len(st.Steps) != 1 || st.Steps[0].State != work.Running {
		t.Errorf("while it runs: %+v, %v", st, err)
	}
	if err := e.Cancel(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if st := wait(t, e, id); st.State != work.Cancelled || !fault.Is(st.Err(), fault.Canceled) {
		t.Errorf("after Cancel: %+v", st)
	}
	stop(t, e)
	if err, _ := cause.Load().(error); !fault.Is(err, fault.Canceled) {
		t.Errorf("cause of the step's context: %v", err)
	}
	e = start(t, url, define)
	time.Sleep(50 * time.Millisecond)
	if st, err := e.Get(t.Context(), id); err != nil || st.State != work.Cancelled {
		t.Errorf("after a restart: %+v, %v", st, err)
	}
}

func testCloseInterruptsAndLaunchGoesOn(t *testing.T, fresh func(testing.TB) string) {
	url := fresh(t)
	var first, second atomic.Int32
	entered := make(chan struct{}, 10)
	define := func(e *work.Engine) {
		work.Define(e, "two", func(_ context.Context, r *work.Run, _ int) (int, error) {
			a, err := work.Step(r, "first", work.StepOptions{}, func(context.Context, *work.Progress) (int, error) {
				return int(first.Add(1)), nil
			})
			if err != nil {
				return 0, err
			}
			return work.Step(r, "second", work.StepOptions{}, func(ctx context.Context, _ *work.Progress) (int, error) {
				entered <- struct{}{}
				if second.Add(1) == 1 {
					<-ctx.Done()
					return 0, ctx.Err()
				}
				return a + 10, nil
			})
		})
	}
	e := start(t, url, define)
	id, err := e.Start(t.Context(), "two", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	<-entered
	stop(t, e)
	e = start(t, url, define)
	st := wait(t, e, id)
	if st.State != work.Succeeded || string(st.Output) != "11" || first.Load() != 1 || second.Load() != 2 {
		t.Errorf("first %d, second %d, %+v", first.Load(), second.Load(), st)
	}
}

func testParallelKeepsOrderBoundsWorkersAndStopsAtTheFirstError(t *testing.T, fresh func(testing.TB) string) {
	var now, most, calls atomic.Int32
	var failing atomic.Bool
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "many", func(_ context.Context, r *work.Run, n int) ([]int, error) {
			items := make([]int, n)
			for i := range items {
				items[i] = i * i
			}
			return work.Parallel(r, "chunk", items, work.ParallelOptions{Workers: 3}, func(_ context.Context, p *work.Progress, i, item int) (int, error) {
				calls.Add(1)
				defer now.Add(-1)
				if c := now.Add(1); c > most.Load() {
					most.Store(c)
				}
				if failing.Load() && i == 20 {
					return 0, fault.New(fault.Invalid, "chunk %d", i)
				}
				time.Sleep(time.Millisecond)
				p.Add(100)
				return item + i, nil
			})
		})
	})
	failing.Store(true)
	st := run(t, e, "many", "x", 40)
	if st.State != work.Failed || calls.Load() == 40 {
		t.Fatalf("%d calls, %+v", calls.Load(), st)
	}
	failing.Store(false)
	if err := e.Retry(t.Context(), st.ID); err != nil {
		t.Fatal(err)
	}
	st = wait(t, e, st.ID)
	want := "[0,2,6,12,20"
	if st.State != work.Succeeded || string(st.Output[:len(want)]) != want {
		t.Errorf("%+v", st)
	}
	if most.Load() > 3 || calls.Load() > 44 {
		t.Errorf("%d at a time, %d calls", most.Load(), calls.Load())
	}
	if len(st.Steps) != 1 || st.Steps[0].PartsDone != 40 || st.Steps[0].Progress.Done != 4000 {
		t.Errorf("steps %+v", st.Steps)
	}
}

func testGateLimitsAKindAndAName(t *testing.T, fresh func(testing.TB) string) {
	var now, most atomic.Int32
	release := make(chan struct{})
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "limited", func(ctx context.Context, _ *work.Run, _ int) (int, error) {
			if c := now.Add(1); c > most.Load() {
				most.Store(c)
			}
			defer now.Add(-1)
			select {
			case <-release:
				return 0, nil
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		}, work.Limit(2), work.OnePerName(), work.Backlog(3))
	})
	var ids []string
	for _, name := range []string{"a", "a", "b", "c"} {
		id, err := e.Start(t.Context(), "limited", name, 0)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	deadline := time.Now().Add(10 * time.Second)
	for now.Load() < 2 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	queued, err := e.List(t.Context(), work.Filter{Kind: "limited", States: []work.State{work.Queued}})
	if err != nil || len(queued) != 2 {
		t.Errorf("%d queued, %v", len(queued), err)
	}
	if err := e.Cancel(t.Context(), ids[1]); err != nil {
		t.Errorf("Cancel of a run: %v", err)
	}
	close(release)
	for _, id := range ids {
		wait(t, e, id)
	}
	if most.Load() != 2 {
		t.Errorf("%d at a time", most.Load())
	}
	named, err := e.List(t.Context(), work.Filter{Name: "a"})
	if err != nil || len(named) != 2 {
		t.Errorf("%d runs named a, %v", len(named), err)
	}
}

func testFullBacklogIsRefused(t *testing.T, fresh func(testing.TB) string) {
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "slow", func(ctx context.Context, _ *work.Run, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, work.Limit(1), work.Backlog(1))
	})
	var err error
	for range 200 {
		if _, err = e.Start(t.Context(), "slow", "x", 0); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if !fault.Is(err, fault.Overloaded) {
		t.Errorf("a full backlog: %v", err)
	}
}

func testWatchEndsWithTheRun(t *testing.T, fresh func(testing.TB) string) {
	goOn := make(chan struct{})
	e := start(t, fresh(t), func(e *work.Engine) {
		work.Define(e, "watched", func(_ context.Context, r *work.Run, _ int) (int, error) {
			return work.Step(r, "s", work.StepOptions{}, func(_ context.Context, p *work.Progress) (int, error) {
				p.Total(2, "rows")
				p.Add(1)
				<-goOn
				p.Add(1)
				return 0, nil
			})
		})
	})
	id, err := e.Start(t.Context(), "watched", "x", 0)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := e.Watch(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	var last work.Status
	halfway := false
	for st := range ch {
		last = st
		if !halfway && len(st.Steps) == 1 && st.Steps[0].Progress.Done == 1 {
			halfway = true
			close(goOn)
		}
	}
	if !halfway || last.State != work.Succeeded || last.Steps[0].Progress.Done != 2 {
		t.Errorf("halfway %v, last %+v", halfway, last)
	}
}

func TestMistakesOfDefineAreReportedAtLaunch(t *testing.T) {
	e, err := work.Open(t.Context(), work.Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(t, e)
	f := func(context.Context, *work.Run, int) (int, error) { return 0, nil }
	work.Define(e, "a", f)
	work.Define(e, "a", f)
	work.Define(e, "", f)
	var many *fault.Many
	if err := e.Launch(t.Context()); !errors.As(err, &many) || len(many.Errs) != 2 {
		t.Errorf("Launch: %v", err)
	}
}

func TestOpenRefusesABadAddressWithoutItsPassword(t *testing.T) {
	for _, url := range []string{"", "sqlite:", "mysql://u:hunter2@h/d", "postgres://u:hunter2@[::1/d"} {
		_, err := work.Open(t.Context(), work.Config{URL: url})
		if err == nil {
			t.Errorf("%q was accepted", url)
		} else if msg := err.Error(); len(msg) > 0 && containsSecret(msg) {
			t.Errorf("%q: message %q shows the password", url, msg)
		}
	}
}

func containsSecret(s string) bool {
	for i := 0; i+7 <= len(s); i++ {
		if s[i:i+7] == "hunter2" {
			return true
		}
	}
	return false
}
