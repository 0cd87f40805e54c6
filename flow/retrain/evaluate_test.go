package retrain

import (
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
)

func TestGatesOnAnswers(t *testing.T) {
	figures := map[string]float64{"citation_precision": 0.9, "abstention_f1": 0.4, "cost": 0.02}
	for gate, want := range map[string]string{ // what is wrong, "" for nothing
		"citation_precision >= 0.9": "",
		"citation_precision > 0.9":  "citation_precision is 0.9000",
		"cost < 0.03":               "",
		"cost <= 0.01":              "cost is 0.0200",
		"groundedness >= 4":         "no question says what groundedness is measured by",
		"nonsense >= 4":             "not a condition",
	} {
		s := &spec.EvaluateStep{Assistant: "hr", Gate: spec.Names{"abstention_f1 >= 0.1", gate}}
		verdicts, err := answerVerdicts(s, figures)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", gate, err)
		}
		if err != nil && strings.Contains(want, " is ") && (!fault.Is(err, fault.Rejected) || len(verdicts) != 2 || !verdicts[0].Passed || verdicts[1].Passed) {
			t.Errorf("%s: %v, %+v", gate, err, verdicts)
		}
	}
}
