// Command ingest measures how fast a CSV file becomes a table: `leat ingest`
// into the lake, types found out, against DuckDB's copy of CSV to Parquet as a
// reference for how fast it can be. Both are whole processes and take turns;
// row count and sums of both results are held equal. Peak memory at a tenth of
// the file shows whether it depends on the size.
//
// LEAT_INGEST_GB is the size of the file, 1 when unset; 10 is what the memory
// is promised for.
//
//	make build && LEAT_PYTHON=…/python go run ./bench/ingest
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
	"strconv"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/result"
)

// memory is what one process may hold while it ingests, in MiB.
const memory = 1024

func main() {
	gigabytes := 1.0
	if v, err := strconv.ParseFloat(os.Getenv("LEAT_INGEST_GB"), 64); err == nil && v > 0 {
		gigabytes = v
	}
	bytes := flag.Int64("bytes", int64(gigabytes*result.Scale()*1e9), "of the file")
	rounds := flag.Int("rounds", 3, "")
	flag.Parse()
	if err := run(context.Background(), *bytes, *rounds); err != nil {
		log.Fatal(err)
	}
}

// contest is one file and both sides.
type contest struct {
	dir, csv, parquet string
	rows              int64
	ours, theirs      []binary.Usage
	version           string
}

func run(ctx context.Context, bytes int64, rounds int) error {
	dir, err := os.MkdirTemp(os.Getenv("LEAT_BENCH_DIR"), "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &contest{dir: dir, csv: filepath.Join(dir, "transactions.csv"), parquet: filepath.Join(dir, "peer.parquet")}
	if err := os.WriteFile(filepath.Join(dir, "project.yaml"), []byte("kind: Source\nname: transactions\nfrom: transactions.csv\n"), 0o644); err != nil {
		return err
	}
	if c.rows, err = write(c.csv, bytes/10); err != nil {
		return err
	}
	if err := c.once(ctx); err != nil {
		return err
	}
	small := [2]float64{peak(c.ours), peak(c.theirs)}
	c.ours, c.theirs = nil, nil
	if c.rows, err = write(c.csv, bytes); err != nil {
		return err
	}
	r, err := duel.Alternate(rounds, func() (float64, error) { return c.leat(ctx) }, func() (float64, error) { return c.peer(ctx) })
	if err != nil {
		return err
	}
	if err := c.equal(ctx); err != nil {
		return err
	}
	return c.report(r, bytes, small)
}

// once lets both sides do the work and compares.
func (c *contest) once(ctx context.Context) error {
	if _, err := c.leat(ctx); err != nil {
		return err
	}
	if _, err := c.peer(ctx); err != nil {
		return err
	}
	return c.equal(ctx)
}

// leat ingests into a new home, because a file that was read once is known.
func (c *contest) leat(ctx context.Context) (float64, error) {
	if err := os.RemoveAll(filepath.Join(c.dir, ".leat")); err != nil {
		return 0, err
	}
	_, used, err := binary.Leat(ctx, c.dir, "ingest", "transactions", "--apply")
	c.ours = append(c.ours, used)
	return used.Wall.Seconds(), err
}

func (c *contest) peer(ctx context.Context) (float64, error) {
	out, used, err := python(ctx, "peer.py", c.csv, c.parquet)
	if err != nil {
		return 0, err
	}
	c.theirs = append(c.theirs, used)
	var said struct{ Version string }
	err = json.Unmarshal(out, &said)
	c.version = said.Version
	return used.Wall.Seconds(), err
}

func python(ctx context.Context, script string, args ...string) ([]byte, binary.Usage, error) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		python = "python3"
	}
	return binary.Run(ctx, python, append([]string{filepath.Join("bench", "ingest", script)}, args...)...)
}

// sums are numbers that show a lost, doubled or changed row.
const sums = "count(*), sum(amount), sum(card_age_days), count(balance), sum(length(merchant)), sum(length(country))"

// tolerance is that of sums, relative: they are added in another order.
const tolerance = 1e-9

func (c *contest) equal(ctx context.Context) error {
	out, _, err := binary.Leat(ctx, c.dir, "sql", "select "+sums+" from transactions")
	if err != nil {
		return err
	}
	var ours struct{ Rows [][]float64 }
	if err := json.Unmarshal(out, &ours); err != nil {
		return err
	}
	if out, _, err = python(ctx, "sums.py", c.parquet, sums); err != nil {
		return err
	}
	var theirs [][]float64
	if err := json.Unmarshal(out, &theirs); err != nil {
		return err
	}
	for i, v := range theirs[0] {
		if !(math.Abs(ours.Rows[0][i]-v) <= tolerance*math.Abs(v)) {
			return fmt.Errorf("figure %d of (%s): leat has %v, DuckDB %v", i+1, sums, ours.Rows[0][i], v)
		}
	}
	if int64(theirs[0][0]) != c.rows {
		return fmt.Errorf("%v rows of %d", theirs[0][0], c.rows)
	}
	fmt.Fprintf(os.Stderr, "%d rows, counts and sums are equal\n", c.rows)
	return nil
}

// peak is the most memory of any round, in MiB.
func peak(list []binary.Usage) (mib float64) {
	for _, u := range list {
		mib = max(mib, float64(u.PeakRSS)/(1<<20))
	}
	return mib
}

func (c *contest) report(r duel.Result, bytes int64, small [2]float64) error {
	ratio, least, most := r.Speedup()
	ours, theirs := duel.Median(r.Ours), duel.Median(r.Theirs)
	return result.Keep(result.Entry{Bench: "ingest", Figures: []result.Figure{
		{Name: "speed over DuckDB's", Value: ratio, Unit: "×", Least: least, Most: most},
		{Name: "rows per second", Value: float64(c.rows) / ours, Unit: "rows/s", Peer: float64(c.rows) / theirs,
			Least: float64(c.rows) / slices.Max(r.Ours), Most: float64(c.rows) / slices.Min(r.Ours)},
		{Name: "bytes per second", Value: float64(bytes) / ours / 1e6, Unit: "MB/s", Peer: float64(bytes) / theirs / 1e6},
		{Name: "peak memory at a tenth of the file", Value: small[0], Unit: "MiB", Peer: small[1]},
		result.Figure{Name: "peak memory", Value: peak(c.ours), Unit: "MiB", Peer: peak(c.theirs)}.AtMost(memory),
	}, Setup: fmt.Sprintf("CSV of %.2f GB, %d rows × 10 columns, peer: DuckDB %s to Parquet, %d rounds", float64(bytes)/1e9, c.rows, c.version, len(c.ours))})
}
