// Command retrieval measures the text index: how good its rankings are on three
// test collections beside Lucene's in the same harness, and how fast it indexes
// and answers at 100,000 passages under access filters, beside Lucene, bleve
// and SQLite's FTS5 on the same passages and questions.
//
//	go run ./bench/retrieval              all of it, some minutes
//	go run ./bench/retrieval -quality     the collections only
//	go run ./bench/retrieval -speed -passages 20000 -peers lucene
//
// Before anything is timed, the engine is held against Lucene where both score
// alike: the same terms, k1 and b, and passages so short that Lucene keeps
// their length exactly. The ten best and their scores must be equal.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/leat-ai/leat/bench/internal/result"
)

func main() {
	b := bench{data: os.Getenv("LEAT_DATA"), tools: os.Getenv("LEAT_TOOLS")}
	if b.data == "" {
		b.data = "../shared/data"
	}
	if b.tools == "" {
		b.tools = ".cache/tools"
	}
	flag.IntVar(&b.passages, "passages", max(1000, int(100_000*result.Scale())), "passages of the second half")
	quality := flag.Bool("quality", false, "only the quality of rankings")
	speed := flag.Bool("speed", false, "only the speed")
	flag.StringVar(&b.peers, "peers", "lucene,bleve,fts5", "peers of the second half")
	flag.Parse()
	if err := b.run(context.Background(), *quality, *speed); err != nil {
		log.Fatal(err)
	}
}

// bench is one run of the benchmark.
type bench struct {
	data, tools string
	passages    int
	peers       string
	folder      string // of files that go with the run
	figures     []result.Figure
}

func (b *bench) run(ctx context.Context, quality, speed bool) (err error) {
	if b.folder, err = os.MkdirTemp("", "leat-retrieval-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.folder)) }()
	if err := b.equal(ctx); err != nil {
		return err
	}
	setup := "Lucene 9.12.3 with EnglishAnalyzer"
	if !speed {
		if err := b.quality(ctx); err != nil {
			return err
		}
		setup += ", k1 0.9, b 0.4 for rankings"
	}
	if !quality {
		if err := b.speed(ctx); err != nil {
			return err
		}
		setup += fmt.Sprintf("; %d passages of some 640 bytes of the AWS pages; bleve 2.6.1, SQLite FTS5", b.passages)
	}
	return result.Keep(result.Entry{Bench: "retrieval", Figures: b.figures, Setup: setup})
}

func (b *bench) file(name string) string { return filepath.Join(b.folder, name) }

func (b *bench) set(name string, files ...string) (all []string) {
	for _, f := range files {
		all = append(all, filepath.Join(b.data, "retrieval-"+name, f))
	}
	return all
}

func (b *bench) add(f result.Figure) { b.figures = append(b.figures, f) }
