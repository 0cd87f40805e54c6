// Command documents measures how fast sources become text with structure: real
// pages as Markdown, HTML, DOCX, PPTX, XLSX and PDF, written by the libraries
// that people use and read by them and by us. The words that both sides read
// are compared before anything counts. Chunks a second are measured on all
// pages.
//
//	LEAT_DATA=… LEAT_DOCUMENTS_PYTHON=…/python go run ./bench/documents
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/leat-ai/leat/bench/internal/result"
	"github.com/leat-ai/leat/flow/knowledge/chunk"
	"github.com/leat-ai/leat/flow/knowledge/document"
	"github.com/leat-ai/leat/internal/realdata"
)

//go:embed peer.py
var peer string

func main() {
	pages := flag.Int("pages", result.Scaled(200, 20), "that are written as files")
	flag.Parse()
	if err := run(context.Background(), *pages); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, pages int) error {
	lines, err := corpus()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(os.Getenv("LEAT_BENCH_DIR"), "leat-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := bench{dir: dir, python: python()}
	if err := b.make(ctx, lines, pages); err != nil {
		return err
	}
	e := result.Entry{Bench: "documents", Setup: fmt.Sprintf("%d pages of the AWS guides as files, all %d in chunks; processor time of one side", pages, len(lines))}
	for _, kind := range []string{"md", "html", "docx", "pptx", "xlsx", "pdf"} {
		figure, err := b.format(ctx, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		e.Figures = append(e.Figures, figure)
	}
	figures, err := chunks(ctx, lines)
	if err != nil {
		return err
	}
	e.Figures = append(e.Figures, figures...)
	return result.Keep(e)
}

func python() string {
	if p := os.Getenv("LEAT_DOCUMENTS_PYTHON"); p != "" {
		return p
	}
	return filepath.Join(".cache", "tools", "venv-documents", "bin", "python")
}

// corpus reads the lines of all pages.
func corpus() ([]string, error) {
	var lines []string
	for _, name := range []string{"corpus", "corpus-extra"} {
		f, err := os.Open(filepath.Join(realdata.Root(), "retrieval-aws-docs", name+".jsonl.gz"))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, err
		}
		for s := bufio.NewReader(z); ; {
			line, err := s.ReadString('\n')
			if line != "" {
				lines = append(lines, line)
			}
			if err == io.EOF {
				break
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return lines, nil
}

type bench struct {
	dir, python string
}

// make has the peer write every n-th page in each format.
func (b bench) make(ctx context.Context, lines []string, pages int) error {
	var chosen strings.Builder
	for i := range pages {
		chosen.WriteString(lines[i*len(lines)/pages])
	}
	list := filepath.Join(b.dir, "pages.jsonl")
	if err := os.WriteFile(list, []byte(chosen.String()), 0o600); err != nil {
		return err
	}
	_, err := b.peer(ctx, "make", list, b.dir)
	return err
}

func (b bench) peer(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.python, append([]string{"-c", peer}, args...)...)
	var report bytes.Buffer
	cmd.Stderr = &report
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("the peer failed: %w\n%s", err, report.String()[max(0, report.Len()-1000):])
	}
	return out, nil
}

// answer is a line of the peer.
type answer struct {
	Name    string   `json:"name"`
	Words   []string `json:"words"`
	Seconds float64  `json:"seconds"`
}

// format reads all files of a format by both sides.
func (b bench) format(ctx context.Context, kind string) (result.Figure, error) {
	out, err := b.peer(ctx, "read", kind, b.dir)
	if err != nil {
		return result.Figure{}, err
	}
	var size int64
	var ours, theirs float64
	same, all := 0, 0
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var a answer
		if err := d.Decode(&a); err != nil {
			return result.Figure{}, err
		}
		if a.Name == "" {
			theirs = a.Seconds
			break
		}
		content, err := os.ReadFile(a.Name)
		if err != nil {
			return result.Figure{}, err
		}
		size += int64(len(content))
		start := processor()
		doc, err := document.Read(ctx, document.Source{Name: a.Name, Body: bytes.NewReader(content), Size: int64(len(content))}, document.Limits{})
		ours += (processor() - start).Seconds()
		if err != nil {
			return result.Figure{}, err
		}
		s, n := shared(words(string(doc.Text)), a.Words)
		same, all = same+s, all+n
	}
	const wanted = 0.98
	if agree := float64(same) / float64(max(all, 1)); agree < wanted {
		return result.Figure{}, fmt.Errorf("the sides agree in %.3f of the words only", agree)
	}
	mb := float64(size) / 1e6
	return result.Figure{Name: kind + ", file bytes read a second", Value: mb / ours, Unit: "MB/s", Peer: mb / theirs,
		Note: fmt.Sprintf("%.1f MB, the sides agree in %.2f %% of %d words, ours is %.0f × as fast", mb, 100*float64(same)/float64(all), all, theirs/ours)}, nil
}

// processor is the processor time of this process.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		log.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsNumber(r) })
}

// shared counts the words that both have, and those of the side with more.
func shared(a, b []string) (same, all int) {
	counts := map[string]int{}
	for _, w := range a {
		counts[w]++
	}
	for _, w := range b {
		if counts[w] > 0 {
			counts[w]--
			same++
		}
	}
	return same, max(len(a), len(b))
}

// chunks reads and cuts all pages.
func chunks(ctx context.Context, lines []string) ([]result.Figure, error) {
	var pages []string
	size := 0
	for _, line := range lines {
		var page struct{ Text string }
		if err := json.Unmarshal([]byte(line), &page); err != nil {
			return nil, err
		}
		pages = append(pages, page.Text)
		size += len(page.Text)
	}
	var sizes []int
	start := processor()
	for _, text := range pages {
		doc, err := document.Read(ctx, document.Source{Name: "page.md", Body: strings.NewReader(text), Size: int64(len(text))}, document.Limits{})
		if err != nil {
			return nil, err
		}
		for _, c := range chunk.Split(doc, chunk.Options{}) {
			sizes = append(sizes, c.End-c.Start)
		}
	}
	took := (processor() - start).Seconds()
	if len(sizes) == 0 {
		return nil, errors.New("there are no chunks")
	}
	slices.Sort(sizes)
	return []result.Figure{
		{Name: "Markdown read and cut into chunks", Value: float64(len(sizes)) / took, Unit: "chunks/s", Note: fmt.Sprintf("%d chunks of %.1f MB, %.0f MB/s", len(sizes), float64(size)/1e6, float64(size)/1e6/took)},
		{Name: "bytes of a chunk, median", Value: float64(sizes[len(sizes)/2]), Least: float64(sizes[len(sizes)/10]), Most: float64(sizes[len(sizes)*9/10]), Note: "range: tenth and ninetieth percentile"},
	}, nil
}
