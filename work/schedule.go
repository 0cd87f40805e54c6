package work

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/leat-ai/leat/base/fault"
)

// schedule is one timetable.
type schedule struct {
	name  string
	spec  string
	times cron.Schedule
	start func(ctx context.Context, due time.Time) error
	next  time.Time
}

// ParseSchedule checks a timetable: five cron fields, @hourly, @daily,
// @weekly, @monthly, @yearly, or @every and a duration of a second or more.
// Times are UTC unless it begins with CRON_TZ=Zone.
func ParseSchedule(spec string) error {
	_, err := parseSchedule(spec)
	return err
}

func parseSchedule(spec string) (cron.Schedule, error) {
	times, err := cron.ParseStandard(spec)
	if every, ok := strings.CutPrefix(spec, "@every "); ok && err == nil {
		// The parser takes any duration and makes a second of it.
		if d, derr := time.ParseDuration(every); derr != nil || d < time.Second {
			err = fault.New(fault.Invalid, "%s is shorter than a second", every)
		}
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "%q is no schedule", spec).Because(err).
			Hint(`write five cron fields ("0 2 * * *"), @daily, or "@every 10m"`)
	}
	return times, nil
}

// Schedule calls start at every time of a timetable, once Launch was called.
// Calling it again with the same name replaces the timetable; an empty spec
// removes it. The last time is durable: of times that passed while no process
// ran, only the latest is caught up on, so a start may come late but never in
// a heap. start begins a run with the id ScheduledID(name, due), so that a
// crash in between does not begin it twice.
func (e *Engine) Schedule(ctx context.Context, name, spec string, start func(ctx context.Context, due time.Time) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if spec == "" {
		delete(e.schedules, name)
		return e.forgetDue(ctx, name)
	}
	times, err := parseSchedule(spec)
	if err != nil {
		return err
	}
	s := &schedule{name: name, spec: spec, times: times, start: start}
	last, known, err := e.lastDue(ctx, name, spec)
	if err != nil {
		return err
	}
	now := e.clock.Now()
	if !known {
		last = now
		if err := e.keepDue(ctx, name, spec, now); err != nil {
			return err
		}
	}
	s.next = latest(times, last, now)
	e.schedules[name] = s
	return nil
}

// latest returns the last time of a timetable in (after, now], or the first
// one after now where there is none.
func latest(times cron.Schedule, after, now time.Time) time.Time {
	next := times.Next(after.UTC())
	// A minute is the shortest step of cron fields; the bound keeps a long
	// absence from taking long to walk through.
	for range 1_000_000 {
		following := times.Next(next)
		if following.IsZero() || following.After(now) {
			break
		}
		next = following
	}
	return next
}

// ScheduledID is the id of the run that a schedule starts at a time.
func ScheduledID(name string, due time.Time) string {
	return fmt.Sprintf("%s-%s", name, due.UTC().Format("20060102t150405z"))
}

// keepSchedules looks every second what is due.
func (e *Engine) keepSchedules(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		e.fire(ctx, e.clock.Now())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// fire starts what is due at now.
func (e *Engine) fire(ctx context.Context, now time.Time) {
	for _, s := range e.due(now) {
		due := latest(s.times, s.next.Add(-time.Nanosecond), now)
		if err := s.start(ctx, due); err != nil {
			e.log.Error("a scheduled run cannot start", "schedule", s.name, "due", due, "error", err)
			if fault.KindOf(err).Retryable() {
				continue // at the next tick
			}
		}
		if err := e.keepDue(ctx, s.name, s.spec, due); err != nil {
			e.log.Error("the time of a schedule cannot be kept", "schedule", s.name, "error", err)
		}
		e.mu.Lock()
		s.next = s.times.Next(now)
		e.mu.Unlock()
	}
}

func (e *Engine) due(now time.Time) []*schedule {
	e.mu.Lock()
	defer e.mu.Unlock()
	var due []*schedule
	for _, s := range e.schedules {
		if !s.next.IsZero() && !s.next.After(now) {
			due = append(due, s)
		}
	}
	return due
}

// The table of schedules stands beside the library's. Its statements are the
// same in SQLite and PostgreSQL.

func (e *Engine) createSchedules(ctx context.Context) error {
	_, err := e.db.ExecContext(ctx,
		`CREATE TABLE IF NOT EXISTS leat_schedules (name TEXT PRIMARY KEY, spec TEXT NOT NULL, due BIGINT NOT NULL)`)
	return fault.Wrap(err, fault.Unavailable, "the table of schedules cannot be made")
}

// lastDue returns when a timetable was due last; a timetable that changed is
// not known.
func (e *Engine) lastDue(ctx context.Context, name, spec string) (time.Time, bool, error) {
	rows, err := e.db.QueryContext(ctx, `SELECT due FROM leat_schedules WHERE name = $1 AND spec = $2`, name, spec)
	if err != nil {
		return time.Time{}, false, fault.Wrap(err, fault.Unavailable, "schedule %q cannot be read", name)
	}
	defer rows.Close()
	if !rows.Next() {
		return time.Time{}, false, fault.Wrap(rows.Err(), fault.Unavailable, "schedule %q cannot be read", name)
	}
	var due int64
	err = rows.Scan(&due)
	return time.UnixMicro(due).UTC(), true, fault.Wrap(err, fault.Corrupt, "schedule %q cannot be read", name)
}

func (e *Engine) keepDue(ctx context.Context, name, spec string, due time.Time) error {
	_, err := e.db.ExecContext(ctx, `INSERT INTO leat_schedules (name, spec, due) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, due = excluded.due`, name, spec, due.UnixMicro())
	return fault.Wrap(err, fault.Unavailable, "schedule %q cannot be kept", name)
}

func (e *Engine) forgetDue(ctx context.Context, name string) error {
	_, err := e.db.ExecContext(ctx, `DELETE FROM leat_schedules WHERE name = $1`, name)
	return fault.Wrap(err, fault.Unavailable, "schedule %q cannot be removed", name)
}
