// Package gbdt trains gradient-boosted decision trees on histograms: binary,
// multi-class and regression.
//
// It is one of the built-in trainers of the stage train, which hands it
// encoded columns; what it returns runs in model/tree. Trainer is what to
// call, Parameters what can be set.
//
// A training goes through these files: params.go checks the settings, bins.go
// cuts every column into at most 255 bins, objective.go gives the derivatives
// of the loss, histogram.go makes whole numbers of them and sums them by bin,
// split.go finds a leaf's best question, grow.go and rows.go grow a tree leaf
// by leaf, and export.go turns bins back into thresholds.
//
// The model depends on the data, the settings and the seed, and on nothing
// else: histograms are sums of whole numbers, and what is summed as floating
// point is summed in an order that the number of threads does not change.
package gbdt

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/encode"
)

// maxRows bounds a dataset: above it the packed sums would have too few bits.
const maxRows = 1 << 28

// Trainer is the trainer "gbdt". It is safe for many goroutines.
type Trainer struct{}

var _ train.Trainer = Trainer{}

// Train fits an ensemble to the rows of d that are not for validation. Every
// mistake in the params or the dataset is an Invalid fault. It looks at ctx
// before every split.
func (Trainer) Train(ctx context.Context, d *train.Dataset, p train.Params) (*train.Artifact, error) {
	if err := check(d); err != nil {
		return nil, err
	}
	s, used, err := parse(p, d.Encoder)
	if err != nil {
		return nil, err
	}
	if s.threads <= 0 {
		s.threads = runtime.GOMAXPROCS(0)
	}
	b := newBooster(d, s)
	if err := b.boost(ctx, p.Progress); err != nil {
		return nil, err
	}
	return b.artifact(d, used)
}

// check refuses datasets that cannot be fitted.
func check(d *train.Dataset) error {
	rows := d.Rows()
	bad := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "gbdt cannot fit this dataset").Because(fault.New(fault.Invalid, format, args...))
	}
	switch {
	case d.Encoder == nil || len(d.Columns) != len(d.Encoder.Columns):
		return bad("its columns are not those of its encoder")
	case d.Valid < 0 || d.Valid >= rows:
		return bad("%d of its %d rows are for validation, which leaves none to fit", d.Valid, rows)
	case rows > maxRows:
		return fault.New(fault.TooLarge, "gbdt fits at most %d rows, not %d", maxRows, rows).Hint("fit a sample")
	case d.Weight != nil && len(d.Weight) != rows:
		return bad("it has %d weights for %d rows", len(d.Weight), rows)
	case d.Task == model.Binary && len(d.Classes) != 2, d.Task == model.Multiclass && len(d.Classes) < 2:
		return bad("a %s label cannot have %d classes", d.Task, len(d.Classes))
	case d.Task != model.Binary && d.Task != model.Multiclass && d.Task != model.Regression:
		return fault.New(fault.Unsupported, "gbdt does not know the task %q", d.Task)
	}
	for i, c := range d.Columns {
		if len(c) != rows {
			return bad("column %q has %d rows, the label %d", d.Encoder.Columns[i].Name, len(c), rows)
		}
	}
	for i, y := range d.Label {
		if math.IsNaN(y) || math.Abs(y) > math.MaxFloat32/4 {
			return bad("the label of row %d is %v", i, y)
		}
		if d.Task != model.Regression && (y != math.Trunc(y) || y < 0 || int(y) >= len(d.Classes)) {
			return bad("the label of row %d is %v, which is not the index of a class", i, y)
		}
	}
	for i, w := range d.Weight {
		if !(w >= 0 && w <= math.MaxFloat32) {
			return bad("the weight of row %d is %v", i, w)
		}
	}
	return nil
}

// booster is one training.
type booster struct {
	*settings
	objective *objective
	columns   []*column
	grower    *grower
	encoder   *encode.Encoder
	base      []float64
	sums      [][]float64   // by output: the present sum of every row
	derived   []derivatives // by output
	random    *rand.Rand
	bagged    []bool // rows that the present trees are fitted to; nil is all
	bag       []int32

	trees [][]*grown // by round and output; nil where a tree could not be split
	loss  float64    // of the round that training ended with
}

func newBooster(d *train.Dataset, s *settings) *booster {
	o := newObjective(d, s.threads)
	b := &booster{
		settings: s, objective: o, encoder: d.Encoder,
		columns: binDataset(d.Columns, o.fit, d.Encoder, s),
		random:  rand.New(rand.NewPCG(s.seed, 0x6c656174)),
		base:    o.base(), loss: math.NaN(),
	}
	b.grower = newGrower(s, b.columns, o.fit)
	b.sums, b.derived = make([][]float64, o.outputs), make([]derivatives, o.outputs)
	for k := range b.sums {
		b.sums[k] = make([]float64, d.Rows())
		for i := range b.sums[k] {
			b.sums[k][i] = b.base[k]
		}
		b.derived[k] = derivatives{make([]float32, o.fit), make([]float32, o.fit)}
	}
	return b
}

// boost adds rounds until there are enough, until no tree finds a split, or
// until the validation rows have not improved for long enough.
func (b *booster) boost(ctx context.Context, progress func(done, total int, loss float64)) error {
	best, bestRounds := math.Inf(1), 0
	for round := range b.settings.trees {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "training ended after %d rounds", round)
		}
		b.objective.derive(b.sums, b.derived)
		grew, err := b.round(ctx, round)
		if err != nil {
			return err
		}
		if !grew && b.baggingFraction == 1 && b.featureFraction == 1 {
			break // so would all rounds to come
		}
		b.loss = b.objective.loss(b.sums)
		if progress != nil {
			progress(round+1, b.settings.trees, b.loss)
		}
		if b.loss < best {
			best, bestRounds = b.loss, round+1
		}
		if b.earlyStopping > 0 && round+1-bestRounds >= b.earlyStopping && !math.IsNaN(b.loss) {
			break
		}
	}
	if b.earlyStopping > 0 && !math.IsNaN(b.loss) {
		b.trees, b.loss = b.trees[:bestRounds], best
	}
	return nil
}

// round grows one tree for each output.
func (b *booster) round(ctx context.Context, round int) (grew bool, err error) {
	n := b.drawRows(round)
	trees := make([]*grown, len(b.derived))
	for k, d := range b.derived {
		b.drawColumns()
		g := b.grower
		b.resetRows(n)
		g.packing = quantise(d, g.packed, mix(b.seed, uint64(round*len(b.derived)+k)), b.threads)
		if !g.packing.finite() {
			return false, fault.New(fault.Invalid, "training diverged in round %d: the loss has no finite derivative", round+1).
				Hint("lower learning_rate, or bring label and weights nearer to 1")
		}
		t, err := g.grow(ctx, n)
		if err != nil {
			return false, err
		}
		if len(t.splits) == 0 {
			continue
		}
		grew, trees[k] = true, t
		g.fitValues(t, d, b.sums[k])
		if b.bagged != nil {
			t.addTo(b.sums[k], b.columns, 0, b.objective.fit, b.threads, func(row int) bool { return b.bagged[row] })
		}
		t.addTo(b.sums[k], b.columns, b.objective.fit, len(b.sums[k]), b.threads, nil)
		t.forget()
	}
	b.trees = append(b.trees, trees)
	return grew, nil
}

// forget drops what only growing needed.
func (t *grown) forget() { t.leaves = nil }

// drawRows draws the rows of a round's trees, when it is time to, and returns
// how many there are.
func (b *booster) drawRows(round int) int {
	fit := b.objective.fit
	if b.baggingFraction == 1 {
		return fit
	}
	if round%b.baggingFreq == 0 {
		b.bagged, b.bag = make([]bool, fit), b.bag[:0]
		limit := uint64(b.baggingFraction * (1 << 32))
		seed := mix(b.seed, 1<<40+uint64(round))
		for row := range b.bagged {
			if mix(seed, uint64(row))>>32 < limit {
				b.bagged[row] = true
				b.bag = append(b.bag, int32(row))
			}
		}
	}
	return len(b.bag)
}

// resetRows puts the rows of the next tree into the grower.
func (b *booster) resetRows(n int) {
	rows := b.grower.rows
	if b.bagged != nil {
		copy(rows, b.bag)
		return
	}
	blocks(b.threads, n, func(_, from, to int) {
		for i := from; i < to; i++ {
			rows[i] = int32(i)
		}
	})
}

// drawColumns draws the columns that the next tree may ask about.
func (b *booster) drawColumns() {
	allowed := b.grower.allowed
	want := len(allowed)
	if b.featureFraction < 1 {
		want = max(1, int(math.Round(b.featureFraction*float64(len(allowed)))))
	}
	for i := range allowed {
		allowed[i] = want == len(allowed)
	}
	if want < len(allowed) {
		for _, i := range b.random.Perm(len(allowed))[:want] {
			allowed[i] = true
		}
	}
}
