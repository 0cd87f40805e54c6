package auto

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
)

// Bounds of the search.
const (
	fiveFolds  = 10_000 // rows up to which five folds are made
	threeFolds = 20_000 // rows up to which three are
	maxFit     = 40_000 // rows that one setting is fitted to
	maxJudge   = 20_000 // and judged by
	judgeShare = 0.15   // of the rows, where none are marked for validation
)

// plan says which rows are fitted and which judge.
type plan struct {
	folds []fold
	words string
}

// fold is one way to take the rows apart. Positions are ascending.
type fold struct {
	fit, judge []int
}

func newPlan(d *train.Dataset, seed int64) *plan {
	n := d.Rows()
	switch {
	case !d.Ordered && n <= fiveFolds:
		return crossValidation(n, 5, seed)
	case !d.Ordered && n <= threeFolds:
		return crossValidation(n, 3, seed)
	}
	if d.Ordered && n <= threeFolds {
		return rolling(n)
	}
	valid := d.Valid
	if valid == 0 {
		valid = max(1, int(judgeShare*float64(n)))
	}
	f := fold{
		fit:   thin(0, n-valid, maxFit),
		judge: thin(n-valid, n, maxJudge),
	}
	words := fmt.Sprintf("%d rows held out", len(f.judge))
	if d.Ordered {
		words = fmt.Sprintf("the %d latest rows", len(f.judge))
	}
	if len(f.fit) < n-valid {
		words += fmt.Sprintf(", fitting a sample of %d", len(f.fit))
	}
	return &plan{folds: []fold{f}, words: words}
}

// rolling judges three times by the rows that come next, each time fitting all
// that came before: what does well once may only suit one stretch of time.
func rolling(n int) *plan {
	p := &plan{words: fmt.Sprintf("three stretches of the later %d rows, each fitting the rows before it", n-n*55/100)}
	for _, at := range []int{55, 70, 85} {
		from, to := n*at/100, n*(at+15)/100
		p.folds = append(p.folds, fold{fit: thin(0, from, from), judge: thin(from, to, to-from)})
	}
	return p
}

// growth is by how much more rounds all rows are worth than those that were
// fitted while searching: as many times as there are more rows, within bounds.
func (p *plan) growth() float64 {
	f := p.folds[0]
	return min(1+float64(len(f.judge))/float64(len(f.fit)), 1.25)
}

func crossValidation(n, k int, seed int64) *plan {
	k = min(k, n)
	order := rand.New(rand.NewPCG(uint64(seed), 0xf01d)).Perm(n)
	p := &plan{folds: make([]fold, k), words: fmt.Sprintf("%d folds of %d rows", k, n)}
	for i, row := range order {
		for j := range p.folds {
			if i%k == j {
				p.folds[j].judge = append(p.folds[j].judge, row)
			} else {
				p.folds[j].fit = append(p.folds[j].fit, row)
			}
		}
	}
	for j := range p.folds {
		slices.Sort(p.folds[j].fit)
		slices.Sort(p.folds[j].judge)
	}
	return p
}

// thin returns at most limit positions of from to to, evenly spread.
func thin(from, to, limit int) []int {
	n := min(to-from, limit)
	rows := make([]int, n)
	for i := range rows {
		rows[i] = from + i*(to-from)/n
	}
	return rows
}

// dataset returns the rows to fit, and behind them those that judge, which
// also stop the rounds.
func (f *fold) dataset(d *train.Dataset) *train.Dataset {
	rows := slices.Concat(f.fit, f.judge)
	part := *d
	part.Valid = len(f.judge)
	part.Label = pick(d.Label, rows)
	if d.Weight != nil {
		part.Weight = pick(d.Weight, rows)
	}
	part.Columns = make([][]float64, len(d.Columns))
	for i := range part.Columns {
		part.Columns[i] = pick(d.Columns[i], rows)
	}
	return &part
}

// rows returns the rows that judge as a model reads them.
func (f *fold) rows(d *train.Dataset) frame.Batch {
	columns := make([][]float64, len(d.Columns))
	for i := range columns {
		columns[i] = pick(d.Columns[i], f.judge)
	}
	return d.Encoder.Decode(columns)
}

func pick(values []float64, rows []int) []float64 {
	out := make([]float64, len(rows))
	for i, row := range rows {
		out[i] = values[row]
	}
	return out
}
