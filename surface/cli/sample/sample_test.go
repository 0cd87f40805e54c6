package sample

import (
	"bytes"
	"crypto/sha256"
	"io"
	"strings"
	"testing"
)

func TestSameSeedSameFile(t *testing.T) {
	sum := func(seed uint64) [32]byte {
		h := sha256.New()
		if _, err := Write(h, Options{Rows: 5000, Seed: seed}); err != nil {
			t.Fatal(err)
		}
		return [32]byte(h.Sum(nil))
	}
	if first, again := sum(7), sum(7); first != again {
		t.Error("two files of one seed differ")
	}
	if sum(7) == sum(8) {
		t.Error("files of two seeds are the same")
	}
}

func TestTruthDescribesTheFile(t *testing.T) {
	var file bytes.Buffer
	truth, err := Write(&file, Options{Rows: 20_000})
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(file.String()), "\n")[1:]
	if len(lines) != truth.Rows {
		t.Errorf("%d lines, truth says %d", len(lines), truth.Rows)
	}
	short, brazil := 0, 0
	for i, line := range lines {
		if strings.Count(line, ",") == 2 {
			short++
		}
		if strings.Contains(line, ",BR,") {
			brazil++
			if i < truth.Rows*9/10 {
				t.Fatalf("row %d has drifted before the last tenth", i)
			}
		}
	}
	if short != truth.Dirty["too few fields"] {
		t.Errorf("%d short rows, truth says %d", short, truth.Dirty["too few fields"])
	}
	if brazil == 0 {
		t.Error("no drift in the last tenth")
	}
}

func TestTimeRunsOverMostOfAYear(t *testing.T) {
	var file bytes.Buffer
	if _, err := Write(&file, Options{Rows: 50_000}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(file.String()), "\n")[1:]
	last := ""
	for i, line := range lines {
		at := strings.Split(line, ",")[2]
		if at < last {
			t.Fatalf("row %d is of %s, the one before of %s", i, at, last)
		}
		last = at
	}
	if last < "2026-11" || last > "2027" {
		t.Errorf("the last row is of %s", last)
	}
}

func TestFraudCanBeLearned(t *testing.T) {
	truth, err := Write(io.Discard, Options{})
	if err != nil {
		t.Fatal(err)
	}
	share := float64(truth.Fraud) / float64(truth.Rows)
	if share < 0.01 || share > 0.06 {
		t.Errorf("%.3f of the rows are fraud, want a few percent", share)
	}
	if truth.BestAUC < 0.85 || truth.BestAUC > 0.95 {
		t.Errorf("best AUC %.3f: too easy or too hard to show anything", truth.BestAUC)
	}
	t.Logf("%+v", truth)
}
