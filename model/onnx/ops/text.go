package ops

import (
	"strings"
	"unicode"

	"github.com/leat-ai/leat/model/onnx/proto"
)

// buildStringNormalizer changes the case of words and removes stop words.
func buildStringNormalizer(n *node) (kernel, error) {
	change, exact := n.text("case_change_action", "NONE"), n.int("is_case_sensitive", 0) != 0
	stop := map[string]bool{}
	for _, word := range n.texts("stopwords") {
		if !exact {
			word = strings.ToLower(word)
		}
		stop[word] = true
	}
	return func(r *run, in, out []*Tensor) error {
		if in[0].Type != proto.String || len(in[0].Dims) > 2 || len(in[0].Dims) == 2 && in[0].Dims[0] != 1 {
			return invalid("words are wanted, not %s%d", in[0].Type, in[0].Dims)
		}
		var kept []string
		for _, word := range in[0].S {
			known := word
			if !exact {
				known = strings.ToLower(word)
			}
			if stop[known] {
				continue
			}
			switch change {
			case "LOWER":
				word = strings.Map(unicode.ToLower, word)
			case "UPPER":
				word = strings.Map(unicode.ToUpper, word)
			}
			kept = append(kept, word)
		}
		if len(kept) == 0 {
			kept = []string{""}
		}
		dims := []int{len(kept)}
		if len(in[0].Dims) == 2 {
			dims = []int{1, len(kept)}
		}
		if err := r.make(out[0], proto.String, dims); err != nil {
			return err
		}
		copy(out[0].S, kept)
		return nil
	}, nil
}

// ngrams are the terms that a TfIdfVectorizer counts: each a run of words or
// of integers, by its text.
type ngrams struct {
	index             map[string]int // where the term is counted
	shortest, longest int
	skips             int
	weights           []float32 // by term, in the order of the pool
	order             map[string]int
	width             int
	mode              string
}

const separator = "\x00"

func buildTfIdf(n *node) (kernel, error) {
	g := &ngrams{
		index: map[string]int{}, order: map[string]int{}, mode: n.text("mode", ""), weights: n.floats("weights"),
		shortest: int(n.int("min_gram_length", 1)), longest: int(n.int("max_gram_length", 1)), skips: int(n.int("max_skip_count", 0)),
	}
	words, err := pool(n)
	if err != nil {
		return nil, err
	}
	if g.shortest < 1 || g.longest < g.shortest || g.longest > 1<<10 || g.skips < 0 || g.skips > 1<<10 || (g.mode != "TF" && g.mode != "IDF" && g.mode != "TFIDF") {
		return nil, invalid("terms of %d to %d words, %d skipped, by %q", g.shortest, g.longest, g.skips, g.mode)
	}
	starts, places := n.ints("ngram_counts"), n.ints("ngram_indexes")
	term := 0
	for i, start := range starts {
		end := int64(len(words))
		if i+1 < len(starts) {
			end = starts[i+1]
		}
		length := int64(i + 1)
		if start < 0 || end < start || end > int64(len(words)) || (end-start)%length != 0 {
			return nil, invalid("the terms of %d words do not lie from %d to %d", length, start, end)
		}
		for at := start; at < end; at += length {
			if term >= len(places) || places[term] < 0 || places[term] > maxFeatures {
				return nil, invalid("term %d has no place", term)
			}
			text := strings.Join(words[at:at+length], separator)
			g.index[text], g.order[text] = int(places[term]), term
			g.width = max(g.width, int(places[term])+1)
			term++
		}
	}
	if len(g.weights) != 0 && len(g.weights) != len(places) {
		return nil, invalid("%d weights for %d terms", len(g.weights), len(places))
	}
	return g.run, nil
}

// pool reads the words of the terms, integers as their text.
func pool(n *node) ([]string, error) {
	if words := n.texts("pool_strings"); len(words) > 0 {
		return words, nil
	}
	whole := n.ints("pool_int64s")
	if len(whole) == 0 {
		return nil, invalid("terms are wanted")
	}
	t := &Tensor{Type: proto.String, Dims: []int{len(whole)}, S: make([]string, len(whole))}
	return t.S, convertInts(whole, t)
}

func (g *ngrams) run(r *run, in, out []*Tensor) error {
	dims, rows := []int{g.width}, 1
	length := in[0].Len()
	if len(in[0].Dims) == 2 {
		rows, length = in[0].Dims[0], in[0].Dims[1]
		dims = []int{rows, g.width}
	}
	if len(in[0].Dims) > 2 {
		return invalid("words are wanted, not a tensor of the shape %d", in[0].Dims)
	}
	if err := r.make(out[0], proto.Float, dims); err != nil {
		return err
	}
	clear(out[0].F)
	words := in[0].S
	if kindOf(in[0].Type) == integers {
		t := &Tensor{Type: proto.String, S: make([]string, len(in[0].I))}
		if err := convertInts(in[0].I, t); err != nil {
			return err
		}
		words = t.S
	} else if in[0].Type != proto.String {
		return invalid("words are wanted, not %s", in[0].Type)
	}
	if err := r.spend(rows*length, g.longest*g.longest, g.skips+1, 8); err != nil {
		return err
	}
	for row := range rows {
		g.count(words[row*length:(row+1)*length], out[0].F[row*g.width:(row+1)*g.width])
	}
	return nil
}

// count counts the terms of a row. Single words are counted without skips.
func (g *ngrams) count(words []string, to []float32) {
	for length := g.shortest; length <= g.longest; length++ {
		for skip := 1; skip <= g.skips+1; skip++ {
			for start := 0; start+(length-1)*skip < len(words); start++ {
				var term []string
				for k := range length {
					term = append(term, words[start+k*skip])
				}
				if at, ok := g.index[strings.Join(term, separator)]; ok {
					g.one(to, at, g.order[strings.Join(term, separator)])
				}
			}
			if length == 1 {
				break
			}
		}
	}
	if g.mode == "TFIDF" && len(g.weights) > 0 {
		for text, at := range g.index {
			to[at] *= g.weights[g.order[text]]
		}
	}
}

func (g *ngrams) one(to []float32, at, term int) {
	if g.mode == "IDF" {
		to[at] = 1
		if len(g.weights) > 0 {
			to[at] = g.weights[term]
		}
		return
	}
	to[at]++
}
