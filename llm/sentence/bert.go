package sentence

import (
	"context"
	"fmt"
	"math"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/simd"
)

// shape is what config.json says of a transformer.
type shape struct {
	Architecture string  `json:"model_type"`
	Hidden       int     `json:"hidden_size"`
	Inner        int     `json:"intermediate_size"`
	Layers       int     `json:"num_hidden_layers"`
	Heads        int     `json:"num_attention_heads"`
	Vocabulary   int     `json:"vocab_size"`
	Positions    int     `json:"max_position_embeddings"`
	Types        int     `json:"type_vocab_size"`
	Epsilon      float64 `json:"layer_norm_eps"`
	Activation   string  `json:"hidden_act"`
	Embedding    string  `json:"position_embedding_type"`
}

func (s shape) check() error {
	switch {
	case s.Architecture != "bert":
		return fault.New(fault.Unsupported, "a transformer of the kind %.50q is not executed in the process", s.Architecture).
			Hint("take a BERT, such as all-MiniLM, bge or e5; or have the folder carry onnx/model.onnx")
	case s.Activation != "gelu" || s.Embedding != "" && s.Embedding != "absolute":
		return fault.New(fault.Unsupported, "a BERT with the activation %.50q and %.50q positions is not executed in the process", s.Activation, s.Embedding)
	}
	for _, n := range []struct{ value, most int }{
		{s.Hidden, 8192}, {s.Inner, 65536}, {s.Layers, 128}, {s.Heads, 256}, {s.Vocabulary, 4 << 20}, {s.Positions, 65536}, {s.Types, 64},
	} {
		if n.value < 1 || n.value > n.most {
			return fault.New(fault.Invalid, "the configuration of the transformer has impossible sizes")
		}
	}
	if s.Hidden%s.Heads != 0 || !(s.Epsilon >= 0 && s.Epsilon < 1) {
		return fault.New(fault.Invalid, "the configuration of the transformer has %d numbers for %d heads", s.Hidden, s.Heads)
	}
	return nil
}

// bert is a transformer of the BERT kind (Devlin et al., arXiv:1810.04805),
// executed on texts of different lengths without padding: a text gets the same
// numbers whatever others go with it. It is immutable and safe for many
// goroutines.
type bert struct {
	shape
	words, positions, kinds []float32 // embeddings, a row each
	begin                   layerNorm
	layers                  []layer
}

type layer struct {
	mixed      linear // queries, keys and values, one beside the other
	attended   linear
	wide, back linear
	between    layerNorm // behind the attention
	after      layerNorm // behind the rest
}

type linear struct {
	weight simd.Matrix
	bias   []float32
}

type layerNorm struct {
	scale, shift []float32
	epsilon      float64
}

// newBert takes the weights of a checked shape.
func newBert(s shape, w *weights) (*bert, error) {
	r := &loader{w: w, s: s}
	if _, ok := w.tensors["embeddings.word_embeddings.weight"]; !ok {
		r.prefix = "bert." // as models with a head have it
	}
	b := &bert{
		shape:     s,
		words:     r.floats("embeddings.word_embeddings.weight", s.Vocabulary, s.Hidden),
		positions: r.floats("embeddings.position_embeddings.weight", s.Positions, s.Hidden),
		kinds:     r.floats("embeddings.token_type_embeddings.weight", s.Types, s.Hidden),
		begin:     r.norm("embeddings.LayerNorm"),
	}
	for i := 0; i < s.Layers && r.err == nil; i++ {
		name := fmt.Sprintf("encoder.layer.%d.", i)
		b.layers = append(b.layers, layer{
			mixed:    r.mixed(name + "attention.self."),
			attended: r.linear(name+"attention.output.dense", s.Hidden, s.Hidden),
			between:  r.norm(name + "attention.output.LayerNorm"),
			wide:     r.linear(name+"intermediate.dense", s.Inner, s.Hidden),
			back:     r.linear(name+"output.dense", s.Hidden, s.Inner),
			after:    r.norm(name + "output.LayerNorm"),
		})
	}
	return b, r.err
}

// loader takes tensors by name and keeps the first error.
type loader struct {
	w      *weights
	s      shape
	prefix string
	err    error
}

func (r *loader) floats(name string, dims ...int) []float32 {
	if r.err != nil {
		return nil
	}
	var v []float32
	v, r.err = r.w.floats(r.prefix+name, dims...)
	return v
}

func (r *loader) norm(name string) layerNorm {
	return layerNorm{r.floats(name+".weight", r.s.Hidden), r.floats(name+".bias", r.s.Hidden), r.s.Epsilon}
}

func (r *loader) linear(name string, out, in int) linear {
	weight, bias := r.floats(name+".weight", out, in), r.floats(name+".bias", out)
	return r.pack(weight, bias, out, in)
}

func (r *loader) pack(weight, bias []float32, out, in int) linear {
	l := linear{bias: bias}
	if r.err == nil {
		l.weight.PackTransposed(weight, out, in, in)
	}
	return l
}

// mixed joins queries, keys and values to one product. The queries are divided
// by the root of a head's size here, once, rather than the scores of every
// text.
func (r *loader) mixed(name string) linear {
	h := r.s.Hidden
	var weight, bias []float32
	for _, part := range []string{"query", "key", "value"} {
		weight = append(weight, r.floats(name+part+".weight", h, h)...)
		bias = append(bias, r.floats(name+part+".bias", h)...)
	}
	if r.err != nil {
		return linear{}
	}
	scale := float32(1 / math.Sqrt(float64(h/r.s.Heads)))
	for i := range h * h {
		weight[i] *= scale
	}
	for i := range h {
		bias[i] *= scale
	}
	return r.pack(weight, bias, 3*h, h)
}

// scratch is the memory of one run, used again for the next.
type scratch struct {
	x, y, mixed, wide, scores []float32
	keys, values              simd.Matrix
}

func room(b *[]float32, n int) []float32 {
	if cap(*b) < n {
		*b = make([]float32, n)
	}
	*b = (*b)[:n]
	return *b
}

// run returns the last hidden state of some texts, one after the other, a row
// of Hidden numbers for each token; it is s's until its next run. Every text
// has 1 to Positions tokens of the vocabulary.
func (b *bert) run(ctx context.Context, texts [][]int32, s *scratch) ([]float32, error) {
	tokens := 0
	for _, t := range texts {
		tokens += len(t)
	}
	h := b.Hidden
	x, y := room(&s.x, tokens*h), room(&s.y, tokens*h)
	b.embed(x, texts)
	mixed, wide := room(&s.mixed, tokens*3*h), room(&s.wide, tokens*b.Inner)
	for i := range b.layers {
		if ctx.Err() != nil {
			return nil, fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "embedding was ended")
		}
		l := &b.layers[i]
		l.mixed.weight.Times(mixed, 3*h, x, tokens, h, l.mixed.bias)
		at := 0
		for _, t := range texts {
			b.attend(y[at*h:], mixed[at*3*h:], len(t), s)
			at += len(t)
		}
		// The first third of mixed is free again, and as wide as what comes.
		out := mixed[:tokens*h]
		l.attended.weight.Times(out, h, y, tokens, h, l.attended.bias)
		l.between.add(x, out)
		l.wide.weight.Times(wide, b.Inner, x, tokens, h, l.wide.bias)
		simd.Gelu(wide)
		l.back.weight.Times(y, h, wide, tokens, b.Inner, l.back.bias)
		l.after.add(x, y)
	}
	return x, nil
}

// embed writes the sum of what a token, its place and its kind mean.
func (b *bert) embed(x []float32, texts [][]int32) {
	h := b.Hidden
	for _, t := range texts {
		for place, token := range t {
			word, position := b.words[int(token)*h:][:h], b.positions[place*h:][:h]
			for i := range h {
				x[i] = word[i] + b.kinds[i] + position[i]
			}
			b.begin.apply(x[:h])
			x = x[h:]
		}
	}
}

// attend lets each token of one text look at the others, head by head.
func (b *bert) attend(out, mixed []float32, n int, s *scratch) {
	h, size := b.Hidden, b.Hidden/b.Heads
	scores := room(&s.scores, n*n)
	for head := range b.Heads {
		queries, keys, values := mixed[head*size:], mixed[h+head*size:], mixed[2*h+head*size:]
		s.keys.PackTransposed(keys, n, size, 3*h)
		s.keys.Times(scores, n, queries, n, 3*h, nil)
		for i := range n {
			softmax(scores[i*n:][:n])
		}
		s.values.Pack(values, n, size, 3*h)
		s.values.Times(out[head*size:], h, scores, n, n, nil)
	}
}

func softmax(row []float32) {
	most := row[0]
	for _, x := range row {
		if x > most { // the numbers are finite: max would look for those that are none
			most = x
		}
	}
	simd.Exp(row, most)
	scale := 1 / total(row)
	for i := range row {
		row[i] *= scale
	}
}

// total adds numbers in four sums, which need not wait for each other.
func total(row []float32) float32 {
	var a, b, c, d float32
	for len(row) >= 4 {
		a, b, c, d = a+row[0], b+row[1], c+row[2], d+row[3]
		row = row[4:]
	}
	for _, x := range row {
		a += x
	}
	return (a + b) + (c + d)
}

// add adds y to x, row by row, and normalises.
func (n *layerNorm) add(x, y []float32) {
	h := len(n.scale)
	for ; len(x) > 0; x, y = x[h:], y[h:] {
		row, more := x[:h], y[:h]
		for i, v := range more {
			row[i] += v
		}
		n.apply(row)
	}
}

// apply brings a row to the mean 0 and the variance 1, then scales and shifts.
func (n *layerNorm) apply(row []float32) {
	var sum, squares float64
	for _, v := range row {
		sum += float64(v)
	}
	mean := sum / float64(len(row))
	for _, v := range row {
		d := float64(v) - mean
		squares += d * d
	}
	factor := 1 / math.Sqrt(squares/float64(len(row))+n.epsilon)
	for i, v := range row {
		row[i] = float32((float64(v)-mean)*factor)*n.scale[i] + n.shift[i]
	}
}
