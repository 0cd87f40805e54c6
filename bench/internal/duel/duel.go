// Package duel measures Leat and a peer side by side, in one run on one
// machine.
//
// A peer is a Python program that answers one line of JSON for each line it
// is sent, so that it can load, warm up and then take turns with us. The
// duel ends in the ratio of the medians and the range of the ratios of the
// single rounds: what other load the machine had then shows.
package duel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

// Peer is a running peer program. It is for one goroutine.
type Peer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// Start runs a script in the Python that LEAT_PYTHON names, python3 when it is
// unset. The peer ends with ctx or Close.
func Start(ctx context.Context, script string, args ...string) (*Peer, error) {
	cmd := python(ctx, script, args)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("the peer cannot be started; set LEAT_PYTHON to a Python with its packages: %w", err)
	}
	return &Peer{cmd: cmd, in: in, out: bufio.NewReader(out)}, nil
}

// Run runs a script to its end in the same Python.
func Run(ctx context.Context, script string, args ...string) error {
	cmd := python(ctx, script, args)
	cmd.Stdout = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("a script of the peer failed; set LEAT_PYTHON to a Python with its packages: %w", err)
	}
	return nil
}

func python(ctx context.Context, script string, args []string) *exec.Cmd {
	name := os.Getenv("LEAT_PYTHON")
	if name == "" {
		name = "python3"
	}
	cmd := exec.CommandContext(ctx, name, append([]string{"-c", script}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// Ask sends a line and decodes the answer into reply.
func (p *Peer) Ask(line string, reply any) error {
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		return fmt.Errorf("the peer ended: %w", err)
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the peer ended without an answer: %w", err)
	}
	return json.Unmarshal(answer, reply)
}

// Close ends the peer.
func (p *Peer) Close() error {
	return errors.Join(p.in.Close(), p.cmd.Wait())
}

// Result is the seconds that each side took, round by round.
type Result struct{ Ours, Theirs []float64 }

// Alternate lets the sides take turns for some rounds, the peer first in every
// second one. Each returns the seconds it took.
func Alternate(rounds int, ours, theirs func() (float64, error)) (Result, error) {
	times, err := Turns(rounds, ours, theirs)
	return Result{Ours: times[0], Theirs: times[1]}, err
}

// Turns is Alternate for any number of sides: another one begins each round.
// It returns the seconds of each side, round by round.
func Turns(rounds int, sides ...func() (float64, error)) ([][]float64, error) {
	times := make([][]float64, len(sides))
	for round := range rounds {
		for i := range sides {
			at := (round + i) % len(sides)
			seconds, err := sides[at]()
			if err != nil {
				return times, err
			}
			times[at] = append(times[at], seconds)
		}
	}
	return times, nil
}

// Median returns the middle one of values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Speedup returns how many times faster we were: by the medians, and the
// least and most of single rounds.
func (r Result) Speedup() (median, least, most float64) {
	ratios := make([]float64, len(r.Ours))
	for i := range ratios {
		ratios[i] = r.Theirs[i] / r.Ours[i]
	}
	return Median(r.Theirs) / Median(r.Ours), slices.Min(ratios), slices.Max(ratios)
}
