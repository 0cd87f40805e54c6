package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/leat-ai/leat/internal/realdata"
)

// text is a document of a set.
type text struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
	URL   string `json:"-"`
}

// question is a question of a set with what is known of its answer.
type question struct {
	ID      string `json:"_id"`
	Text    string `json:"text"`
	Gold    string `json:"corpus-id"`
	Answers []struct {
		Text  string `json:"text"`
		Start int    `json:"start"` // code points
	} `json:"answers"`
	Answer string `json:"answer"`
}

// span is the first answer's bytes in its paragraph.
func (q question) span(paragraph string) (start, end int) {
	a := q.Answers[0]
	for range a.Start {
		_, n := utf8.DecodeRuneInString(paragraph[start:])
		start += n
	}
	return start, start + len(a.Text)
}

// lines reads a file of JSON lines of the data folder, gzipped or not.
func lines[T any](name string) ([]T, error) {
	f, err := os.Open(filepath.Join(realdata.Root(), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, err
		}
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 64<<20)
	var all []T
	for in.Scan() {
		var one T
		if err := json.Unmarshal(in.Bytes(), &one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, in.Err()
}

// pairsOf reads a file of judgements: query, document, grade.
func pairsOf(name string) (pairs [][2]string, err error) {
	data, err := os.ReadFile(filepath.Join(realdata.Root(), filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) >= 3 && f[0] != "query-id" && f[2] != "0" {
			pairs = append(pairs, [2]string{f[0], f[1]})
		}
	}
	return pairs, nil
}
