package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/leat-ai/leat/flow/knowledge/evaluate"
)

// passage is a line of the file that every peer reads.
type passage struct {
	id, groups, text string
}

// question is a line of the file of queries.
type question struct {
	id, text string
}

// answers are what a side found, by filter, and what it took.
type answers struct {
	index time.Duration
	runs  map[string]evaluate.Run
	times map[string][]time.Duration
}

// lucene starts Lucene on files.
func (b *bench) lucene(ctx context.Context, documents []passage, queries []question, analyzer string, k1, parameter float64, k int, filters string) (answers, error) {
	return b.peer(documents, queries, func(hits string) *exec.Cmd {
		return exec.CommandContext(ctx, "java", "-Xmx2g", "-cp", filepath.Join(b.tools, "lucene", "*"), "bench/retrieval/Lucene.java",
			b.file("documents"), b.file("queries"), hits, analyzer, fmt.Sprint(k1), fmt.Sprint(parameter), strconv.Itoa(k), filters)
	})
}

// bleve starts bleve on files.
func (b *bench) bleve(ctx context.Context, documents []passage, queries []question, analyzer string, k int, filters string) (answers, error) {
	return b.peer(documents, queries, func(hits string) *exec.Cmd {
		return exec.CommandContext(ctx, filepath.Join(b.tools, "bin", "leat-bench-bleve"), b.file("documents"), b.file("queries"), hits, analyzer, strconv.Itoa(k), filters)
	})
}

// peer writes the files, runs a program on them and reads what it found.
func (b *bench) peer(documents []passage, queries []question, command func(hits string) *exec.Cmd) (a answers, err error) {
	var text bytes.Buffer
	for _, d := range documents {
		fmt.Fprintf(&text, "%s\t%s\t%s\n", d.id, d.groups, oneLine(d.text))
	}
	if err := os.WriteFile(b.file("documents"), text.Bytes(), 0o600); err != nil {
		return a, err
	}
	text.Reset()
	for _, q := range queries {
		fmt.Fprintf(&text, "%s\t%s\n", q.id, oneLine(q.text))
	}
	if err := os.WriteFile(b.file("queries"), text.Bytes(), 0o600); err != nil {
		return a, err
	}
	hits := b.file("hits")
	cmd := command(hits)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		return a, fmt.Errorf("%s: %w\n%s", cmd.Path, err, stderr.Bytes())
	}
	var report struct {
		Index float64              `json:"index_s"`
		Times map[string][]float64 `json:"times"`
	}
	if err := json.Unmarshal(output, &report); err != nil {
		return a, err
	}
	a = answers{index: time.Duration(report.Index * 1e9), times: make(map[string][]time.Duration)}
	for filter, times := range report.Times {
		for _, t := range times {
			a.times[filter] = append(a.times[filter], time.Duration(t))
		}
	}
	a.runs, err = readHits(hits)
	return a, err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func readHits(name string) (map[string]evaluate.Run, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	runs := make(map[string]evaluate.Run)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		score, err := strconv.ParseFloat(cells[3], 64)
		if err != nil {
			return nil, err
		}
		if runs[cells[0]] == nil {
			runs[cells[0]] = make(evaluate.Run)
		}
		runs[cells[0]][cells[1]] = append(runs[cells[0]][cells[1]], evaluate.Scored{Document: cells[2], Score: score})
	}
	return runs, lines.Err()
}
