// Package collection tries an index on a test collection: documents, questions
// and judgements in the layout of BEIR.
//
// It stands beside package evaluate, which measures, and serves
// `leat eval retrieval` and the benchmarks. Documents and Questions read the
// files; a Trial builds the index, asks every question and gives the figures.
//
// What is judged are documents, so documents are what is ranked: by words a
// document is one passage (or a few, where it is longer than a passage may be),
// by vectors it is as good as the best of its pieces, because a model of
// sentences reads some hundred words. Files are data of others: lines and
// counts are bounded.
package collection

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/leat-ai/leat/base/fault"
)

// maxLine bounds a line of a file, in bytes.
const maxLine = 64 << 20

// Document is one of the corpus.
type Document struct {
	ID    string
	Title string
	Text  string
}

// Question is one of the queries.
type Question struct {
	ID   string
	Text string
}

// line is a line of either file, under the names that collections use.
type line struct {
	ID       string `json:"_id"`
	PlainID  string `json:"id"`
	Title    string `json:"title"`
	Text     string `json:"text"`
	Contents string `json:"contents"`
	Question string `json:"question"`
	Query    string `json:"query"`
}

// Documents reads a corpus, packed with gzip where its name ends in .gz: a JSON
// object a line, with _id (or id), title and text (or contents).
func Documents(name string, each func(Document) error) error {
	return eachLine(name, func(l line) error {
		return each(Document{ID: first(l.ID, l.PlainID), Title: l.Title, Text: first(l.Text, l.Contents)})
	})
}

// Questions reads a file of queries: _id (or id) and text (or question, or
// query).
func Questions(name string) (all []Question, err error) {
	err = eachLine(name, func(l line) error {
		all = append(all, Question{ID: first(l.ID, l.PlainID), Text: first(l.Text, l.Question, l.Query)})
		return nil
	})
	return all, err
}

func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

func eachLine(name string, each func(line) error) error {
	f, err := os.Open(name)
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "the file cannot be read")
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fault.Wrap(err, fault.Invalid, "%s is not packed with gzip", name)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return fault.New(fault.Invalid, "this is no JSON object of a document or query").Because(err).At("%s:%d", name, n)
		}
		if first(l.ID, l.PlainID) == "" {
			return fault.New(fault.Invalid, "there is no _id").At("%s:%d", name, n)
		}
		if err := each(l); err != nil {
			return fault.Wrap(err, fault.KindOf(err), "%s:%d", name, n)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fault.New(fault.TooLarge, "%s has a line of more than %d bytes", name, maxLine)
	}
	return fault.Wrap(lines.Err(), fault.Invalid, "%s cannot be read to its end", name)
}
