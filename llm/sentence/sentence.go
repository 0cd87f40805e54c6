// Package sentence embeds texts in the process, with the folder of a sentence
// transformer: no server, no network, no program beside.
//
// It stands in llm beside the protocols of providers and is an llm.Embedder
// like them. Open reads a folder as the library sentence-transformers writes
// it; Model.Embed does the rest.
//
// # What runs
//
// A BERT (all-MiniLM, bge, e5, gte and their kin) in model.safetensors is
// executed by Go code of this package. Any other transformer with BERT's
// tokenizer runs when its folder has an ONNX file, in what Options.Graphs
// brings. Weights as pickles are never read: they are programs.
//
// # What is promised
//
// Vectors are those of the Python library, to a cosine of 1 within 1e-4, and
// the tokens are exactly those of its tokenizer. A text gets the same vector
// whatever goes with it in a batch and however many run at a time; between
// processors with and without vector instructions the last bits may differ.
// The name of a model holds the hash of its files, so that an index can tell
// whether its vectors are of this model.
//
// A text longer than the model reads is cut at its end, as the library does;
// what lies behind is not even looked at. Memory beside the weights is bounded
// by Options.Workers.
package sentence

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

// Options say how a folder is run. The zero Options are good.
type Options struct {
	Graphs  Graphs // executes ONNX files; nil: only folders with safetensors are opened
	Workers int    // parts of batches at a time, over all calls; 0: GOMAXPROCS
}

// Graphs executes ONNX files.
type Graphs interface {
	// Load reads and checks a file, which it may keep.
	Load(ctx context.Context, file []byte) (Graph, error)
}

// Graph is an ONNX file that was loaded. It is safe for many goroutines.
type Graph interface {
	// Inputs are the names of what the graph takes, each a matrix of integers.
	Inputs() []string
	// Run computes the first output for inputs of rows × columns numbers, in
	// the order of Inputs. shape is rows × columns × dimensions, or rows ×
	// dimensions where the graph has the pooling within.
	Run(ctx context.Context, inputs [][]int64, rows, columns int) (output []float32, shape []int, err error)
}

// Model is a folder that was opened. It meets llm.Embedder and is safe for
// many goroutines.
type Model struct {
	folder    folder
	tokenizer *tokenizer
	encoder   encoder
	workers   chan struct{}
	dimension int
}

// encoder turns tokens into the vectors of texts, before they are brought to
// length one.
type encoder interface {
	encode(ctx context.Context, texts [][]int32) ([][]float32, error)
	dimension() int
}

// Open reads the folder of a sentence transformer. NotFound is a folder that
// lacks a file, Unsupported a model of a kind that is not executed here,
// Corrupt a damaged file.
func Open(ctx context.Context, path string, o Options) (*Model, error) {
	f, err := readFolder(path)
	if err != nil {
		return nil, err
	}
	m := &Model{folder: *f}
	if m.tokenizer, err = f.readTokenizer(); err != nil {
		return nil, err
	}
	if m.encoder, err = f.readEncoder(ctx, m.tokenizer, o.Graphs); err != nil {
		return nil, err
	}
	m.folder.release()
	m.dimension = m.encoder.dimension()
	if o.Workers < 1 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	m.workers = make(chan struct{}, o.Workers)
	return m, nil
}

// Name is the folder's name and the first 12 digits of the hash of its files:
// "all-MiniLM-L6-v2@53aa51172d14". Two models of one name give equal vectors.
func (m *Model) Name() string { return m.folder.name + "@" + m.folder.digest[:12] }

// Dimensions is how many numbers a vector has.
func (m *Model) Dimensions() int { return m.dimension }

// Longest is how many tokens of a text are read, those around it included.
func (m *Model) Longest() int { return m.folder.longest }

// Tokens counts the tokens that Embed reads of a text, at most Longest.
func (m *Model) Tokens(text string) int { return len(m.tokenizer.encode(text, m.folder.longest)) }

// Bounds of one call.
const (
	maxInputs = 1 << 16
	maxBytes  = 256 << 20
)

// batchTokens is how many tokens go through the layers together: enough that
// the weights are read seldom, few enough that the numbers between layers stay
// near the processor.
const batchTokens = 512

// Embed makes one vector of length one for each input. The request's Model is
// not looked at; its Purpose chooses the prompt that the folder has for it, if
// any.
func (m *Model) Embed(ctx context.Context, r llm.EmbedRequest) (llm.Embeddings, error) {
	if err := m.check(r); err != nil {
		return llm.Embeddings{}, err
	}
	prompt := m.folder.prompts[r.Purpose]
	texts, used := make([][]int32, len(r.Inputs)), 0
	for i, text := range r.Inputs {
		if i&0xff == 0 && ctx.Err() != nil {
			return llm.Embeddings{}, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "embedding was ended")
		}
		texts[i] = m.tokenizer.encode(prompt+text, m.folder.longest)
		used += len(texts[i])
	}
	vectors, err := m.vectors(ctx, texts)
	if err != nil {
		return llm.Embeddings{}, err
	}
	return llm.Embeddings{Vectors: vectors, Usage: llm.Usage{Input: used}, Model: m.Name()}, nil
}

func (m *Model) check(r llm.EmbedRequest) error {
	if len(r.Tokens) > 0 {
		return fault.New(fault.Unsupported, "tokens are not embedded by %s, whose vocabulary is its own", m.folder.name).
			Hint("send texts")
	}
	if r.Dimensions != 0 && r.Dimensions != m.dimension {
		return fault.New(fault.Invalid, "vectors of %d dimensions were asked for, and %s makes %d", r.Dimensions, m.folder.name, m.dimension)
	}
	size := 0
	for _, text := range r.Inputs {
		size += len(text)
	}
	if len(r.Inputs) > maxInputs || size > maxBytes {
		return fault.New(fault.TooLarge, "%d texts of %d bytes are more than one call may embed", len(r.Inputs), size).
			Hint("send some hundred at a time")
	}
	return nil
}

// vectors embeds texts, those of like length together, on as many workers as
// there are free.
func (m *Model) vectors(ctx context.Context, texts [][]int32) ([][]float32, error) {
	out := make([][]float32, len(texts))
	order := make([]int, len(texts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(texts[b]) - len(texts[a]) })
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cap(m.workers))
	for len(order) > 0 {
		n := 1
		for tokens := len(texts[order[0]]); n < len(order); n++ {
			if tokens += len(texts[order[n]]); tokens > batchTokens {
				break
			}
		}
		part := order[:n]
		order = order[n:]
		g.Go(func() error { return m.part(ctx, texts, part, out) })
	}
	return out, g.Wait()
}

func (m *Model) part(ctx context.Context, texts [][]int32, part []int, out [][]float32) error {
	select {
	case m.workers <- struct{}{}:
		defer func() { <-m.workers }()
	case <-ctx.Done():
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "embedding was ended")
	}
	batch := make([][]int32, len(part))
	for i, at := range part {
		batch[i] = texts[at]
	}
	vectors, err := m.encoder.encode(ctx, batch)
	if err != nil {
		return err
	}
	for i, at := range part {
		normalise(vectors[i])
		out[at] = vectors[i]
	}
	return nil
}

// transformer is a BERT and what makes one vector of its many.
type transformer struct {
	*bert
	pooling pooling
	memory  sync.Pool
}

func (t *transformer) dimension() int { return t.Hidden }

func (t *transformer) encode(ctx context.Context, texts [][]int32) ([][]float32, error) {
	s, ok := t.memory.Get().(*scratch)
	if !ok {
		s = &scratch{}
	}
	defer t.memory.Put(s)
	states, err := t.run(ctx, texts, s)
	if err != nil {
		return nil, err
	}
	out := make([][]float32, len(texts))
	for i, text := range texts {
		out[i] = t.pooling.pool(states[:len(text)*t.Hidden], t.Hidden)
		states = states[len(text)*t.Hidden:]
	}
	return out, nil
}
