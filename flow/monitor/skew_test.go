package monitor

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// store is a decision log and a lake: the feature twice is 2x, square x², both
// of the input x; day is the day of the row's time.
type store struct {
	until     time.Time
	decisions []Decision
	asked     int
	untimed   bool // rows have no time of their own
}

var (
	inputs  = []frame.Column{{Name: "x", Type: frame.Double}, {Name: "at", Type: frame.Timestamp}}
	outputs = []frame.Column{{Name: "twice", Type: frame.Double}, {Name: "square", Type: frame.Double}, {Name: "day", Type: frame.Int}, {Name: "name", Type: frame.String}}
)

func (s *store) Past(context.Context, string) (*Past, error) {
	own := "at"
	if s.untimed {
		own = ""
	}
	return &Past{Release: "r1", Inputs: inputs, Time: own, Outputs: outputs, Until: s.until, Compute: s.compute}, nil
}

func (s *store) Decisions(_ context.Context, _, _ string, before time.Time, limit int) ([]Decision, error) {
	s.asked = limit
	var list []Decision
	for i := len(s.decisions) - 1; i >= 0 && len(list) < limit; i-- {
		if s.decisions[i].At.Before(before) {
			list = append(list, s.decisions[i])
		}
	}
	return list, nil
}

func (s *store) compute(_ context.Context, rows frame.Batch, at []int64) (frame.Batch, error) {
	x := rows.Column(0).(*array.Float64)
	var cells []*frame.Cells
	for _, c := range outputs {
		cells = append(cells, frame.NewCells(c.Type, len(at)))
	}
	for i, t := range at {
		if x.IsNull(i) {
			cells[0].Null()
			cells[1].Double(math.NaN())
		} else {
			cells[0].Double(2 * x.Value(i))
			cells[1].Double(x.Value(i) * x.Value(i))
		}
		cells[2].Int(t / (86400 * 1e6))
		cells[3].TextString("n")
	}
	return frame.BatchOf(frame.SchemaOf(outputs), cells, len(at)), nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// filled is a store of n decisions that were served what the lake has.
func filled(n int) *store {
	s := &store{until: noon.Add(time.Hour)}
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Second)
		x := float64(i) / 7
		own := ""
		if i%3 == 0 { // a time of its own, two days before
			at2 := at.Add(-48 * time.Hour)
			own = fmt.Sprintf(`,"at":%q`, at2.Format(time.RFC3339Nano))
			s.decisions = append(s.decisions, decided(at, at2, x, own))
			continue
		}
		s.decisions = append(s.decisions, decided(at, at, x, own))
	}
	return s
}

func decided(at, of time.Time, x float64, own string) Decision {
	return Decision{At: at, Inputs: fmt.Appendf(nil, `{"x":%v%s}`, x, own),
		Features: fmt.Appendf(nil, `{"twice":%v,"square":%v,"day":%d,"name":"n","other":1}`, 2*x, x*x, of.Unix()/86400)}
}

func look(t *testing.T, s *store, signals ...spec.Signal) map[string]Reading {
	t.Helper()
	f := &Features{Served: s, Clock: clock.Fixed(noon.Add(2 * time.Hour)), Newest: func(_ context.Context, view string) (time.Time, error) {
		if view == "empty" {
			return time.Time{}, nil
		}
		return noon.Add(90 * time.Minute), nil
	}}
	readings, err := f.Look(t.Context(), &spec.Monitor{Name: "m", Watch: "e", Window: 5000, Signals: signals})
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]Reading{}
	for _, r := range readings {
		found[r.Name()] = r
	}
	return found
}

func TestNoSkew(t *testing.T) {
	s := filled(200)
	s.decisions = append(s.decisions, Decision{At: noon, Inputs: []byte(`{"x":null}`), // what is no number is kept as null
		Features: fmt.Appendf(nil, `{"twice":null,"square":null,"day":%d,"name":"n"}`, noon.Unix()/86400)})
	found := look(t, s, spec.Signal{Skew: "*"})
	if len(found) != len(outputs) {
		t.Fatalf("read %v", found)
	}
	for name, r := range found {
		if r.Value != 0 || r.Fired || r.Rows != 201 || r.Release != "r1" || r.Monitor != "m" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if s.asked != maxSkewRows {
		t.Errorf("%d decisions were asked for", s.asked)
	}
}

func TestPlantedSkew(t *testing.T) {
	s := filled(200)
	for i := range 10 { // of 200: a value that is off by the last bit, a NULL, a text
		d := &s.decisions[i*20]
		x := float64(i*20) / 7
		d.Features = fmt.Appendf(nil, `{"twice":%v,"square":null,"day":%d,"name":"n"}`, math.Nextafter(2*x, 1e9), dayOf(s.decisions[i*20], i*20))
	}
	found := look(t, s, spec.Signal{Skew: "*"})
	for name, want := range map[string]float64{"skew:twice": 0.05, "skew:square": 0.05, "skew:day": 0, "skew:name": 0} {
		if r := found[name]; r.Value != want || r.Fired != (want > 0) {
			t.Errorf("%s is %g, fired %v, want %g", name, r.Value, r.Fired, want)
		}
	}
	above := 0.2
	if found = look(t, s, spec.Signal{Skew: "twice", Above: &above}); len(found) != 1 || found["skew:twice"].Fired {
		t.Errorf("one feature with a threshold over it: %+v", found)
	}
}

func dayOf(d Decision, i int) int64 {
	if i%3 == 0 {
		return d.At.Add(-48*time.Hour).Unix() / 86400
	}
	return d.At.Unix() / 86400
}

// TestTooEarlyToSay: decisions after the newest event of the lake are not
// judged, nor are few.
func TestTooEarlyToSay(t *testing.T) {
	s := filled(200)
	for i := range s.decisions[100:] {
		s.decisions[100+i].Features = []byte(`{"twice":-1}`)
	}
	s.until = noon.Add(100 * time.Second)
	if r := look(t, s, spec.Signal{Skew: "twice"})["skew:twice"]; r.Value != 0 || r.Rows != 100 {
		t.Errorf("%+v", r)
	}
	s.until = noon.Add((minSkewRows - 1) * time.Second)
	if r := look(t, s, spec.Signal{Skew: "twice"})["skew:twice"]; r.Rows == 0 || r.Rows > 100 {
		t.Errorf("rows that say an earlier time themselves: %+v", r)
	}
	s.untimed = true
	if found := look(t, s, spec.Signal{Skew: "*"}); len(found) != 0 {
		t.Errorf("of few decisions: %+v", found)
	}
	s.until = time.Time{}
	if found := look(t, s, spec.Signal{Skew: "*"}); len(found) != 0 {
		t.Errorf("of a lake without events: %+v", found)
	}
}

func TestFreshness(t *testing.T) {
	minute := 60.0
	found := look(t, filled(0), spec.Signal{Freshness: "view", Above: &minute}, spec.Signal{Freshness: "empty"})
	if r := found["freshness:view"]; r.Value != 1800 || !r.Fired || r.Threshold != 60 {
		t.Errorf("%+v", r)
	}
	if r := found["freshness:empty"]; !r.Fired || r.Value < 1e9 {
		t.Errorf("an empty view: %+v", r)
	}
	if r := look(t, filled(0), spec.Signal{Freshness: "view"})["freshness:view"]; r.Fired || r.Threshold != 3600 {
		t.Errorf("within the usual hour: %+v", r)
	}
}

func TestDamagedRecord(t *testing.T) {
	s := filled(50)
	s.decisions[7].Features = []byte(`{"twice":"x"}`)
	f := &Features{Served: s, Clock: clock.System{}}
	if _, err := f.Look(t.Context(), &spec.Monitor{Name: "m", Window: 100, Signals: []spec.Signal{{Skew: "*"}}}); err == nil {
		t.Error("a damaged record is no error")
	}
}
