// Command keep runs a benchmark that only prints, shows what it prints, and
// keeps it in bench/results/NAME.json with machine, date and revision:
//
//	go run ./bench/keep training go run ./bench/training
package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"os/exec"

	"github.com/leat-ai/leat/bench/internal/result"
)

func main() {
	if len(os.Args) < 3 {
		log.Fatal("usage: keep NAME COMMAND…")
	}
	var text bytes.Buffer
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &text), os.Stderr
	if err := cmd.Run(); err != nil {
		log.Fatal(err)
	}
	if err := result.Keep(result.Entry{Bench: os.Args[1], Text: text.String()}); err != nil {
		log.Fatal(err)
	}
}
