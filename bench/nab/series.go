package main

import (
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leat-ai/leat/internal/realdata"
)

// series is one file of the corpus.
type series struct {
	name    string // group/file.csv
	values  []float64
	windows []window
}

func (s series) group() string { return strings.Split(s.name, "/")[0] }

// readAll reads every series that has labels, those without an anomaly too.
func readAll() ([]series, error) {
	root := filepath.Join(realdata.Root(), "stream-nab")
	text, err := os.ReadFile(filepath.Join(root, "labels", "combined_windows.json"))
	if err != nil {
		return nil, err
	}
	var labels map[string][][2]string
	if err := json.Unmarshal(text, &labels); err != nil {
		return nil, err
	}
	var all []series
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		s, err := read(filepath.Join(root, "data", name+".gz"), labels[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.name = name
		all = append(all, s)
	}
	return all, nil
}

func read(path string, windows [][2]string) (s series, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return s, err
	}
	records, err := csv.NewReader(z).ReadAll()
	if err != nil || len(records) < 2 {
		return s, errors.Join(err, errors.New("no rows"))
	}
	at := map[string]int{} // the first event of a time: clocks were set back in some
	for i, r := range records[1:] {
		v, err := strconv.ParseFloat(r[1], 64)
		if err != nil {
			return s, err
		}
		s.values = append(s.values, v)
		if _, twice := at[r[0]]; !twice {
			at[r[0]] = i
		}
	}
	for _, w := range windows {
		first, ok1 := at[strings.TrimSuffix(w[0], ".000000")]
		last, ok2 := at[strings.TrimSuffix(w[1], ".000000")]
		if !ok1 || !ok2 {
			return s, fmt.Errorf("there is no event at the ends of the window %v", w)
		}
		s.windows = append(s.windows, window{first, last})
	}
	return s, nil
}
