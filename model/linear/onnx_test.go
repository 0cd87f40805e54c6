package linear_test

import (
	"testing"

	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/model/onnx/onnxtest"
)

func TestONNXGivesTheSameAnswers(t *testing.T) {
	for _, spec := range []*linear.Spec{
		sample(model.Binary, "no", "yes"), sample(model.Multiclass, "a", "b", "c", "d"), sample(model.Regression),
	} {
		t.Run(string(spec.Task), func(t *testing.T) {
			m, err := linear.New(spec)
			if err != nil {
				t.Fatal(err)
			}
			onnxtest.Equal(t, m, 1e-12)
		})
	}
}
