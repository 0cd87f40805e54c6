// Package killtest proves that a job survives its process: it runs the job in
// a child process, kills that with SIGKILL at random instants, starts it
// again until it ends by itself, and compares what it left behind, byte for
// byte, with an uninterrupted run.
//
// A test package hands its jobs to Main from TestMain; the child is the test
// binary itself, started anew. A test then calls Survives:
//
//	func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"pipeline": pipeline}) }
//
//	func TestPipelineSurvivesKills(t *testing.T) {
//		killtest.Survives(t, killtest.Case{Job: "pipeline", Kills: 5, Outcome: killtest.Tree("out")})
//	}
//
// A kill shows that the order of writes is right and that nothing half done
// becomes visible. It does not show that writes reached the disk: what the
// kernel holds survives the process.
package killtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Jobs are what children do, by name. A job does its work below a folder,
// going on from what an earlier life left there, and returns when all of it is
// done.
type Jobs map[string]func(ctx context.Context, dir string) error

const (
	jobVariable   = "LEAT_KILLTEST_JOB"
	dirVariable   = "LEAT_KILLTEST_DIR"
	killsVariable = "LEAT_KILLS"
)

// Main is for TestMain: it runs a job where the process is a child, and the
// tests otherwise. It does not return.
func Main(m *testing.M, jobs Jobs) {
	name := os.Getenv(jobVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	job := jobs[name]
	if job == nil {
		fmt.Fprintf(os.Stderr, "there is no job %q\n", name)
		os.Exit(2)
	}
	if err := job(context.Background(), os.Getenv(dirVariable)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Case is one job to kill.
type Case struct {
	Job string
	// Prepare fills a folder before the first life of the job; it may be nil.
	Prepare func(dir string) error
	// Kills is how often the job is killed; the variable LEAT_KILLS says
	// otherwise.
	Kills int
	// Between looks at the folder after each kill, while nobody works there:
	// nothing may be visible that is not whole. It may be nil.
	Between func(dir string) error
	// Outcome describes what the job left behind, without anything that may
	// differ between two runs.
	Outcome func(dir string) (string, error)
}

// lives bounds how often one folder is taken up again.
const lives = 400

// Survives runs the case. It fails the test where the outcome differs, where
// the job ends with an error of its own, or where it never ends.
func Survives(t *testing.T, c Case) {
	t.Helper()
	want, span := c.uninterrupted(t)
	if want == "" {
		t.Fatal("the uninterrupted run left nothing to compare with")
	}
	kills := c.kills(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("uninterrupted in %v; seed %d", span.Round(time.Millisecond), seed)
	random := rand.New(rand.NewPCG(seed, 0))
	done, rounds := 0, 0
	for done < kills {
		dir := c.folder(t)
		rounds++
		done += c.killed(t, dir, kills-done, func() time.Duration {
			return time.Duration(random.Int64N(int64(span) + 1))
		})
		got, err := c.Outcome(dir)
		if err != nil {
			t.Fatalf("round %d: %v", rounds, err)
		}
		if got != want {
			t.Fatalf("round %d differs from the uninterrupted run\n%s", rounds, difference(want, got))
		}
	}
	t.Logf("%d kills in %d rounds", done, rounds)
}

// Asked tells whether the variable LEAT_KILLS asks for a long trial; a case may
// then do more between two kills.
func Asked() bool { return os.Getenv(killsVariable) != "" }

func (c Case) kills(t *testing.T) int {
	text := os.Getenv(killsVariable)
	if text == "" {
		return c.Kills
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q is no number of kills", killsVariable, text)
	}
	return n
}

func (c Case) folder(t *testing.T) string {
	dir := t.TempDir()
	if c.Prepare != nil {
		if err := c.Prepare(dir); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (c Case) uninterrupted(t *testing.T) (outcome string, span time.Duration) {
	dir := c.folder(t)
	began := time.Now()
	if killed := c.life(t, dir, 0); killed {
		t.Fatal("the uninterrupted run was killed")
	}
	span = time.Since(began)
	outcome, err := c.Outcome(dir)
	if err != nil {
		t.Fatal(err)
	}
	return outcome, span
}

// killed runs the job in a folder until it ends, and kills it on the way, at
// most most times. It returns how often.
func (c Case) killed(t *testing.T, dir string, most int, delay func() time.Duration) int {
	kills := 0
	for range lives {
		after := time.Duration(0)
		if kills < most {
			after = max(delay(), time.Microsecond)
		}
		if !c.life(t, dir, after) {
			return kills
		}
		kills++
		if c.Between == nil {
			continue
		}
		if err := c.Between(dir); err != nil {
			t.Fatalf("after kill %d: %v", kills, err)
		}
	}
	t.Fatalf("the job does not get on: killed %d times, not ended", kills)
	return kills
}

// life runs the job once and kills it after a while, or never for 0. It tells
// whether it was killed.
func (c Case) life(t *testing.T, dir string, after time.Duration) bool {
	var output bytes.Buffer
	child := Child(t, c.Job, dir)
	child.Stdout, child.Stderr = &output, &output
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { _ = child.Process.Kill() })
		defer timer.Stop()
	}
	err := child.Wait()
	if err == nil {
		return false
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if after == 0 || !ok || exit.Exited() {
		t.Fatalf("the job failed by itself: %v\n%s", err, output.Bytes())
	}
	return true
}

// Child returns a process, not started yet, that will do a job on a folder: for
// tests that end it in a way of their own.
func Child(t *testing.T, job, dir string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), binary)
	child.Env = append(os.Environ(), jobVariable+"="+job, dirVariable+"="+dir)
	return child
}

// Tree returns an Outcome that names every file below a folder with the
// SHA-256 of its bytes.
func Tree(folder string) func(dir string) (string, error) {
	return func(dir string) (string, error) {
		root := filepath.Join(dir, folder)
		var b strings.Builder
		err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			fmt.Fprintf(&b, "%s %x\n", name, sha256.Sum256(content))
			return err
		})
		return b.String(), err
	}
}

// difference lists the lines that only one side has.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	var out strings.Builder
	for _, line := range a {
		if !slices.Contains(b, line) {
			out.WriteString("missing: " + line + "\n")
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out.WriteString("extra:   " + line + "\n")
		}
	}
	if out.Len() == 0 {
		return "the same lines in another order"
	}
	return out.String()
}
