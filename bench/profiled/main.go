// Command profiled is leat with a processor profile of its whole life, to see
// what a benchmark's time goes to:
//
//	go build -tags duckdb_arrow -o /tmp/leat-profiled ./bench/profiled
//	LEAT_BINARY=/tmp/leat-profiled LEAT_PROFILE=/tmp/leat go run ./bench/realtime -alone
//	go tool pprof -top /tmp/leat-profiled /tmp/leat-PID.prof
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"runtime/pprof"

	"github.com/leat-ai/leat/app"
	"github.com/leat-ai/leat/surface/cli"
)

func main() {
	f, err := os.Create(fmt.Sprintf("%s-%d.prof", os.Getenv("LEAT_PROFILE"), os.Getpid()))
	if err != nil {
		log.Fatal(err)
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		log.Fatal(err)
	}
	app.SpareCollections()
	code := cli.Main(context.Background(), cli.Program{
		Version: app.Version, Args: os.Args[1:], In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Start: app.StartFor,
	})
	pprof.StopCPUProfile()
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
	os.Exit(code)
}
