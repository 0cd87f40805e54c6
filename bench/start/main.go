// Command start measures how long it takes from the start of `leat up` to its
// first answer, on a home that has a released model and some records already:
// what a restart costs.
//
//	make build && go run ./bench/start
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/duel"
	"github.com/leat-ai/leat/bench/internal/fixture"
	"github.com/leat-ai/leat/bench/internal/load"
	"github.com/leat-ai/leat/bench/internal/result"
)

// columns of the model's rows.
const columns = 30

func main() {
	rounds := flag.Int("rounds", 11, "")
	flag.Parse()
	if err := run(context.Background(), *rounds); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, rounds int) error {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if _, err := fixture.Make(ctx, dir, columns); err != nil {
		return err
	}
	row := map[string]float64{}
	for i, v := range (fixture.Rows{Columns: columns, Seed: 2}).Draw(1)[0] {
		row[fixture.ColumnName(i)] = v
	}
	body, err := json.Marshal(map[string]any{"rows": []any{row}})
	if err != nil {
		return err
	}
	var seconds, memory, stops []float64
	for range rounds {
		took, used, stop, err := once(ctx, dir, body)
		if err != nil {
			return err
		}
		seconds, memory, stops = append(seconds, took), append(memory, float64(used.PeakRSS)/(1<<20)), append(stops, stop)
	}
	settled, used, err := resident(ctx, dir, body)
	if err != nil {
		return err
	}
	return result.Keep(result.Entry{Bench: "start", Figures: []result.Figure{
		result.Figure{Name: "start to first answer", Value: duel.Median(seconds), Unit: "s", Least: slices.Min(seconds), Most: slices.Max(seconds)}.AtMost(1),
		{Name: "stop", Value: duel.Median(stops), Unit: "s", Least: slices.Min(stops), Most: slices.Max(stops)},
		{Name: "peak memory of the start", Value: duel.Median(memory), Unit: "MiB", Least: slices.Min(memory), Most: slices.Max(memory)},
		result.Figure{Name: "resident memory, settled", Value: settled, Unit: "MiB"}.AtMost(120),
		result.Figure{Name: fmt.Sprintf("resident memory after %d answers", answers), Value: used, Unit: "MiB"}.AtMost(120),
	}, Setup: fmt.Sprintf("one endpoint with %d trees, %d starts", fixture.Trees, rounds)})
}

// once starts a server, asks it for a score, and stops it.
func once(ctx context.Context, dir string, body []byte) (seconds float64, used binary.Usage, stop float64, err error) {
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return 0, used, 0, err
	}
	err = ask(server.URL, body)
	seconds = time.Since(server.Started).Seconds()
	begin := time.Now()
	used, serr := server.Stop()
	if err == nil {
		err = serr
	}
	return seconds, used, time.Since(begin).Seconds(), err
}

// Resident memory is looked at once the start is past, and after answers.
const (
	settling = 5 * time.Second
	answers  = 20_000
)

// resident returns the resident memory, in MiB, of a server that has settled
// down, and of one that has answered.
func resident(ctx context.Context, dir string, body []byte) (settled, used float64, err error) {
	server, err := binary.Up(ctx, dir)
	if err != nil {
		return 0, 0, err
	}
	defer server.Stop()
	if err := ask(server.URL, body); err != nil {
		return 0, 0, err
	}
	time.Sleep(settling)
	if settled, err = load.Resident(server.PID()); err != nil {
		return 0, 0, err
	}
	for range answers {
		if err := ask(server.URL, body); err != nil {
			return 0, 0, err
		}
	}
	used, err = load.Resident(server.PID())
	return settled, used, err
}

func ask(url string, body []byte) error {
	r, err := http.Post(url+"/v1/endpoints/"+fixture.Endpoint+"/score", "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("the first answer is %s: %s", r.Status, text)
	}
	return err
}
