package train

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Shares of rows. The validation share is of those that are not for testing.
const (
	defaultTest = 0.2
	validShare  = 0.15
	minTrain    = 10 // rows
)

// Streams of the random generator, so that one choice does not move another.
const (
	streamSample = iota + 1
	streamTest
	streamValid
)

// split says what each row is for, by its position in the table.
type split struct {
	train, valid, test []int // ascending, but for time order with Ordered
	ordered            bool
	dropped, sampled   int
}

// splitRows deals the rows with a label out. Rows that come last by time, every
// n-th row of the table, or a random part are for the test; of the others,
// the last by time or a random part are for validation.
func splitRows(in *Input, l *label, step *spec.TrainStep) (*split, error) {
	s := &split{}
	rows := s.labelled(l, step)
	share := float64(step.Split.Test)
	if share == 0 {
		share = defaultTest
	}
	var rest []int
	var err error
	switch {
	case step.Split.By != "" && step.Split.Every > 0:
		err = fault.New(fault.Invalid, "the split is by %q and every %d rows", step.Split.By, step.Split.Every).Hint("choose one of them")
	case step.Split.By != "":
		s.ordered = true
		if err = sortByTime(in, rows, step.Split.By); err == nil {
			rest, s.test = cut(rows, share)
		}
	case step.Split.Every > 0:
		for _, row := range rows {
			if row%step.Split.Every == 0 {
				s.test = append(s.test, row)
			} else {
				rest = append(rest, row)
			}
		}
	default:
		rest, s.test = part(rows, share, step.Seed, streamTest)
	}
	if err != nil {
		return nil, err
	}
	if s.ordered {
		s.train, s.valid = cut(rest, validShare)
	} else {
		s.train, s.valid = deal(rest, validShare, step.Seed, streamValid)
	}
	slices.Sort(s.test)
	if len(s.train) < minTrain || len(s.test) == 0 {
		return nil, fault.New(fault.Invalid, "%d rows to train on and %d to test on are too few", len(s.train), len(s.test)).
			Hint("there must be at least %d and 1; %d rows have no label", minTrain, s.dropped)
	}
	return s, nil
}

// labelled returns the rows that have a label, or a random sample of them.
func (s *split) labelled(l *label, step *spec.TrainStep) []int {
	var rows []int
	for row, v := range l.value {
		if math.IsNaN(v) {
			s.dropped++
		} else {
			rows = append(rows, row)
		}
	}
	if step.MaxRows > 0 && int64(len(rows)) > step.MaxRows {
		s.sampled = len(rows) - int(step.MaxRows)
		_, rows = deal(rows, float64(step.MaxRows)/float64(len(rows)), step.Seed, streamSample)
	}
	return rows
}

// cut takes the last share of rows off.
func cut(rows []int, share float64) (first, last []int) {
	at := len(rows) - int(math.Round(share*float64(len(rows))))
	return rows[:at:at], rows[at:]
}

// part takes about a share of rows out, each by its place in the table and the
// seed alone: as the table grows, every row stays on its side, so what a model
// was trained on is not what its successors are tested on.
func part(rows []int, share float64, seed int64, stream uint64) (rest, taken []int) {
	for _, row := range rows {
		if rand.New(rand.NewPCG(uint64(seed), stream<<48^uint64(row))).Float64() < share {
			taken = append(taken, row)
		} else {
			rest = append(rest, row)
		}
	}
	return rest, taken
}

// deal takes a random share of rows out; both parts keep their order.
func deal(rows []int, share float64, seed int64, stream uint64) (rest, taken []int) {
	n := int(math.Round(share * float64(len(rows))))
	order := rand.New(rand.NewPCG(uint64(seed), stream)).Perm(len(rows))
	chosen := make([]bool, len(rows))
	for _, at := range order[:n] {
		chosen[at] = true
	}
	for at, row := range rows {
		if chosen[at] {
			taken = append(taken, row)
		} else {
			rest = append(rest, row)
		}
	}
	return rest, taken
}

// sortByTime orders rows by a column of times or numbers, rows of the same
// time as they stand in the table. A row without a time comes first, where it
// can do no harm: it is not for testing.
func sortByTime(in *Input, rows []int, column string) error {
	at := frame.Index(in.Schema, column)
	if at < 0 {
		return fault.New(fault.Invalid, "there is no column %q to split by", column).
			Hint("the columns are %s", columnNames(in.Schema))
	}
	times, err := numbers(in.Batches, at)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the split is by column %q, which is no time", column)
	}
	slices.SortStableFunc(rows, func(a, b int) int {
		switch x, y := times[a], times[b]; {
		case x < y || (math.IsNaN(x) && !math.IsNaN(y)):
			return -1
		case x > y || (math.IsNaN(y) && !math.IsNaN(x)):
			return 1
		}
		return 0
	})
	return nil
}

// numbers reads a column of all batches.
func numbers(batches []frame.Batch, at int) ([]float64, error) {
	var values []float64
	for _, b := range batches {
		from := len(values)
		values = append(values, make([]float64, b.NumRows())...)
		if err := frame.Floats(b.Column(at), values[from:]); err != nil {
			return nil, err
		}
	}
	return values, nil
}
