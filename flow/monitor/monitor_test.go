package monitor

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/clock"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/feature/profile"
	"github.com/leat-ai/leat/internal/realdata"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/store/catalog/sqlite"
)

// bank reads the bank marketing campaign: numbers where every cell is one.
func bank(t *testing.T) ([]frame.Column, [][]string) {
	f, err := os.Open(realdata.Path(t, "tabular-bank-marketing/data.csv.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	records, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	columns := make([]frame.Column, len(records[0]))
	for i, name := range records[0] {
		columns[i] = frame.Column{Name: name, Type: frame.String}
		if _, err := strconv.ParseFloat(records[1][i], 64); err == nil {
			columns[i].Type = frame.Double
		}
	}
	return columns, records[1:]
}

func batchOf(t *testing.T, columns []frame.Column, rows [][]string) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf(columns))
	defer b.Release()
	for _, row := range rows {
		for i, cell := range row {
			switch f := b.Field(i).(type) {
			case *array.StringBuilder:
				f.Append(cell)
			case *array.Float64Builder:
				v, err := strconv.ParseFloat(cell, 64)
				if err != nil {
					t.Fatal(err)
				}
				f.Append(v)
			}
		}
	}
	return b.NewRecordBatch()
}

// tenths looks at the ten parts of rows, one after the other, against all of
// them, and returns how many signals fired in each.
func tenths(t *testing.T, columns []frame.Column, rows [][]string) (fired [10]int) {
	b := profile.NewBuilder(columns)
	if err := b.Add(batchOf(t, columns, rows)); err != nil {
		t.Fatal(err)
	}
	p := b.Profile()
	for i := range fired {
		tally := profile.NewTally(p)
		if err := tally.Add(p, batchOf(t, columns, rows[len(rows)*i/10:len(rows)*(i+1)/10])); err != nil {
			t.Fatal(err)
		}
		for _, r := range Look(&spec.Monitor{Name: "m"}, p, Window{Tally: tally}) {
			if r.Fired {
				fired[i]++
			}
		}
	}
	return fired
}

func TestBankCampaignDriftsInTimeAndNotWhenShuffled(t *testing.T) {
	columns, rows := bank(t)
	fired := tenths(t, columns, rows)
	t.Logf("signals fired in each tenth, in the order of time: %v", fired)
	if fired[9] < 3 {
		t.Errorf("%d signals fired in the last tenth, want several", fired[9])
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	if fired := tenths(t, columns, rows); fired != [10]int{} {
		t.Errorf("fired %v on shuffled rows, want silence", fired)
	}
}

func TestFewRowsSayNothing(t *testing.T) {
	columns, rows := bank(t)
	b := profile.NewBuilder(columns)
	if err := b.Add(batchOf(t, columns, rows[:5000])); err != nil {
		t.Fatal(err)
	}
	live := NewLive("r1", b.Profile(), clock.System{})
	if err := live.Observe(batchOf(t, columns, rows[40_000:40_000+MinRows-1]), batchOf(t, nil, nil)); err != nil {
		t.Fatal(err)
	}
	m := &spec.Monitor{Name: "m", Window: 1000}
	if r := live.Look(m); r != nil {
		t.Errorf("%d readings of %d rows", len(r), MinRows-1)
	}
	if err := live.Observe(batchOf(t, columns, rows[40_199:41_500]), batchOf(t, nil, nil)); err != nil {
		t.Fatal(err)
	}
	if r := live.Look(m); len(r) == 0 {
		t.Error("no readings of a full window")
	}
}

func TestSignalsAreKeptAndTold(t *testing.T) {
	ctx := context.Background()
	db, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "catalog.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var told []Reading
	signals := NewSignals(db, func(r Reading) { told = append(told, r) })
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	quiet := Reading{Monitor: "m", Signal: "psi", Column: "amount", Value: .01, Threshold: .2, Rows: 500, Start: at, End: at, Release: "r"}
	loud := quiet
	loud.Value, loud.Fired, loud.Window, loud.Column = .7, true, "10/10", "income >50K"
	if err := signals.Keep(ctx, []Reading{quiet, loud}); err != nil {
		t.Fatal(err)
	}
	all, err := signals.List(ctx, Query{Monitor: "m"})
	if err != nil || len(all) != 2 || all[0] != loud || all[1] != quiet {
		t.Errorf("listed %+v, %v", all, err)
	}
	fired, err := signals.List(ctx, Query{Fired: true})
	if err != nil || len(fired) != 1 || len(told) != 1 || told[0] != loud {
		t.Errorf("fired %+v, told %+v, %v", fired, told, err)
	}
}
