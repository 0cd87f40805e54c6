// Command training measures the trainer gbdt against LightGBM: the same rows,
// trees, leaves, bins, rate and threads, binning included, in turns. It fails
// when the AUC of the two on unseen rows differs by more than 0.002, because
// then they did not do the same work.
//
//	LEAT_PYTHON=…/python go run ./bench/training
package main

import (
	"bytes"
	"cmp"
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
	"slices"
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

// tolerance is the difference of AUC up to which the two are equal.
const tolerance = 0.002

type size struct{ rows, columns, trees, leaves, bins, threads, rounds int }

func main() {
	var s size
	flag.IntVar(&s.rows, "rows", 1_000_000, "rows to fit; a fifth more are for the AUC")
	flag.IntVar(&s.columns, "columns", 28, "columns, at least 8")
	flag.IntVar(&s.trees, "trees", 100, "")
	flag.IntVar(&s.leaves, "leaves", 31, "")
	flag.IntVar(&s.bins, "bins", 255, "")
	flag.IntVar(&s.threads, "threads", runtime.GOMAXPROCS(0), "")
	flag.IntVar(&s.rounds, "rounds", 5, "")
	flag.Parse()
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s size) error {
	columns, label := made(s.rows*6/5, s.columns)
	folder, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	if err := write(folder, columns, label); err != nil {
		return err
	}
	args := []string{folder}
	for _, n := range []int{s.columns, s.rows, s.trees, s.leaves, s.bins, s.threads} {
		args = append(args, strconv.Itoa(n))
	}
	p, err := duel.Start(ctx, peer, args...)
	if err != nil {
		return err
	}
	defer p.Close()

	var ours, theirs side
	r, err := duel.Alternate(s.rounds, func() (float64, error) {
		return ours.train(ctx, s, columns, label)
	}, func() (float64, error) {
		return theirs.ask(p)
	})
	if err != nil {
		return err
	}
	return report(s, r, ours, theirs)
}

// side remembers the AUC of each round.
type side struct {
	aucs    []float64
	Version string
}

func (a *side) ask(p *duel.Peer) (float64, error) {
	var reply struct {
		Seconds, AUC float64
		Version      string
	}
	err := p.Ask(strconv.Itoa(len(a.aucs)), &reply)
	a.aucs, a.Version = append(a.aucs, reply.AUC), reply.Version
	return reply.Seconds, err
}

func (a *side) train(ctx context.Context, s size, columns [][]float64, label []float64) (float64, error) {
	d := &train.Dataset{
		Encoder: &encode.Encoder{}, Label: label[:s.rows],
		Task: model.Binary, Classes: []string{"no", "yes"},
	}
	test := make([][]float64, len(columns))
	for i, c := range columns {
		d.Encoder.Columns = append(d.Encoder.Columns, encode.Column{Name: "x" + strconv.Itoa(i), Type: frame.Double, Kind: encode.Numeric})
		d.Columns = append(d.Columns, c[:s.rows])
		test[i] = c[s.rows:]
	}
	params := train.Params{Threads: s.threads, Seed: int64(len(a.aucs)), Values: map[string]float64{
		"trees": float64(s.trees), "num_leaves": float64(s.leaves), "max_bin": float64(s.bins),
	}}
	runtime.GC()
	start := time.Now()
	artifact, err := gbdt.Trainer{}.Train(ctx, d, params)
	seconds := time.Since(start).Seconds()
	if err != nil {
		return 0, err
	}
	scores, err := artifact.Model.(*tree.Ensemble).Score(ctx, test)
	if err != nil {
		return 0, err
	}
	a.aucs = append(a.aucs, auc(scores[0], label[s.rows:]))
	return seconds, nil
}

func report(s size, r duel.Result, ours, theirs side) error {
	median, least, most := r.Speedup()
	fmt.Printf("training %d rows × %d columns, %d trees of %d leaves, %d bins, %d threads, %d rounds\n",
		s.rows, s.columns, s.trees, s.leaves, s.bins, s.threads, s.rounds)
	fmt.Printf("  leat gbdt       %7.2f s  AUC %.4f\n", duel.Median(r.Ours), duel.Median(ours.aucs))
	fmt.Printf("  LightGBM %-6s %7.2f s  AUC %.4f\n", theirs.Version, duel.Median(r.Theirs), duel.Median(theirs.aucs))
	fmt.Printf("  leat is %.2f times as fast (%.2f to %.2f)\n", median, least, most)
	if d := math.Abs(duel.Median(ours.aucs) - duel.Median(theirs.aucs)); d > tolerance {
		return fmt.Errorf("the AUC differs by %.4f, more than %.4f", d, tolerance)
	}
	return nil
}

// made returns rows with effects that are curved, that depend on one another,
// and that are not there, in columns with light and with heavy tails.
func made(rows, columns int) ([][]float64, []float64) {
	random := rand.New(rand.NewPCG(1, 28))
	x := make([][]float64, columns)
	for i := range x {
		x[i] = make([]float64, rows)
		for r := range x[i] {
			x[i][r] = random.NormFloat64()
			if i%3 == 2 {
				x[i][r] = math.Exp(x[i][r])
			}
		}
	}
	label := make([]float64, rows)
	for r := range label {
		z := math.Sin(2*x[0][r]) + 0.4*x[1][r]*x[1][r] - 0.4 + 0.6*math.Log(x[2][r]) +
			(1+x[3][r])*0.5*x[4][r] + 0.5*math.Tanh(x[5][r]-1)*x[6][r] + 0.3*x[7][r] + random.NormFloat64()
		if z > 0 {
			label[r] = 1
		}
	}
	return x, label
}

func write(folder string, columns [][]float64, label []float64) error {
	for name, parts := range map[string][][]float64{"columns": columns, "label": {label}} {
		var b bytes.Buffer
		for _, part := range parts {
			if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(folder, name), b.Bytes(), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// auc is the area under the ROC curve, ties counted half.
func auc(scores, label []float64) float64 {
	order := make([]int, len(label))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	positives, ranks := 0.0, 0.0
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && scores[order[to]] == scores[order[from]] {
			to++
		}
		for _, row := range order[from:to] {
			positives += label[row]
			ranks += label[row] * float64(from+1+to) / 2
		}
		from = to
	}
	negatives := float64(len(label)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * negatives)
}
