package app

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/lake"
	"github.com/leat-ai/leat/spec"
)

// bursts writes payments of cards over some weeks. One in twenty of the cards'
// days has a burst within minutes, whose payments after the second are those of
// a thief; amounts, countries and hours are drawn alike for all.
func bursts(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "payment_id,card,at,amount,country,stolen")
	random := rand.New(rand.NewPCG(8, 7))
	for i, p := range cardPayments() {
		fmt.Fprintf(w, "p%05d,c%03d,%s,%.2f,%s,%t\n", i, p.card, p.at.Format(time.RFC3339), 1+random.ExpFloat64()*40,
			[]string{"DE", "FR", "PL"}[random.IntN(3)], p.stolen)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}

// cardPayments are those of bursts, in the order of time.
func cardPayments() []cardPayment {
	random := rand.New(rand.NewPCG(7, 7))
	var all []cardPayment
	first := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for card := range 120 {
		for day := range 30 {
			at := first.AddDate(0, 0, day).Add(time.Duration(random.IntN(86_000)) * time.Second)
			all = append(all, cardPayment{at: at, card: card})
			if random.IntN(20) > 0 {
				continue
			}
			for k := range 6 {
				at = at.Add(time.Duration(20+random.IntN(60)) * time.Second)
				all = append(all, cardPayment{at, card, k > 0})
			}
		}
	}
	slices.SortFunc(all, func(a, b cardPayment) int { return a.at.Compare(b.at) })
	return all
}

type cardPayment struct {
	at     time.Time
	card   int
	stolen bool
}

// TestBurstsAreLearned runs the example of windows: what the model learned from
// the past is what the batch scores with, so it tells thieves apart there, too.
func TestBurstsAreLearned(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := bursts(filepath.Join(dir, "data", "payments.csv")); err != nil {
		t.Fatal(err)
	}
	var project []byte
	for _, name := range []string{"features.yaml", "model.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "examples", "card-bursts", name))
		if err != nil {
			t.Fatal(err)
		}
		project = append(append(project, text...), "---\n"...)
	}
	if err := os.WriteFile(filepath.Join(dir, "leat.yaml"), project[:len(project)-4], 0o600); err != nil {
		t.Fatal(err)
	}
	l := &loop{T: t, dir: dir, config: Config{Project: dir, Home: filepath.Join(dir, "home"), Silent: true}}
	l.start()
	t.Cleanup(func() {
		if err := stopped(l.App); err != nil {
			t.Error(err)
		}
	})
	l.run(spec.KindPipeline, "bursts", "learn")
	v, err := l.registry.Version(t.Context(), "bursts", "champion")
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	if auc := v.Metrics["auc"]; auc < 0.95 {
		t.Errorf("auc %.3f", auc)
	}
	l.run(spec.KindBatch, "review", "night")
	stolen, others := meanScores(l, "burst_scores")
	if stolen < 0.7 || others > 0.1 {
		t.Errorf("the batch gives stolen payments %.3f and others %.3f on average", stolen, others)
	}
	histories(l, cardPayments())
}

// histories asks for the features of cards at some times, and compares one of
// them with a plain count.
func histories(l *loop, all []cardPayment) {
	l.Helper()
	var file strings.Builder
	file.WriteString("case,card,seen_at,amount\n")
	var want []string
	for i := range 200 {
		p := all[i*len(all)/200]
		seen, n := p.at.Add(time.Duration(i%3-1)*time.Minute), 0
		for _, q := range all {
			if q.card == p.card && q.at.Before(seen) && !q.at.Before(seen.Add(-24*time.Hour)) {
				n++
			}
		}
		fmt.Fprintf(&file, "k%d,c%03d,%s,10\n", i, p.card, seen.Format(time.RFC3339))
		want = append(want, fmt.Sprintf("k%d %d", i, n))
	}
	answer, err := l.Client().FeatureHistory(l.Context(), []string{"card_activity", "beside_usual"}, "seen_at", strings.NewReader(file.String()))
	if err != nil {
		l.Fatal(err, fault.HintOf(err))
	}
	defer answer.Close()
	rows, err := ipc.NewReader(answer)
	if err != nil {
		l.Fatal(err)
	}
	defer rows.Release()
	var got []string
	for rows.Next() {
		b := rows.RecordBatch()
		name, n := b.Column(frame.Index(b.Schema(), "case")), b.Column(frame.Index(b.Schema(), "paid_24h"))
		for row := range int(b.NumRows()) {
			got = append(got, name.ValueStr(row)+" "+n.ValueStr(row))
		}
	}
	if !slices.Equal(got, want) {
		l.Errorf("histories are\n%v, not\n%v", got, want)
	}
	if _, err := l.Client().FeatureHistory(l.Context(), []string{"card_activity"}, "seen_at", strings.NewReader("card,at\nc1,2026-03-02\n")); !fault.Is(err, fault.Invalid) {
		l.Errorf("rows without their time gave %v", err)
	}
}

// meanScores averages what a batch answered, by the label.
func meanScores(l *loop, table string) (stolen, others float64) {
	l.Helper()
	t, err := l.lake.Table(l.Context(), table)
	if err != nil {
		l.Fatal(err)
	}
	r, err := t.Scan(l.Context(), lake.ScanOptions{Columns: []string{"stolen", "score"}})
	if err != nil {
		l.Fatal(err)
	}
	var sum, n [2]float64
	err = frame.Each(l.Context(), r, func(b frame.Batch) error {
		labels, scores := b.Column(0).(*array.Boolean), b.Column(1).(*array.Float64)
		for row := range labels.Len() {
			at := 0
			if labels.Value(row) {
				at = 1
			}
			sum[at] += scores.Value(row)
			n[at]++
		}
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	return sum[1] / n[1], sum[0] / n[0]
}
