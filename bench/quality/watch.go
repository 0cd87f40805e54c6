package main

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/leat-ai/leat/bench/internal/binary"
	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/internal/realdata"
)

// reading is a signal that fired, as the demo reports it.
type reading struct {
	Signal, Column, Window string
	Value                  float64
}

// lastTenth is the window of a batch's last rows.
const lastTenth = "10/10"

// watched lets the demo score the bank's rows in their order, in which the
// world changed, and shuffled, where nothing did.
func watched(ctx context.Context) ([]result.Figure, error) {
	dir, err := os.MkdirTemp("", "leat-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ordered := filepath.Join(realdata.Root(), "tabular-bank-marketing", "data.csv.gz")
	shuffled := filepath.Join(dir, "bank.csv")
	if err := shuffle(ordered, shuffled); err != nil {
		return nil, err
	}
	inOrder, err := signals(ctx, filepath.Join(dir, "ordered"), ordered)
	if err != nil {
		return nil, err
	}
	quiet, err := signals(ctx, filepath.Join(dir, "shuffled"), shuffled)
	if err != nil {
		return nil, err
	}
	byWindow, loudest := map[string]int{}, reading{}
	for _, r := range inOrder {
		byWindow[r.Window]++
		if r.Signal == "psi" && r.Column == "prediction" && r.Value > loudest.Value {
			loudest = r
		}
	}
	return []result.Figure{
		result.Figure{Name: "bank in row order: signals fired", Value: float64(len(inOrder))}.AtLeast(1),
		result.Figure{Name: "bank in row order: fired in the last tenth", Value: float64(byWindow[lastTenth])}.AtLeast(1),
		{Name: "bank in row order: largest psi of the prediction", Value: loudest.Value, Note: "in the tenth " + loudest.Window},
		result.Figure{Name: "bank shuffled: signals fired", Value: float64(len(quiet))}.AtMost(0),
	}, nil
}

// signals turns the demo's loop on a file and returns what its watch found.
func signals(ctx context.Context, dir, data string) ([]reading, error) {
	out, _, err := binary.Run(ctx, binary.Path(), "demo", "--dir", dir, "--data", data, "--label", "deposit", "--drop", "duration",
		"--split", "every:5", "--requests", "50", "--listen", "127.0.0.1:0", "--exit", "--json")
	if err != nil {
		return nil, err
	}
	var report struct{ Signals []reading }
	return report.Signals, json.Unmarshal(out, &report)
}

// shuffle writes a table with its rows in a random order, from a fixed seed.
func shuffle(from, to string) (err error) {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		return err
	}
	body := rows[1:]
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(body), func(i, j int) { body[i], body[j] = body[j], body[i] })
	return create(to, func(w io.Writer) error { return csv.NewWriter(w).WriteAll(rows) })
}

func create(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = write(f)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
