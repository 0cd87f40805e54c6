package work

import (
	"context"
	"time"
)

// Ended is a run that succeeded or failed, as Config.Ended is told of it.
type Ended struct {
	ID, Kind, Name, By string
	Took               time.Duration // of the run's present life
	Err                error         // why it failed, or nil
}

// How often, and with which pauses, a run's end is told where it cannot be
// taken.
const (
	tellings   = 8
	firstTell  = 50 * time.Millisecond
	longestLag = 5 * time.Second
)

// tellEnded tells of the end of a run. Its error is that of an engine that
// stops: then the run goes on, and is told, at the next Launch.
func (r *Run) tellEnded(why error) error {
	tell := r.engine.config.Ended
	if tell == nil {
		return nil
	}
	r.mu.Lock()
	took := time.Duration(0)
	if !r.began.IsZero() {
		took = r.engine.clock.Now().Sub(r.began)
	}
	r.mu.Unlock()
	e := Ended{ID: r.id, Kind: r.kind, Name: r.name, By: r.by, Took: max(took, 0), Err: why}
	// A run that is cancelled in this moment has ended all the same.
	ctx := context.Context(r.dbos)
	pause := firstTell
	for attempt := 1; ; attempt++ {
		err := tell(ctx, e)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if attempt == tellings {
			r.engine.log.Error("the end of a run could not be told", "run", r.id, "error", err)
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, longestLag)
	}
}
