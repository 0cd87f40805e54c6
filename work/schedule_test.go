package work

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
)

// handClock is moved by the test.
type handClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *handClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *handClock) set(at string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", at)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
	return t
}

func TestScheduleFiresAndCatchesUpOnce(t *testing.T) {
	url := "sqlite:" + filepath.Join(t.TempDir(), "work.db")
	clock := &handClock{}
	clock.set("2026-03-01 12:00")
	var fired []string
	start := func(_ context.Context, due time.Time) error {
		fired = append(fired, due.Format("01-02 15:04"))
		return nil
	}
	open := func() *Engine {
		e, err := Open(t.Context(), Config{URL: url, Clock: clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Schedule(t.Context(), "nightly", "0 2 * * *", start); err != nil {
			t.Fatal(err)
		}
		return e
	}
	expect := func(when string, want ...string) {
		t.Helper()
		if !slices.Equal(fired, want) {
			t.Errorf("%s: fired %v, want %v", when, fired, want)
		}
		fired = nil
	}
	e := open()
	e.fire(t.Context(), clock.Now())
	expect("at first")
	e.fire(t.Context(), clock.set("2026-03-02 02:00"))
	e.fire(t.Context(), clock.Now())
	expect("at its time", "03-02 02:00")
	e.fire(t.Context(), clock.set("2026-03-05 07:00"))
	e.fire(t.Context(), clock.Now())
	expect("after a long sleep", "03-05 02:00")
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}

	clock.set("2026-03-09 01:00")
	e = open()
	e.fire(t.Context(), clock.Now())
	expect("after a restart", "03-08 02:00")
	if err := e.Schedule(t.Context(), "nightly", "@every 1h", start); err != nil {
		t.Fatal(err)
	}
	e.fire(t.Context(), clock.Now())
	expect("after a change")
	if err := e.Schedule(t.Context(), "nightly", "", nil); err != nil {
		t.Fatal(err)
	}
	e.fire(t.Context(), clock.set("2026-03-20 01:00"))
	expect("after its removal")
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestScheduleTriesAgainWhatMayPass(t *testing.T) {
	clock := &handClock{}
	clock.set("2026-03-01 12:00")
	e, err := Open(t.Context(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db"), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(t.Context())
	calls := 0
	err = e.Schedule(t.Context(), "s", "@daily", func(context.Context, time.Time) error {
		if calls++; calls == 1 {
			return fault.New(fault.Overloaded, "not now")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	clock.set("2026-03-02 00:00")
	for range 3 {
		e.fire(t.Context(), clock.Now())
	}
	if calls != 2 {
		t.Errorf("%d calls", calls)
	}
}

func TestParseSchedule(t *testing.T) {
	for _, spec := range []string{"0 2 * * *", "@daily", "@every 10m", "*/5 8-18 * * 1-5", "CRON_TZ=Europe/Berlin 0 2 * * *"} {
		if err := ParseSchedule(spec); err != nil {
			t.Errorf("%q: %v", spec, err)
		}
	}
	for _, spec := range []string{"", "daily", "61 * * * *", "0 0 2 * * *", "@every", "@every -1h"} {
		if err := ParseSchedule(spec); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

func TestRetentionRemovesEndedRunsOnly(t *testing.T) {
	e, err := Open(t.Context(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "w.db"), Keep: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	Define(e, "k", func(ctx context.Context, _ *Run, block bool) (int, error) {
		if block {
			<-ctx.Done()
		}
		return 0, ctx.Err()
	})
	if err := e.Launch(t.Context()); err != nil {
		t.Fatal(err)
	}
	var ids [2]string
	for i, block := range []bool{false, true} {
		if ids[i], err = e.Start(t.Context(), "k", "x", block); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Wait(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	if err := e.removeBefore(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	left, err := e.List(t.Context(), Filter{})
	if err != nil || len(left) != 1 || left[0].ID != ids[1] {
		t.Errorf("left %+v, %v", left, err)
	}
}

func TestSynchronousIsFull(t *testing.T) {
	e, err := Open(t.Context(), Config{URL: "sqlite:" + filepath.Join(t.TempDir(), "a b%c.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(t.Context())
	conns := 3
	for range conns {
		c, err := e.db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var level int
		var mode string
		if err := c.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&level); err != nil || level != 2 {
			t.Errorf("synchronous = %d, %v; want 2 (FULL)", level, err)
		}
		if err := c.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode); err != nil || mode != "wal" {
			t.Errorf("journal_mode = %q, %v", mode, err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	e, err := Open(b.Context(), Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "w.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	Define(e, "k", func(_ context.Context, r *Run, n int) (int, error) {
		items := make([]struct{}, n)
		_, err := Parallel(r, "s", items, ParallelOptions{Workers: 2}, func(context.Context, *Progress, int, struct{}) (int, error) { return 1, nil })
		return 0, err
	})
	if err := e.Launch(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	id, err := e.Start(b.Context(), "k", "x", b.N)
	if err != nil {
		b.Fatal(err)
	}
	for {
		st, err := e.Get(b.Context(), id)
		if err != nil {
			b.Fatal(err)
		}
		if st.State.Ended() {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

func BenchmarkOpenAndLaunch(b *testing.B) {
	for _, again := range []bool{false, true} {
		name := "first"
		if again {
			name = "again"
		}
		b.Run(name, func(b *testing.B) {
			dir := b.TempDir()
			for i := range b.N {
				file := "w.db"
				if !again {
					file = string(rune('a'+i%26)) + time.Now().Format("150405.000000") + file
				}
				e, err := Open(b.Context(), Config{URL: "sqlite:" + filepath.Join(dir, file)})
				if err != nil {
					b.Fatal(err)
				}
				if err := e.Launch(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				e.Close(b.Context())
				b.StartTimer()
			}
		})
	}
}
