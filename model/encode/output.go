package encode

import (
	"encoding/binary"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// Output is the way back: it turns the numbers that a model computed into the
// batch that model.Outputs describes. It is immutable.
type Output struct {
	task    model.Task
	classes []string
	fields  []model.Field
	schema  *arrow.Schema
}

// NewOutput prepares the output of a model of a task; classes is empty for
// regression.
func NewOutput(task model.Task, classes []string) *Output {
	fields := model.Outputs(task, classes)
	columns := make([]frame.Column, len(fields))
	for i, f := range fields {
		columns[i] = frame.Column{Name: f.Name, Type: f.Type}
	}
	return &Output{task: task, classes: classes, fields: fields, schema: frame.SchemaOf(columns)}
}

// Fields returns the outputs of the signature.
func (o *Output) Fields() []model.Field { return o.fields }

// Scores returns how many columns Batch wants: one for binary (the
// probability of the positive class) and regression, one for each class of
// multiclass.
func (o *Output) Scores() int {
	if o.task == model.Multiclass {
		return len(o.classes)
	}
	return 1
}

// Batch makes the output of len(scores[0]) rows. It keeps the slices of
// scores, which are not to be changed afterwards. The label is the positive
// class from 0.5 upwards, or the first of the most probable classes.
func (o *Output) Batch(scores [][]float64) frame.Batch {
	rows := len(scores[0])
	columns := make([]arrow.Array, 0, len(o.fields))
	switch o.task {
	case model.Binary:
		columns = append(columns, Doubles(scores[0]), o.labels(rows, func(row int) int {
			if scores[0][row] >= 0.5 {
				return 1
			}
			return 0
		}))
	case model.Multiclass:
		columns = append(columns, o.labels(rows, func(row int) int {
			best := 0
			for k := range scores {
				if scores[k][row] > scores[best][row] {
					best = k
				}
			}
			return best
		}))
		fallthrough
	default:
		for _, s := range scores {
			columns = append(columns, Doubles(s))
		}
	}
	batch := array.NewRecordBatch(o.schema, columns, int64(rows))
	for _, c := range columns {
		c.Release()
	}
	return batch
}

// Numbered makes a batch of columns called name0, name1, … It keeps the slices,
// which are at least one and equally long.
func Numbered(name string, values [][]float64) frame.Batch {
	fields := make([]frame.Column, len(values))
	columns := make([]arrow.Array, len(values))
	for k, v := range values {
		fields[k] = frame.Column{Name: name + strconv.Itoa(k), Type: frame.Double}
		columns[k] = Doubles(v)
		defer columns[k].Release()
	}
	return array.NewRecordBatch(frame.SchemaOf(fields), columns, int64(len(values[0])))
}

// Doubles makes an array of values, which it keeps, without a copy; a builder
// would cost a one-row answer more than its model does.
func Doubles(values []float64) arrow.Array {
	data := array.NewData(arrow.PrimitiveTypes.Float64, len(values),
		[]*memory.Buffer{nil, memory.NewBufferBytes(arrow.Float64Traits.CastToBytes(values))}, nil, 0, 0)
	defer data.Release()
	return array.NewFloat64Data(data)
}

func (o *Output) labels(rows int, class func(row int) int) arrow.Array {
	offsets := make([]byte, 4*(rows+1))
	var text []byte
	for row := range rows {
		text = append(text, o.classes[class(row)]...)
		binary.NativeEndian.PutUint32(offsets[4*(row+1):], uint32(len(text)))
	}
	data := array.NewData(arrow.BinaryTypes.String, rows,
		[]*memory.Buffer{nil, memory.NewBufferBytes(offsets), memory.NewBufferBytes(text)}, nil, 0, 0)
	defer data.Release()
	return array.NewStringData(data)
}
