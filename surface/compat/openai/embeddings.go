package openai

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
	"github.com/leat-ai/leat/surface/compat"
)

// embedRequest is the body of a request for vectors.
type embedRequest struct {
	Model      string         `json:"model"`
	Input      jsontext.Value `json:"input"`
	Encoding   string         `json:"encoding_format"`
	Dimensions int            `json:"dimensions"`
	User       string         `json:"user"`
	Extra      llm.Extra      `json:",embed"`
}

// The bounds of the protocol.
const (
	maxInputs      = 2048
	maxInputTokens = 8192
	maxTokens      = 300_000
	maxDimensions  = 65_536
)

// Encodings of vectors.
const (
	asFloats = "float"
	asBase64 = "base64"
)

// readEmbed reads the body of a request for vectors.
func readEmbed(body []byte) (embedRequest, llm.EmbedRequest, error) {
	var q embedRequest
	if err := json.Unmarshal(body, &q); err != nil {
		return q, llm.EmbedRequest{}, unread(err)
	}
	r := llm.EmbedRequest{Dimensions: q.Dimensions, User: q.User, Extra: q.Extra}
	q.Encoding = cmp.Or(q.Encoding, asFloats)
	switch {
	case q.Encoding != asFloats && q.Encoding != asBase64:
		return q, r, bad("encoding_format", "no encoding is called %.20q", q.Encoding).hint("use float or base64")
	case q.Dimensions < 0 || q.Dimensions > maxDimensions:
		return q, r, bad("dimensions", "vectors of %d numbers", q.Dimensions)
	}
	return q, r, readInputs(q.Input, &r)
}

// readInputs reads what to embed: a text, texts, the tokens of a text, or the
// tokens of texts.
func readInputs(raw jsontext.Value, r *llm.EmbedRequest) error {
	var err error
	switch kind, inner := raw.Kind(), innerKind(raw); {
	case kind == '"':
		r.Inputs = make([]string, 1)
		err = json.Unmarshal(raw, &r.Inputs[0])
	case kind == '[' && inner == '"':
		err = json.Unmarshal(raw, &r.Inputs)
	case kind == '[' && inner == '0':
		r.Tokens = make([][]int, 1)
		err = json.Unmarshal(raw, &r.Tokens[0])
	case kind == '[' && inner == '[':
		err = json.Unmarshal(raw, &r.Tokens)
	default:
		return bad("input", "there is nothing to embed").hint("send a text, a list of texts, or lists of tokens")
	}
	if err != nil {
		return bad("input", "the input is not a text, a list of texts, or lists of tokens").because(err)
	}
	return boundInputs(r)
}

// innerKind is the kind of an array's first element.
func innerKind(raw jsontext.Value) jsontext.Kind {
	for i := 1; i < len(raw); i++ {
		switch raw[i] {
		case ' ', '\n', '\t', '\r':
		default:
			return jsontext.Value(raw[i:]).Kind()
		}
	}
	return jsontext.KindInvalid
}

// boundInputs holds a request to the protocol's bounds.
func boundInputs(r *llm.EmbedRequest) error {
	n, total := len(r.Inputs)+len(r.Tokens), 0
	if n > maxInputs {
		return bad("input", "there are %d inputs, more than %d", n, maxInputs).hint("send them in several requests")
	}
	for i, text := range r.Inputs {
		if text == "" {
			return bad("input", "input %d is empty", i)
		}
		tokens := leastTokens(text)
		if tokens > maxInputTokens {
			return bad("input", "input %d has %d tokens at least, more than %d", i, tokens, maxInputTokens)
		}
		total += tokens
	}
	for i, tokens := range r.Tokens {
		if len(tokens) == 0 {
			return bad("input", "input %d is empty", i)
		}
		if len(tokens) > maxInputTokens {
			return bad("input", "input %d has %d tokens, more than %d", i, len(tokens), maxInputTokens)
		}
		for _, t := range tokens {
			if t < 0 || t > math.MaxInt32 {
				return bad("input", "input %d has %d, which is no token", i, t)
			}
		}
		total += len(tokens)
	}
	if total > maxTokens {
		return bad("input", "the inputs together have more than %d tokens", maxTokens).hint("send them in several requests")
	}
	return nil
}

// longestToken is how many bytes a token has at most, but for runs of spaces.
const longestToken = 64

// leastTokens is a bound from below of how many tokens a text has, which only
// the provider counts exactly: no tokenizer of these models joins two words,
// or more than three digits.
func leastTokens(text string) int {
	words, letters, digits := 0, 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= '0' && c <= '9':
			if letters = 0; digits%3 == 0 {
				words++
			}
			digits++
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= utf8.RuneSelf:
			if digits = 0; letters%longestToken == 0 {
				words++
			}
			letters++
		default:
			letters, digits = 0, 0
		}
	}
	return words
}

// embed answers with vectors.
func (x *exchange) embed() error {
	body, err := x.read()
	if err != nil {
		return err
	}
	q, r, err := readEmbed(body)
	if err != nil {
		return err
	}
	ctx, cancel, err := x.within(false)
	if err != nil {
		return err
	}
	defer cancel()
	name := cmp.Or(x.r.PathValue("deployment"), q.Model)
	m, err := x.model(name)
	if err != nil {
		return err
	}
	if m.Kind == Assistant {
		return bad("model", "%.80q is an assistant: it answers questions, and makes no vectors", name)
	}
	r.Model = m.Name
	e, call, err := x.LLMs.Embed(ctx, m.Name, r)
	if err != nil {
		return err
	}
	if n := len(r.Inputs) + len(r.Tokens); len(e.Vectors) != n {
		return fault.New(fault.Unavailable, "the model answered %d vectors for %d inputs", len(e.Vectors), n)
	}
	tell(x.w.Header(), call)
	s := spentBy(call, &e.Usage)
	x.out = appendVectors(append(x.out, `{"object":"list","data":[`...), e.Vectors, q.Encoding)
	x.out = compat.AppendString(append(x.out, `],"model":`...), cmp.Or(e.Model, name))
	x.out = appendInt(append(x.out, `,"usage":{"prompt_tokens":`...), s.Input)
	x.out = appendInt(append(x.out, `,"total_tokens":`...), s.Input)
	x.out = append(s.appendCost(x.out), "}}\n"...)
	x.reply()
	return nil
}

func appendVectors(dst []byte, vectors [][]float32, encoding string) []byte {
	var raw []byte
	for i, v := range vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendInt(append(dst, `{"object":"embedding","index":`...), i)
		dst = append(dst, `,"embedding":`...)
		if encoding == asBase64 {
			raw = raw[:0]
			for _, f := range v {
				raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
			}
			dst = append(base64.StdEncoding.AppendEncode(append(dst, '"'), raw), `"}`...)
			continue
		}
		dst = append(dst, '[')
		for j, f := range v {
			if j > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendFloat(dst, float64(f), 'g', -1, 32)
		}
		dst = append(dst, "]}"...)
	}
	return dst
}
