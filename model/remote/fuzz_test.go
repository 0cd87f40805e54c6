package remote

import (
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// FuzzAnswers reads whatever a server might answer, by every protocol: it is
// an error, or as many rows as were asked, of the declared columns.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		`{"outputs": [{"name": "score", "shape": [2], "datatype": "FP64", "data": [1, 2]}, {"name": "label", "data": [["a"], ["b"]]}]}`,
		`{"predictions": [{"score": 1, "label": "a"}, {"label": "b", "score": null}]}`,
		`{"predictions": {"score": {"0": 1, "1": 2}, "label": ["a", "b"]}}`,
		`"{\"result\": [[1, \"a\"], [2, \"b\"]]}"`,
		`{"data": [{"index": 1, "embedding": [1, 2]}, {"index": 0, "embedding": "AACAPwAAAD8="}]}`,
	} {
		f.Add([]byte(seed))
	}
	texts := []model.Field{{Name: "text", Type: frame.String}}
	b := array.NewRecordBuilder(memory.DefaultAllocator, model.SchemaOf(texts))
	b.Field(0).(*array.StringBuilder).AppendValues([]string{"x", "y"}, nil)
	in := b.NewRecordBatch()
	signature := model.Signature{Inputs: texts, Outputs: []model.Field{{Name: "score", Type: frame.Double}, {Name: "label", Type: frame.String}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, name := range []string{OIP, MLflow, AzureML, OpenAI} {
			m := Manifest{Protocol: name, Signature: signature}
			if name == OpenAI {
				m.Signature = embeddingSignature(model.Signature{})
			}
			out, err := m.protocol().answer(body, in)
			if err != nil {
				continue
			}
			if out.NumRows() != 2 || int(out.NumCols()) != len(m.Signature.Outputs) {
				t.Fatalf("%s: %d rows of %d columns", name, out.NumRows(), out.NumCols())
			}
			out.Release()
		}
	})
}
