//go:build race

package auto_test

// underRace tells that the race detector slows everything down tenfold. The
// figures do not depend on it, so one table is enough to look for races.
const underRace = true
