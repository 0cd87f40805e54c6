package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/knowledge/evaluate"
	"github.com/leat-ai/leat/flow/knowledge/evaluate/collection"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/store/index"
)

func (c *commands) evalCommand() *cobra.Command {
	cmd := c.command("ask", "eval", "Measure answers and retrieval against what is known to be right", "", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error { return cmd.Help() })
	cmd.AddCommand(c.evalRetrievalCommand(), c.evalAssistantCommand())
	return cmd
}

// retrievalFlags say what is tried.
type retrievalFlags struct {
	corpora                 []string
	queries, qrels          string
	embedder, language, run string
	k1, b                   float64
	title                   float64
	depth                   int
}

func (c *commands) evalRetrievalCommand() *cobra.Command {
	var f retrievalFlags
	cmd := c.command("", "retrieval --corpus FILE --queries FILE --qrels FILE", "Measure retrieval on a test collection, without a server",
		"  leat eval retrieval --corpus corpus.jsonl.gz --queries queries.jsonl --qrels qrels/test.tsv\n"+
			"  leat eval retrieval --corpus corpus.jsonl --queries queries.jsonl --qrels qrels.tsv --embedder models/minilm --json --run run.trec", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string) error {
			if len(f.corpora) == 0 || f.queries == "" || f.qrels == "" {
				return &usageError{fault.New(fault.Invalid, "a corpus, queries and qrels are needed").Hint("give them with --corpus, --queries and --qrels")}
			}
			return c.evalRetrieval(cmd.Context(), f)
		})
	cmd.Long = "Builds an index of a corpus in the layout of BEIR, asks every query that has judgements, and prints what trec_eval would say of the " +
		"ranking (with -c: a query without a ranking counts as 0). Documents are what is ranked, 1,000 for each query: whole by words, by their best " +
		"piece by vectors. With an embedder there are three runs, by words, by vectors and by both; the last line, and --run, are of the last. " +
		"Times are of asking once more for the best ten, one query at a time."
	flags := cmd.Flags()
	flags.StringSliceVar(&f.corpora, "corpus", nil, "documents: a JSON object a line with _id, title and text, .gz or not; several may be given")
	flags.StringVar(&f.queries, "queries", "", "queries: a JSON object a line with _id and text")
	flags.StringVar(&f.qrels, "qrels", "", "judgements: query, document and grade, divided by tabs")
	flags.StringVar(&f.embedder, "embedder", "", "folder of a sentence transformer, or openai://MODEL and the like")
	flags.StringVar(&f.language, "language", "en", "analyzer of documents that are in no other language")
	flags.StringVar(&f.run, "run", "", "file for the ranking, as trec_eval reads it")
	flags.Float64Var(&f.k1, "k1", 0, "BM25: how soon repetition stops to count (default 1.2)")
	flags.Float64Var(&f.b, "b", 0, "BM25: how much long documents are held back (default 0.75)")
	flags.Float64Var(&f.title, "title", 3, "weight of a word in the title; one in the text has 1")
	flags.IntVar(&f.depth, "depth", 1000, "documents of a ranking")
	return cmd
}

// retrievalFigures are what a run came to, as --json prints it.
type retrievalFigures struct {
	Run          string  `json:"run"` // lexical, vector or hybrid
	NDCG10       float64 `json:"ndcg@10"`
	Recall10     float64 `json:"recall@10"`
	Recall100    float64 `json:"recall@100"`
	MAP          float64 `json:"map"`
	MRR10        float64 `json:"mrr@10"`
	Queries      int     `json:"queries"`
	Documents    int     `json:"documents"`
	Passages     int     `json:"passages"`
	PassagesRate float64 `json:"index_passages_per_s"`
	P50          float64 `json:"query_p50_ms"`
	P99          float64 `json:"query_p99_ms"`
}

func (c *commands) evalRetrieval(ctx context.Context, f retrievalFlags) (err error) {
	qrels, questions, err := readTask(f)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "leat-eval-")
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "there is no folder for the index")
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	ix, err := c.Index(ctx, folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ix.Close()) }()
	settings := index.Settings{Language: f.language}.Default()
	settings.K1, settings.B = cmp.Or(f.k1, settings.K1), cmp.Or(f.b, settings.B)
	settings.Weights.Title = f.title
	trial := collection.Trial{Index: ix, Settings: settings, Depth: f.depth, Told: c.told()}
	if f.embedder != "" {
		if trial.Embed, err = c.embed(ctx, f.embedder); err != nil {
			return err
		}
	}
	built, err := trial.Build(ctx, f.corpora...)
	if err != nil {
		return err
	}
	runs, err := trial.Ask(ctx, questions)
	if err != nil {
		return err
	}
	times, err := trial.Latency(ctx, questions)
	if err != nil {
		return err
	}
	if f.run != "" {
		if err := writeRun(f.run, runs[len(runs)-1]); err != nil {
			return err
		}
	}
	for _, run := range runs {
		if err := c.showRetrieval(measured(run, qrels, len(questions), built, times)); err != nil {
			return err
		}
	}
	return nil
}

// readTask reads the judgements and the queries that have any.
func readTask(f retrievalFlags) (evaluate.Qrels, []collection.Question, error) {
	file, err := os.Open(f.qrels)
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.NotFound, "the judgements cannot be read")
	}
	defer file.Close()
	qrels, err := evaluate.ReadQrels(file)
	if err != nil {
		return nil, nil, err
	}
	all, err := collection.Questions(f.queries)
	if err != nil {
		return nil, nil, err
	}
	questions, err := collection.Judged(all, qrels)
	return qrels, questions, err
}

// embed is what makes vectors, at an address.
func (c *commands) embed(ctx context.Context, address string) (collection.Embed, error) {
	embedder, err := c.Embedder(ctx, address)
	if err != nil {
		return nil, err
	}
	model := address[strings.LastIndexByte(address, '/')+1:]
	return func(ctx context.Context, texts []string, question bool) ([][]float32, error) {
		purpose := llm.ForDocument
		if question {
			purpose = llm.ForQuery
		}
		made, err := embedder.Embed(ctx, llm.EmbedRequest{Model: model, Inputs: texts, Purpose: purpose})
		if err == nil && len(made.Vectors) != len(texts) {
			err = fault.New(fault.Unavailable, "%d vectors came for %d texts", len(made.Vectors), len(texts))
		}
		return made.Vectors, err
	}, nil
}

// told shows at a terminal how far a trial is; elsewhere it is nil.
func (c *commands) told() func(what string, done int) {
	if !terminal(c.Err) {
		return nil
	}
	return func(what string, done int) { fmt.Fprintf(c.Err, "\r\x1b[K  %s %d\r", what, done) }
}

func writeRun(name string, run collection.Answers) error {
	var text bytes.Buffer
	if err := evaluate.WriteRun(&text, run.Run, "leat-"+run.Name); err != nil {
		return err
	}
	return fault.Wrap(os.WriteFile(name, text.Bytes(), 0o600), fault.Unavailable, "the run cannot be written")
}

// measured are the figures of a run.
func measured(run collection.Answers, qrels evaluate.Qrels, queries int, built collection.Built, times []time.Duration) retrievalFigures {
	mean := func(name string, depth int) float64 {
		return evaluate.Measure{Name: name, Depth: depth}.Mean(qrels, run.Run)
	}
	at := func(share float64) float64 {
		if len(times) == 0 {
			return 0
		}
		return times[min(len(times)-1, int(share*float64(len(times))))].Seconds() * 1000
	}
	return retrievalFigures{Run: run.Name, NDCG10: mean("ndcg", 10), Recall10: mean("recall", 10), Recall100: mean("recall", 100), MAP: mean("map", 0),
		MRR10: mean("mrr", 10), Queries: queries, Documents: built.Documents, Passages: built.Passages,
		PassagesRate: float64(built.Passages) / max(built.Took.Seconds(), 1e-9), P50: at(0.5), P99: at(0.99)}
}

func (c *commands) showRetrieval(f retrievalFigures) error {
	return c.show(f, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d queries, %s documents\n", f.Run, f.Queries, count(int64(f.Documents)))
		pairs(w, [][2]string{{"  ndcg@10", fixed4(f.NDCG10)}, {"  recall@10", fixed4(f.Recall10)}, {"  recall@100", fixed4(f.Recall100)}, {"  map", fixed4(f.MAP)},
			{"  mrr@10", fixed4(f.MRR10)}, {"  passages/s", count(int64(f.PassagesRate))}, {"  p50", fmt.Sprintf("%.2f ms", f.P50)}, {"  p99", fmt.Sprintf("%.2f ms", f.P99)}})
	})
}

func fixed4(v float64) string { return fmt.Sprintf("%.4f", v) }
