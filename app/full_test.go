package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/surface/client"
	"github.com/leat-ai/leat/work"
)

// smallDisk mounts a file system of some MiB for the length of a test. Who is
// not root gets a namespace in which they are; nil means that the test ran
// there.
func smallDisk(t *testing.T, mib int) *disk {
	t.Helper()
	dir := t.TempDir()
	err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib))
	const inside = "LEAT_TEST_NAMESPACE"
	if err == nil {
		t.Cleanup(func() {
			if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
		return &disk{t, dir}
	}
	if os.Getenv(inside) == "" && os.Geteuid() != 0 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
		}
		text, namespaced := cmd.CombinedOutput()
		t.Logf("in a namespace of its own:\n%s", text)
		if namespaced == nil {
			return nil
		}
		err = namespaced
	}
	t.Fatalf("no small disk can be mounted (%v): run this test as root, or where user namespaces are allowed "+
		"(unshare --user --map-root-user --mount go test …)", err)
	return nil
}

type disk struct {
	t   *testing.T
	dir string
}

func (d *disk) filler() string { return filepath.Join(d.dir, "filler") }

// fill leaves so many bytes free.
func (d *disk) fill(free int64) {
	d.t.Helper()
	var s syscall.Statfs_t
	if err := syscall.Statfs(d.dir, &s); err != nil {
		d.t.Fatal(err)
	}
	f, err := os.Create(d.filler())
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if size := int64(s.Bavail)*s.Bsize - free; size > 0 {
		if err := syscall.Fallocate(int(f.Fd()), 0, 0, size); err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *disk) empty() {
	d.t.Helper()
	if err := os.Remove(d.filler()); err != nil {
		d.t.Fatal(err)
	}
}

// load asks an endpoint over the network until stop is closed, and counts the
// answers by status; 0 is no answer.
type load struct {
	l        *loop
	endpoint string
	mu       sync.Mutex
	answers  map[int]int
	ids      []string     // of the decisions that were answered
	latest   atomic.Int64 // status
}

func (o *load) run(stop <-chan struct{}) {
	c, err := client.New(o.l.URL(), client.Options{})
	if err != nil {
		o.l.Error(err)
		return
	}
	row := []client.Row{payments(1)[0].row()}
	for {
		select {
		case <-stop:
			return
		default:
		}
		status := http.StatusOK
		scored, err := c.Score(o.l.Context(), o.endpoint, row, "")
		if err != nil {
			status = fault.KindOf(err).HTTP()
		}
		o.latest.Store(int64(status))
		o.mu.Lock()
		o.answers[status]++
		for _, d := range scored.Decisions {
			o.ids = append(o.ids, d.ID)
		}
		o.mu.Unlock()
	}
}

// since returns the answers so far, with the ids of their decisions, and begins
// to count anew.
func (o *load) since() (counted map[int]int, ids []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	counted, ids = o.answers, o.ids
	o.answers, o.ids = map[int]int{}, nil
	return counted, ids
}

// TestFullDisk: with no space left, what must be recorded is refused, what may
// be lost is answered and counted, a batch fails clearly, nothing half written
// is seen; when there is room again all of it goes on without a restart.
func TestFullDisk(t *testing.T) {
	d := smallDisk(t, 96)
	if d == nil {
		return
	}
	const n = 60_000
	l := newLoop(t, n, listening, func(c *Config) { c.Home = filepath.Join(d.dir, "home") })
	l.run(spec.KindPipeline, "learn", "first")
	l.run(spec.KindPipeline, "plain", "second")
	before := l.snapshots("scores")

	optional, required := &load{l: l, endpoint: "risk", answers: map[int]int{}}, &load{l: l, endpoint: "line", answers: map[int]int{}}
	stop := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { optional.run(stop) })
	asking.Go(func() { required.run(stop) })
	defer asking.Wait()
	defer close(stop)

	d.fill(600 << 10)
	run, err := l.App.start(t.Context(), spec.KindBatch, "all", work.ID("full"))
	if err != nil {
		t.Fatalf("with little space left: %v", err)
	}
	l.eventually("required answers are refused", func() bool { return required.latest.Load() == http.StatusInsufficientStorage })
	lost := l.records.Stats().Failed
	optional.since()
	required.since()
	l.eventually("the batch fails", func() bool {
		s, err := l.runs.Get(t.Context(), run)
		return err == nil && s.State.Ended()
	})
	status, err := l.runs.Get(t.Context(), run)
	if err != nil || !fault.Is(status.Err(), fault.Full) {
		t.Errorf("the batch: %s %v, %v", status.State, status.Err(), err)
	}
	if _, err := l.App.start(t.Context(), spec.KindSource, "payments"); err == nil {
		t.Log("a run still could start")
	} else if !fault.Is(err, fault.Full) && !fault.Is(err, fault.Unavailable) {
		t.Errorf("a run on the full disk: %v", err)
	}
	time.Sleep(300 * time.Millisecond)
	if counts, _ := optional.since(); len(counts) != 1 || counts[http.StatusOK] == 0 {
		t.Errorf("answers that need no record: %v", counts)
	}
	// An answer may find the room that some other part has just given back: then
	// its record is there, which is looked for once the log can be read again.
	counts, answered := required.since()
	if counts[http.StatusInsufficientStorage] == 0 || counts[0] > 0 || counts[http.StatusInternalServerError] > 0 || len(answered) != counts[http.StatusOK] {
		t.Errorf("answers that need a record: %v", counts)
	}
	if s := l.records.Stats(); s.Failed+s.Dropped <= lost {
		t.Errorf("nothing is counted as lost: %+v", s)
	}
	l.must("GET", "/healthz", "", http.StatusOK, nil)
	if l.doctor("disk") == "" {
		t.Error("the doctor finds room on the disk")
	}
	if after := l.snapshots("scores"); after != before {
		t.Errorf("%d snapshots became %d", before, after)
	}

	d.empty()
	l.eventually("required answers come again", func() bool { return required.latest.Load() == http.StatusOK })
	for _, id := range answered {
		if _, err := (decisions{l.App}).Find(t.Context(), id); err != nil {
			t.Errorf("decision %s was answered, and its record: %v", id, err)
		}
	}
	if err := l.runs.Retry(t.Context(), run); err != nil {
		t.Fatalf("the batch cannot go on: %v", err)
	}
	status, err = l.runs.Wait(t.Context(), run)
	if err != nil || status.Err() != nil {
		t.Fatalf("the batch goes on: %v", errors.Join(err, status.Err()))
	}
	if rows, after := len(l.scored("scores")), l.snapshots("scores"); rows != len(good(n)) || after != before+1 {
		t.Errorf("%d rows in the end, %d snapshots after %d", rows, after, before)
	}
	if why := l.doctor("records"); why != "" {
		t.Errorf("of the log the doctor says %q", why)
	}
	l.restart()
	if rows := len(l.scored("scores")); rows != len(good(n)) {
		t.Errorf("%d rows after a restart", rows)
	}
}

// TestFullAnywhere: at whatever write of a pipeline the space ends, the run
// fails as one that may be taken up again, and once there is room it ends as if
// nothing had been.
func TestFullAnywhere(t *testing.T) {
	d := smallDisk(t, 64)
	if d == nil {
		return
	}
	const n = 20_000
	l := newLoop(t, n, func(c *Config) { c.Home = filepath.Join(d.dir, "home") })
	l.run(spec.KindPipeline, "learn", "first")
	want, version := l.scored("scores"), l.version()
	failed := 0
	for i := range 16 {
		before := l.snapshots("scores")
		id := fmt.Sprintf("full%d", i)
		d.fill(int64(i*i) * 24 << 10)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		short, stop := context.WithTimeout(ctx, 5*time.Second) // what cannot be kept waits for room
		_, err := l.through(short, spec.KindPipeline, "learn", id)
		waits := short.Err() != nil
		stop()
		if kind := fault.KindOf(err); err != nil && !waits && kind != fault.Full && kind != fault.Unavailable {
			t.Errorf("with %d KiB: %s: %v", i*i*24, kind, err)
		}
		if rows := len(l.scored("scores")); rows != len(want) {
			t.Errorf("with %d KiB: %d rows", i*i*24, rows)
		}
		d.empty()
		if err != nil {
			failed++
			err = l.runs.Retry(ctx, id)
			switch {
			case fault.Is(err, fault.NotFound): // it never began
				_, err = l.App.start(ctx, spec.KindPipeline, "learn", work.ID(id))
			case fault.Is(err, fault.Conflict): // it has not ended, and goes on by itself
				err = nil
			}
			if err != nil {
				t.Fatalf("with %d KiB: to go on: %v", i*i*24, err)
			}
			s, err := l.runs.Wait(ctx, id)
			if err != nil || s.Err() != nil {
				t.Fatalf("with %d KiB: going on: %v", i*i*24, errors.Join(err, s.Err()))
			}
		}
		cancel()
		if after := l.snapshots("scores"); after != before+1 {
			t.Errorf("with %d KiB: %d snapshots became %d", i*i*24, before, after)
		}
		if got := l.scored("scores"); !reflect.DeepEqual(got, want) {
			t.Errorf("with %d KiB: the rows are others", i*i*24)
		}
		if v := l.version(); v != version {
			t.Errorf("with %d KiB: version %s", i*i*24, v)
		}
	}
	t.Logf("%d of 16 runs met the end of the disk", failed)
	if failed == 0 || failed == 16 {
		t.Error("the sizes of the disk are not chosen well")
	}
}
