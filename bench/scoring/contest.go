package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/model/lightgbm"
	"github.com/leat-ai/leat/model/tree"
	"github.com/leat-ai/leat/model/xgboost"
)

// contest is everything that scores one shape of model.
type contest struct {
	shape  shape
	folder string
	ours   map[string]*engine // by the library that the model is of
	rivals []*rival
}

// rival is a peer, or the reason why there is none.
type rival struct {
	name      string
	model     string  // the library of its model
	tolerance float64 // of its answers, probabilities
	compiled  bool    // it needs a compiler, and minutes, for each model
	peer      *duel.Peer
	version   string
	absent    string
	stop      context.CancelFunc
}

// readyWithin bounds what a compiler may take for one model.
const readyWithin = 20 * time.Minute

// rivals of a contest. Those that compute with float32 are as close as that
// allows.
func rivals() []*rival {
	return []*rival{
		{name: "LightGBM", model: lightgbm.FormatName, tolerance: 1e-12},
		{name: "XGBoost", model: xgboost.FormatName, tolerance: 1e-6},
		{name: "ONNX Runtime", model: lightgbm.FormatName, tolerance: 1e-5},
		{name: "Treelite", model: lightgbm.FormatName, tolerance: 1e-12},
		{name: "TL2cgen", model: lightgbm.FormatName, tolerance: 1e-12, compiled: true},
		{name: "lleaves", model: lightgbm.FormatName, tolerance: 1e-12, compiled: true},
	}
}

// prepare trains the models, loads them on both sides, and compares the answers
// for every row of the sample.
func prepare(ctx context.Context, s shape, rows [][]float64, labels []float64, most int, without []string) (_ *contest, err error) {
	c := &contest{shape: s, ours: map[string]*engine{}}
	if c.folder, err = os.MkdirTemp("", "leat-bench-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	const tested = 500 // the sample's own rows for the test come first
	if err := write(filepath.Join(c.folder, "train"), len(rows)-tested, func(at int) []float64 {
		return append([]float64{labels[tested+at]}, rows[tested+at]...)
	}); err != nil {
		return nil, err
	}
	if err := write(filepath.Join(c.folder, "rows"), most, func(at int) []float64 { return rows[at%len(rows)] }); err != nil {
		return nil, err
	}
	if err := duel.Run(ctx, script, "train", c.folder, strconv.Itoa(s.trees), strconv.Itoa(s.leaves)); err != nil {
		return nil, err
	}
	if err := c.load(rows, most); err != nil {
		return nil, err
	}
	for _, r := range rivals() {
		c.rivals = append(c.rivals, r)
		if slices.Contains(without, r.name) {
			r.absent = "left out"
			continue
		}
		if err := c.meet(ctx, r, min(len(rows), most)); err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return c, nil
}

// load makes our side.
func (c *contest) load(rows [][]float64, most int) error {
	text, err := os.ReadFile(filepath.Join(c.folder, "model.txt"))
	if err != nil {
		return err
	}
	light, err := lightgbm.Parse(string(text))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(filepath.Join(c.folder, "model.json"))
	if err != nil {
		return err
	}
	extreme, err := xgboost.Parse(data, nil)
	if err != nil {
		return err
	}
	for name, trees := range map[string]*tree.Ensemble{lightgbm.FormatName: light.Trees(), xgboost.FormatName: extreme.Ensemble} {
		if n := len(trees.Definition().Trees); n != c.shape.trees {
			return fmt.Errorf("the %s model has %d trees, not %d", name, n, c.shape.trees)
		}
		c.ours[name] = newEngine(trees, rows, most)
	}
	return nil
}

// meet starts a peer and holds its answers against ours.
func (c *contest) meet(ctx context.Context, r *rival, rows int) error {
	ctx, cancel := context.WithCancel(ctx)
	p, err := duel.Start(ctx, script, r.name, c.folder)
	if err != nil {
		cancel()
		return err
	}
	r.stop = cancel
	late := time.AfterFunc(readyWithin, cancel)
	var hello struct{ Version, Absent string }
	err = p.Ask("", &hello)
	switch {
	case !late.Stop():
		r.absent = fmt.Sprintf("it was not ready within %s", readyWithin)
		_ = p.Close() // it was killed
		return nil
	case err != nil:
		r.absent = err.Error()
		return nil
	}
	if hello.Absent != "" {
		r.absent = hello.Absent
		return p.Close()
	}
	r.peer, r.version = p, hello.Version
	data, err := os.ReadFile(filepath.Join(c.folder, r.name+".answers"))
	if err != nil {
		return err
	}
	theirs := make([]float64, rows)
	if err := binary.Read(bytes.NewReader(data), binary.NativeEndian, theirs); err != nil {
		return err
	}
	ours, err := c.ours[r.model].answers(ctx, rows)
	if err != nil {
		return err
	}
	for i, v := range ours {
		if !(math.Abs(v-theirs[i]) <= r.tolerance) {
			return fmt.Errorf("row %d: %v here, %v there", i, v, theirs[i])
		}
	}
	return nil
}

// say adds what took part, and what could not.
func (c *contest) say(said []string) []string {
	if said != nil {
		return said
	}
	for _, r := range c.rivals {
		if r.absent != "" {
			said = append(said, r.name+" absent: "+r.absent)
		} else {
			said = append(said, r.name+" "+r.version)
		}
	}
	return said
}

func (c *contest) close() {
	for _, r := range c.rivals {
		if r.peer != nil {
			_ = r.peer.Close() // it has done what it is for
		}
		if r.stop != nil {
			r.stop()
		}
	}
	_ = os.RemoveAll(c.folder)
}

// side is one that takes turns: it scores so many batches and returns the
// seconds that it took.
type side struct {
	score func(times int) (float64, error)
	times int // batches in a turn
	once  float64
}

// A turn lasts about turnSeconds. One that takes more than patience for a
// single batch has only one turn.
const (
	turnSeconds = 0.1
	patience    = 15.0
)

func newSide(batches int, score func(times int) (float64, error)) (*side, error) {
	s := &side{score: score, times: 1}
	var err error
	for range 2 { // the first warms up
		if s.once, err = score(s.times); err != nil {
			return nil, err
		}
		if s.once > patience {
			return s, nil
		}
		s.times = min(batches, 20)
	}
	s.once /= float64(s.times)
	s.times = max(1, min(batches, int(turnSeconds/s.once)))
	return s, nil
}

// measure lets all sides score batches of n rows in turns.
func (c *contest) measure(ctx context.Context, n, rounds int) ([]result.Figure, error) {
	names := []string{lightgbm.FormatName, xgboost.FormatName}
	var sides []*side
	for _, name := range names {
		e := c.ours[name]
		s, err := newSide(e.rows/n, func(times int) (float64, error) { return e.score(ctx, n, times) })
		if err != nil {
			return nil, err
		}
		sides = append(sides, s)
	}
	e := c.ours[lightgbm.FormatName]
	arrow, err := newSide(e.rows/n, func(times int) (float64, error) { return e.predict(ctx, n, times) })
	if err != nil {
		return nil, err
	}
	sides = append(sides, arrow)
	for _, r := range c.rivals {
		if r.peer == nil {
			sides = append(sides, nil)
			continue
		}
		s, err := newSide(e.rows/n, func(times int) (float64, error) {
			var reply struct{ Seconds float64 }
			err := r.peer.Ask(fmt.Sprintf("%d %d", n, times), &reply)
			return reply.Seconds, err
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		sides = append(sides, s)
	}
	times, err := turns(rounds, sides)
	if err != nil {
		return nil, err
	}
	return c.figures(n, times), nil
}

// turns returns the seconds of a batch of each side, round by round.
func turns(rounds int, sides []*side) ([][]float64, error) {
	all := make([][]float64, len(sides))
	var playing []func() (float64, error)
	var at []int
	for i, s := range sides {
		switch {
		case s == nil:
		case s.once > patience:
			all[i] = []float64{s.once}
		default:
			at = append(at, i)
			playing = append(playing, func() (float64, error) {
				seconds, err := s.score(s.times)
				return seconds / float64(s.times), err
			})
		}
	}
	got, err := duel.Turns(rounds, playing...)
	for k, i := range at {
		all[i] = got[k]
	}
	return all, err
}

// figures are the peers' times over ours.
func (c *contest) figures(n int, times [][]float64) []result.Figure {
	per := 1e9 / float64(n) / float64(c.shape.trees) // from the seconds of a batch
	name := func(who string) string { return fmt.Sprintf("%s, %d rows: %s", c.shape, n, who) }
	scaled := func(times []float64) []float64 {
		out := make([]float64, len(times))
		for i, t := range times {
			out[i] = t * per
		}
		return out
	}
	light, extreme := scaled(times[0]), scaled(times[1])
	figures := []result.Figure{
		{Name: name("ours"), Value: duel.Median(light), Unit: "ns", Note: "of LightGBM's trees"},
		{Name: name("ours, Arrow in and out"), Value: duel.Median(scaled(times[2])), Unit: "ns", Note: "what a path calls"},
	}
	for i, r := range c.rivals {
		theirs := scaled(times[3+i])
		if len(theirs) == 0 {
			continue
		}
		ours := light
		if r.model == xgboost.FormatName {
			ours = extreme
		}
		f := figure(name(r.name), ours, theirs)
		switch {
		case r.name == "LightGBM" && n >= 1000:
			f = f.AtLeast(2.5)
		case n == 1 && !r.compiled:
			f = f.AtLeast(1)
		}
		figures = append(figures, f)
	}
	return figures
}

// figure tells how many times faster ours is than a peer, by the rounds that
// both have run.
func figure(name string, ours, theirs []float64) result.Figure {
	if len(theirs) < len(ours) {
		ours = ours[:len(theirs)]
	}
	ratio, least, most := duel.Result{Ours: ours, Theirs: theirs}.Speedup()
	return result.Figure{
		Name: name, Value: ratio, Unit: "×", Least: least, Most: most, Peer: duel.Median(theirs),
		Note: fmt.Sprintf("ours %.2f ns", duel.Median(ours)),
	}
}
