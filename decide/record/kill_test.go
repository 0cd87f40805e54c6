package record

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// childDir makes this test binary a process that records until it is killed:
// see TestKillLosesNothingAcknowledged.
const childDir = "LEAT_RECORD_CHILD_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		recordForever(dir)
	}
	os.Exit(m.Run())
}

// recordForever prints the id of each decision once it is acknowledged.
func recordForever(dir string) {
	w, err := Open(Options{Dir: dir, SegmentMax: 20_000})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	var out sync.Mutex
	for worker := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				required := i%3 > 0 // others go with them, unacknowledged
				if err := w.Record(context.Background(), entry(required, id)); err != nil || !required {
					continue
				}
				out.Lock()
				fmt.Println(id)
				out.Unlock()
			}
		}()
	}
	select {}
}

// TestKillLosesNothingAcknowledged kills a process that records, again and
// again on the same folder, and looks for every decision that it said was
// recorded: each must be there, once, between the lake and the log.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir, acknowledged := t.TempDir(), map[string]bool{}
	sink := &lake{segments: map[string]map[string]int{}, t: t}
	for round := range 8 {
		for _, id := range recordAndKill(t, dir, time.Duration(10+rand.IntN(80))*time.Millisecond) {
			acknowledged[id] = true
		}
		w := start(t, Options{Dir: dir})
		if round%2 == 0 {
			if _, err := w.Compact(t.Context(), sink); err != nil {
				t.Fatal(err)
			}
		}
		found := sink.rows()
		for id, n := range fresh(t, w) {
			found[id] += n
		}
		for id := range acknowledged {
			if found[id] != 1 {
				t.Fatalf("after kill %d the acknowledged decision %s is there %d times", round+1, id, found[id])
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) == 0 {
		t.Error("nothing was acknowledged")
	}
}

func recordAndKill(t *testing.T, dir string, after time.Duration) (acknowledged []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // what the kill cut short was not acknowledged
			break
		}
		if strings.HasPrefix(line, "error") {
			t.Error(line)
		}
		acknowledged = append(acknowledged, strings.TrimSpace(line))
		if !killed { // from the first acknowledgement on
			killed = true
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // killed
	return acknowledged
}
