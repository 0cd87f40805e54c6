// Command scoring measures the runtime model/tree against LightGBM's own
// predictor: the same trees, the same rows in memory, one core, in turns. It
// first checks that every answer is the same to 1e-12.
//
//	LEAT_PYTHON=…/python go run ./bench/scoring
package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/gbdt"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/tree"
)

//go:embed peer.py
var peer string

const (
	fitted = 50_000
	most   = 16_384 // rows of the largest batch
)

func main() {
	columns := flag.Int("columns", 28, "columns, at least 4")
	trees := flag.Int("trees", 100, "")
	leaves := flag.Int("leaves", 31, "")
	missing := flag.Float64("missing", 0.05, "share of missing values")
	rounds := flag.Int("rounds", 9, "")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := run(context.Background(), *columns, *trees, *leaves, *missing, *rounds); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, columns, trees, leaves int, missing float64, rounds int) error {
	e, err := fit(ctx, made(fitted, columns, missing, 1), trees, leaves)
	if err != nil {
		return err
	}
	rows := made(most, columns, missing, 2).Columns
	folder, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := write(folder, e, rows); err != nil {
		return err
	}
	p, err := duel.Start(ctx, peer, folder, strconv.Itoa(columns))
	if err != nil {
		return err
	}
	defer p.Close()
	var hello struct{ Version string }
	if err := p.Ask("", &hello); err != nil {
		return err
	}
	if err := compare(ctx, folder, e, rows); err != nil {
		return err
	}
	fmt.Printf("scoring with %d trees of %d leaves, %d columns, %.0f%% missing, one core, LightGBM %s, equal answers; ns per row and tree\n",
		trees, leaves, columns, 100*missing, hello.Version)
	fmt.Printf("%8s %8s %10s %8s\n", "rows", "leat", "LightGBM", "ratio")
	for _, n := range []int{1, 8, 64, 1024, most} {
		if err := measure(ctx, p, e, rows, n, trees, rounds); err != nil {
			return err
		}
	}
	return nil
}

// measure scores batches of n rows on both sides.
func measure(ctx context.Context, p *duel.Peer, e *tree.Ensemble, rows [][]float64, n, trees, rounds int) error {
	times := max(1, most/n)
	r, err := duel.Alternate(rounds, func() (float64, error) {
		start := time.Now()
		part := make([][]float64, len(rows))
		for i := range times {
			at := i * n // the peer walks through the rows too
			for c := range part {
				part[c] = rows[c][at : at+n]
			}
			if _, err := e.Score(ctx, part); err != nil {
				return 0, err
			}
		}
		return time.Since(start).Seconds(), nil
	}, func() (float64, error) {
		var reply struct{ Seconds float64 }
		err := p.Ask(fmt.Sprintf("%d %d", n, times), &reply)
		return reply.Seconds, err
	})
	if err != nil {
		return err
	}
	median, least, most := r.Speedup()
	per := 1e9 / float64(n*times*trees)
	fmt.Printf("%8d %8.2f %10.2f %7.1f× (%.1f to %.1f)\n", n, duel.Median(r.Ours)*per, duel.Median(r.Theirs)*per, median, least, most)
	return nil
}

// compare checks our answers against those that the peer has written.
func compare(ctx context.Context, folder string, e *tree.Ensemble, rows [][]float64) error {
	data, err := os.ReadFile(filepath.Join(folder, "answers"))
	if err != nil {
		return err
	}
	theirs := make([]float64, most)
	if err := binary.Read(bytes.NewReader(data), binary.LittleEndian, theirs); err != nil {
		return err
	}
	ours, err := e.Score(ctx, rows)
	if err != nil {
		return err
	}
	for i, v := range ours[0] {
		if !(math.Abs(v-theirs[i]) <= 1e-12) {
			return fmt.Errorf("row %d: %v here, %v by the peer", i, v, theirs[i])
		}
	}
	return nil
}

func fit(ctx context.Context, d *train.Dataset, trees, leaves int) (*tree.Ensemble, error) {
	a, err := gbdt.Trainer{}.Train(ctx, d, train.Params{Values: map[string]float64{
		"trees": float64(trees), "num_leaves": float64(leaves),
	}})
	if err != nil {
		return nil, err
	}
	e := a.Model.(*tree.Ensemble)
	if n := len(e.Definition().Trees); n != trees {
		return nil, fmt.Errorf("training made %d trees, not %d", n, trees)
	}
	return e, nil
}

func made(rows, columns int, missing float64, seed uint64) *train.Dataset {
	random := rand.New(rand.NewPCG(seed, 28))
	d := &train.Dataset{
		Encoder: &encode.Encoder{}, Columns: make([][]float64, columns), Label: make([]float64, rows),
		Task: model.Binary, Classes: []string{"no", "yes"},
	}
	for i := range d.Columns {
		d.Encoder.Columns = append(d.Encoder.Columns, encode.Column{Name: "x" + strconv.Itoa(i), Type: frame.Double, Kind: encode.Numeric})
		d.Columns[i] = make([]float64, rows)
	}
	for r := range d.Label {
		z := random.NormFloat64()
		for i, c := range d.Columns {
			c[r] = random.NormFloat64()
			z += math.Sin(c[r]*2) * float64(1+i%4) / 4
			if i%3 == 2 {
				c[r] = math.Exp(c[r])
			}
			if random.Float64() < missing {
				c[r] = math.NaN()
			}
		}
		if z > 0 {
			d.Label[r] = 1
		}
	}
	return d
}

func write(folder string, e *tree.Ensemble, rows [][]float64) error {
	if err := os.WriteFile(filepath.Join(folder, "model.txt"), lightGBM(e.Definition()), 0o600); err != nil {
		return err
	}
	var b bytes.Buffer
	for _, c := range rows {
		if err := binary.Write(&b, binary.LittleEndian, c); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(folder, "columns"), b.Bytes(), 0o600)
}
