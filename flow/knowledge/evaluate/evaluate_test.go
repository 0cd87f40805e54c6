package evaluate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/leat-ai/leat/base/fault"
)

// TestKnownFigures works small rankings out by hand.
func TestKnownFigures(t *testing.T) {
	judged := map[string]int{"a": 3, "b": 2, "c": 1, "d": 0, "e": -1}
	ranking := []Scored{{"x", 9}, {"b", 8}, {"e", 7}, {"a", 6}}
	log2 := math.Log2
	best := 3/log2(2) + 2/log2(3) + 1/log2(4)
	for name, want := range map[string]float64{
		"ndcg@2":      (2 / log2(3)) / (3/log2(2) + 2/log2(3)),
		"ndcg@10":     (2/log2(3) + 3/log2(5)) / best,
		"ndcg":        (2/log2(3) + 3/log2(5)) / best,
		"recall@2":    1.0 / 3,
		"recall@10":   2.0 / 3,
		"precision@4": 0.5,
		"precision@8": 0.25,
		"hit@1":       0,
		"hit@2":       1,
		"map":         (1.0/2 + 2.0/4) / 3,
		"map@2":       (1.0 / 2) / 3,
		"mrr@10":      0.5,
		"mrr@1":       0,
	} {
		m, err := Parse(name)
		if err != nil || m.String() != name {
			t.Fatal(m, err)
		}
		if got := m.Of(judged, ranking); math.Abs(got-want) > 1e-12 {
			t.Errorf("%s is %v, not %v", name, got, want)
		}
	}
	for _, name := range []string{"ndcg@0", "ndcg@x", "bleu", "precision", ""} {
		if _, err := Parse(name); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	nothing := Measure{"ndcg", 10}
	if nothing.Of(map[string]int{"d": 0}, ranking) != 0 || nothing.Of(nil, nil) != 0 || nothing.Mean(nil, nil) != 0 {
		t.Error("without a right document nDCG is not 0")
	}
}

// TestMeanCountsQueriesWithoutRanking is trec_eval -c.
func TestMeanCountsQueriesWithoutRanking(t *testing.T) {
	qrels := Qrels{"1": {"a": 1}, "2": {"b": 1}}
	run := Run{"1": {{"a", 1}}, "3": {{"c", 1}}}
	if got := (Measure{Name: "map"}).Mean(qrels, run); got != 0.5 {
		t.Error(got)
	}
}

// TestFiguresAreThoseOfTrecEval compares every measure, query by query, with
// trec_eval itself on random rankings with many ties.
func TestFiguresAreThoseOfTrecEval(t *testing.T) {
	python := os.Getenv("LEAT_PYTHON")
	if python == "" {
		t.Fatal("LEAT_PYTHON names no interpreter: run make tools")
	}
	qrels, run := random(rand.New(rand.NewPCG(1, 2)))
	names := map[string]string{"ndcg@5": "ndcg_cut_5", "ndcg@10": "ndcg_cut_10", "ndcg": "ndcg", "recall@10": "recall_10", "recall@100": "recall_100",
		"precision@5": "P_5", "hit@1": "success_1", "hit@5": "success_5", "map": "map", "map@10": "map_cut_10", "mrr": "recip_rank"}
	var asked []string
	for _, theirs := range names {
		asked = append(asked, theirs)
	}
	input, err := json.Marshal(map[string]any{"qrels": qrels, "run": scores(run), "measures": asked})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/trec.py")
	cmd.Stdin = bytes.NewReader(input)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var theirs map[string]map[string]float64
	if err := json.Unmarshal(output, &theirs); err != nil {
		t.Fatal(err)
	}
	if len(theirs) != len(qrels) {
		t.Fatalf("trec_eval judged %d queries of %d", len(theirs), len(qrels))
	}
	for query, judged := range qrels {
		for ours, name := range names {
			m, err := Parse(ours)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := m.Of(judged, run[query]), theirs[query][name]; math.Abs(got-want) > 1e-9 {
				t.Errorf("query %s: %s is %v, trec_eval's %s is %v", query, ours, got, name, want)
			}
		}
	}
}

// random makes rankings of up to 150 documents, with grades from -1 to 3 and
// scores of which many are equal, some only after rounding to 32 bits.
func random(r *rand.Rand) (Qrels, Run) {
	qrels, run := make(Qrels), make(Run)
	for q := range 200 {
		query := fmt.Sprint("q", q)
		qrels[query] = make(map[string]int)
		for d := range 150 {
			id := fmt.Sprint("d", d)
			if r.IntN(6) == 0 {
				qrels[query][id] = r.IntN(5) - 1
			}
			if r.IntN(3) > 0 || d == 0 {
				run[query] = append(run[query], Scored{id, float64(r.IntN(20)) + r.Float64()*1e-9})
			}
		}
		if len(qrels[query]) == 0 {
			qrels[query]["d1"] = 1
		}
	}
	return qrels, run
}

func scores(run Run) map[string]map[string]float64 {
	all := make(map[string]map[string]float64)
	for query, ranking := range run {
		all[query] = make(map[string]float64)
		for _, d := range ranking {
			all[query][d.Document] = d.Score
		}
	}
	return all
}

func TestFilesOfGrades(t *testing.T) {
	want := Qrels{"q1": {"d1": 1, "d2": 0}, "q2": {"d 3": 2}}
	for _, text := range []string{
		"query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td 3\t2\n",
		"q1\td1\t1\r\nq1\td2\t0\r\n\r\nq2\td 3\t2",
		"\ufeffq1\t0\td1\t1\nq1\t0\td2\t0\nq2\t0\td 3\t2\n",
	} {
		got, err := ReadQrels(strings.NewReader(text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q gives %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a\tb\tc\n", "q1\td1\t1\nq1\td2\tx\n", "q1 0 d1 1\nq2 d2\n"} {
		if _, err := ReadQrels(strings.NewReader(text)); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRunsComeBack(t *testing.T) {
	_, run := random(rand.New(rand.NewPCG(3, 4)))
	var file bytes.Buffer
	if err := WriteRun(&file, run, "leat"); err != nil {
		t.Fatal(err)
	}
	again, err := ReadRun(&file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(scores(run), scores(again)) {
		t.Error("a run does not come back as it was written")
	}
	if err := WriteRun(&file, Run{"q": {{"a b", 1}}}, "leat"); !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
}

func FuzzFiles(f *testing.F) {
	f.Add("q1\td1\t1\n")
	f.Add("q1 Q0 d1 1 2.5 x\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := ReadQrels(strings.NewReader(text)); err != nil && fault.KindOf(err) == fault.Internal {
			t.Error(err)
		}
		if _, err := ReadRun(strings.NewReader(text)); err != nil && fault.KindOf(err) == fault.Internal {
			t.Error(err)
		}
	})
}
