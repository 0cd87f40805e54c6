package decide

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A deadline is to everybody what the standard library's would be, whoever
// asks what and when. (An error that was seen first by asking stays.)
func TestDeadlineIsLikeTheStandardOne(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"err", "done", "sleep", "caller leaves", "child", "end"}), 1, 12).Draw(rt, "steps")
		synctest.Test(t, func(*testing.T) {
			caller, leave := context.WithCancel(context.Background())
			defer leave()
			d := &deadline{Context: caller, at: time.Now().Add(100 * time.Millisecond)}
			want, cancel := context.WithDeadline(caller, d.at)
			defer cancel()
			defer d.end()
			for _, step := range steps {
				switch step {
				case "sleep":
					time.Sleep(60 * time.Millisecond)
				case "caller leaves":
					leave()
				case "end":
					d.end()
					cancel()
				case "done":
					synctest.Wait()
					if closed(d.Done()) != closed(want.Done()) {
						rt.Fatalf("after %v: done is %v, not %v", steps, closed(d.Done()), closed(want.Done()))
					}
				case "child":
					child, drop := context.WithCancel(d)
					synctest.Wait()
					if (child.Err() == nil) != (want.Err() == nil) {
						rt.Fatalf("after %v: a child has %v, the standard one %v", steps, child.Err(), want.Err())
					}
					drop()
				}
				if got := d.Err(); got != want.Err() { //nolint:errorlint // the very same values
					rt.Fatalf("after %v: %v, not %v", steps, got, want.Err())
				}
			}
		})
	})
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestWhoWaitsIsWokenByTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &deadline{Context: t.Context(), at: time.Now().Add(time.Second)}
		defer d.end()
		begin := time.Now()
		<-d.Done()
		if waited := time.Since(begin); waited != time.Second || d.Err() != context.DeadlineExceeded { //nolint:errorlint // the very same value
			t.Errorf("%v after %v", d.Err(), waited)
		}
	})
}
