// Command leat is Leat: everything in one binary. See `leat --help`.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/leat-ai/leat/app"
	"github.com/leat-ai/leat/surface/cli"
)

// garbage is how much, in percent of what is in use, a server may hold before
// it collects. What is in use is small (some 20 MB), and collecting at every
// doubling of it costs a fifth of the time under load. GOGC says otherwise.
const garbage = 300

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	os.Exit(cli.Main(context.Background(), cli.Program{
		Version: app.Version,
		Args:    os.Args[1:],
		In:      os.Stdin,
		Out:     os.Stdout,
		Err:     os.Stderr,
		Start:   app.StartFor,
	}))
}
