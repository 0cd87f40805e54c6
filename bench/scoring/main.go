// Command scoring measures the tree engine against the predictors that people
// use instead, each on the same trees: LightGBM, ONNX Runtime, Treelite, TL2cgen
// and lleaves on a model of LightGBM, XGBoost on one of its own of the same
// shape. Rows are those of the Higgs sample, 28 columns, in memory; everything
// runs on one core, in turns, and the clock is the processor time of each
// side. It first checks that the answers are equal.
//
//	LEAT_PYTHON=…/python go run ./bench/scoring [-quick] [-without lleaves,TL2cgen]
package main

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/leat-ai/leat/bench/internal/result"
)

//go:embed peer.py
var script string

const columns = 28

// shape is a model to score with.
type shape struct{ trees, leaves int }

func (s shape) String() string { return fmt.Sprintf("%d×%d", s.trees, s.leaves) }

// plan is what to measure.
type plan struct {
	shapes  []shape
	batches []int
	rounds  int
	without []string // names of peers
}

func main() {
	quick := flag.Bool("quick", false, "the small model only, fewer rounds and rows")
	trees := flag.Int("trees", 0, "trees of a single model of another shape, with -leaves")
	leaves := flag.Int("leaves", 31, "")
	without := flag.String("without", "", "peers to leave out, with commas between them")
	core := flag.Int("core", runtime.NumCPU()-1, "the core that all sides run on; -1 for any")
	flag.Parse()
	if err := pin(*core); err != nil {
		log.Fatal(err)
	}
	runtime.GOMAXPROCS(1)
	p := plan{shapes: []shape{{100, 31}, {500, 255}}, batches: []int{1, 10, 1000, 100_000}, rounds: 7}
	if *quick {
		p = plan{shapes: p.shapes[:1], batches: []int{1, 10, 1000, 10_000}, rounds: 3}
	}
	if *trees > 0 {
		p.shapes = []shape{{*trees, *leaves}}
	}
	p.without = strings.Split(*without, ",")
	if err := run(context.Background(), p); err != nil {
		log.Fatal(err)
	}
}

// pin starts the program anew on one core, which its peers then inherit.
func pin(core int) error {
	const pinned = "LEAT_BENCH_PINNED"
	if core < 0 || os.Getenv(pinned) != "" {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("taskset of util-linux is needed to run on one core; -core=-1 goes without: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{taskset, "-c", strconv.Itoa(core), self}, os.Args[1:]...)
	return syscall.Exec(taskset, args, append(os.Environ(), pinned+"=1"))
}

func run(ctx context.Context, p plan) error {
	rows, labels, err := higgs()
	if err != nil {
		return err
	}
	entry := result.Entry{Bench: "scoring"}
	var said []string
	for _, s := range p.shapes {
		m, err := prepare(ctx, s, rows, labels, slices.Max(p.batches), p.without)
		if err != nil {
			return err
		}
		said = m.say(said)
		for _, n := range p.batches {
			figures, err := m.measure(ctx, n, p.rounds)
			if err != nil {
				m.close()
				return err
			}
			entry.Figures = append(entry.Figures, figures...)
		}
		m.close()
	}
	entry.Setup = "Higgs sample, 28 columns, one core, processor time; ×: the peer's time over ours; peer: ns per row and tree. " + strings.Join(said, ", ")
	return result.Keep(entry)
}
