package card_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train/card"
	"github.com/leat-ai/leat/flow/train/evaluate"
	"github.com/leat-ai/leat/model"
)

const hostile = `<script>alert(1)</script>"'&{{.}}`

// sample is a card of a task, in which every text is hostile.
func sample(task model.Task) card.Card {
	p := &evaluate.Predictions{Task: task, Threshold: 0.5}
	switch task {
	case model.Binary:
		p.Classes = []string{"no", hostile}
	case model.Multiclass:
		p.Classes = []string{"a", "b", hostile}
	}
	k := max(1, len(p.Classes))
	if task == model.Binary {
		k = 1
	}
	p.Scores = make([][]float64, k)
	for i := range 400 {
		p.Label = append(p.Label, float64(i%max(2, len(p.Classes))))
		for j := range p.Scores {
			p.Scores[j] = append(p.Scores[j], (0.3+0.4*math.Abs(math.Sin(float64(i*(j+1)))))/float64(k))
		}
	}
	r := &evaluate.Report{Label: hostile, Notes: []string{hostile}, Columns: []evaluate.Unused{{Name: hostile, Why: hostile}}}
	r.Fill(p)
	r.Slices = p.SliceByNumber(hostile, p.Label)
	r.Rank(map[string]float64{hostile: 0.7, "b": 0.3})
	return card.Card{
		Model: hostile, Version: 2, ID: hostile, Aliases: []string{hostile}, Description: hostile, Owner: hostile,
		CreatedAt: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), CreatedBy: hostile, Format: hostile,
		Signature: model.Signature{Task: task, Inputs: []model.Field{{Name: hostile, Type: frame.String, Categories: []string{hostile}}},
			Outputs: model.Outputs(task, p.Classes), Classes: p.Classes},
		Report: r, Params: map[string]float64{hostile: 1},
		Gates:   []card.Gate{{Gate: hostile, Passed: true, Figures: map[string]float64{hostile: 1}}, {Gate: "auc > 1", Reason: hostile}},
		Lineage: []card.Entry{{Name: hostile, Value: hostile}},
	}
}

func write(t *testing.T, c card.Card) string {
	t.Helper()
	var out bytes.Buffer
	if err := card.Write(&out, c); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestPageIsSelfContainedAndSafe(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		page := write(t, sample(task))
		for _, bad := range []string{"<script", "http://", "https://", "javascript:", "style=\"", "<link", "<img", "ZgotmplZ", "NaN", "Inf"} {
			if strings.Contains(page, bad) {
				t.Errorf("%s: the page has %q", task, bad)
			}
		}
		if !strings.Contains(page, "style-src 'sha256-") && !strings.Contains(page, "style-src &#39;sha256-") {
			t.Errorf("%s: no policy", task)
		}
	}
}

func TestPageShowsWhatTheCardHas(t *testing.T) {
	for task, want := range map[model.Task][]string{
		model.Binary:     {"ROC curve", "Calibration", "Confusion", "AUC", "Log loss"},
		model.Multiclass: {"Confusion", "Accuracy"},
		model.Regression: {"Predicted and actual", "Errors", "RMSE"},
	} {
		page := write(t, sample(task))
		for _, text := range append(want, "22 November 2026, 09:30 UTC", "✓ passed", "✗ failed", "1 of 2 passed", "70.0%") {
			if !strings.Contains(page, text) {
				t.Errorf("%s: the page lacks %q", task, text)
			}
		}
	}
}

// TestFiguresAreWellFormed reads every figure as XML, which SVG is.
func TestFiguresAreWellFormed(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Regression} {
		figures := strings.Split(write(t, sample(task)), "<svg")[1:]
		if len(figures) < 4 {
			t.Errorf("%s: %d figures", task, len(figures))
		}
		for i, figure := range figures {
			text, _, _ := strings.Cut(figure, "</svg>")
			d := xml.NewDecoder(strings.NewReader("<svg" + text + "</svg>"))
			for {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s, figure %d: %v", task, i, err)
				}
			}
		}
	}
}

func TestEmptyReportIsDrawnAndNoReportRefused(t *testing.T) {
	for _, task := range []model.Task{model.Binary, model.Multiclass, model.Regression} {
		r := &evaluate.Report{Label: "y"}
		p := &evaluate.Predictions{Task: task, Scores: [][]float64{{}, {}, {}}}
		if task != model.Regression {
			p.Classes = []string{"a", "b", "c"}[:map[model.Task]int{model.Binary: 2, model.Multiclass: 3}[task]]
		}
		r.Fill(p)
		if page := write(t, card.Card{Model: "m", Report: r}); !strings.Contains(page, "</html>") {
			t.Errorf("%s: half a page", task)
		}
	}
	if err := card.Write(io.Discard, card.Card{Model: "m"}); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func TestSameCardGivesTheSamePage(t *testing.T) {
	if a, b := write(t, sample(model.Binary)), write(t, sample(model.Binary)); a != b {
		t.Error(fmt.Sprint("the pages differ: ", len(a), " and ", len(b), " bytes"))
	}
}
