package killtest_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leat-ai/leat/internal/killtest"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"count": count}) }

// count makes ten files, each whole or not at all, and goes on where it was.
func count(_ context.Context, dir string) error {
	out := filepath.Join(dir, "out")
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for i := range 10 {
		name := filepath.Join(out, string(rune('a'+i)))
		if _, err := os.Stat(name); err == nil {
			continue
		}
		time.Sleep(2 * time.Millisecond)
		temp := filepath.Join(dir, "temp")
		if err := os.WriteFile(temp, []byte{byte(i)}, 0o644); err != nil {
			return err
		}
		if err := os.Rename(temp, name); err != nil {
			return err
		}
	}
	return nil
}

func TestSurvives(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "count", Kills: 8, Outcome: killtest.Tree("out")})
}
