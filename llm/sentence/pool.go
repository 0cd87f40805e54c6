package sentence

import (
	"math"

	"github.com/leat-ai/leat/base/fault"
)

// pooling says how the vectors of tokens become the vector of a text, as
// 1_Pooling/config.json has it. Exactly one way is set.
type pooling struct {
	Dimension int   `json:"word_embedding_dimension"`
	First     bool  `json:"pooling_mode_cls_token"`
	Mean      bool  `json:"pooling_mode_mean_tokens"`
	Max       bool  `json:"pooling_mode_max_tokens"`
	Root      bool  `json:"pooling_mode_mean_sqrt_len_tokens"`
	Weighted  bool  `json:"pooling_mode_weightedmean_tokens"`
	Last      bool  `json:"pooling_mode_lasttoken"`
	Prompt    *bool `json:"include_prompt"`
}

func (p pooling) check() error {
	ways := 0
	for _, way := range []bool{p.First, p.Mean, p.Max, p.Root} {
		if way {
			ways++
		}
	}
	if ways != 1 || p.Weighted || p.Last || p.Prompt != nil && !*p.Prompt {
		return fault.New(fault.Unsupported, "the folder pools tokens in a way that is not executed here").
			Hint("it can be one of: the first token, the mean, the maximum, the sum by the root of the length")
	}
	return nil
}

// pool makes the vector of a text of its tokens' vectors, rows of h numbers.
func (p pooling) pool(states []float32, h int) []float32 {
	out := make([]float32, h)
	n := len(states) / h
	switch {
	case p.First:
		copy(out, states)
	case p.Max:
		copy(out, states)
		for ; len(states) > 0; states = states[h:] {
			for i, v := range states[:h] {
				out[i] = max(out[i], v)
			}
		}
	default:
		for ; len(states) > 0; states = states[h:] {
			for i, v := range states[:h] {
				out[i] += v
			}
		}
		scale := 1 / float32(n)
		if p.Root {
			scale = float32(1 / math.Sqrt(float64(n)))
		}
		for i := range out {
			out[i] *= scale
		}
	}
	return out
}

// normalise brings a vector to length one; a vector of zeros stays.
func normalise(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}
