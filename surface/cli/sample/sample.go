// Package sample writes the project that `leat demo` turns the loop on: card
// transactions of a made-up bank, with planted fraud, a known amount of
// noise, dirty rows and a drift in the last tenth.
//
// Everything is drawn from a seed, so the file is the same on every machine,
// and Truth says what a perfect model could reach: what the demo reports can
// be held against it.
package sample

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/spec"
)

// Options say how much to write. The zero value of a field means its default.
type Options struct {
	Rows  int     // good and dirty rows together; 200,000
	Seed  uint64  // 1
	Noise float64 // share of labels turned over at random; 0.002
	Dirty float64 // share of rows that break a rule; 0.004
}

// Truth is what was planted, to compare the loop's findings with.
type Truth struct {
	Rows    int            `json:"rows"`
	Fraud   int            `json:"fraud"`   // rows labelled fraud, noise included
	Flipped int            `json:"flipped"` // labels turned over by noise
	Dirty   map[string]int `json:"dirty"`   // reason → rows
	// BestAUC is that of the planted probability on the clean rows of the
	// last fifth: no model that sees one row at a time does better but by luck.
	BestAUC float64 `json:"best_auc"`
}

// Header is the first line of the file.
const Header = "txn_id,customer_id,at,amount,balance,country,merchant,channel,card_age_days,txns_24h,fraud\n"

// Schema is the type of each column, as a Source declares them.
func Schema() spec.Columns {
	return spec.Columns{
		{Name: "txn_id", Type: frame.String}, {Name: "customer_id", Type: frame.String},
		{Name: "at", Type: frame.Timestamp}, {Name: "amount", Type: frame.Double},
		{Name: "balance", Type: frame.Double}, {Name: "country", Type: frame.String},
		{Name: "merchant", Type: frame.String}, {Name: "channel", Type: frame.String},
		{Name: "card_age_days", Type: frame.Int}, {Name: "txns_24h", Type: frame.Int},
		{Name: "fraud", Type: frame.Bool},
	}
}

func (o Options) withDefaults() Options {
	if o.Rows <= 0 {
		o.Rows = 200_000
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Noise == 0 {
		o.Noise = 0.002
	}
	if o.Dirty == 0 {
		o.Dirty = 0.004
	}
	return o
}

// Write writes the transactions as CSV, in the order of time.
func Write(w io.Writer, o Options) (Truth, error) {
	o = o.withDefaults()
	g := newGenerator(o)
	out := bufio.NewWriterSize(w, 1<<16)
	if _, err := out.WriteString(Header); err != nil {
		return Truth{}, err
	}
	var line []byte
	for i := range o.Rows {
		line = g.line(line[:0], i)
		if _, err := out.Write(line); err != nil {
			return Truth{}, err
		}
	}
	g.truth.BestAUC = auc(g.scores, g.labels)
	return g.truth, out.Flush()
}

// choice is a value with its share of the rows and its weight in the planted
// logit.
type choice struct {
	name  string
	share float64
	logit float64
}

var (
	countries = []choice{
		{"DE", .34, 0}, {"FR", .18, 0}, {"NL", .12, -.2}, {"IT", .11, .1}, {"ES", .10, .1},
		{"PL", .08, .3}, {"US", .05, .9}, {"NG", .02, 1.6},
	}
	merchants = []choice{
		{"groceries", .33, -.8}, {"fuel", .14, -.3}, {"restaurant", .17, -.4}, {"travel", .09, .4},
		{"electronics", .11, .9}, {"gift_cards", .04, 1.9}, {"clothing", .12, 0},
	}
	channels = []choice{{"chip", .52, -1.1}, {"contactless", .25, -.7}, {"online", .20, 1.0}, {"magstripe", .03, 1.3}}
)

type generator struct {
	o      Options
	rand   *rand.Rand
	start  time.Time
	step   time.Duration // from one row to the next
	truth  Truth
	scores []float64 // of clean rows in the last fifth
	labels []bool
}

func newGenerator(o Options) *generator {
	return &generator{
		o:     o,
		rand:  rand.New(rand.NewPCG(o.Seed, 0x1ea7)),
		start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		step:  (350 * 24 * time.Hour / time.Duration(o.Rows)).Round(time.Second),
		truth: Truth{Dirty: map[string]int{}},
	}
}

// transaction is one row before it is written.
type transaction struct {
	customer          int
	at                time.Time
	amount, balance   float64
	country, merchant choice
	channel           choice
	cardAge, recent   int
	fraud             bool
	probability       float64
}

func (g *generator) line(b []byte, i int) []byte {
	t := g.draw(i)
	g.truth.Rows++
	if g.rand.Float64() < g.o.Dirty {
		return g.dirtyLine(b, i, t)
	}
	if t.fraud {
		g.truth.Fraud++
	}
	if i >= g.o.Rows*4/5 {
		g.scores, g.labels = append(g.scores, t.probability), append(g.labels, t.fraud)
	}
	return t.append(b, i, strconv.FormatFloat(t.amount, 'f', 2, 64), t.country.name)
}

func (g *generator) draw(i int) transaction {
	drifted := i >= g.o.Rows*9/10
	t := transaction{
		customer: g.rand.IntN(20_000),
		at:       g.start.Add(time.Duration(i)*g.step + time.Duration(g.rand.Int64N(int64(g.step)))),
		country:  g.pick(countries),
		merchant: g.pick(merchants),
		channel:  g.pick(channels),
		cardAge:  int(g.rand.ExpFloat64() * 500),
		recent:   int(g.rand.ExpFloat64() * 2.5),
	}
	t.amount = math.Exp(3.2 + 1.1*g.rand.NormFloat64())
	t.balance = math.Exp(7.3 + .8*g.rand.NormFloat64())
	if drifted { // prices jump, and cards from a new country appear
		t.amount *= 1.9
		if g.rand.Float64() < .15 {
			t.country = choice{"BR", 0, .8}
		}
	}
	t.probability = 1 / (1 + math.Exp(-t.logit()))
	t.fraud = g.rand.Float64() < t.probability
	if g.rand.Float64() < g.o.Noise {
		t.fraud = !t.fraud
		g.truth.Flipped++
	}
	return t
}

// logit is the planted law: a few strong reasons, two interactions that a
// linear model cannot see, nothing that one row does not show.
func (t transaction) logit() float64 {
	z := -6.4 + t.country.logit + t.merchant.logit + t.channel.logit
	share := t.amount / t.balance
	z += 2.2 * math.Min(share*4, 1.5)
	if hour := t.at.Hour(); hour < 5 {
		z += 1.3
		if t.channel.name == "online" {
			z += 1.2
		}
	}
	if t.cardAge < 30 {
		z += 1.1
		if t.amount > 80 {
			z += 1.4
		}
	}
	return z + .35*math.Min(float64(t.recent), 8)
}

func (g *generator) pick(from []choice) choice {
	x := g.rand.Float64()
	for _, c := range from {
		if x -= c.share; x < 0 {
			return c
		}
	}
	return from[0]
}

// dirtyLine writes a row that breaks one of the Source's rules.
func (g *generator) dirtyLine(b []byte, i int, t transaction) []byte {
	amount := strconv.FormatFloat(t.amount, 'f', 2, 64)
	switch g.rand.IntN(4) {
	case 0:
		g.truth.Dirty["negative amount"]++
		return t.append(b, i, "-"+amount, t.country.name)
	case 1:
		g.truth.Dirty["no country"]++
		return t.append(b, i, amount, "")
	case 2:
		g.truth.Dirty["amount is not a number"]++
		return t.append(b, i, "n/a", t.country.name)
	}
	g.truth.Dirty["too few fields"]++
	return fmt.Appendf(b, "t%07d,c%05d,%s\n", i, t.customer, t.at.Format(time.RFC3339))
}

func (t transaction) append(b []byte, i int, amount, country string) []byte {
	return fmt.Appendf(b, "t%07d,c%05d,%s,%s,%.2f,%s,%s,%s,%d,%d,%t\n",
		i, t.customer, t.at.Format(time.RFC3339), amount, t.balance, country,
		t.merchant.name, t.channel.name, t.cardAge, t.recent, t.fraud)
}

// auc is the area under the ROC curve by ranks (Mann and Whitney 1947); ties
// are too rare here to matter.
func auc(scores []float64, labels []bool) float64 {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	sort.Slice(order, func(a, b int) bool { return scores[order[a]] < scores[order[b]] })
	var ranks, positives float64
	for rank, i := range order {
		if labels[i] {
			ranks += float64(rank + 1)
			positives++
		}
	}
	negatives := float64(len(scores)) - positives
	return (ranks - positives*(positives+1)/2) / (positives * negatives)
}
