// Command leat-bench-bleve is bleve as a peer of the benchmark of retrieval, in
// a module of its own: it indexes a file of documents, asks a file of queries
// under each filter, and writes hits and times, as Lucene.java does.
//
//	leat-bench-bleve DOCUMENTS QUERIES HITS ANALYZER K FILTERS
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	_ "github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	_ "github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/whitespace"
	"github.com/blevesearch/bleve/v2/search/query"
	index "github.com/blevesearch/bleve_index_api"
)

func main() {
	if len(os.Args) != 7 {
		log.Fatal("usage: leat-bench-bleve DOCUMENTS QUERIES HITS ANALYZER K FILTERS")
	}
	if err := run(os.Args[1:]); err != nil {
		log.Fatal(err)
	}
}

type report struct {
	Index float64              `json:"index_s"`
	Times map[string][]float64 `json:"times"` // nanoseconds
}

func run(args []string) error {
	k, err := strconv.Atoi(args[4])
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "bleve")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	begin := time.Now()
	ix, err := fill(folder+"/index", args[0], args[3])
	if err != nil {
		return err
	}
	defer ix.Close()
	r := report{time.Since(begin).Seconds(), make(map[string][]float64)}
	out, err := os.Create(args[2])
	if err != nil {
		return err
	}
	hits := bufio.NewWriter(out)
	for _, filter := range strings.Split(args[5], ",") {
		if r.Times[filter], err = ask(ix, args[1], filter, k, hits); err != nil {
			return err
		}
	}
	if err := hits.Flush(); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func fill(path, documents, analyzer string) (bleve.Index, error) {
	m := bleve.NewIndexMapping()
	m.ScoringModel = index.BM25Scoring
	if analyzer == "english" {
		m.DefaultAnalyzer = "en"
	} else {
		if err := m.AddCustomAnalyzer("plain", map[string]interface{}{"type": custom.Name, "tokenizer": whitespace.Name}); err != nil {
			return nil, err
		}
		m.DefaultAnalyzer = "plain"
	}
	document := bleve.NewDocumentStaticMapping()
	text := bleve.NewTextFieldMapping()
	text.IncludeTermVectors, text.IncludeInAll, text.DocValues = false, false, false
	group := bleve.NewKeywordFieldMapping()
	group.IncludeInAll, group.Store, group.DocValues = false, false, false
	document.AddFieldMappingsAt("text", text)
	document.AddFieldMappingsAt("group", group)
	m.DefaultMapping = document
	ix, err := bleve.New(path, m)
	if err != nil {
		return nil, err
	}
	batch := ix.NewBatch()
	err = eachLine(documents, 3, func(cells []string) error {
		if err := batch.Index(cells[0], map[string]any{"text": cells[2], "group": strings.Fields(cells[1])}); err != nil {
			return err
		}
		if batch.Size() < 500 {
			return nil
		}
		err := ix.Batch(batch)
		batch.Reset()
		return err
	})
	if err != nil {
		return nil, err
	}
	return ix, ix.Batch(batch)
}

func ask(ix bleve.Index, queries, filter string, k int, hits *bufio.Writer) (times []float64, err error) {
	for round := range 2 { // the first one warms up
		times = times[:0]
		err := eachLine(queries, 2, func(cells []string) error {
			at := time.Now()
			match := bleve.NewMatchQuery(cells[1])
			match.SetField("text")
			var q query.Query = match
			if filter != "all" {
				only := bleve.NewTermQuery(filter)
				only.SetField("group")
				only.SetBoost(0)
				q = bleve.NewConjunctionQuery(match, only)
			}
			request := bleve.NewSearchRequestOptions(q, k, 0, false)
			request.Fields = []string{"text"}
			found, err := ix.Search(request)
			if err != nil {
				return err
			}
			times = append(times, float64(time.Since(at)))
			if round == 1 {
				for _, h := range found.Hits {
					fmt.Fprintf(hits, "%s\t%s\t%s\t%v\n", filter, cells[0], h.ID, h.Score)
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return times, nil
}

func eachLine(name string, n int, each func(cells []string) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if err := each(strings.SplitN(lines.Text(), "\t", n)); err != nil {
			return err
		}
	}
	return lines.Err()
}
