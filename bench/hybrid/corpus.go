package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/internal/realdata"
)

// set is a collection with questions and judgements.
type set struct {
	name    string
	corpora []string
	queries string
	qrels   string
	long    bool // documents are much longer than what the model reads
}

var sets = []set{
	{"scifact", []string{"retrieval-scifact/corpus.jsonl.gz"}, "retrieval-scifact/queries.test.jsonl", "retrieval-scifact/qrels.test.tsv", false},
	{"npl", []string{"retrieval-npl/corpus.jsonl.gz"}, "retrieval-npl/queries.jsonl", "retrieval-npl/qrels.tsv", false},
	{"aws", []string{"retrieval-aws-docs/corpus.jsonl.gz", "retrieval-aws-docs/corpus-extra.jsonl.gz"}, "retrieval-aws-docs/questions.jsonl", "retrieval-aws-docs/qrels.tsv", true},
}

// entry is a document or a question.
type entry struct {
	ID    string `json:"_id"`
	Title string `json:"title"`
	Text  string `json:"text"`
}

// whole is what is embedded of a document.
func (e entry) whole() string { return strings.TrimSpace(e.Title + "\n" + e.Text) }

func (s set) read() (documents, queries []entry, qrels evaluate.Qrels, err error) {
	for _, name := range s.corpora {
		more, err := readEntries(name)
		if err != nil {
			return nil, nil, nil, err
		}
		documents = append(documents, more...)
	}
	if queries, err = readEntries(s.queries); err != nil {
		return nil, nil, nil, err
	}
	f, err := os.Open(filepath.Join(realdata.Root(), s.qrels))
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { _ = f.Close() }()
	qrels, err = evaluate.ReadQrels(f)
	return documents, queries, qrels, err
}

func readEntries(name string) ([]entry, error) {
	f, err := os.Open(filepath.Join(realdata.Root(), name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, err
		}
	}
	var all []entry
	for d := json.NewDecoder(r); ; {
		var e entry
		if err := d.Decode(&e); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, e)
	}
}
