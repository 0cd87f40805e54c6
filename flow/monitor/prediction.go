package monitor

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// PredictionOf returns a batch with the one column Prediction taken from what
// a model gave, or nil when the outputs have none. The caller releases it.
func PredictionOf(outputs frame.Batch) frame.Batch {
	at := frame.Index(outputs.Schema(), model.ScoreColumn)
	if at < 0 {
		at = frame.Index(outputs.Schema(), model.LabelColumn)
	}
	if at < 0 {
		return nil
	}
	col := outputs.Column(at)
	schema := arrow.NewSchema([]arrow.Field{{Name: Prediction, Type: col.DataType(), Nullable: true}}, nil)
	return array.NewRecordBatch(schema, []arrow.Array{col}, outputs.NumRows())
}
