// Package work runs what takes long: durable runs made of steps, that go on
// after a kill where they were, retry what may pass, can be cancelled, and
// start by themselves on a schedule.
//
// A stage says what a kind of run does with Define; Start begins one and
// returns at once. A step that finished is never done again; a step that was
// interrupted is done again from its beginning, so a step's effect must be
// the same when it happens twice (content-addressed files, one commit under
// the run's id). Underneath is a durable-workflow library on SQLite or
// PostgreSQL; nothing outside this package sees it.
package work
