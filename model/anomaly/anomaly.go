// Package anomaly finds what is unusual in a stream of numbers while it
// passes: one value in, one score out, nothing known beforehand and nothing
// looked at twice.
//
// Each value is described by statistics of the windows that end at it, the
// mean and the standard deviation of the last few, and the description is
// compared with those of the past: the sum of the distances to its nearest
// neighbours says how new it is. What distance is a large one, the stream
// itself tells: the score of a value is the share of the past that was less
// new (a conformal p-value; Laxhammar and Falkman, "Sequential Conformal
// Anomaly Detection in Trajectories", 2011), and beyond the 99th percentile how
// many times that it is. So the score does not depend on the unit of the
// stream nor on where its zero is, and one threshold is good for many streams.
// After an alarm the detector is quiet for a while, because one anomaly is
// told of once.
//
// New makes a Detector, Add gives it a value. It has a state, so it is no
// model.Model, which is immutable and answers the same rows alike in any
// order; it belongs where events pass in order. Memory and time of a value are
// bounded by its Config.
package anomaly

import (
	"math"
	"slices"

	"github.com/leat-ai/leat/base/fault"
)

// Config says how a Detector looks at its stream. Lengths are in values.
type Config struct {
	// Windows are the lengths of the windows that describe a value, in rising
	// order.
	Windows []int
	// Neighbours is how many of the nearest descriptions count.
	Neighbours int
	// History is how many descriptions, and how many distances, are kept.
	History int
	// Learn is how many values pass before the first is scored.
	Learn int
	// Quiet is how long no value is scored after one with a score over 1.
	Quiet int
}

// Default is what bench/nab is measured with.
func Default() Config {
	return Config{Windows: []int{1, 12}, Neighbours: 10, History: 4000, Learn: 200, Quiet: 60}
}

// The bounds of a Config: what a value may cost.
const (
	maxWindow  = 4096
	maxWindows = 8
	maxHistory = 100_000
)

// Validate reports every mistake.
func (c Config) Validate() error {
	var mistakes fault.List
	if len(c.Windows) == 0 || len(c.Windows) > maxWindows || !slices.IsSorted(c.Windows) || c.Windows[0] < 1 || c.Windows[len(c.Windows)-1] > maxWindow {
		mistakes.Add(fault.New(fault.Invalid, "windows %v", c.Windows).Hint("give 1 to %d lengths from 1 to %d, in rising order", maxWindows, maxWindow))
	}
	if c.Neighbours < 1 || c.Neighbours > c.History {
		mistakes.Add(fault.New(fault.Invalid, "%d neighbours of a history of %d", c.Neighbours, c.History))
	}
	if c.History < 1 || c.History > maxHistory {
		mistakes.Add(fault.New(fault.Invalid, "a history of %d", c.History).Hint("keep from 1 to %d", maxHistory))
	}
	if c.Learn < 0 || c.Quiet < 0 {
		mistakes.Add(fault.New(fault.Invalid, "lengths are not negative"))
	}
	return mistakes.Err()
}

// largest bounds values, so that squares of them are numbers.
const largest = 1e100

// tail is the share of the past beyond which a score tells how far.
const tail = 0.99

// MaxScore is the highest score: of what is new where nothing ever was.
const MaxScore = 10

// Detector scores the values of one stream in their order. It is for one
// goroutine.
type Detector struct {
	config  Config
	last    []float64 // as many values as the longest window has, a ring
	seen    int       // values so far
	past    []float64 // descriptions, a ring of History rows of dims
	rows    int       // descriptions so far
	dims    int
	nearest []float64 // distances, squared, while they are looked for
	row     []float64
	ranks   ranks
	quiet   int // values yet to pass unscored
}

// New returns a Detector that has seen nothing.
func New(c Config) (*Detector, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dims := 2 * len(c.Windows)
	return &Detector{config: c, dims: dims, last: make([]float64, c.Windows[len(c.Windows)-1]),
		nearest: make([]float64, 0, c.Neighbours+1), row: make([]float64, dims), ranks: ranks{most: c.History}}, nil
}

// Add takes the next value and returns its score: from 0, nothing unusual, to
// 1 the share of the past that was less unusual, and beyond 1 the more, the
// more unusual. A value that is no number is passed over, with the score 0.
func (d *Detector) Add(value float64) float64 {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0
	}
	d.last[d.seen%len(d.last)] = min(max(value, -largest), largest)
	d.seen++
	if d.seen < len(d.last) {
		return 0
	}
	d.describe()
	distance := d.distance()
	d.keep()
	score := d.ranks.score(distance)
	if d.rows > d.config.Neighbours+len(d.last) { // distances before say how little was there to compare with
		d.ranks.add(distance)
	}
	switch {
	case d.seen <= d.config.Learn:
		return 0
	case d.quiet > 0:
		d.quiet--
		return 0
	case score > 1:
		d.quiet = d.config.Quiet
	}
	return score
}

// describe puts the statistics of the windows that end at the last value into
// d.row. They are in the unit of the values, so that distances are too.
func (d *Detector) describe() {
	for i, w := range d.config.Windows {
		mean := 0.0
		for k := range w {
			mean += d.ago(k)
		}
		mean /= float64(w)
		squares := 0.0
		for k := range w {
			squares += (d.ago(k) - mean) * (d.ago(k) - mean)
		}
		d.row[2*i], d.row[2*i+1] = mean, math.Sqrt(squares/float64(w))
	}
}

// ago is the value k before the last one.
func (d *Detector) ago(k int) float64 { return d.last[(d.seen-1-k)%len(d.last)] }

// keep adds d.row to the past, in the place of the oldest where that is full.
func (d *Detector) keep() {
	if at := d.rows % d.config.History; at*d.dims == len(d.past) {
		d.past = append(d.past, d.row...)
	} else {
		copy(d.past[at*d.dims:], d.row)
	}
	d.rows++
}

// distance adds up the distances from d.row to its nearest neighbours. Those
// whose windows overlap with its own are none: they are near by nature.
func (d *Detector) distance() float64 {
	d.nearest = d.nearest[:0]
	kept := len(d.past) / d.dims
	newest := d.rows - len(d.last) // of those that may be compared with
	for n := max(0, d.rows-kept); n <= newest; n++ {
		at := n % d.config.History * d.dims
		d.compare(d.past[at : at+d.dims])
	}
	sum := 0.0
	for _, s := range d.nearest {
		sum += math.Sqrt(s)
	}
	return sum
}

// compare takes a description among the nearest, if it is.
func (d *Detector) compare(other []float64) {
	squares := 0.0
	for i, v := range d.row {
		squares += (v - other[i]) * (v - other[i])
	}
	if full := len(d.nearest) == d.config.Neighbours; full && squares >= d.nearest[len(d.nearest)-1] {
		return
	} else if full {
		d.nearest = d.nearest[:len(d.nearest)-1]
	}
	at, _ := slices.BinarySearch(d.nearest, squares)
	d.nearest = slices.Insert(d.nearest, at, squares)
}

// ranks are the latest distances, in the order of their coming and in that of
// their size.
type ranks struct {
	most   int
	came   []float64 // a ring
	next   int
	sorted []float64
}

func (r *ranks) add(v float64) {
	if len(r.came) < r.most {
		r.came = append(r.came, v)
	} else {
		at, _ := slices.BinarySearch(r.sorted, r.came[r.next])
		r.sorted = slices.Delete(r.sorted, at, at+1)
		r.came[r.next] = v
	}
	r.next = (r.next + 1) % r.most
	at, _ := slices.BinarySearch(r.sorted, v)
	r.sorted = slices.Insert(r.sorted, at, v)
}

// score is the share of distances below v, or beyond the tail how many times
// as large it is, as a logarithm.
func (r *ranks) score(v float64) float64 {
	if len(r.sorted) == 0 {
		return 0
	}
	at, _ := slices.BinarySearch(r.sorted, v)
	usual := r.sorted[min(len(r.sorted)-1, int(tail*float64(len(r.sorted))))]
	switch {
	case v <= usual:
		return float64(at) / float64(len(r.sorted)+1)
	case usual == 0:
		return MaxScore
	}
	return math.Min(MaxScore, 1+math.Log(v/usual))
}
