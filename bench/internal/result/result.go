// Package result keeps what benchmarks measured: printed as a table, and
// appended to bench/results/NAME.json with the machine, the date and the
// revision that it was got from.
package result

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// Figure is one measured quantity.
type Figure struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Unit   string  `json:"unit,omitempty"`
	Least  float64 `json:"least,omitempty"` // range over the rounds
	Most   float64 `json:"most,omitempty"`
	Peer   float64 `json:"peer,omitempty"`   // the same of the peer
	Wanted string  `json:"wanted,omitempty"` // such as ">= 0.8"
	Met    *bool   `json:"met,omitempty"`
	Note   string  `json:"note,omitempty"`
}

// AtLeast says what was wanted of a figure, and whether it was met.
func (f Figure) AtLeast(least float64) Figure { return f.want(">=", least, f.Value >= least) }

// AtMost says what was wanted of a figure, and whether it was met.
func (f Figure) AtMost(most float64) Figure { return f.want("<=", most, f.Value <= most) }

func (f Figure) want(sign string, bound float64, met bool) Figure {
	f.Wanted, f.Met = sign+" "+number(bound), &met
	return f
}

// Entry is one run of a benchmark.
type Entry struct {
	Bench    string   `json:"bench"`
	At       string   `json:"at"`
	Revision string   `json:"revision"`
	Machine  string   `json:"machine"`
	Load     float64  `json:"load"` // of the machine in the minute before the end: what else it did shows here
	Scale    float64  `json:"scale"`
	Setup    string   `json:"setup,omitempty"` // sizes and versions in words
	Figures  []Figure `json:"figures,omitempty"`
	Text     string   `json:"text,omitempty"` // of benchmarks that only print
}

// Scale is the factor of all sizes: the environment variable SCALE, 1 when it
// is unset.
func Scale() float64 {
	if v, err := strconv.ParseFloat(os.Getenv("SCALE"), 64); err == nil && v > 0 {
		return v
	}
	return 1
}

// Scaled returns a size times Scale, and at least least.
func Scaled(size, least int) int { return max(least, int(float64(size)*Scale())) }

// Keep prints an entry and appends it to its file in bench/results.
func Keep(e Entry) error {
	e.At, e.Revision, e.Machine, e.Load, e.Scale = time.Now().UTC().Format(time.RFC3339), revision(), machine(), load(), Scale()
	if err := e.print(os.Stdout); err != nil {
		return err
	}
	path := filepath.Join("bench", "results", e.Bench+".json")
	var entries []Entry
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &entries)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", path, err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(append(entries, e)); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o644)
}

func (e Entry) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s, %s, %s, load %.1f, scale %g\n", e.Bench, e.At, e.Machine, e.Load, e.Scale)
	if e.Setup != "" {
		fmt.Fprintln(w, e.Setup)
	}
	if len(e.Figures) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "figure\twanted\tgot\trange\tpeer\t\t")
	for _, f := range e.Figures {
		between, peer, verdict := "", "", ""
		if f.Least != 0 || f.Most != 0 {
			between = number(f.Least) + " to " + number(f.Most)
		}
		if f.Peer != 0 {
			peer = number(f.Peer)
		}
		if f.Met != nil {
			verdict = map[bool]string{true: "ok", false: "SHORT"}[*f.Met]
		}
		fmt.Fprintf(t, "%s\t%s\t%s %s\t%s\t%s\t%s\t%s\n", f.Name, f.Wanted, number(f.Value), f.Unit, between, peer, verdict, f.Note)
	}
	return t.Flush()
}

func number(v float64) string {
	switch a := max(v, -v); {
	case a >= 1000:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
	}
	text := strconv.FormatFloat(v, 'f', 4, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

func revision() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// machine names the processor, how many there are, and the memory.
func machine() string {
	name, memory := runtime.GOARCH, ""
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				name = strings.TrimSpace(value)
				break
			}
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int
		if _, err := fmt.Sscanf(string(text), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf(", %d GiB", (kib+1<<19)>>20)
		}
	}
	return fmt.Sprintf("%d × %s%s, %s, %s", runtime.NumCPU(), name, memory, runtime.GOOS, runtime.Version())
}

// load is the load average of the last minute, 0 where it is not known.
func load() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	v, _ := strconv.ParseFloat(first, 64)
	return v
}
