package monitor

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
)

// The schemas of what PredictionOf returns: always the same two, so that who
// sees many of them can tell them by their address.
var (
	scoreSchema = predictionSchema(frame.Double)
	labelSchema = predictionSchema(frame.String)
)

func predictionSchema(t frame.Type) *arrow.Schema {
	return frame.SchemaOf([]frame.Column{{Name: Prediction, Type: t}})
}

// PredictionOf returns a batch with the one column Prediction taken from what
// a model gave, or nil when the outputs have none. The caller releases it.
func PredictionOf(outputs frame.Batch) frame.Batch {
	if at := frame.Index(outputs.Schema(), model.ScoreColumn); at >= 0 && outputs.Column(at).DataType().ID() == arrow.FLOAT64 {
		return array.NewRecordBatch(scoreSchema, []arrow.Array{outputs.Column(at)}, outputs.NumRows())
	}
	if at := frame.Index(outputs.Schema(), model.LabelColumn); at >= 0 && outputs.Column(at).DataType().ID() == arrow.STRING {
		return array.NewRecordBatch(labelSchema, []arrow.Array{outputs.Column(at)}, outputs.NumRows())
	}
	return nil
}
