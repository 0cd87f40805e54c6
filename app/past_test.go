package app

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"

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
	random := rand.New(rand.NewPCG(7, 7))
	type payment struct {
		at     time.Time
		card   int
		stolen bool
	}
	var all []payment
	first := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	for card := range 120 {
		for day := range 30 {
			at := first.AddDate(0, 0, day).Add(time.Duration(random.IntN(86_000)) * time.Second)
			all = append(all, payment{at: at, card: card})
			if random.IntN(20) > 0 {
				continue
			}
			for k := range 6 {
				at = at.Add(time.Duration(20+random.IntN(60)) * time.Second)
				all = append(all, payment{at, card, k > 0})
			}
		}
	}
	slices.SortFunc(all, func(a, b payment) int { return a.at.Compare(b.at) })
	for i, p := range all {
		fmt.Fprintf(w, "p%05d,c%03d,%s,%.2f,%s,%t\n", i, p.card, p.at.Format(time.RFC3339), 1+random.ExpFloat64()*40,
			[]string{"DE", "FR", "PL"}[random.IntN(3)], p.stolen)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
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
