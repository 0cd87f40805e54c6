package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/work"
)

// follow shows the steps of a run until it has ended, and returns its error,
// if it failed.
func (c *commands) follow(ctx context.Context, cl *client.Client, id string) (work.Status, error) {
	v := newView(c.Err)
	status, err := cl.Follow(ctx, id, v.show)
	v.close()
	if err != nil {
		return status, err
	}
	return status, status.Err()
}

// counted tells at a terminal how many of something are done; elsewhere it is
// nil.
func (c *commands) counted(unit string) func(done, all int) {
	if !terminal(c.Err) {
		return nil
	}
	return func(done, all int) {
		fmt.Fprintf(c.Err, "\r  %s %d of %d", unit, done, all)
		if done == all {
			fmt.Fprint(c.Err, "\r\x1b[K") // the result says how many
		}
	}
}

// view shows a run's steps: at a terminal a bar that moves for each, elsewhere
// a line when a step has ended.
type view struct {
	w     io.Writer
	bars  *mpb.Progress // nil when w is no terminal
	steps map[string]*stepView
}

type stepView struct {
	bar    *mpb.Bar
	status work.StepStatus
	ended  bool
}

func newView(w io.Writer) *view {
	v := &view{w: w, steps: map[string]*stepView{}}
	if terminal(w) {
		v.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithRefreshRate(100*time.Millisecond))
	}
	return v
}

// terminal tells whether somebody looks at w.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

func (v *view) show(run work.Status) {
	for _, s := range run.Steps {
		known := v.steps[s.Name]
		if known == nil {
			known = &stepView{}
			v.steps[s.Name] = known
			v.begin(known, s)
		}
		if s.Progress.Note == "" { // the last thing that it said of itself
			s.Progress.Note = known.status.Progress.Note
		}
		known.status = s
		v.update(known)
	}
}

func (v *view) begin(known *stepView, s work.StepStatus) {
	if v.bars == nil {
		return
	}
	started := s.Started
	if started.IsZero() {
		started = time.Now()
	}
	known.bar = v.bars.New(0, mpb.BarStyle().Lbound(" ").Filler("━").Tip("━").Padding("─").Rbound(" "),
		mpb.PrependDecorators(decor.Name(fmt.Sprintf("  %-22s", s.Name), decor.WC{W: 24})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return tail(known.status, started) })),
	)
}

func (v *view) update(known *stepView) {
	s := known.status
	if known.bar != nil && !known.ended {
		known.bar.SetTotal(max(s.Progress.Total, s.Progress.Done+1), false)
		known.bar.SetCurrent(s.Progress.Done)
	}
	if !s.State.Ended() || known.ended {
		return
	}
	known.ended = true
	if known.bar == nil {
		mark := "done"
		if s.State != work.Succeeded {
			mark = string(s.State)
		}
		fmt.Fprintf(v.w, "  %-22s %s %s\n", s.Name, mark, tail(s, s.Started))
		return
	}
	if s.State == work.Succeeded {
		if s.Progress.Done == 0 {
			known.bar.SetTotal(1, false)
			known.bar.SetCurrent(1)
		}
		known.bar.SetTotal(-1, true)
	} else {
		known.bar.Abort(false)
	}
}

// tail says behind a bar how far, how fast, and how long still.
func tail(s work.StepStatus, started time.Time) string {
	p := s.Progress
	took := time.Duration(0)
	if !started.IsZero() { // a step that ended before it was seen to begin
		took = time.Since(started)
	}
	if s.State.Ended() && !s.Ended.IsZero() && !s.Started.IsZero() {
		took = s.Ended.Sub(s.Started)
	}
	text := duration(took)
	if p.Done > 0 && (p.Done > 1 || !s.State.Ended()) {
		text += fmt.Sprintf("  %s", count(p.Done))
		if p.Total > 0 {
			text += " of " + count(p.Total)
		}
		text += " " + p.Unit
	}
	if !s.State.Ended() && p.Rate > 0 {
		text += fmt.Sprintf("  %s/s", count(int64(p.Rate)))
		if p.Total > p.Done {
			text += fmt.Sprintf("  %s left", duration(time.Duration(float64(p.Total-p.Done)/p.Rate*float64(time.Second))))
		}
	}
	if p.Note != "" {
		text += "  " + p.Note
	}
	if s.Error != nil {
		text += "  " + s.Error.What
	}
	return text
}

func (v *view) close() {
	if v.bars == nil {
		return
	}
	for _, s := range v.steps {
		if !s.ended {
			s.bar.Abort(false)
		}
	}
	v.bars.Wait()
}
