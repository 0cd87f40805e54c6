package local

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leat-ai/leat/internal/killtest"
	"github.com/leat-ai/leat/store/online"
)

func TestMain(m *testing.M) { killtest.Main(m, killtest.Jobs{"put": putJob}) }

// TestSurvivesKills kills a writer and looks that the store opens, that what
// was answered is there, and that no value is torn.
func TestSurvivesKills(t *testing.T) {
	killtest.Survives(t, killtest.Case{Job: "put", Kills: 8, Between: acknowledged, Outcome: func(dir string) (string, error) {
		if err := acknowledged(dir); err != nil {
			return "", err
		}
		return content(dir)
	}})
}

const jobRounds, jobKeys = 300, 50

// roundValue is what a key holds after a round: one long word repeated.
func roundValue(round int) []byte { return bytes.Repeat(fmt.Appendf(nil, "%06d", round), 100) }

// putJob writes the same keys in rounds, and says in a file of its own which
// rounds were answered.
func putJob(ctx context.Context, dir string) error {
	s, err := Open(ctx, Config{Path: filepath.Join(dir, "online"), Memtable: 1 << 18})
	if err != nil {
		return err
	}
	done, err := os.OpenFile(filepath.Join(dir, "answered"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer done.Close()
	for round := 1 + rounds(dir); round <= jobRounds; round++ {
		var entries []online.Entry
		for k := range jobKeys {
			entries = append(entries, online.Entry{Key: fmt.Append(nil, k), Value: roundValue(round), At: int64(round)})
		}
		if _, err := s.Put(ctx, "view", entries); err != nil {
			return err
		}
		if _, err := fmt.Fprint(done, "."); err != nil {
			return err
		}
	}
	return s.Close()
}

func rounds(dir string) int {
	answered, _ := os.ReadFile(filepath.Join(dir, "answered"))
	return len(answered)
}

// acknowledged opens the store and compares it with what was answered.
func acknowledged(dir string) error {
	answered := rounds(dir)
	text, err := content(dir)
	if err != nil || text == "" {
		return err
	}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		var key, round int
		if _, err := fmt.Sscanf(line, "%d %d", &key, &round); err != nil {
			return fmt.Errorf("%q: %w", line, err)
		}
		if round < answered || round > answered+1 {
			return fmt.Errorf("key %d is of round %d, and round %d was answered", key, round, answered)
		}
	}
	return nil
}

// content lists each key with the round of its value.
func content(dir string) (string, error) {
	s, err := Open(context.Background(), Config{Path: filepath.Join(dir, "online")})
	if err != nil {
		return "", err
	}
	defer s.Close()
	var keys []online.Key
	for k := range jobKeys {
		keys = append(keys, online.Key{Table: "view", Key: fmt.Append(nil, k)})
	}
	found, err := s.Get(context.Background(), keys, nil)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for k, f := range found {
		if f.OK && !bytes.Equal(f.Value, roundValue(int(f.At))) {
			return "", fmt.Errorf("key %d of round %d holds %.40q", k, f.At, f.Value)
		}
		fmt.Fprintf(&b, "%d %d\n", k, f.At)
	}
	return b.String(), nil
}
