// Command batch measures a whole batch: Parquet of doubles in, a 100-tree
// model, scores out, committed. Ours is `leat batch` into a table of the lake,
// with a decision id for every row; the peer is a Python script with LightGBM
// that writes a Parquet file and syncs it. Both are whole processes, and take
// turns; a sample of the scores is held equal first. Peak memory is measured
// at a tenth of the rows too, to see that ours stays flat.
//
//	make build && LEAT_PYTHON=…/python go run ./bench/batch
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/result"
)

// tolerance is the difference of scores up to which the two are equal.
const tolerance = 1e-9

// sample is about how many rows are compared; SQL answers with 1,000 at most.
const sample = 500

func main() {
	rows := flag.Int("rows", result.Scaled(5_000_000, 50_000), "")
	columns := flag.Int("columns", 28, "at least 8")
	rounds := flag.Int("rounds", 5, "")
	flag.Parse()
	if err := run(context.Background(), *rows, *columns, *rounds); err != nil {
		log.Fatal(err)
	}
}

// contest is one project and its peer.
type contest struct {
	project *fixture.Project
	rows    int
	way     string // of the peer
	scores  string // file of the peer
	ours    []binary.Usage
	theirs  []binary.Usage
	inRun   []float64 // seconds of our run without start and end of the process
}

func run(ctx context.Context, rows, columns, rounds int) error {
	dir, err := os.MkdirTemp(os.Getenv("LEAT_BENCH_DIR"), "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &contest{scores: filepath.Join(dir, "peer.parquet")}
	if c.project, err = fixture.Make(ctx, dir, columns); err != nil {
		return err
	}
	small, err := c.small(ctx, rows/10)
	if err != nil {
		return err
	}
	if err := c.write(rows); err != nil {
		return err
	}
	r, err := duel.Alternate(rounds, func() (float64, error) { return c.leat(ctx) }, func() (float64, error) { return c.peer(ctx) })
	if err != nil {
		return err
	}
	if err := c.equal(ctx); err != nil {
		return err
	}
	return c.report(r, small)
}

// peaks is the memory of both sides at their worst, in MiB.
type peaks struct{ ours, theirs float64 }

func (c *contest) peaks() peaks {
	most := func(list []binary.Usage) (mib float64) {
		for _, u := range list {
			mib = max(mib, float64(u.PeakRSS)/(1<<20))
		}
		return mib
	}
	return peaks{most(c.ours), most(c.theirs)}
}

// small runs both sides on fewer rows: to see that they agree, which way of
// the peer is fastest, and what memory they need.
func (c *contest) small(ctx context.Context, rows int) (peaks, error) {
	if err := c.write(rows); err != nil {
		return peaks{}, err
	}
	if _, err := c.leat(ctx); err != nil {
		return peaks{}, err
	}
	best, fastest := math.Inf(1), ""
	for range 2 { // what was read once is in memory
		for _, way := range []string{"polars", "duckdb", "arrow"} {
			c.way = way
			seconds, err := c.peer(ctx)
			if err != nil {
				return peaks{}, err
			}
			if seconds < best {
				best, fastest = seconds, way
			}
		}
	}
	c.way = fastest
	if _, err := c.peer(ctx); err != nil {
		return peaks{}, err
	}
	c.theirs = c.theirs[len(c.theirs)-1:]
	p := c.peaks()
	err := c.equal(ctx)
	c.ours, c.theirs, c.inRun = nil, nil, nil
	return p, err
}

func (c *contest) source() string { return filepath.Join(c.project.Dir, "rows-to-score.parquet") }

func (c *contest) write(rows int) error {
	c.rows = rows
	return fixture.Write(c.source(), fixture.Rows{Count: rows, Columns: c.project.Columns, Seed: 3})
}

func (c *contest) leat(ctx context.Context) (float64, error) {
	out, used, err := binary.Leat(ctx, c.project.Dir, "batch", fixture.Batch)
	if err != nil {
		return 0, err
	}
	var status struct {
		Output struct {
			Rows, Failed int
			Seconds      float64
		}
	}
	if err := json.Unmarshal(out, &status); err != nil {
		return 0, err
	}
	if status.Output.Rows != c.rows || status.Output.Failed != 0 {
		return 0, fmt.Errorf("the batch scored %d rows and failed %d of %d", status.Output.Rows, status.Output.Failed, c.rows)
	}
	c.ours, c.inRun = append(c.ours, used), append(c.inRun, status.Output.Seconds)
	return used.Wall.Seconds(), nil
}

func (c *contest) peer(ctx context.Context) (float64, error) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		python = "python3"
	}
	_, used, err := binary.Run(ctx, python, filepath.Join("bench", "batch", "peer.py"), c.way, c.source(), c.project.Peer, c.scores)
	c.theirs = append(c.theirs, used)
	return used.Wall.Seconds(), err
}

// equal compares evenly spread rows of both outputs.
func (c *contest) equal(ctx context.Context) error {
	step := max(1, c.rows/sample)
	out, _, err := binary.Leat(ctx, c.project.Dir, "sql",
		fmt.Sprintf(`select "row", score from %s where "row" %% %d = 0 order by 1`, fixture.Scores, step))
	if err != nil {
		return err
	}
	var answer struct{ Rows [][2]float64 }
	if err := json.Unmarshal(out, &answer); err != nil {
		return err
	}
	if want := (c.rows + step - 1) / step; len(answer.Rows) != want {
		return fmt.Errorf("the table has %d rows of the sample, not %d", len(answer.Rows), want)
	}
	theirs, err := readScores(ctx, c.scores)
	if err != nil {
		return err
	}
	if len(theirs) != c.rows {
		return fmt.Errorf("the peer scored %d rows of %d", len(theirs), c.rows)
	}
	for _, row := range answer.Rows {
		if !(math.Abs(row[1]-theirs[int(row[0])]) <= tolerance) {
			return fmt.Errorf("row %v: leat says %v, the peer %v", row[0], row[1], theirs[int(row[0])])
		}
	}
	fmt.Fprintf(os.Stderr, "%d of %d scores are compared and equal to %g\n", len(answer.Rows), c.rows, tolerance)
	return nil
}

func readScores(ctx context.Context, path string) ([]float64, error) {
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	rows, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	table, err := rows.ReadTable(ctx)
	if err != nil {
		return nil, err
	}
	defer table.Release()
	var scores []float64
	for _, chunk := range table.Column(table.Schema().FieldIndices("score")[0]).Data().Chunks() {
		scores = append(scores, chunk.(*array.Float64).Float64Values()...)
	}
	return scores, nil
}

func (c *contest) report(r duel.Result, small peaks) error {
	ratio, least, most := r.Speedup()
	large := c.peaks()
	ours, theirs := duel.Median(r.Ours), duel.Median(r.Theirs)
	cpu := func(list []binary.Usage) float64 {
		var seconds []float64
		for _, u := range list {
			seconds = append(seconds, u.CPU.Seconds())
		}
		return duel.Median(seconds)
	}
	return result.Keep(result.Entry{Bench: "batch", Figures: []result.Figure{
		result.Figure{Name: "speed over the script's", Value: ratio, Unit: "×", Least: least, Most: most}.AtLeast(1.5),
		{Name: "whole process", Value: ours, Unit: "s", Peer: theirs, Least: slices.Min(r.Ours), Most: slices.Max(r.Ours)},
		{Name: "run, from plan to commit", Value: duel.Median(c.inRun), Unit: "s"},
		{Name: "rows per second", Value: float64(c.rows) / ours, Unit: "rows/s", Peer: float64(c.rows) / theirs},
		{Name: "processor time", Value: cpu(c.ours), Unit: "s", Peer: cpu(c.theirs)},
		{Name: fmt.Sprintf("peak memory at %d rows", c.rows/10), Value: small.ours, Unit: "MiB", Peer: small.theirs},
		{Name: fmt.Sprintf("peak memory at %d rows", c.rows), Value: large.ours, Unit: "MiB", Peer: large.theirs},
		result.Figure{Name: "growth of peak memory", Value: large.ours / small.ours, Unit: "×", Peer: large.theirs / small.theirs}.AtMost(1.5),
	}, Setup: fmt.Sprintf("%d rows × %d doubles, %d trees, peer: LightGBM with %s, %d rounds", c.rows, c.project.Columns, fixture.Trees, c.way, len(c.ours))})
}
