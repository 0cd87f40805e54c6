package gate_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/flow/registry/gate"
	"github.com/leat-ai/leat/flow/train/evaluate"
)

var candidate = gate.Figures{
	Metrics: map[string]float64{"auc": 0.88, "f1": 0.5, "p95_ms": 3.5, "size_bytes": 1e6, "broken": math.NaN()},
	Slices: []evaluate.Slice{
		{Column: "country", Value: "DE", Metrics: map[string]float64{"auc": 0.9, "f1": 0.6}},
		{Column: "country", Value: "BR", Metrics: map[string]float64{"auc": 0.7, "f1": 0.4}},
		{Column: "country", Value: "(other)", Metrics: map[string]float64{"f1": 0.5}},
		{Column: "channel", Value: "web", Metrics: map[string]float64{"auc": math.NaN()}},
	},
}

var champion = &gate.Figures{Metrics: map[string]float64{"auc": 0.884, "broken": 1}}

// infinite stands for a champion that nobody beats.
var infinite = &gate.Figures{Metrics: map[string]float64{"auc": math.Inf(1)}}

func TestVerdicts(t *testing.T) {
	cases := []struct {
		gate     string
		champion *gate.Figures
		passed   bool
		reason   string // a part of it
	}{
		{"auc >= 0.85", champion, true, ""},
		{"auc >= 0.9", champion, false, "auc is 0.88"},
		{"auc >= champion.auc - 0.005", champion, true, ""},
		{"auc >= champion.auc", champion, false, "auc is 0.88, champion.auc is 0.884"},
		{"p95_ms <= 5 and size_bytes < 1e7", champion, true, ""},
		{"min_over(country).auc >= 0.75", champion, false, "min_over(country).auc is 0.7 (BR)"},
		{"max_over(country).auc >= 0.9", champion, true, ""},
		{"gap_over(country).auc <= 0.25", champion, true, ""},
		{"gap_over(country).auc <= 0.15", champion, false, "(BR to DE)"},
		{"auc >= champion.auc", infinite, false, "champion.auc is +Inf"},

		// Not a number never passes, whatever stands around it.
		{"broken >= 0", champion, false, "broken is not a number"},
		{"broken < 0 or auc > 0.5", champion, false, "broken is not a number"},
		{"not (broken >= 0)", champion, false, "broken is not a number"},
		{"broken is null", champion, false, "broken is not a number"},
		{"broken >= champion.broken", nil, false, "broken is not a number"},
		{"min_over(channel).auc >= 0", champion, false, "not a number"},
		{"min_over(channel).f1 >= 0", champion, false, "no slice by channel has f1"},
		{"log(0 - auc) > 0", champion, false, "it has no value"},
		{"f1 >= champion.f1", champion, false, "the champion has no figure f1"},

		// Without a champion, what compares with it passes, and only that.
		{"auc >= champion.auc", nil, true, "no champion"},
		{"not (auc < champion.auc)", nil, true, "no champion"},
		{"auc >= 0.85 and auc >= champion.auc", nil, true, "no champion"},
		{"auc >= 0.95 and auc >= champion.auc", nil, false, "auc is 0.88"},
		{"auc between champion.auc and 1", nil, true, "no champion"},
		{"auc >= coalesce(champion.auc, 0.9)", nil, false, "auc is 0.88"},
	}
	for _, c := range cases {
		verdicts, err := gate.Evaluate([]string{c.gate}, candidate, c.champion)
		if err != nil {
			t.Errorf("%s: %v", c.gate, err)
			continue
		}
		v := verdicts[0]
		if v.Gate != c.gate || v.Passed != c.passed || gate.Passed(verdicts) != c.passed {
			t.Errorf("%s: %+v, want passed %v", c.gate, v, c.passed)
		}
		if !strings.Contains(v.Reason, c.reason) || c.reason == "" && v.Reason != "" {
			t.Errorf("%s: the reason is %q, want %q", c.gate, v.Reason, c.reason)
		}
		if _, err := json.Marshal(v); err != nil {
			t.Errorf("%s: a verdict that cannot be stored: %v", c.gate, err)
		}
	}
}

func TestVerdictHasTheFiguresOfEveryName(t *testing.T) {
	verdicts, err := gate.Evaluate([]string{"auc >= champion.auc - 0.005 and min_over(country).auc > p95_ms"}, candidate, champion)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]float64{"auc": 0.88, "champion.auc": 0.884, "min_over(country).auc": 0.7, "p95_ms": 3.5}
	got := verdicts[0].Figures
	if len(got) != len(want) {
		t.Errorf("figures %v, want %v", got, want)
	}
	for name, x := range want {
		if got[name] != x {
			t.Errorf("%s is %v, want %v", name, got[name], x)
		}
	}
}

func TestMistakesAreReportedTogetherWithHints(t *testing.T) {
	hints := map[string]string{
		"acu >= 0.8":                     "did you mean auc?",
		"auc >= champion.acu":            "did you mean champion.auc?",
		"speed >= 0.8":                   "the figures are auc, broken",
		"min_over(contry).auc > 0":       "did you mean country?",
		"min_over(age).auc > 0":          "add slices: [age]",
		"min_over(country).ac > 0":       "did you mean auc?",
		"auc + 1":                        "compare it with something",
		"auc >":                          "a value is",
		"auc >= '0.8'":                   "without quotes",
		"champion.min_over(country).auc": "",
	}
	var gates []string
	for g, hint := range hints {
		gates = append(gates, g)
		_, err := gate.Evaluate([]string{g}, candidate, nil)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.HintOf(err), hint) {
			t.Errorf("%s: %v (%s), want the hint %q", g, err, fault.HintOf(err), hint)
		}
	}
	_, err := gate.Evaluate(gates, candidate, nil)
	n := 0
	fault.Each(err, func(error) { n++ })
	if n != len(gates) {
		t.Errorf("%d mistakes reported, want %d: %v", n, len(gates), err)
	}
	if err := gate.Check([]string{"auc >= 0.8", "auc >= champion.auc", "min_over(x).y < 1"}); err != nil {
		t.Error(err)
	}
	if err := gate.Check([]string{"auc >= 0.8", "auc"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("Check let %q through: %v", "auc", err)
	}
}
