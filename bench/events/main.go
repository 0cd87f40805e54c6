// Command events measures a stream from end to end: transactions are consumed
// from a durable topic, feed twenty windowed features, are scored by 100 trees
// and published to another durable topic, by leat as it is shipped, with
// records and metrics on; beside it what people wire together for that, Redpanda
// Connect between NATS and a model server of Python, without the windows. The topics are those of the bus within the process,
// every acknowledgement of which is on the disk. The load runs on the same
// cores.
//
//	make build && go run ./bench/events
//
// Throughput: a backlog is published while the stream is paused, and the clock
// runs from its resumption to the commit of the last event. Latency: events are
// published at 70 % of that rate, at moments drawn in advance, and the clock
// runs from the moment that an event was due to its arrival at a reader of the
// topic of decisions. Before anything is believed, the sets of ids that went in
// and came out are compared.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/nats"
	"github.com/leat-ai/leat/surface/client"
)

type size struct {
	backlog, rounds, customers int
	seconds, share             float64
	keep, alone, online        bool
	asked                      int // events of one round of the peers
	kills                      int
}

func main() {
	var s size
	flag.IntVar(&s.backlog, "backlog", result.Scaled(300_000, 20_000), "events of one round of throughput")
	flag.IntVar(&s.rounds, "rounds", 3, "")
	flag.IntVar(&s.customers, "customers", 5000, "keys of the windows")
	flag.Float64Var(&s.seconds, "seconds", 15*result.Scale(), "of the measurement of latency")
	flag.Float64Var(&s.share, "share", 0.7, "of the throughput, for the latency")
	flag.BoolVar(&s.online, "online", false, "write the windows to the online store as well, for real time")
	flag.BoolVar(&s.alone, "alone", false, "without the peers")
	flag.IntVar(&s.asked, "peer-events", result.Scaled(8_000, 1_000), "events of one round of the peers")
	flag.IntVar(&s.kills, "kills", 5, "kill -9 of the server in the middle of a backlog")
	flag.BoolVar(&s.keep, "keep", false, "leave the project behind")
	flag.Parse()
	if err := run(context.Background(), s); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, s size) error {
	dir, err := os.MkdirTemp("", "leat-events-")
	if err != nil {
		return err
	}
	if s.keep {
		fmt.Println(dir)
	} else {
		defer os.RemoveAll(dir)
	}
	if err := makeProject(dir, s.customers); err != nil {
		return err
	}
	if _, _, err := binary.Leat(ctx, dir, "run", "--apply", "learn"); err != nil {
		return err
	}
	if err := addStream(dir, s.online); err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	server, err := binary.UpWith(ctx, dir, "--bus", "embedded?listen="+address)
	if err != nil {
		return err
	}
	defer func() { server.Stop() }()
	t := &trial{size: s}
	if err := t.connect(ctx, server, address); err != nil {
		return err
	}
	defer func() { t.bus.Close() }()
	if !s.alone {
		if t.peers, err = startPeers(ctx, dir); err != nil {
			return err
		}
		defer t.peers.stop()
	}
	figures, setup, err := t.measure(ctx)
	if err != nil {
		return err
	}
	if s.kills > 0 {
		var f result.Figure
		if server, f, err = t.recovery(ctx, server, dir, address); err != nil {
			return err
		}
		figures = append(figures, f)
	}
	return result.Keep(result.Entry{Bench: "events", Setup: setup, Figures: figures})
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// txn is the i-th transaction, as events and as the table have it.
type txn struct {
	ID       string    `json:"txn_id"`
	Customer string    `json:"customer"`
	At       time.Time `json:"at"`
	Amount   float64   `json:"amount"`
	Country  string    `json:"country"`
}

func transaction(i, customers int, at time.Time) txn {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	return txn{
		ID: fmt.Sprintf("t%09d", i), Customer: fmt.Sprintf("c%05d", r.IntN(customers)), At: at,
		Amount: float64(r.IntN(100_000)) / 100, Country: []string{"at", "be", "ch", "de", "it"}[r.IntN(5)],
	}
}

// trained is how many rows the model learns from.
const trained = 20_000

// begin is the time of the first row that is learned from; events come a year
// later.
var begin = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func makeProject(dir string, customers int) error {
	var b strings.Builder
	b.WriteString("txn_id,customer,at,amount,country,fraud\n")
	for i := range trained {
		t := transaction(-1-i, customers/50+1, begin.Add(time.Duration(i)*2*time.Second))
		fraud := t.Amount > 700 && t.Country != "ch" || rand.New(rand.NewPCG(uint64(i), 9)).IntN(20) == 0
		fmt.Fprintf(&b, "%s,%s,%s,%v,%s,%v\n", t.ID, t.Customer, t.At.Format(time.RFC3339), t.Amount, t.Country, fraud)
	}
	if err := os.WriteFile(filepath.Join(dir, "transactions.csv"), []byte(b.String()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "leat.yaml"), []byte(project), 0o600)
}

func addStream(dir string, online bool) error {
	return os.WriteFile(filepath.Join(dir, "stream.yaml"), fmt.Appendf(nil, "%sonline: %v\n", live, online), 0o600)
}

const project = `kind: Source
name: transactions
from: transactions.csv
schema: {txn_id: string, customer: string, at: timestamp, amount: double, country: string, fraud: bool}
---
kind: FeatureView
name: activity
entity: customer
source: transactions
timestamp: at
lateness: 1m
features:
  spend:     {sum: amount, window: [1m, 10m, 1h, 24h]}
  txns:      {count: "*", window: [1m, 10m, 1h, 24h]}
  mean:      {avg: amount, window: [10m, 1h, 24h]}
  most:      {max: amount, window: [10m, 1h, 24h]}
  least:     {min: amount, window: [1h, 24h]}
  countries: {distinct: country, window: [1h, 24h]}
  last:      {last: amount, window: [1h, 24h]}
---
kind: FeatureView
name: payment
source: transactions
columns: [amount, country]
---
kind: Pipeline
name: learn
steps:
  - ingest: {sources: [transactions]}
  - train: {model: fraud, label: fraud, features: [activity, payment], trainer: gbdt, params: {trees: 100, num_leaves: 31, early_stopping_rounds: 0}, seed: 1}
  - register: {alias: challenger}
  - deploy: {endpoint: fraud}
---
kind: Endpoint
name: fraud
model: fraud@champion
decide: {threshold: 0.5, on_above: review, on_below: pass}
`

const live = `kind: Stream
name: live
from: nats://events
schema: {txn_id: string, customer: string, at: timestamp, amount: double, country: string}
timestamp: at
id: txn_id
key: customer
update: [activity]
score: fraud
to: nats://scored
batch: 4000
`

// trial is what is measured.
type trial struct {
	size
	pid    int
	api    *client.Client
	bus    *nats.Bus
	writer bus.Writer
	reader bus.Reader
	next   int // number of the next event
	rates  []float64
	peers  *peers    // nil without
	theirs []float64 // rates
	cpu    []float64 // µs of processor an event
	memory []float64 // MB
}

func (t *trial) open(ctx context.Context) (err error) {
	if t.writer, err = t.bus.Writer(ctx, "events"); err != nil {
		return err
	}
	w, err := t.bus.Writer(ctx, "scored") // so that the topic is there
	if err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	t.reader, err = t.bus.Reader(ctx, "scored", bus.ReadOptions{})
	return err
}

func (t *trial) event(at time.Time) bus.Event {
	x := transaction(t.next, t.customers, at)
	t.next++
	body, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return bus.Event{ID: "m" + x.ID, Key: []byte(x.Customer), Time: at, Body: body}
}

func (t *trial) measure(ctx context.Context) (figures []result.Figure, setup string, err error) {
	if err := t.round(ctx, min(t.backlog, 20_000)); err != nil { // to warm up
		return nil, "", err
	}
	t.rates, t.cpu, t.memory = nil, nil, nil
	for i := range t.rounds {
		if err := t.round(ctx, t.backlog); err != nil {
			return nil, "", err
		}
		if t.peers == nil {
			continue
		}
		rate, err := t.peers.round(ctx, i, t.asked)
		if err != nil {
			return nil, "", err
		}
		fmt.Printf("%d events through the peers: %.0f/s\n", t.asked, rate)
		t.theirs = append(t.theirs, rate)
	}
	rate := median(t.rates)
	took, err := t.paced(ctx, t.share*rate)
	if err != nil {
		return nil, "", err
	}
	st, err := t.committed(ctx)
	if err != nil {
		return nil, "", err
	}
	if st.Decided != int64(t.next) || st.DeadLetters != 0 {
		return nil, "", fmt.Errorf("%d of %d events were decided, %d are dead: %s", st.Decided, t.next, st.DeadLetters, st.Why)
	}
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	setup = fmt.Sprintf("%d rounds of %d events of %d customers, 20 windowed features, 100 trees, both topics synced before every acknowledgement, online store %v; latency %.0f s at %.0f/s, %d events",
		t.rounds, t.backlog, t.customers, t.online, t.seconds, t.share*rate, len(took))
	return append(t.beside(), figure("events", "1/s", t.rates).AtLeast(30_000), figure("processor for an event", "µs", t.cpu), figure("memory", "MB", t.memory),
		figure("latency p50 at 70 %", "ms", []float64{at(0.5)}), figure("latency p99 at 70 %", "ms", []float64{at(0.99)}).AtMost(10),
		figure("latency p99.9 at 70 %", "ms", []float64{at(0.999)})), setup, nil
}

// beside compares the rounds, each with that of the peers behind it.
func (t *trial) beside() []result.Figure {
	if t.peers == nil {
		return nil
	}
	ratios := make([]float64, len(t.theirs))
	for i, rate := range t.theirs {
		ratios[i] = t.rates[i] / rate
	}
	f := figure("events beside Redpanda Connect and a model server", "×", ratios).AtLeast(10)
	f.Peer = median(t.theirs)
	return []result.Figure{f}
}

// committed waits until the last batch is.
func (t *trial) committed(ctx context.Context) (st stream.Status, err error) {
	for range 100 {
		if st, err = t.api.Stream(ctx, "live"); err != nil || st.Decided >= int64(t.next) {
			return st, err
		}
		time.Sleep(100 * time.Millisecond)
	}
	return st, nil
}

func figure(name, unit string, values []float64) result.Figure {
	return result.Figure{Name: name, Unit: unit, Value: median(values), Least: slices.Min(values), Most: slices.Max(values)}
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// backlogged publishes a backlog while the stream is paused.
func (t *trial) backlogged(ctx context.Context, n int) error {
	if _, err := t.api.PauseStream(ctx, "live"); err != nil {
		return err
	}
	at := begin.AddDate(1, 0, 0).Add(time.Duration(t.next) * time.Millisecond)
	for left := n; left > 0; {
		batch := make([]bus.Event, min(left, 2000))
		for i := range batch {
			batch[i] = t.event(at)
			at = at.Add(time.Millisecond)
		}
		left -= len(batch)
		if err := t.writer.Write(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// round times how long a backlog takes to be decided and published.
func (t *trial) round(ctx context.Context, n int) error {
	if err := t.backlogged(ctx, n); err != nil {
		return err
	}
	cpu, begun := load.CPU(t.pid), time.Now()
	if _, err := t.api.ResumeStream(ctx, "live"); err != nil {
		return err
	}
	if err := t.drain(ctx, n, nil); err != nil {
		return err
	}
	took := time.Since(begun)
	t.rates = append(t.rates, float64(n)/took.Seconds())
	t.cpu = append(t.cpu, float64((load.CPU(t.pid)-cpu).Microseconds())/float64(n))
	memory, err := load.Resident(t.pid)
	t.memory = append(t.memory, memory)
	fmt.Printf("%d events in %.2f s: %.0f/s, %.1f µs of processor each, %.0f MB\n", n, took.Seconds(), float64(n)/took.Seconds(), t.cpu[len(t.cpu)-1], memory)
	return err
}

// drain reads n decisions, each of which must be of another event.
func (t *trial) drain(ctx context.Context, n int, arrived func(id string)) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	ids := make(map[string]bool, n)
	for len(ids) < n {
		events, err := t.reader.Next(ctx, 4000)
		if err != nil {
			st, _ := t.api.Stream(context.WithoutCancel(ctx), "live")
			return fmt.Errorf("%d of %d decisions came: %w; the stream is %s: %s", len(ids), n, err, st.State, st.Why)
		}
		for i := range events {
			if ids[events[i].ID] {
				return fmt.Errorf("%s came twice", events[i].ID)
			}
			ids[events[i].ID] = true
			if arrived != nil {
				arrived(events[i].ID)
			}
		}
	}
	return nil
}

// tick is how often the load publishes what is due.
const tick = 2 * time.Millisecond

// paced publishes at a rate and returns how long each event took from when it
// was due.
func (t *trial) paced(ctx context.Context, rate float64) ([]time.Duration, error) {
	n := int(rate * t.seconds)
	events, moments, due := make([]bus.Event, n), make([]time.Duration, n), make(map[string]time.Duration, n)
	random, at := rand.New(rand.NewPCG(1, 2)), time.Duration(0)
	first := begin.AddDate(1, 0, 0).Add(time.Duration(t.next) * time.Millisecond)
	for i := range events {
		at += time.Duration(random.ExpFloat64() / rate * 1e9)
		moments[i], due[fmt.Sprintf("t%09d", t.next)] = at, at
		events[i] = t.event(first.Add(at))
	}
	begun, written := time.Now(), make(chan error, 1)
	go func() { written <- t.write(ctx, events, moments, begun) }()
	took := make([]time.Duration, 0, n)
	err := t.drain(ctx, n, func(id string) { took = append(took, time.Since(begun)-due[id]) })
	if err != nil {
		return nil, err
	}
	return took, <-written
}

// write publishes events when they are due, those of one tick together and
// several ticks at once where the broker is slow.
func (t *trial) write(ctx context.Context, events []bus.Event, moments []time.Duration, begun time.Time) error {
	const writers = 8
	free := make(chan struct{}, writers)
	failed := make(chan error, len(events)/10+writers)
	for from := 0; from < len(events); {
		time.Sleep(time.Until(begun.Add(moments[from])))
		passed, to := time.Since(begun)+tick/2, from
		for to < len(events) && moments[to] <= passed {
			to++
		}
		part := events[from:max(to, from+1)]
		from += len(part)
		free <- struct{}{}
		go func() {
			defer func() { <-free }()
			if err := t.writer.Write(ctx, part); err != nil {
				failed <- err
			}
		}()
	}
	for range writers {
		free <- struct{}{}
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
