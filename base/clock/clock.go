// Package clock is how Leat asks for the time: by a value that is handed in,
// so that tests can own it. Code that needs the time takes a Clock; main
// gives it System.
package clock

import "time"

// Clock tells the time. It must be safe for many goroutines.
type Clock interface {
	Now() time.Time
}

// System is the clock of the machine, in UTC with microseconds: the precision
// of every timestamp that Leat stores.
type System struct{}

// Now returns the present time.
func (System) Now() time.Time { return time.Now().UTC() }

// Fixed is a clock that stands still, for tests.
type Fixed time.Time

// Now returns the fixed time.
func (f Fixed) Now() time.Time { return time.Time(f) }
