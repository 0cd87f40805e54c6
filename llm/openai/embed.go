package openai

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"math"

	wire "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/llm"
)

type embedRequest struct {
	Model      string    `json:"model"`
	Input      []string  `json:"input,omitzero"`
	Encoding   string    `json:"encoding_format,omitzero"`
	Dimensions int       `json:"dimensions,omitzero"`
	User       string    `json:"user,omitzero"`
	Extra      llm.Extra `json:",embed"`
}

// Bounds of embeddings: of one request, which are OpenAI's, and of a vector.
const (
	maxInputs     = 2048
	maxDimensions = 1 << 16
)

// maxVectors bounds the body of vectors, in bytes.
const maxVectors = 256 << 20

// Embed makes vectors of at most 2,048 inputs.
func (p *Provider) Embed(ctx context.Context, r llm.EmbedRequest) (llm.Embeddings, error) {
	model := cmp.Or(r.Model, p.config.Model)
	n := max(len(r.Inputs), len(r.Tokens))
	switch err := p.checkModel(model); {
	case err != nil:
		return llm.Embeddings{}, err
	case len(r.Inputs) > 0 && len(r.Tokens) > 0:
		return llm.Embeddings{}, fault.New(fault.Invalid, "texts and tokens are to be embedded at once")
	case n > maxInputs:
		return llm.Embeddings{}, fault.New(fault.TooLarge, "%d texts are more than the %d that can be embedded at once", n, maxInputs)
	case n == 0:
		return llm.Embeddings{Model: model}, nil
	}
	body, err := p.config.embedBody(r, model)
	if err != nil {
		return llm.Embeddings{}, err
	}
	reply, err := p.server.Post(ctx, p.path("/embeddings", model), body, false)
	if err != nil {
		return llm.Embeddings{}, err
	}
	content, err := reply.All(maxVectors)
	if err != nil {
		return llm.Embeddings{}, err
	}
	var a embeddings
	if err := wire.Unmarshal(content, &a, lenient); err != nil {
		return llm.Embeddings{}, p.server.Broken("it is not JSON of the protocol")
	}
	if len(a.Error) > 0 {
		return llm.Embeddings{}, p.server.Refused(content, reply)
	}
	return p.embeddings(&a, n)
}

func (c Config) embedBody(r llm.EmbedRequest, model string) ([]byte, error) {
	w := embedRequest{Model: model, Input: r.Inputs, Encoding: "base64", Dimensions: r.Dimensions, User: r.User,
		Extra: others(r.Extra, []string{"model", "input", "encoding_format", "dimensions", "user"})}
	if c.Floats {
		w.Encoding = "float"
	}
	if len(r.Tokens) > 0 {
		tokens, err := wire.Marshal(r.Tokens)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the tokens cannot be written as JSON")
		}
		extra := llm.Extra{"input": []byte(tokens)}
		for name, value := range w.Extra {
			extra[name] = value
		}
		w.Extra = extra
	}
	body, err := wire.Marshal(w, lenient)
	return body, fault.Wrap(err, fault.Invalid, "the request holds JSON that is none")
}

type embeddings struct {
	Data  []embedding `json:"data"`
	Model loose       `json:"model"`
	Usage given       `json:"usage"`
	Error given       `json:"error"`
}

type embedding struct {
	Index  *int   `json:"index"`
	Vector vector `json:"embedding"`
}

func (p *Provider) embeddings(a *embeddings, n int) (llm.Embeddings, error) {
	if len(a.Data) != n {
		return llm.Embeddings{}, p.server.Broken("it has %d vectors for %d texts", len(a.Data), n)
	}
	out := llm.Embeddings{Vectors: make([][]float32, n), Model: string(a.Model)}
	for i, e := range a.Data {
		at := i
		if e.Index != nil {
			at = *e.Index
		}
		switch {
		case at < 0 || at >= n || out.Vectors[at] != nil:
			return llm.Embeddings{}, p.server.Broken("a vector has the index %d of %d, or one that was there", at, n)
		case len(e.Vector) == 0 || len(e.Vector) > maxDimensions || len(e.Vector) != len(a.Data[0].Vector):
			return llm.Embeddings{}, p.server.Broken("the vector %d has %d dimensions", at, len(e.Vector))
		}
		out.Vectors[at] = e.Vector
	}
	if u := usageOf(a.Usage); u != nil {
		out.Usage = llm.Usage{Input: u.Input, CachedInput: u.CachedInput}
	}
	return out, nil
}

// vector is an array of numbers, or the base64 of float32, little endian.
type vector []float32

var errVector = fault.New(fault.Corrupt, "a vector is none")

// UnmarshalJSONFrom reads a vector. A number that is none, or too large for
// float32, is an error.
func (v *vector) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	switch text.Kind() {
	case '"':
		return v.decode(text)
	case '[':
		return v.numbers(text)
	}
	return errVector
}

func (v *vector) decode(text jsontext.Value) error {
	inner := text[1 : len(text)-1]
	if bytes.IndexByte(inner, '\\') >= 0 { // an escaped slash
		inner = []byte(unquote(text))
	}
	if base64.StdEncoding.DecodedLen(len(inner)) > 4*maxDimensions+4 {
		return errVector
	}
	raw, err := base64.StdEncoding.DecodeString(string(inner))
	if err != nil || len(raw)%4 != 0 {
		return errVector
	}
	*v = make(vector, len(raw)/4)
	for i := range *v {
		f := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		if f != f || math.IsInf(float64(f), 0) {
			return errVector
		}
		(*v)[i] = f
	}
	return nil
}

func (v *vector) numbers(text jsontext.Value) error {
	n := bytes.Count(text, []byte(",")) + 1
	if n > maxDimensions || bytes.Contains(text, []byte("null")) {
		return errVector
	}
	numbers := make([]float32, 0, n)
	if err := wire.Unmarshal(text, &numbers); err != nil {
		return errVector
	}
	*v = numbers
	return nil
}

var _ llm.Embedder = (*Provider)(nil)
