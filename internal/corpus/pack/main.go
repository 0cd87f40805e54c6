// Command pack keeps what fuzzing found: it writes the inputs that the go
// command collected for a target into the archive that the target's tests read.
//
//	go run ./internal/corpus/pack model/xgboost FuzzJSON [FOLDER]
//
// FOLDER is where the inputs are; the cache of the go command when absent.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/leat-ai/leat/internal/corpus"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 3 {
		log.Fatal("usage: pack PACKAGE TARGET [FOLDER]")
	}
	pkg, target := filepath.Clean(os.Args[1]), os.Args[2]
	folder := ""
	if len(os.Args) > 3 {
		folder = os.Args[3]
	} else {
		cache, err := exec.CommandContext(context.Background(), "go", "env", "GOCACHE").Output()
		if err != nil {
			log.Fatal(err)
		}
		folder = filepath.Join(strings.TrimSpace(string(cache)), "fuzz", "github.com/leat-ai/leat", pkg, target)
	}
	n, err := corpus.Pack(folder, filepath.Join(pkg, "testdata", "corpus", target+".zip"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d inputs\n", n)
}
