// Command past measures the point-in-time join of training and batch: labels
// with a customer and a time get the features that the customer had then, of
// five views over one table of events: two of the newest row, three over
// windows of 24 hours, 7 days and all of the past. The events are in no order.
//
// The view of the newest row is measured beside DuckDB's ASOF join, which is
// the same question, in turns; the number of values found and their sum are
// held equal first. Ours runs in a process of its own, so that its memory is
// told. Both read the same Parquet files.
//
//	LEAT_PYTHON=…/python go run ./bench/past -rows 10000000
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/result"
)

//go:embed peer.py
var peer string

func main() {
	rows := flag.Int("rows", result.Scaled(1_000_000, 50_000), "labels; there are as many events")
	mebibytes := flag.Int64("memory", 256, "MiB that the join may hold")
	rounds := flag.Int("rounds", 3, "of the comparison; 0: none")
	child := flag.String("child", "", "run a join over the files of a folder and print what it came to: plain or all")
	dir := flag.String("dir", "", "")
	flag.Parse()
	var err error
	if *child != "" {
		err = join(context.Background(), *dir, *child == "plain", *mebibytes<<20)
	} else {
		err = run(context.Background(), *rows, *mebibytes, *rounds)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// outcome is what a join came to.
type outcome struct {
	Seconds float64
	Found   int64 // values of the first view
	Sum     int64 // of them
	Rows    int64
	Events  int64
	Spilled int64 // bytes
	Peak    int64 // bytes, of the process
}

func run(ctx context.Context, rows int, mebibytes int64, rounds int) error {
	dir, err := os.MkdirTemp(os.Getenv("LEAT_BENCH_DIR"), "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	customers := max(1000, rows/50)
	if err := write(filepath.Join(dir, "labels.parquet"), rows, customers, 1); err != nil {
		return err
	}
	if err := write(filepath.Join(dir, "events.parquet"), rows, customers, 2); err != nil {
		return err
	}
	all, err := ours(ctx, dir, "all", mebibytes)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "five views: %+v\n", all)
	figures := []result.Figure{
		{Name: "five views, labels/s", Value: float64(all.Rows) / all.Seconds},
		{Name: "five views, seconds", Value: all.Seconds},
		{Name: "five views, peak memory", Value: float64(all.Peak) / (1 << 20), Unit: "MiB"},
		{Name: "five views, written to disk", Value: float64(all.Spilled) / (1 << 20), Unit: "MiB"},
	}
	if rounds > 0 {
		beside, err := compare(ctx, dir, mebibytes, rounds)
		if err != nil {
			return err
		}
		figures = append(figures, beside...)
	}
	return result.Keep(result.Entry{Bench: "past", Figures: figures,
		Setup: fmt.Sprintf("%d labels, %d events of %d customers, %d MiB for the join", rows, rows, customers, mebibytes)})
}

func compare(ctx context.Context, dir string, mebibytes int64, rounds int) ([]result.Figure, error) {
	var us, them outcome
	r, err := duel.Alternate(rounds,
		func() (_ float64, err error) { us, err = ours(ctx, dir, "plain", mebibytes); return us.Seconds, err },
		func() (_ float64, err error) { them, err = theirs(ctx, dir); return them.Seconds, err })
	if err != nil {
		return nil, err
	}
	if us.Found != them.Found || us.Sum != them.Sum {
		return nil, fmt.Errorf("%d values with the sum %d were found, and %d with %d by DuckDB", us.Found, us.Sum, them.Found, them.Sum)
	}
	mine, other := duel.Median(r.Ours), duel.Median(r.Theirs)
	return []result.Figure{
		{Name: "newest row, seconds", Value: mine, Peer: other, Note: "DuckDB, ASOF join"},
		{Name: "newest row, peak memory", Value: float64(us.Peak) / (1 << 20), Peer: float64(them.Peak) / (1 << 20), Unit: "MiB"},
		{Name: "newest row, DuckDB's time over ours", Value: other / mine},
	}, nil
}

// ours runs this program once more, in a process of its own.
func ours(ctx context.Context, dir, what string, mebibytes int64) (outcome, error) {
	self, err := os.Executable()
	if err != nil {
		return outcome{}, err
	}
	cmd := exec.CommandContext(ctx, self, "-child", what, "-dir", dir, "-memory", strconv.FormatInt(mebibytes, 10))
	cmd.Stderr = os.Stderr
	return answer(cmd)
}

func theirs(ctx context.Context, dir string) (outcome, error) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		python = "python3"
	}
	cmd := exec.CommandContext(ctx, python, "-c", peer, dir)
	cmd.Stderr = os.Stderr
	return answer(cmd)
}

func answer(cmd *exec.Cmd) (o outcome, err error) {
	text, err := cmd.Output()
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}
