package work_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/work"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"pipeline": pipeline}) }

// TestPipelineSurvivesKills kills a pipeline at random instants. Its output
// and the record of its run must be those of an uninterrupted one.
func TestPipelineSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "pipeline", Kills: 6, Outcome: func(dir string) (string, error) {
		tree, err := killtest.Tree("out")(dir)
		if err != nil {
			return "", err
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		return tree + string(status), err
	}})
}

// pipeline plans, writes sixteen content-addressed parts, and commits their
// names. A step that is flaky on its first attempt is part of it.
func pipeline(ctx context.Context, dir string) error {
	out := filepath.Join(dir, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	e, err := work.Open(ctx, work.Config{URL: "sqlite:" + filepath.Join(dir, "work.db")})
	if err != nil {
		return err
	}
	defer e.Close(ctx)
	work.Define(e, "pipeline", func(_ context.Context, r *work.Run, parts int) (string, error) {
		plan, err := work.Step(r, "plan", work.StepOptions{}, func(context.Context, *work.Progress) ([]string, error) {
			plan := make([]string, parts)
			for i := range plan {
				plan[i] = fmt.Sprintf("%s part %d", r.ID(), i)
			}
			return plan, nil
		})
		if err != nil {
			return "", err
		}
		names, err := work.Parallel(r, "part", plan, work.ParallelOptions{Workers: 4}, func(_ context.Context, p *work.Progress, _ int, text string) (string, error) {
			time.Sleep(3 * time.Millisecond)
			p.Add(1)
			return write(out, text)
		})
		if err != nil {
			return "", err
		}
		tries := 0
		return work.Step(r, "commit", work.StepOptions{Retries: 1, Backoff: time.Millisecond}, func(context.Context, *work.Progress) (string, error) {
			if tries++; tries == 1 {
				return "", fault.New(fault.Unavailable, "not at the first attempt")
			}
			return write(out, fmt.Sprint(names))
		})
	})
	if err := e.Launch(ctx); err != nil {
		return err
	}
	id, err := e.Start(ctx, "pipeline", "p", 16, work.ID("p-1"))
	if err != nil {
		return err
	}
	st, err := e.Wait(ctx, id)
	if err != nil {
		return err
	}
	if err := st.Err(); err != nil {
		return err
	}
	done := map[string]int64{}
	for _, s := range st.Steps {
		done[s.Name] = s.Progress.Done
	}
	text, err := json.Marshal([]any{st.Output, done})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "status"), text, 0o644)
}

// write puts text into a file named by its content, whole or not at all.
func write(dir, text string) (string, error) {
	name := fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	temp, err := os.CreateTemp(filepath.Dir(dir), "part")
	if err != nil {
		return "", err
	}
	defer temp.Close()
	if _, err := temp.WriteString(text); err != nil {
		return "", err
	}
	return name, os.Rename(temp.Name(), filepath.Join(dir, name))
}
