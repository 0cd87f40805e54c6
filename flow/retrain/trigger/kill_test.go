package trigger_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leat-ai/leat/spec"
	"github.com/leat-ai/leat/work"
)

// engineStarter starts runs of a real engine.
type engineStarter struct{ *work.Engine }

func (s engineStarter) Start(ctx context.Context, _ spec.Kind, name, id, by string) error {
	_, err := s.Engine.Start(ctx, "pipeline", name, "", work.ID(id), work.By(by))
	return err
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }

func readOutcome(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "outcome"))
	return string(text), err
}

// turned is a clock that a test turns.
type turned struct {
	mu sync.Mutex
	at time.Time
}

func (c *turned) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *turned) turn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}
