package remote

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/columns"
)

// embeddings is the protocol that OpenAI's /embeddings set: texts in, vectors
// out. A vector is one column of text, a JSON array of numbers, because columns
// hold single values: 1,536 columns of numbers would be worse to everybody.
type embeddings struct{ manifest Manifest }

// The columns of an embedding, where the resource declares none.
const (
	TextColumn      = "text"
	EmbeddingColumn = "embedding"
)

func embeddingSignature(s model.Signature) model.Signature {
	if len(s.Inputs) == 0 {
		s.Inputs = []model.Field{{Name: TextColumn, Type: frame.String, Required: true}}
	}
	if len(s.Outputs) == 0 {
		s.Outputs = []model.Field{{Name: EmbeddingColumn, Type: frame.String}}
	}
	return s
}

func checkEmbedding(s model.Signature) error {
	if len(s.Inputs) != 1 || len(s.Outputs) != 1 || s.Inputs[0].Type != frame.String || s.Outputs[0].Type != frame.String {
		return fault.New(fault.Invalid, "an embedding has one input and one output, both of type string")
	}
	return nil
}

func (e embeddings) request(in frame.Batch) ([]byte, error) {
	texts := in.Column(0).(*array.String)
	dst := []byte(`{"model":`)
	dst = columns.AppendString(dst, e.manifest.Model)
	dst = append(dst, `,"encoding_format":"float"`...)
	if e.manifest.Dimensions > 0 {
		dst = append(dst, `,"dimensions":`...)
		dst = strconv.AppendInt(dst, int64(e.manifest.Dimensions), 10)
	}
	dst = append(dst, `,"input":[`...)
	for row := range texts.Len() {
		if texts.IsNull(row) || texts.Value(row) == "" {
			return nil, fault.New(fault.Invalid, "the column %q is required and has no text", e.manifest.Signature.Inputs[0].Name).At("row %d", row)
		}
		if row > 0 {
			dst = append(dst, ',')
		}
		dst = columns.AppendString(dst, texts.Value(row))
	}
	return append(dst, "]}"...), nil
}

func (e embeddings) answer(body []byte, in frame.Batch) (frame.Batch, error) {
	rows := int(in.NumRows())
	vectors := make([][]byte, rows) // by index: the order of an answer is not promised
	r := read(body)
	err := r.members(func(name string) error {
		if name != "data" {
			return r.SkipValue()
		}
		return r.elements(func(i int) error {
			index, vector, err := readVector(r, i)
			switch {
			case err != nil:
				return err
			case index < 0 || index >= rows || vectors[index] != nil:
				return fault.New(fault.Corrupt, "a vector has the index %d of %d, or one that was there", index, rows)
			case len(vector) == 0:
				return fault.New(fault.Corrupt, "the vector %d is missing", index)
			}
			vectors[index] = vector
			return nil
		})
	})
	if err != nil {
		return nil, fault.Wrap(err, fault.Corrupt, "the answer has no embeddings")
	}
	b := columns.NewBuilder(e.manifest.Signature.Outputs)
	defer b.Release()
	for row, v := range vectors {
		if v == nil {
			return nil, fault.New(fault.Corrupt, "text %d of %d has no vector", row, rows)
		}
		quoted, err := jsontext.AppendQuote(nil, v)
		if err != nil {
			return nil, fault.Wrap(err, fault.Corrupt, "vector %d", row)
		}
		if err := b.Cell(0, quoted); err != nil {
			return nil, err
		}
	}
	return b.Batch(rows)
}

// maxDimensions bounds a vector.
const maxDimensions = 1 << 16

// readVector reads {"index": i, "embedding": [x, …] or base64}.
func readVector(r reader, i int) (index int, vector []byte, err error) {
	index = i
	err = r.members(func(name string) error {
		switch name {
		case "index":
			v, err := r.ReadValue()
			if err == nil {
				index, err = strconv.Atoi(string(v))
			}
			return err
		case "embedding":
			if r.PeekKind() == '"' {
				token, err := r.ReadToken()
				if err == nil {
					vector, err = unpack(token.String())
				}
				return err
			}
			n := 0
			err := r.scalars(func(v jsontext.Value) error {
				x, err := strconv.ParseFloat(string(v), 64)
				if n++; err != nil || n > maxDimensions {
					return fault.New(fault.Corrupt, "a vector has a value that is no number, or more than %d", maxDimensions)
				}
				vector = appendNumber(vector, x, 64)
				return nil
			})
			if n > 0 {
				vector = append(vector, ']')
			}
			return err
		}
		return r.SkipValue()
	})
	return index, vector, err
}

// unpack reads a vector of little-endian float32 in base64.
func unpack(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw)%4 != 0 || len(raw) == 0 || len(raw) > 4*maxDimensions {
		return nil, fault.New(fault.Corrupt, "a vector is no base64 of float32 numbers")
	}
	var vector []byte
	for at := 0; at < len(raw); at += 4 {
		x := float64(math.Float32frombits(binary.LittleEndian.Uint32(raw[at:])))
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fault.New(fault.Corrupt, "a vector has a value that is no number")
		}
		vector = appendNumber(vector, x, 32)
	}
	return append(vector, ']'), nil
}

// appendNumber adds a number to a vector as text; the first opens it.
func appendNumber(vector []byte, x float64, bits int) []byte {
	if vector == nil {
		vector = append(vector, '[')
	} else {
		vector = append(vector, ',')
	}
	return strconv.AppendFloat(vector, x, 'g', -1, bits)
}
