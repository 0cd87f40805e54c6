package knowledge

import (
	"encoding/json"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// Columns of a question's row, of its features, and of its answer. What has a
// structure is JSON.
const (
	columnQuestion     = "question"
	columnConversation = "conversation" // []Turn, or NULL
	columnFilter       = "filter"       // as index.ParseFilter reads it, or NULL

	columnQuery    = "query"
	columnPassages = "passages" // []Passage
	columnRewrite  = "rewrite"  // spending, or NULL

	columnAnswer    = "answer"
	columnCitations = "citations" // []Citation
	columnSentences = "sentences" // []Sentence
	columnAbstained = "abstained"
	columnModel     = "model"
	columnInput     = "input_tokens"
	columnOutput    = "output_tokens"
	columnCost      = "cost"
	columnFinish    = "finish"
)

// spending is what a language model used.
type spending struct {
	Model  string  `json:"model,omitempty"`
	Input  int     `json:"input_tokens,omitempty"`
	Output int     `json:"output_tokens,omitempty"`
	Cost   float64 `json:"cost,omitempty"`
}

func text(name string) model.Field { return model.Field{Name: name, Type: frame.String} }

func required(name string) model.Field {
	return model.Field{Name: name, Type: frame.String, Required: true}
}

// texts are the values of a column of text, "" for NULL and where there is no
// such column.
func texts(in frame.Batch, name string) []string {
	out := make([]string, in.NumRows())
	at := frame.Index(in.Schema(), name)
	if at < 0 {
		return out
	}
	column, ok := in.Column(at).(*array.String)
	if !ok {
		return out
	}
	for i := range out {
		if !column.IsNull(i) {
			out[i] = column.Value(i)
		}
	}
	return out
}

// read reads a JSON value that this package wrote, or that a caller sent; ""
// is the zero value.
func read[T any](from, what string) (v T, err error) {
	if from == "" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(from), &v); err != nil {
		return v, fault.New(fault.Invalid, "the %s cannot be read", what).Because(err)
	}
	return v, nil
}

// written is a value as JSON. What is written here cannot fail.
func written(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

// column is a column in the making.
type column struct {
	name    string
	of      frame.Type
	builder array.Builder
}

func newColumns(fields []frame.Column) []column {
	out := make([]column, len(fields))
	for i, f := range fields {
		out[i] = column{f.Name, f.Type, array.NewBuilder(memory.DefaultAllocator, f.Type.Arrow())}
	}
	return out
}

// batch makes the batch and lets the builders go.
func batch(columns []column, rows int) frame.Batch {
	arrays := make([]arrow.Array, len(columns))
	fields := make([]frame.Column, len(columns))
	for i, c := range columns {
		arrays[i], fields[i] = c.builder.NewArray(), frame.Column{Name: c.name, Type: c.of}
		c.builder.Release()
		defer arrays[i].Release()
	}
	return array.NewRecordBatch(frame.SchemaOf(fields), arrays, int64(rows))
}

func (c column) text(v string) { c.builder.(*array.StringBuilder).Append(v) }

func (c column) null() { c.builder.AppendNull() }
