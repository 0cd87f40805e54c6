package process_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/model"
	"github.com/leat-ai/leat/model/modeltest"
	"github.com/leat-ai/leat/model/process"
	"github.com/leat-ai/leat/spec"
)

// fake is the manifest of a worker of this test binary.
func fake(t *testing.T, how string) process.Manifest {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return process.Manifest{Command: []string{self, "worker", how}, Timeout: spec.Duration(time.Minute)}
}

// load packs and loads a model, as registering and serving do.
func load(t *testing.T, c process.Config, m process.Manifest, files map[string][]byte) (model.Model, error) {
	t.Helper()
	if c.Temp == "" {
		c.Temp = t.TempDir()
	}
	packed, signature, err := process.Pack(t.Context(), c, m, files)
	if err != nil {
		return nil, err
	}
	fsys := fstest.MapFS{}
	for name, content := range packed {
		fsys[name] = &fstest.MapFile{Data: content}
	}
	loaded, err := process.Format{Config: c}.Load(t.Context(), fsys)
	if err != nil {
		return nil, err
	}
	if fmt.Sprint(loaded.Signature()) != fmt.Sprint(signature) {
		t.Errorf("loaded as %v, packed as %v", loaded.Signature(), signature)
	}
	t.Cleanup(func() { closeModel(t, loaded) })
	return loaded, nil
}

func closeModel(t *testing.T, m model.Model) {
	t.Helper()
	if err := m.(*process.Model).Close(); err != nil {
		t.Error(err)
	}
}

func must(t *testing.T, m process.Manifest) model.Model {
	t.Helper()
	loaded, err := load(t, process.Config{}, m, nil)
	if err != nil {
		t.Fatal(err, fault.HintOf(err))
	}
	return loaded
}

func TestConformance(t *testing.T) {
	for name, change := range map[string]func(*process.Manifest){
		"json over a pipe":       func(*process.Manifest) {},
		"arrow over a pipe":      func(m *process.Manifest) { m.Command[2] = "arrow" },
		"json over a socket":     func(m *process.Manifest) { m.Transport = process.Socket },
		"arrow, several workers": func(m *process.Manifest) { m.Command[2] = "arrow"; m.Workers = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			m := fake(t, "usual")
			change(&m)
			modeltest.Run(t, must(t, m))
		})
	}
}

// one makes a batch of rows with the given x; s and n are derived.
func rowsOf(xs ...float64) frame.Batch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, frame.SchemaOf([]frame.Column{
		{Name: "x", Type: frame.Double}, {Name: "s", Type: frame.String}, {Name: "n", Type: frame.Int}}))
	defer b.Release()
	for _, x := range xs {
		b.Field(0).(*array.Float64Builder).Append(x)
		b.Field(1).(*array.StringBuilder).Append("ab")
		b.Field(2).(*array.Int64Builder).Append(5)
	}
	return b.NewRecordBatch()
}

func failing(t *testing.T, m model.Model, xs ...float64) error {
	t.Helper()
	in := rowsOf(xs...)
	defer in.Release()
	out, err := m.Predict(t.Context(), in)
	if err == nil {
		out.Release()
		t.Fatalf("rows %v were answered", xs)
	}
	return err
}

// recovers waits until the model answers again.
func recovers(t *testing.T, m model.Model) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	in := rowsOf(1)
	defer in.Release()
	for {
		out, err := m.Predict(t.Context(), in)
		if err == nil {
			out.Release()
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the model never answered again: ", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestWorkersThatFailAreReplaced(t *testing.T) {
	m := fake(t, "usual")
	m.Timeout = spec.Duration(500 * time.Millisecond)
	m.Memory = 16 << 30
	loaded := must(t, m)
	for _, c := range []struct {
		x    float64
		kind fault.Kind
		says string
	}{
		{666001, fault.Internal, "exit status 7"},
		{666002, fault.Timeout, "within 500ms"},
		{666003, fault.Internal, "no frame"},
		{666004, fault.Internal, "which nobody made"},
		{666005, fault.Internal, "has 0 rows, not 1"},
		{666006, fault.Invalid, "x is too odd"},
		{666009, fault.TooLarge, "4294967295 bytes"},
	} {
		err := failing(t, loaded, c.x)
		if !fault.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %s, %v; want %s, %q", c.x, fault.KindOf(err), err, c.kind, c.says)
		}
		recovers(t, loaded)
	}
	if got := fault.HintOf(failing(t, loaded, 666006)); got != "send an even one" {
		t.Errorf("the hint is %q", got)
	}
}

// A worker that a kill takes away in the middle of a call is replaced, and
// callers get answers again.
func TestKilledWorkerIsReplaced(t *testing.T) {
	m := fake(t, "usual")
	temp := t.TempDir()
	loaded, err := load(t, process.Config{Temp: temp}, m, nil)
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	go func() {
		in := rowsOf(666002)
		defer in.Release()
		_, err := loaded.Predict(context.Background(), in)
		failed <- err
	}()
	pid := 0
	for deadline := time.Now().Add(time.Minute); pid == 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if hanging, _ := filepath.Glob(filepath.Join(temp, "*/work/*/hanging")); len(hanging) > 0 {
			pid = busy(t, temp)
		}
	}
	if pid == 0 {
		t.Fatal("no worker runs")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the call ended with %v", err)
	}
	recovers(t, loaded)
}

// busy finds the worker whose home is below a folder.
func busy(t *testing.T, below string) int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal("this test needs /proc: ", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		environ, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && strings.Contains(string(environ), "LEAT_MODEL_DIR="+below) {
			return pid
		}
	}
	return 0
}

func TestNothingOutlivesAModel(t *testing.T) {
	temp := t.TempDir()
	loaded, err := load(t, process.Config{Temp: temp}, fake(t, "usual"), nil)
	if err != nil {
		t.Fatal(err)
	}
	err = failing(t, loaded, 666008)
	_, text, ok := strings.Cut(fault.HintOf(err), "child ")
	if !ok {
		t.Fatalf("%v says nothing of its child: %s", err, fault.HintOf(err))
	}
	pid, err := strconv.Atoi(strings.Fields(text)[0])
	if err != nil {
		t.Fatal(err)
	}
	recovers(t, loaded)
	if alive(pid) {
		t.Errorf("process %d outlived the worker that started it", pid)
	}
	closeModel(t, loaded)
	if left := busy(t, temp); left != 0 {
		t.Errorf("process %d outlived its model", left)
	}
	entries, err := os.ReadDir(temp)
	if err != nil || len(entries) != 0 {
		t.Errorf("%d folders are left, %v", len(entries), err)
	}
	if err := failing(t, loaded, 1); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a closed model says %v", err)
	}
}

func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestStartsThatFailAreExplained(t *testing.T) {
	for how, want := range map[string]string{
		"exits": "exit status 3", "prints": "no frame", "silent": "not ready in time", "huge": "a frame has", "future": "protocol 2",
	} {
		m := fake(t, how)
		if how == "silent" {
			m.Start = spec.Duration(time.Second)
		}
		_, err := load(t, process.Config{}, m, nil)
		if err == nil || !strings.Contains(err.Error(), want) || fault.HintOf(err) == "" {
			t.Errorf("%s: %v (%s), want %q", how, err, fault.HintOf(err), want)
		}
		if how == "exits" && !strings.Contains(fault.HintOf(err), "no weights here") {
			t.Errorf("the hint does not show what the worker wrote: %s", fault.HintOf(err))
		}
	}
	_, err := load(t, process.Config{}, process.Manifest{Command: []string{"no-such-program-anywhere"}}, nil)
	if !fault.Is(err, fault.Invalid) {
		t.Error(err)
	}
	_, err = load(t, process.Config{Python: "no-such-python"}, process.Manifest{Python: &process.Python{Kind: process.Function, File: "m.py"}},
		map[string][]byte{"m.py": nil})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "LEAT_WORKER_PYTHON") {
		t.Error(err, fault.HintOf(err))
	}
	refused := process.Config{Allowed: func() error { return fault.New(fault.Forbidden, "not here") }}
	if _, err := load(t, refused, fake(t, "usual"), nil); !fault.Is(err, fault.Forbidden) {
		t.Error(err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Fatal("memory is bounded on Linux only, and so tested there")
	}
	m := fake(t, "usual")
	m.Memory = 4 << 30 // a Go program reserves address space beyond what it uses
	loaded := must(t, m)
	if err := failing(t, loaded, 666007); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "exit status 2") {
		t.Error(err)
	}
	recovers(t, loaded)
}

// Callers of many sizes ask at once while some of the workers die; whoever is
// answered is answered with their own rows.
func TestNobodyGetsAnothersRows(t *testing.T) {
	for _, how := range []string{"usual", "arrow"} {
		m := fake(t, how)
		m.Workers = 2
		loaded := must(t, m)
		var group sync.WaitGroup
		var mu sync.Mutex
		answered := 0
		for caller := range 16 {
			group.Go(func() {
				r := rand.New(rand.NewPCG(uint64(caller), 7))
				for range 30 {
					n := 1 + r.IntN(40)
					xs := make([]float64, n)
					for i := range xs {
						xs[i] = float64(caller*1_000_000 + r.IntN(600_000))
					}
					ctx, cancel := context.WithCancel(t.Context())
					switch r.IntN(12) {
					case 0:
						xs[r.IntN(n)] = 666001 // the JSON worker dies of it
					case 1:
						time.AfterFunc(time.Duration(r.IntN(300))*time.Microsecond, cancel)
					}
					in := rowsOf(xs...)
					out, err := loaded.Predict(ctx, in)
					in.Release()
					cancel()
					if err != nil {
						continue
					}
					for i, got := range out.Column(0).(*array.Float64).Float64Values() {
						if got != xs[i]+7 {
							t.Errorf("caller %d got %v for %v", caller, got, xs[i])
						}
					}
					out.Release()
					mu.Lock()
					answered++
					mu.Unlock()
				}
			})
		}
		group.Wait()
		if answered == 0 {
			t.Error("nobody was answered")
		}
		t.Logf("%s: %d of 480 calls were answered", how, answered)
	}
}

func TestWorkerSeesOnlyItsEnvironment(t *testing.T) {
	t.Setenv("OUR_SECRET", "hidden")
	t.Setenv("OUR_FLAG", "shown")
	script := `#!/bin/sh
env >&2; pwd >&2; ls "$LEAT_MODEL_DIR" >&2; ulimit -n >&2; cat "$LEAT_MODEL_DIR/sub/data" >&2; exit 1`
	m := process.Manifest{Command: []string{"./run.sh"}, Env: []string{"OUR_FLAG"}, OpenFiles: 77}
	_, err := load(t, process.Config{}, m, map[string][]byte{"run.sh": []byte(script), "sub/data": []byte("the data")})
	seen := fault.HintOf(err)
	for _, want := range []string{"OUR_FLAG=shown", "/work/", "run.sh", "77", "the data"} {
		if !strings.Contains(seen, want) {
			t.Errorf("the worker did not see %q:\n%s", want, seen)
		}
	}
	if strings.Contains(seen, "hidden") {
		t.Errorf("the worker saw a secret:\n%s", seen)
	}
}
