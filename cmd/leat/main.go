// Command leat is Leat: everything in one binary. See `leat --help`.
package main

import (
	"context"
	"os"

	"github.com/leat-ai/leat/app"
	"github.com/leat-ai/leat/backends"
	"github.com/leat-ai/leat/surface/cli"
)

func main() {
	app.SpareCollections()
	app.BoundMemory()
	os.Exit(cli.Main(context.Background(), cli.Program{
		Version:  app.Version,
		Args:     os.Args[1:],
		In:       os.Stdin,
		Out:      os.Stdout,
		Err:      os.Stderr,
		Start:    app.StartFor,
		Formats:  backends.Formats,
		Index:    backends.FolderIndex,
		Embedder: backends.Embedder,
	}))
}
