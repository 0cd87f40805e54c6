package command_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/flow/train"
	"github.com/leat-ai/leat/flow/train/command"
	"github.com/leat-ai/leat/flow/train/linear"
	"github.com/leat-ai/leat/flow/train/traintest"
	"github.com/leat-ai/leat/model"
	serve "github.com/leat-ai/leat/model/linear"
	"github.com/leat-ai/leat/spec"
)

func table() train.Input {
	t := &traintest.Table{Columns: []frame.Column{{Name: "x", Type: frame.Double}, {Name: "city", Type: frame.String}, {Name: "y", Type: frame.String}}}
	for i := range 200 {
		y := "no"
		if i*37%101+i%9 > 50 {
			y = "yes"
		}
		t.Cells = append(t.Cells, []string{fmt.Sprint(i * 37 % 101), []string{"Lund", "Bern", ""}[i%3], y})
	}
	return t.Input()
}

// fixture trains a model in the usual way, for programs of tests to hand in.
func fixture(t *testing.T) string {
	c, err := train.Run(context.Background(), table(), spec.TrainStep{Label: "y"}, train.Options{Trainer: linear.Trainer{}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), serve.FileName)
	if err := os.WriteFile(path, c.Artifact.Files[serve.FileName], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func shell(script string, env ...string) command.Trainer {
	return command.Trainer{Command: []string{"sh", "-c", script}, Env: env, Formats: []model.Format{serve.Format{}}}
}

func run(ctx context.Context, tr command.Trainer, progress func(string, int, int, float64)) (*train.Candidate, error) {
	return train.Run(ctx, table(), spec.TrainStep{Label: "y", Split: spec.Split{Every: 4}, Seed: 5, Params: map[string]float64{"depth": 3}},
		train.Options{Tables: tr, Progress: progress})
}

func TestAProgramsModelIsTakenUpAndMeasured(t *testing.T) {
	t.Setenv("FIXTURE", fixture(t))
	t.Setenv("COPY", t.TempDir())
	t.Setenv("OUR_SECRET", "hidden")
	var lines, seen []string
	tr := shell(`cp "$FIXTURE" "$LEAT_OUTPUT/artifact/"
		echo '{"format": "linear", "params": {"depth": 3}, "notes": ["made by hand"]}' > "$LEAT_OUTPUT/leat-model.json"
		echo '{"auc": 0.1, "cost": 12.5}' > "$LEAT_OUTPUT/metrics.json"
		cp "$LEAT_TRAIN_DATA"/* "$COPY/"
		echo "leat:progress 1/2 0.5"; echo "leat:progress 2/2"
		echo "label $LEAT_LABEL task $LEAT_TASK classes $LEAT_CLASSES params $LEAT_PARAMS seed $LEAT_SEED secret ${OUR_SECRET-none} home ${HOME-none}" >&2`,
		"FIXTURE", "COPY")
	tr.Log = func(line string) { lines = append(lines, line) }
	c, err := run(context.Background(), tr, func(doing string, done, total int, loss float64) {
		if doing == "training" {
			seen = append(seen, fmt.Sprint(done, "/", total, " ", loss))
		}
	})
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	want := `label y task binary classes ["no","yes"] params {"depth":3} seed 5 secret none home none`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("the program saw %q\nwant %q", lines, want)
	}
	if fmt.Sprint(seen) != "[1/2 0.5 2/2 NaN]" {
		t.Errorf("progress %q", seen)
	}
	// Its own figure is kept, but what the stage measures it measures itself.
	if c.Metrics["cost"] != 12.5 || c.Metrics["auc"] < 0.9 || c.Artifact.Format != "linear" || c.Artifact.Params["depth"] != 3 {
		t.Errorf("%v %v", c.Metrics, c.Artifact.Params)
	}
	if r := c.Report.Rows; r.Train != 150 || r.Valid != 0 || r.Test != 50 || *c.Threshold != 0.5 {
		t.Errorf("rows %+v, threshold %v", r, *c.Threshold)
	}
	if got := rowsOf(t, filepath.Join(os.Getenv("COPY"), "train.parquet")); got != "150 [x city y]" {
		t.Errorf("train.parquet has %s", got)
	}
	if got := rowsOf(t, filepath.Join(os.Getenv("COPY"), "test.parquet")); got != "50 [x city y]" {
		t.Errorf("test.parquet has %s", got)
	}
	text, err := os.ReadFile(filepath.Join(os.Getenv("COPY"), "train.csv"))
	if err != nil || !strings.HasPrefix(string(text), "x,city,y\n37,Bern,") || strings.Count(string(text), "\n") != 151 {
		t.Errorf("%v: %.60s", err, text)
	}
}

func rowsOf(t *testing.T, path string) string {
	t.Helper()
	f, err := file.OpenParquetFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := r.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Release()
	var names []string
	for _, f := range table.Schema().Fields() {
		names = append(names, f.Name)
	}
	return fmt.Sprint(table.NumRows(), " ", names)
}

func TestMistakesOfAProgramAreExplained(t *testing.T) {
	const good = `echo '{"format": "linear"}' > "$LEAT_OUTPUT/leat-model.json"; `
	for want, script := range map[string]string{
		"exit status 3":      `echo "no such column" >&2; exit 3`,
		"left no model":      `true`,
		"unknown format":     `echo '{"format": "pickle"}' > "$LEAT_OUTPUT/leat-model.json"; echo x > "$LEAT_OUTPUT/artifact/x"`,
		"has 0 files":        good,
		"is not a file":      good + `mkfifo "$LEAT_OUTPUT/artifact/pipe"`,
		"linear.json":        good + `echo '{}' > "$LEAT_OUTPUT/artifact/other.json"`,
		"metrics.json":       good + `echo '{"auc": "high"}' > "$LEAT_OUTPUT/metrics.json"`,
		"more than 1048576":  good + `head -c 2000000 /dev/zero > "$LEAT_OUTPUT/metrics.json"`,
		"escapes":            good + `ln -s /etc/passwd "$LEAT_OUTPUT/artifact/linear.json"`,
		"removed its output": `rm -r "$LEAT_OUTPUT"`,
	} {
		_, err := run(context.Background(), shell(script), nil)
		if err == nil || fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
		if want == "exit status 3" && !strings.Contains(fault.HintOf(err), "no such column") {
			t.Errorf("the hint does not show the last lines: %s", fault.HintOf(err))
		}
	}
	_, err := run(context.Background(), shell("true", "NOT_SET_ANYWHERE"), nil)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "NOT_SET_ANYWHERE") {
		t.Error(err)
	}
	_, err = run(context.Background(), command.Trainer{Command: []string{"no-such-program-anywhere"}}, nil)
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "cannot be run") {
		t.Error(err)
	}
}

func TestAProgramEndsWithItsTraining(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Fatal("process groups are tested on Unix")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var pids []int
	tr := shell(`sleep 600 & echo "pid $!"; echo "pid $$"; wait`)
	tr.Log = func(line string) {
		if text, ok := strings.CutPrefix(line, "pid "); ok {
			pid, err := strconv.Atoi(text)
			if err != nil {
				t.Error(err)
			}
			if pids = append(pids, pid); len(pids) == 2 {
				cancel()
			}
		}
	}
	_, err := run(ctx, tr, nil)
	if !fault.Is(err, fault.Canceled) {
		t.Errorf("%v", err)
	}
	for _, pid := range pids {
		deadline := time.Now().Add(10 * time.Second)
		for running(pid) && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		if running(pid) {
			t.Errorf("process %d still runs", pid)
		}
	}
}

// running tells whether a process is there and no zombie, which nobody may
// have reaped in a container.
func running(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestOutputWithoutEndIsBounded(t *testing.T) {
	longest, count := 0, 0
	tr := shell(`head -c 30000000 /dev/zero | tr '\0' 'x'; echo; yes | head -n 20000; exit 1`)
	tr.Log = func(line string) { longest, count = max(longest, len(line)), count+1 }
	_, err := run(context.Background(), tr, nil)
	if longest > 4096 || count != 20001 || len(fault.HintOf(err)) > 200 {
		t.Errorf("a line of %d bytes, %d lines, a hint of %d bytes", longest, count, len(fault.HintOf(err)))
	}
	if err == nil {
		t.Error(err)
	}
}
