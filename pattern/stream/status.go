package stream

import (
	"math"
	"sync"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/telemetry"
)

// State is what a stream is at.
type State string

// The states.
const (
	Starting State = "starting"
	Running  State = "running"
	Retrying State = "retrying" // something is away, and is asked again
	Waiting  State = "waiting"  // for partitions that somebody else has
	Paused   State = "paused"
	Full     State = "full"   // the dead letters are: nothing goes on
	Failed   State = "failed" // it cannot begin, and is tried again
	Finished State = "finished"
	Stopped  State = "stopped" // no server works on it
)

// Status is how a stream is.
type Status struct {
	Name  string    `json:"name"`
	State State     `json:"state"`
	Why   string    `json:"why,omitempty"` // it is not running
	Hint  string    `json:"hint,omitempty"`
	Since time.Time `json:"since,omitzero"` // of the state
	// Lag is how many events wait, -1 where nobody tells.
	Lag int64 `json:"lag"`
	// Rate is events a second, of the last ten seconds or so.
	Rate float64 `json:"rate"`
	// Watermark is the time up to which events are complete: the newest of the
	// partition that is furthest behind, less the lateness. Partitions that have
	// had nothing for a while do not hold it back.
	Watermark time.Time `json:"watermark,omitzero"`
	// Counts are of all time.
	Counts
	DeadLetters int64             `json:"dead_letters"` // that there are now
	DeadBytes   int64             `json:"dead_bytes"`
	From        string            `json:"from"`
	To          string            `json:"to,omitempty"`
	Score       string            `json:"score,omitempty"`
	Partitions  []PartitionStatus `json:"partitions"`
}

// PartitionStatus is how far a partition has come.
type PartitionStatus struct {
	Name    string    `json:"name"`
	Owner   string    `json:"owner,omitempty"`
	Next    int64     `json:"next"` // offset of the next event; -1 for the first, -2 for the latest
	Newest  time.Time `json:"newest,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
	Counts
}

// report is what a runner knows of itself. It is safe for many goroutines.
type report struct {
	mu    sync.Mutex
	state State
	why   error
	doing string
	since time.Time
	now   func() time.Time

	lag      int64
	events   int64 // since the start
	measures int64
	at       time.Duration
	rate     float64
	newest   map[string]progress
	mono     func() time.Duration
}

// progress is the newest event time of a partition and when it had an event.
type progress struct {
	newest int64
	at     time.Duration
}

func (r *report) set(state State, doing string, why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != state {
		r.since = r.now()
	}
	r.state, r.doing, r.why = state, doing, why
}

func (r *report) works() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != Running {
		r.state, r.since, r.why, r.doing = Running, r.now(), nil, ""
	}
}

func (r *report) waits(what string) {
	r.set(Waiting, "", fault.New(fault.Unavailable, "%s", what))
}

func (r *report) retries(doing string, err error) {
	state := Retrying
	if fault.Is(err, fault.Full) && doing == "commit" {
		state = Full
	}
	r.set(state, doing, err)
}

// count notes what became of a lane.
func (r *report) count(b *lane) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events += int64(len(b.events))
	if b.newest != never {
		r.newest[b.part.name] = progress{b.newest, r.mono()}
	}
}

// smooth is the weight of the last second in the rate.
const smooth = 0.2

func (r *report) measured(at time.Duration, lag int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lag = lag
	passed := (at - r.at).Seconds()
	if passed <= 0 {
		return
	}
	rate := float64(r.events-r.measures) / passed
	if r.at == 0 {
		r.rate = rate
	} else {
		r.rate += smooth * (rate - r.rate)
	}
	if r.rate < 0.01 {
		r.rate = 0
	}
	r.measures, r.at = r.events, at
}

// idle is how long a partition may have nothing and still hold the watermark
// back.
const idle = 30 * time.Second

// watermark is the least of the partitions' newest times that are not idle,
// less the lateness; of all that are idle the greatest.
func (r *report) watermark(lateness int64) (int64, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	low, high := int64(math.MaxInt64), int64(never)
	for _, p := range r.newest {
		high = max(high, p.newest)
		if r.mono()-p.at < idle {
			low = min(low, p.newest)
		}
	}
	if low == math.MaxInt64 {
		low = high
	}
	return low - lateness, low != never
}

// metrics are those of all streams.
type metrics struct {
	events    telemetry.Counter
	retries   telemetry.Counter
	viewLate  telemetry.Counter
	batch     telemetry.BoundHistogram
	lag       telemetry.GaugeVec
	watermark telemetry.GaugeVec
}

func newMetrics(t *telemetry.Telemetry) *metrics {
	return &metrics{
		events:    t.Counter("leat_stream_events_total", "Events of streams, by what became of them: decided, known, filtered, late, dead.", "stream", "result"),
		retries:   t.Counter("leat_stream_retries_total", "Attempts of streams that failed because something was away, by what was being done.", "stream", "doing"),
		viewLate:  t.Counter("leat_stream_view_late_total", "Events that came later than a feature view allows.", "stream", "view"),
		batch:     t.Histogram("leat_stream_batch_seconds", "Time of a micro-batch from its arrival to its commit.").With(),
		lag:       t.GaugeVec("leat_stream_lag", "Events that wait to be read, -1 where the bus does not tell.", "stream"),
		watermark: t.GaugeVec("leat_stream_watermark_seconds", "Event time up to which a stream is complete, in seconds since 1970.", "stream"),
	}
}

func (m *metrics) count(stream string, c Counts) {
	for _, x := range []struct {
		result string
		n      int64
	}{{"decided", c.Decided}, {"known", c.Known}, {"filtered", c.Filtered}, {"late", c.Late}, {"dead", c.Dead}} {
		if x.n > 0 {
			m.events.Add(float64(x.n), stream, x.result)
		}
	}
}
