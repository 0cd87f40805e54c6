// Package monitor is the stage that watches what endpoints decide: are the
// inputs, and the predictions, still like those of the training?
//
// Every pattern hands the rows it decided to a Watch, which counts them in the
// bins of the training profile of the version that decided (feature/profile);
// Look turns the counts into Readings, one for each signal and column, and
// says which fire. Signals keeps readings in the catalog. Live is the Watch
// of an endpoint's latest decisions; a batch tallies its own chunks and looks
// at ten windows in the order of its rows, so that a drift within it shows.
//
// Features looks at what a release was given to decide with: skew compares
// features of the decision log with what the lake has of the same entities and
// times, freshness tells how old the newest event of a view is.
package monitor

import (
	"fmt"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/spec"
)

// Prediction is the name under which a profile has the model's score, and a
// signal asks for it.
const Prediction = "prediction"

// MinRows is the least number of rows that a reading is made from: fewer say
// nothing about a distribution.
const MinRows = 200

// Reading is one measurement of a signal over a window of decisions.
type Reading struct {
	Monitor   string    `json:"monitor"`
	Signal    string    `json:"signal"` // psi, missing, new, skew or freshness
	Column    string    `json:"column"` // input, prediction, feature or feature view
	Value     float64   `json:"value"`
	Threshold float64   `json:"threshold"`
	Fired     bool      `json:"fired"`            // the value is over the threshold
	Rows      int64     `json:"rows"`             // that were looked at
	Window    string    `json:"window,omitempty"` // of a batch: "10/10" is the last tenth
	Start     time.Time `json:"start"`            // of the rows looked at
	End       time.Time `json:"end"`
	Release   string    `json:"release"` // whose training is compared with
}

// String says what was measured, in a sentence's part.
func (r Reading) String() string {
	return fmt.Sprintf("%s of %s is %.3g (limit %.3g, %d rows)", r.Signal, r.Column, r.Value, r.Threshold, r.Rows)
}

// Name is the signal with its column, such as psi:amount.
func (r Reading) Name() string { return r.Signal + ":" + r.Column }

// Window is what a Look looks at.
type Window struct {
	Name       string
	Start, End time.Time
	Release    string
	Tally      *profile.Tally
}

// Look measures the signals of a monitor in a window of rows. A PSI fires
// only beyond what chance explains at that number of rows.
func Look(m *spec.Monitor, p *profile.Profile, w Window) []Reading {
	if w.Tally.Rows < MinRows {
		return nil
	}
	var readings []Reading
	for _, s := range signalsOf(m) {
		if s.kind == skew || s.kind == freshness { // not of the rows: see Features
			continue
		}
		for i := range p.Columns {
			if !s.covers(p.Columns[i].Name) {
				continue
			}
			r, known := s.read(p, w.Tally, i)
			if !known {
				continue
			}
			r.Monitor, r.Column, r.Rows = m.Name, p.Columns[i].Name, w.Tally.Rows
			r.Window, r.Start, r.End, r.Release = w.Name, w.Start, w.End, w.Release
			readings = append(readings, r)
		}
	}
	return readings
}

// signal is a spec.Signal taken apart.
type signal struct {
	kind, column string
	above        float64
}

const (
	psi       = "psi"
	missing   = "missing"
	unseen    = "new"
	skew      = "skew"
	freshness = "freshness"
)

var usual = map[string]float64{psi: 0.2, missing: 0.1, unseen: 0.05, skew: 0.01, freshness: 3600}

func signalsOf(m *spec.Monitor) []signal {
	if len(m.Signals) == 0 {
		return []signal{
			{psi, "*", usual[psi]}, {psi, Prediction, usual[psi]},
			{missing, "*", usual[missing]}, {unseen, "*", usual[unseen]},
		}
	}
	signals := make([]signal, len(m.Signals))
	for i, s := range m.Signals {
		switch {
		case s.PSI != "":
			signals[i] = signal{kind: psi, column: s.PSI}
		case s.Missing != "":
			signals[i] = signal{kind: missing, column: s.Missing}
		case s.Skew != "":
			signals[i] = signal{kind: skew, column: s.Skew}
		case s.Freshness != "":
			signals[i] = signal{kind: freshness, column: s.Freshness}
		default:
			signals[i] = signal{kind: unseen, column: s.New}
		}
		signals[i].above = usual[signals[i].kind]
		if s.Above != nil {
			signals[i].above = *s.Above
		}
	}
	return signals
}

// covers tells whether the signal asks for a column; "*" is every input, the
// prediction not among them.
func (s signal) covers(column string) bool {
	return s.column == column || s.column == "*" && column != Prediction
}

// read measures column i. It is not known when the column has nothing of that
// kind to measure.
func (s signal) read(p *profile.Profile, t *profile.Tally, i int) (r Reading, known bool) {
	r = Reading{Signal: s.kind, Threshold: s.above}
	switch s.kind {
	case psi:
		value, noise := t.PSI(p, i)
		r.Value, r.Fired = value, value-noise > s.above
	case missing:
		r.Value = t.Missing(i) - p.Columns[i].Missing
		r.Fired = r.Value > s.above
	case unseen:
		if p.Columns[i].Type != frame.String {
			return r, false
		}
		r.Value = t.New(p, i)
		r.Fired = r.Value > s.above
	}
	return r, true
}

// ProfileColumns are the columns of a version's training profile: the model's
// inputs and its prediction, which is the score, or the label where there is
// no single score.
func ProfileColumns(s model.Signature) []frame.Column {
	columns := make([]frame.Column, 0, len(s.Inputs)+1)
	for _, in := range s.Inputs {
		columns = append(columns, frame.Column{Name: in.Name, Type: in.Type})
	}
	prediction := frame.Column{Name: Prediction, Type: frame.Double}
	if s.Task == model.Multiclass {
		prediction.Type = frame.String
	}
	return append(columns, prediction)
}
