package linear

import (
	"context"
	"math"
	"runtime"
	"sync"

	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
	"github.com/leat-ai/leat/model/linear"
)

// parts is into how many pieces the rows are cut for summing, whatever the
// number of goroutines: the sums are added up in the order of the pieces.
const parts = 8

// problem is the objective over the training rows. The design matrix is never
// made: every row has exactly one entry for each column (its standardised
// number, its missing indicator, or its category) and one for the bias, and
// these are worked out again in each pass.
//
// Weights are laid out score by score: weight j of score k is at k*width+j,
// and the last of each width is the bias.
type problem struct {
	columns  [][]float64
	blocks   []block
	label    []float64
	weight   []float64 // nil: all 1; otherwise with mean 1
	task     model.Task
	rows     int
	width    int
	scores   int
	l2       float64
	threads  int
	progress func(done, total int, loss float64)
	notes    []string
}

// block is where the weights of one column stand.
type block struct {
	category    bool
	offset      int
	codes       int // of a category, the unseen included
	missing     int // where the weight of a missing value stands, or -1
	mean, scale float64
	held        bool // left out of the fit
}

func newProblem(d *train.Dataset, l2 float64, params train.Params) *problem {
	p := &problem{
		columns: d.Columns, label: d.Label, task: d.Task, rows: d.Rows() - d.Valid,
		scores: scoresOf(d), l2: l2, threads: params.Threads, progress: params.Progress,
	}
	if p.threads <= 0 {
		p.threads = runtime.GOMAXPROCS(0)
	}
	p.weight = meanOne(d.Weight, p.rows)
	for i, c := range d.Encoder.Columns {
		p.blocks = append(p.blocks, p.newBlock(c, d.Columns[i][:p.rows]))
	}
	p.width++ // the bias
	return p
}

func meanOne(weight []float64, rows int) []float64 {
	if weight == nil {
		return nil
	}
	sum := 0.0
	for _, w := range weight[:rows] {
		sum += w
	}
	if !(sum > 0) {
		return nil
	}
	scaled := make([]float64, rows)
	for i := range scaled {
		scaled[i] = weight[i] * float64(rows) / sum
	}
	return scaled
}

func (p *problem) newBlock(c encode.Column, values []float64) block {
	b := block{offset: p.width, missing: -1, category: c.Kind == encode.Category}
	if b.category {
		b.codes = len(c.Categories) + 1
		p.width += b.codes
	} else {
		b.mean, b.scale = moments(values)
		p.width++
	}
	for _, v := range values {
		if linear.IsMissing(v) {
			b.missing = p.width
			p.width++
			break
		}
	}
	return b
}

// moments returns the mean and the standard deviation of what is there, or 1
// where there is no spread. Two passes, because times are large numbers that
// differ little.
func moments(values []float64) (mean, scale float64) {
	n := 0.0
	for _, v := range values {
		if !linear.IsMissing(v) {
			n++
			mean += (v - mean) / n
		}
	}
	square := 0.0
	for _, v := range values {
		if !linear.IsMissing(v) {
			square += (v - mean) / n * (v - mean)
		}
	}
	scale = math.Sqrt(square)
	if !(scale > 1e-12*math.Abs(mean)) || linear.IsMissing(scale) {
		scale = 1
	}
	if linear.IsMissing(mean) {
		mean = 0
	}
	return mean, scale
}

// eachRow calls f with the entries of rows from to to: where each column's
// weight stands, in ascending order, and what it is multiplied with. A held
// column's entry is 0. The slices are used again for the next row.
func (p *problem) eachRow(from, to int, f func(row int, at []int32, z []float64)) {
	at, z := make([]int32, len(p.blocks)), make([]float64, len(p.blocks))
	for row := from; row < to; row++ {
		for i := range p.blocks {
			b := &p.blocks[i]
			x := p.columns[i][row]
			switch {
			case linear.IsMissing(x):
				// A column without a missing value in training has no weight
				// for it; its own entry times 0 keeps the entries in order.
				at[i], z[i] = int32(max(b.missing, b.offset)), 1
				if b.missing < 0 {
					z[i] = 0
				}
			case b.category:
				at[i], z[i] = int32(b.offset+int(x)), 1
			default:
				at[i], z[i] = int32(b.offset), linear.Standardise(x, b.mean, b.scale)
				if b.held {
					z[i] = 0
				}
			}
		}
		f(row, at, z)
	}
}

// inParts calls f once for each part of the rows, on as many goroutines as
// there are threads.
func (p *problem) inParts(ctx context.Context, f func(part, from, to int)) error {
	var (
		wg   sync.WaitGroup
		slot = make(chan struct{}, p.threads)
	)
	for part := range parts {
		if ctx.Err() != nil {
			break
		}
		slot <- struct{}{}
		wg.Go(func() {
			defer func() { <-slot }()
			f(part, p.rows*part/parts, p.rows*(part+1)/parts)
		})
	}
	wg.Wait()
	return ctx.Err()
}

func (p *problem) weightOf(row int) float64 {
	if p.weight == nil {
		return 1
	}
	return p.weight[row]
}

// penalty returns l2/2 times the squared weights without the biases.
func (p *problem) penalty(weights []float64) float64 {
	sum := 0.0
	for i, w := range weights {
		if i%p.width != p.width-1 {
			sum += w * w
		}
	}
	return p.l2 / 2 * sum
}

// single is the loss of one row with one score: its value, and its first and
// second derivative by the score.
func (p *problem) single(score, y float64) (loss, first, second float64) {
	if p.task == model.Regression {
		return (score - y) * (score - y) / 2, score - y, 1
	}
	prob := 1 / (1 + math.Exp(-score))
	// log(1+exp(-m)) without overflow, m being the margin of the true class.
	margin := score
	if y == 0 {
		margin = -score
	}
	loss = math.Log1p(math.Exp(-math.Abs(margin))) + max(0, -margin)
	return loss, prob - y, prob * (1 - prob)
}

func dot(weights []float64, at []int32, z []float64) float64 {
	sum := weights[len(weights)-1]
	for i, j := range at {
		sum += weights[j] * z[i]
	}
	return sum
}
